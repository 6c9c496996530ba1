# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore against servers that answer: every message once, byte for byte, and what is there already is known by its bytes."""

from __future__ import annotations

import datetime
import re
import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import audit_table
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Choice
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from tests.faults.imap_script import Command, edit, no
from tests.faults.restore_scene import (
    ALICE,
    ALL,
    BARE,
    DATE,
    INBOX,
    MAIL,
    PROJECTS,
    Scene,
    causes,
    changed,
    counts,
    make_archive,
    object_of,
    once,
    stamp,
)
from tests.proof.independent_archive import Archive as Independent


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("restore") / "archive")


@pytest.fixture
def scene(root: Path) -> t.Iterator[Scene]:
    made = Scene(root)
    with made.server:
        yield made


def substance(root: Path) -> dict[str, t.Any]:
    """All of the archive but what waits for the ledger."""
    found = Independent(root).fingerprint()
    found["catalog"] = [line for line in found["catalog"] if "evidence_waiting" not in line]
    return found


def test_every_message_comes_once_with_bytes_date_and_flags_and_a_second_restore_changes_nothing(scene: Scene) -> None:
    before = substance(scene.root)
    report = scene.restore()
    assert counts(report) == {"appended": ALL, "flags_left_out": 1}
    assert (report.total("compared"), report.total("bytes")) == (
        ALL,
        sum(len(body) for bodies in MAIL.values() for body in bodies),
    )
    assert report.made == ["Letters", "Projects", "Projects/X"]
    assert scene.held() == once()
    inbox = scene.server.state.folder(ALICE).messages
    assert [stamp(one.internaldate) for one in inbox] == [DATE + uid for uid in range(1, len(INBOX) + 1)]
    assert [one.internaldate.utcoffset() for one in inbox] == [datetime.timedelta()] * len(INBOX)
    assert {one.flags for one in inbox} == {("\\Seen",)}
    assert set(scene.server.state.folder(ALICE, b"Projects/X").messages[0].flags) == {"\\Flagged", "\\Answered"}

    commands = len(scene.server.log)
    again = scene.restore()
    assert (counts(again), again.made) == ({"there": ALL}, [])
    assert scene.appends(commands) == []
    # The journal and the server agree, so no body is fetched again.
    assert not [entry for entry in scene.server.log[commands:] if "BODY" in entry.text]
    scene.forget()
    assert counts(scene.restore()) == {"there": ALL}
    assert scene.held() == once()
    assert substance(scene.root) == before


def test_the_ledger_hears_of_what_was_put_in_and_of_nothing_else(scene: Scene) -> None:
    before = len(scene.entries())
    scene.restore(write=False)
    assert scene.entries()[before:] == []
    scene.script.on("CREATE", no("not here"), folder="Back/Projects")
    chosen = Choice(exclude=("letters",), target_folder="Back")
    scene.restore(choice=chosen)
    begun, done = scene.entries()[before:]
    about = {"user": ALICE, "server": "mail1", "mailbox": ALICE, "folder": "Back", "by": "operator"}
    assert {key: begun[key] for key in about} == {key: done[key] for key in about} == about
    keys = ("event", "outcome", "asked", "messages")
    assert [begun[key] for key in keys] == ["restored", "begun", ALL - 1, 0]
    assert [done[key] for key in keys] == ["restored", "failed", ALL - 1, len(INBOX)]
    assert done["chosen"] == {"exclude_folders": ["letters"]}
    told = f"restored (failed) {len(INBOX)} of {ALL - 1} messages of {ALICE} to mail1 {ALICE} Back"
    assert (audit_table.who(done), audit_table.what(done)) == ("operator", told)
    scene.script.clear()
    scene.restore(choice=chosen)
    assert [(entry["outcome"], entry["messages"]) for entry in scene.entries()[before + 2 :]] == [("begun", 0), ("done", 3)]
    scene.restore(choice=chosen)
    assert len(scene.entries()) == before + 4


def test_check_mode_says_what_a_restore_would_do_and_does_none_of_it(scene: Scene) -> None:
    scene.server.state.folder(ALICE).add(INBOX[2])
    would = scene.restore(write=False)
    assert (counts(would), would.made) == ({"appended": ALL - 1, "there": 1}, ["Letters", "Projects", "Projects/X"])
    assert not {entry.verb for entry in scene.server.log} & {"APPEND", "CREATE", "SUBSCRIBE", "SELECT"}
    assert not (scene.root / "jobs" / "archive_restore.known").exists()
    assert counts(scene.restore()) == {"appended": ALL - 1, "there": 1, "flags_left_out": 1}


