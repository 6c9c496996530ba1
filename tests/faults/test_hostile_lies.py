# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that lies in SEARCH, STATUS and EXAMINE, or renumbers: nothing is lost or twice, and contradictions are told."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.imap_script import Command
from tests.faults.stage import COUNT, Stage, calm, named, of
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("hostile")

ALL = set(range(1, COUNT + 1))
HIGHEST = 2**32 - 1


def searched(*uids: int) -> script.Action:
    return script.ok(b"* SEARCH" + b"".join(b" %d" % uid for uid in uids))


def status(**values: int) -> script.Action:
    """Figures of INBOX in STATUS that are not true."""

    def lie(answer: bytes) -> bytes:
        for name, value in values.items():
            answer = re.sub(rb'("INBOX" \(.*?\b%s) \d+' % name.encode(), rb"\g<1> %d" % value, answer)
        return answer

    return script.edit(lie)


SEARCHES: dict[str, tuple[tuple[int, ...], str]] = {
    "UIDs that do not exist": ((*ALL, 77, 4_000_000_000), ""),
    "every UID twice": ((*ALL, *ALL), ""),
    "descending": (tuple(sorted(ALL, reverse=True)), ""),
    "some missing": ((1, 2, 3), "its SEARCH lists only 3"),
    "none": ((), "its SEARCH lists only 0"),
}


@pytest.mark.parametrize("what", SEARCHES)
def test_lies_in_search(tmp_path: Path, what: str) -> None:
    uids, words = SEARCHES[what]
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID SEARCH", searched(*uids), folder="INBOX", where=lambda command: "UID" not in command.text)
        report = stage.go()
        assert stage.archived() == ALL & set(uids)
        assert of(report).accounts.failed == 0
        if words:
            named(report, words)
        else:
            assert not report.problems(), told(report)
        stage.finish()


@pytest.mark.parametrize("what", ["some missing", "none"])
def test_lies_in_search_take_nothing_back(tmp_path: Path, what: str) -> None:
    uids, words = SEARCHES[what]
    with Stage(tmp_path / "archive") as stage:
        stage.go()
        stage.inbox.add(mail(90))
        stage.script.on("UID SEARCH", searched(*uids), folder="INBOX", where=lambda command: "UID" not in command.text)
        named(stage.go(), words)
        assert stage.run.archive.rows("SELECT count(*) FROM source_messages WHERE state = 8") == [(0,)]
        stage.finish(INBOX=COUNT + 1, Projects=3)


STATUSES: dict[str, dict[str, int]] = {
    "too many messages": {"MESSAGES": COUNT + 5},
    "too few messages": {"MESSAGES": 2},
    "no messages": {"MESSAGES": 0},
    "UIDNEXT 0": {"UIDNEXT": 0},
    "UIDNEXT 1": {"UIDNEXT": 1},
    "UIDNEXT at its end": {"UIDNEXT": HIGHEST},
    "UIDVALIDITY of another folder": {"UIDVALIDITY": 99},
    "UIDVALIDITY 0": {"UIDVALIDITY": 0},
    "everything 0": {"MESSAGES": 0, "UIDNEXT": 0, "UIDVALIDITY": 0},
}


@pytest.mark.parametrize("what", STATUSES)
@pytest.mark.parametrize("verb", ["LIST", "STATUS"])
def test_lies_in_status(tmp_path: Path, what: str, verb: str) -> None:
    with Stage(tmp_path / "archive") as stage:
        if verb == "STATUS":
            stage.server.without("LIST-STATUS")
        stage.script.on(verb, status(**STATUSES[what]))
        assert not stage.go().problems()
        assert stage.archived() == ALL
        stage.inbox.add(mail(90))
        assert not stage.go().problems()
        assert stage.archived() == ALL | {COUNT + 1}
        stage.finish(INBOX=COUNT + 1, Projects=3)


def exists(count: int) -> script.Action:
    return script.edit(lambda answer: re.sub(rb"\* \d+ EXISTS", b"* %d EXISTS" % count, answer))


