# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_audit: what the ledger of a run says, for machines and people, and whether it can be believed."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import audit, audit_table, evidence_note, evidence_read
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from ansible_collections.mailops.kerio.plugins.modules import archive_audit
from tests.play.trees import tree
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.backup_steps import DOCS
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.test_evidence import ALICE, BOB, ORIGIN, PEM

VKEY = evidence_note.Signer(PEM, ORIGIN).verifier_key
OTHER = evidence_note.Signer(PEM, "other").verifier_key
DIGEST = hashlib.sha256(mail(2)).hexdigest()
DAY = 86_400
FIRST_DAY = 1_767_225_600  # 2026-01-01
NOON = DAY + DAY // 2


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive whose users were changed on 2026-01-02, at noon, and on the day after."""
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.profiles = [MULTIPLE]
    made.user(ALICE)
    servers.folder("mail1", ALICE).add(mail(1))
    servers.folder("mail1", ALICE, "Pro\x1b[2Jjects").add(mail(2))
    made.run(ledger=Ledger(ORIGIN, PEM, "admin@controller", {"profiles": [MULTIPLE]}))
    with Catalog.open(made.catalog_file) as catalog, catalog.transaction():
        for seconds, by in ((NOON, "eve@laptop"), (2 * DAY, "admin@controller")):
            change = {"action": "changed", "was": "robert@example.com", "name": BOB, "addresses": [BOB]}
            catalog.note("users", at=FIRST_DAY + seconds, by=by, changes=[change])
    made.run(ledger=Ledger(ORIGIN, PEM, "admin@controller", {"profiles": [MULTIPLE]}))
    return made


def ask(archive: Archive, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_audit.main, check=check, root=str(archive.root), **options)


@pytest.mark.shows("read", "check")
def test_everything_is_told_in_order_and_nothing_is_written(archive: Archive) -> None:
    before = tree(archive.root)
    result = ask(archive, ledger_verifier_key=VKEY)
    written = [json.loads(line) for line in (archive.root / "evidence/entries").read_bytes().splitlines()]
    assert result["entries"] == [{"index": index, **entry} for index, entry in enumerate(written)]
    assert (result["count"], len(result["table"])) == (len(written), len(written))
    facts = {"entries": len(written), "behind": 0, "fits": True, "signed": True, "problems": []}
    assert (result["failed"], result["changed"], result["ledger"], result["warnings"]) == (False, False, facts, [])
    assert ask(archive, check=True, ledger_verifier_key=VKEY) == result
    assert tree(archive.root) == before


FILTERS: dict[str, tuple[dict[str, t.Any], list[str]]] = {
    "events": ({"events": ["archived", "profiles"]}, ["archived", "archived", "profiles"]),
    "digest": ({"about": DIGEST[:20].upper()}, ["archived"]),
    "user by an old name": ({"about": "robert"}, ["users", "users"]),
    "who did it": ({"about": "eve@"}, ["users"]),
    "server": ({"about": "mail1", "events": ["archived"]}, ["archived", "archived"]),
    "nothing of the text but these": ({"about": "multiple_mailboxes"}, []),
    "a whole day": ({"since": "2026-01-02", "until": "2026-01-02"}, ["users"]),
    "with a zone": ({"since": "2026-01-02T14:00:00+02:00", "until": "2026-01-02T12:00:00Z"}, ["users"]),
    "seconds": ({"since": str(FIRST_DAY + NOON + 1), "until": str(FIRST_DAY + 2 * DAY)}, ["users"]),
    "before the first": ({"until": "2025-12-31 23:59"}, []),
}


@pytest.mark.parametrize("name", FILTERS)
def test_only_what_is_asked_for(archive: Archive, name: str) -> None:
    options, events = FILTERS[name]
    result = ask(archive, **options)
    assert sorted(entry["event"] for entry in result["entries"]) == events
    assert result["count"] == len(events)


def test_the_newest_are_returned_when_there_are_more(archive: Archive) -> None:
    everything = ask(archive)
    result = ask(archive, limit=2)
    assert (result["entries"], result["count"]) == (everything["entries"][-2:], everything["count"])
    assert f"{everything['count']} of {everything['count']} entries of the ledger match, the newest 2 are shown" in result["msg"]
    assert (ask(archive, limit=0)["entries"], ask(archive, limit=0)["count"]) == ([], everything["count"])


def test_the_table_is_for_people(archive: Archive) -> None:
    users = ask(archive, events=["users"], since="2026-01-01", until="2026-01-03")["table"]
    changed = f"users: changed {BOB} (was robert@example.com)"
    assert users == [f"2026-01-02 12:00:00  eve@laptop        {changed}", f"2026-01-03 00:00:00  admin@controller  {changed}"]
    (archived,) = ask(archive, about=DIGEST)["table"]
    place = f"mail1 {ALICE} Pro\\x1b[2Jjects UID 1"
    assert archived[21:] == f"run 1  archived {DIGEST[:16]}, {len(mail(2))} bytes, from {place}"
    (profiles,) = ask(archive, events=["profiles"])["table"]
    assert profiles[21:] == "admin@controller  declared profiles: all mailboxes"
    first, *_ = ask(archive, events=["run"])["table"]
    assert first[21:].startswith("admin@controller  run: run 1, outcome ok, seen 2, new 2,")


def test_rights_over_the_mail_of_others_are_told() -> None:
    auditor = {"action": "created", "name": "a", "privileges": ["audit", "login"]}
    reader = {"action": "changed", "name": BOB, "privileges": ["login", "read"], "reads": [ALICE, "of\nit"]}
    (line,) = audit_table.lines([{"event": "users", "at": 1, "changes": [auditor, reader]}])
    assert line.endswith(f"users: created a [audit], changed {BOB} [reads {ALICE}, reads of\\nit]")


@pytest.mark.parametrize("event", audit.EVENTS)
def test_every_event_has_one_line_that_cannot_move_the_cursor(event: str) -> None:
    told = dict.fromkeys(("reason", "why", "to", "mailbox", "folder", "outcome"), "of\nit\x1b[2J")
    lists = {"changes": [{"name": "of\nit"}], "declared": [{"name": "of\nit"}]}
    (line,) = audit_table.lines([{"event": event, "at": 1, "digest": "ab" * 32, **told, **lists}])
    assert line.startswith("1970-01-01 00:00:01") and line.isprintable()
    assert ("of\\nit" in line) == (event != "found")


def test_every_event_of_the_documentation_can_be_asked_for() -> None:
    table = (DOCS / "evidence.md").read_text("utf-8").split("| event | other keys |", 1)[1].split("\n\n", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall("`([a-z]+)`", row)} == set(audit.EVENTS)


def rewrite(archive: Archive) -> None:
    path = archive.root / "evidence/entries"
    path.write_bytes(path.read_bytes().replace(b"eve@laptop", b"bob@laptop"))


def rehash(archive: Archive) -> None:
    path = archive.root / "evidence/hashes"
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def forge(archive: Archive) -> None:
    path = archive.root / "evidence/checkpoint"
    path.write_text(path.read_text().replace("\n", "\n1", 1))


class Case(t.NamedTuple):
    spoil: t.Callable[[Archive], object]
    told: str
    signed: bool


CASES = {
    "entry": Case(rewrite, "is not the one that was hashed when it was written: the ledger was changed", True),
    "hash": Case(rehash, "the ledger was changed", True),
    "checkpoint": Case(forge, "the ledger was rolled back", False),
}


@pytest.mark.parametrize("name", CASES)
def test_a_ledger_that_was_changed_fails(archive: Archive, name: str) -> None:
    CASES[name].spoil(archive)
    result = ask(archive, ledger_verifier_key=VKEY)
    assert (result["failed"], result["ledger"]["fits"], result["ledger"]["signed"]) == (True, False, CASES[name].signed)
    assert CASES[name].told in result["msg"]


def test_what_comes_before_a_changed_entry_is_still_told(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_read, "CHUNK_ENTRIES", 1)
    index = next(entry["index"] for entry in ask(archive, about="eve@laptop")["entries"])
    rewrite(archive)
    result = ask(archive)
    assert [entry["index"] for entry in result["entries"]] == list(range(index))
    assert f"entry {index} is not the one" in result["msg"]


def test_a_signature_of_another_key_fails(archive: Archive) -> None:
    result = ask(archive, ledger_verifier_key=OTHER)
    assert (result["failed"], result["ledger"]["signed"]) == (True, False)
    assert f"it is signed by {ORIGIN}, not by other" in result["msg"]


def test_an_archive_that_was_never_run_has_nothing_to_tell(tmp_path: Path) -> None:
    fresh = Archive(tmp_path / "fresh", FakeServers(tmp_path / "imap.log"))
    result = ask(fresh)
    assert (result["failed"], result["count"], result["ledger"]["fits"]) == (False, 0, None)
    assert result["warnings"] == ["The ledger has no checkpoint yet, so that nothing vouches for it"]


@pytest.mark.shows("error")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"since": "yesterday"}, "since: 'yesterday' is no time"),
        ({"limit": -1}, "limit: -1 cannot be used"),
        ({"events": ["delete"]}, "value of events must be one or more of"),
        ({"ledger_verifier_key": "no key"}, "verifier key: "),
        ({"root": "/nowhere"}, "it holds no archive"),
    ],
)
def test_what_cannot_be_asked_for_is_told(archive: Archive, options: dict[str, t.Any], told: str) -> None:
    result = run_module(archive_audit.main, **{"root": str(archive.root), **options})
    assert result["failed"]
    assert told in result["msg"]