def test_the_journal_is_not_believed_alone(scene: Scene) -> None:
    scene.restore(choice=Choice(include=("INBOX",)))
    inbox = scene.server.state.folder(ALICE)
    inbox.change(1, body=INBOX[0] + b"and more\r\n")  # not what it was, whatever the server says of UIDs
    inbox.change(2, body=INBOX[1][::-1], internaldate=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    inbox.expunge(3)
    assert counts(scene.restore(choice=Choice(include=("INBOX",)))) == {"appended": 3, "there": len(INBOX) - 3}
    inbox.renumber()
    assert counts(scene.restore(choice=Choice(include=("INBOX",)))) == {"there": len(INBOX)}


def test_only_bytes_tell_what_is_there(scene: Scene) -> None:
    inbox = scene.server.state.folder(ALICE)
    date = datetime.datetime.fromtimestamp(DATE + 1, datetime.UTC)
    other = INBOX[0].replace(b"Text", b"Tixt")
    inbox.add(other, date=date)  # same size, date and Message-ID
    inbox.add(INBOX[1])  # under another date
    inbox.add(INBOX[2], flags=("\\Deleted",))
    report = scene.restore(choice=Choice(include=("INBOX",)))
    assert counts(report) == {"appended": len(INBOX) - 1, "there": 1}
    assert Counter(scene.bodies(b"INBOX")) == Counter([*INBOX, other, INBOX[2]])


def test_a_chosen_message_by_digest_id_date_and_folder(scene: Scene) -> None:
    digest = bytes.fromhex(object_of(scene.root, PROJECTS[1]).name)
    report = scene.restore(choice=Choice(digests=frozenset({digest}), target_folder="Restored/here"))
    assert (counts(report), scene.bodies(b"Restored/here/Projects/X")) == ({"appended": 1}, [PROJECTS[1]])
    report = scene.restore(choice=Choice(since=DATE + 3, before=DATE + 5, include=("in*",), target_folder="dates"))
    assert (counts(report), scene.bodies(b"dates/INBOX")) == ({"appended": 2}, INBOX[2:4])
    report = scene.restore(choice=Choice(exclude=("INBOX",), target_folder="ids"), message_ids=("same@for.all",))
    assert (counts(report), scene.bodies(b"ids/Projects/X")) == ({"appended": len(PROJECTS), "flags_left_out": 1}, PROJECTS)
    commands = len(scene.server.log)
    with pytest.raises(InputError, match="not in the chosen folders") as caught:
        scene.restore(choice=Choice(include=("INBOX",), digests=frozenset({digest})), message_ids=("<no@where>",))
    assert digest.hex() in caught.value.cause
    assert "<no@where>" in caught.value.cause
    assert scene.server.log[commands:] == []


@pytest.mark.parametrize("told", ["\\*", "$forwarded"])
def test_a_keyword_is_set_where_the_folder_takes_it(scene: Scene, told: str) -> None:
    scene.script.on("SELECT", edit(lambda answer: answer.replace(b"PERMANENTFLAGS (", b"PERMANENTFLAGS (%s " % told.encode())))
    assert counts(scene.restore(choice=Choice(include=("Projects",)))) == {"appended": len(PROJECTS)}
    assert set(scene.server.state.folder(ALICE, b"Projects/X").messages[0].flags) == {"\\Flagged", "\\Answered", "$Forwarded"}


# What a server may make of a message that it is given, and how that is counted.
CHANGES: dict[str, tuple[t.Callable[[bytes], bytes], str]] = {
    "line ends": (lambda body: body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "line_ends"),
    "bare line ends": (lambda body: body.replace(b"\r\n", b"\n"), "line_ends"),
    "a field on top": (lambda body: b"X-Server: yes\r\n" + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "headers_added"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("without", [(), ("UIDPLUS", "LITERAL+")])
def test_a_message_that_the_server_changed_in_form_is_known_again(scene: Scene, name: str, without: tuple[str, ...]) -> None:
    scene.server.without(*without)
    change, key = CHANGES[name]
    scene.script.on("APPEND", changed(change))
    expected = {
        "line ends": {"line_ends": 1},
        "bare line ends": {"line_ends": ALL - 1},
        "a field on top": {"headers_added": ALL},
    }[name]
    assert counts(scene.restore()) == {"appended": ALL, "flags_left_out": 1, **expected}
    assert key in expected
    held = scene.held()
    assert held == {raw: Counter(map(change, bodies)) for raw, bodies in MAIL.items()}
    scene.forget()
    assert counts(scene.restore()) == {"there": ALL}
    assert scene.held() == held


@pytest.mark.parametrize("without", [(), ("UIDPLUS",)])
def test_a_message_with_another_content_is_told_and_not_put_in_again(scene: Scene, without: tuple[str, ...]) -> None:
    scene.server.without(*without)
    scene.script.on("APPEND", changed(lambda body: body.replace(b"Text 3", b"Text ?")))
    report = scene.restore(choice=Choice(include=("INBOX",)))
    assert (counts(report), causes(report)) == ({"appended": len(INBOX) - 1, "failed": 1}, [("INBOX", "altered", 1)])
    held = scene.held()
    again = scene.restore(choice=Choice(include=("INBOX",)))
    assert (counts(again), causes(again)) == ({"there": len(INBOX) - 1, "failed": 1}, [("INBOX", "altered", 1)])
    assert scene.held() == held


def test_a_server_that_keeps_no_dates_gets_no_duplicates(scene: Scene) -> None:
    def now(command: t.Any) -> None:
        command.parts[0] = re.sub(rb'"[^"]+ [+-]\d{4}"', b'"03-Mar-2025 10:00:00 +0100"', command.parts[0])

    scene.script.on("APPEND", now)
    assert counts(scene.restore())["dates_changed"] == ALL
    scene.forget()
    assert counts(scene.restore()) == {"there": ALL}
    assert scene.held() == once()


def test_a_sample_is_read_back_and_the_size_of_all(scene: Scene) -> None:
    scene.script.on("APPEND", changed(lambda body: body + b"more" if b"Text 3" in body else body))
    report = scene.restore(choice=Choice(include=("INBOX",)), percent=0)
    assert (report.total("compared"), causes(report)) == (0, [("INBOX", "altered", 1)])
    assert counts(report) == {"appended": len(INBOX) - 1, "failed": 1}


def test_a_damaged_object_is_never_sent(scene: Scene) -> None:
    path = object_of(scene.root, INBOX[4])
    content = path.read_bytes()
    path.chmod(0o640)
    try:
        path.write_bytes(object_of(scene.root, INBOX[6]).read_bytes())  # it can be read, and is another message
        report = scene.restore(choice=Choice(include=("INBOX",)))
    finally:
        path.write_bytes(content)
    assert causes(report) == [("INBOX", "damaged", 1)]
    assert Counter(scene.bodies(b"INBOX")) == Counter(INBOX[:4] + INBOX[5:])


def test_names_of_folders_travel_as_the_server_writes_them(scene: Scene) -> None:
    scene.restore(choice=Choice(include=("Letters",), target_folder="Größe & mehr"))
    assert scene.bodies(b"Gr&APYA3w-e &- mehr/Letters") == [BARE]
    created = [entry.text for entry in scene.server.log if entry.verb in ("CREATE", "SUBSCRIBE")]
    assert created == ['"Gr&APYA3w-e &- mehr"'] * 2 + ['"Gr&APYA3w-e &- mehr/Letters"'] * 2
    scene.server.state.folder(ALICE, b"letters").add(b"Subject: theirs\r\n\r\n")
    scene.script.on("CREATE", lambda command: [command.fill(b"{tag} NO it is there\r\n")], folder="Letters")
    assert counts(scene.restore(choice=Choice(include=("Letters",)))) == {"appended": 1}
    assert scene.bodies(b"letters")[1:] == [BARE]
    assert counts(scene.restore(choice=Choice(include=("Letters",)))) == {"there": 1}
    assert scene.bodies(b"letters")[1:] == [BARE]


def test_check_mode_finds_what_a_server_without_case_opens_by_another_name(scene: Scene) -> None:
    def lower(command: Command) -> None:
        lines = (part.replace(b"Back/Letters", b"back/letters") for part in command.parts[:1])
        command.parts[:1] = [line.replace(b"Back", b"back") for line in lines]

    scene.server.state.folder(ALICE, b"back")
    scene.server.state.folder(ALICE, b"back/letters").add(BARE)
    chosen = Choice(include=("Letters",), target_folder="Back")
    would = scene.restore(write=False, choice=chosen)
    assert (counts(would), would.made) == ({"appended": 1}, ["Back", "Back/Letters"])  # with case they are others
    scene.script.on("*", lower)
    for write in (False, True):
        report = scene.restore(write=write, choice=chosen)
        assert (counts(report), report.made) == ({"there": 1}, [])
    for write in (False, True):
        report = scene.restore(write=write, choice=Choice(include=("INBOX",), target_folder="Back"))
        assert (counts(report), report.made) == ({"appended": len(INBOX)}, ["Back/INBOX"])


def test_a_folder_whose_name_only_looks_alike_as_it_travels_is_another_one(scene: Scene) -> None:
    scene.server.state.folder(ALICE, b"&aOQ-")
    scene.server.state.folder(ALICE, b"&aOQ-/Letters")
    scene.script.on("CREATE", no("not allowed"))
    report = scene.restore(choice=Choice(include=("Letters",), target_folder="\N{LATIN SMALL LETTER A WITH DIAERESIS}"))
    assert (causes(report), scene.bodies(b"&aOQ-/Letters")) == ([("\xe4/Letters", "folder", 1)], [])