def test_examine_that_counts_more_than_there_is(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("EXAMINE", exists(COUNT + 3), folder="INBOX")
        named(stage.go(), f"counts {COUNT + 3} messages")
        assert stage.archived() == ALL
        stage.finish()


def test_examine_that_counts_less_than_there_is(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("EXAMINE", exists(1), folder="INBOX")
        assert not stage.go().problems()
        assert stage.archived() == ALL
        stage.finish()


def test_gaps_of_a_thousand_million_between_uids(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        for number, uid in enumerate((10**9, 2 * 10**9, 3 * 10**9, 4 * 10**9, HIGHEST - 2, HIGHEST - 1)):
            stage.folder("sparse").add(mail(300 + number), uid=uid)
        report = stage.go()
        assert not report.problems(), told(report)
        assert of(report, "sparse").accounts.new == 6
        assert sum(entry.verb == "UID FETCH" and entry.folder == b"sparse" for entry in stage.server.log) <= 2
        stage.finish(INBOX=COUNT, Projects=3, sparse=6)


def test_uidvalidity_and_uids_at_their_end(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.folder("last", uidvalidity=HIGHEST).add(mail(301), uid=HIGHEST)
        stage.folder("last").uidnext = HIGHEST
        report = stage.go()
        assert not report.problems(), told(report)
        stage.finish(INBOX=COUNT, Projects=3, last=1)


# UIDVALIDITY


def proved(stage: Stage, uidvalidity: int, folder: str = "INBOX") -> set[int]:
    """UIDs with a row that says archived or copy under this UIDVALIDITY."""
    rows = stage.run.archive.rows(
        "SELECT uid FROM source_messages m JOIN source_folders f ON f.id = m.folder_id"
        " WHERE f.name = ? AND m.uidvalidity = ? AND m.state IN (1, 2) AND f.server = 'mail1'",
        (folder, uidvalidity),
    )
    return {uid for (uid,) in rows}


def test_uidvalidity_that_changes_between_runs(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.go()
        before = stage.run.archive.tree()
        stage.inbox.renumber(7, first=500)
        report = stage.go()
        assert not report.problems(), told(report)
        assert stage.run.archive.tree() == before
        assert proved(stage, 7) == set(range(500, 500 + COUNT))
        stage.finish()


@pytest.mark.parametrize("verb", ["UID SEARCH", "UID FETCH", "EXAMINE"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_uidvalidity_that_changes_during_a_run(tmp_path: Path, verb: str, when: str) -> None:
    """The connection breaks with it, as when the server was restored: the folder is never read under two numbers in one run."""
    with Stage(tmp_path / "archive") as stage:

        def renumbered(command: Command) -> t.Iterator[script.Chunk]:
            if when == "after":
                yield from list(command.ordinary())[:3]
            stage.inbox.messages.reverse()
            stage.inbox.renumber(7)
            yield script.CLOSE

        stage.script.on(verb, renumbered, folder="INBOX", times=1)
        report = stage.go()
        assert stage.archived() in (ALL, set()) or report.problems()
        stage.finish()
        assert proved(stage, 7) == ALL


def test_uidvalidity_that_changed_when_the_folder_is_opened_again_to_fetch(tmp_path: Path) -> None:
    """Search and fetch open the folder on their own: UIDs of one numbering must not be fetched under the other."""
    with Stage(tmp_path / "archive") as stage:

        def renumbered(_command: Command) -> None:
            stage.inbox.messages.reverse()
            stage.inbox.renumber(7)

        stage.script.on("EXAMINE", script.before(renumbered), folder="INBOX", nth=2, times=1)
        named(stage.go(), "UIDVALIDITY changed from 1 to 7")
        assert proved(stage, 1) == set()
        stage.finish()
        assert proved(stage, 7) == ALL


def test_uidvalidity_that_changes_between_examine_and_fetch_of_one_connection(tmp_path: Path) -> None:
    """A server must end such a session. What one that does not gives for the UIDs is archived as what it is."""
    with Stage(tmp_path / "archive") as stage:
        stage.note_served()

        def renumbered(_command: Command) -> None:
            stage.inbox.messages.reverse()
            stage.inbox.renumber(7)

        stage.script.on("UID FETCH", script.before(renumbered), folder="INBOX", times=1)
        stage.go()
        stage.finish()
        assert proved(stage, 7) == ALL


def test_a_restored_server_changes_every_uidvalidity_at_once(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        for number in range(5):
            stage.folder(f"Projects/{number}").add(*(mail(400 + 10 * number + one) for one in range(4)))
        stage.go()
        tree, objects = stage.run.archive.tree(), stage.run.archive.files()
        held = stage.server.state.mailboxes["alice@example.com"]
        for number, folder in enumerate(held.values()):
            folder.messages.reverse()
            folder.renumber(1_000 + number, first=40 * number + 1)
        report = stage.go()
        assert not report.problems(), told(report)
        assert (stage.run.archive.tree(), stage.run.archive.files()) == (tree, objects)
        for number, (raw, folder) in enumerate(held.items()):
            assert proved(stage, 1_000 + number, raw.decode()) == set(folder.uids())
        assert report.accounts().new + report.accounts().copies + report.accounts().known == report.accounts().seen
        calm(stage)


def test_a_server_restored_from_an_older_backup_and_used_since(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        backup = stage.server.state.snapshot()
        stage.inbox.add(*(mail(number) for number in (60, 61, 62)))
        stage.go()
        stage.server.state.restore(backup)
        stage.inbox.add(mail(70), mail(71))  # with the UIDs of what was lost, under the same UIDVALIDITY
        report = stage.go()
        assert not report.problems(), told(report)
        assert stage.archived() == ALL | {COUNT + 1, COUNT + 2}
        stage.finish(INBOX=COUNT + 5, Projects=3)


def test_a_folder_that_was_deleted_and_made_again(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.go()
        del stage.server.state.mailboxes["alice@example.com"][b"Projects"]
        assert not stage.go().problems()
        stage.folder("Projects", uidvalidity=9).add(mail(51), mail(99))
        report = stage.go()
        assert not report.problems(), told(report)
        assert stage.archived("Projects") == {1, 2}
        stage.finish(INBOX=COUNT, Projects=4)
