# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion on servers that move, refuse, know no UIDPLUS or break the connection: nothing is lost, and no mark stays."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.deletion_scene import ALL, DAYS, INBOX, Scene, archived, of
from tests.faults.imap_script import Command
from tests.faults.imap_state import DELETED, TRASH
from tests.faults.raw_run import ALICE
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("deletion")


@pytest.mark.parametrize("moment", ["move-at-store", "move-at-expunge"])
def test_a_server_that_moves_instead_is_found_out_by_one_message_and_stopped(tmp_path: Path, moment: t.Any) -> None:
    with archived(tmp_path / "a", deletion=moment) as scene:
        scene.folder("Projects").add(mail(50))
        scene.go(only=["mail1 alice@example.com"])
        report = scene.go()
        assert report.deleted == 0
        assert "permanent_delete" in told(report)
        assert len(scene.inbox.uids()) + len(scene.trash.uids()) == 6
        assert scene.unmarked()
        assert set(scene.receipts().values()) <= {None}
        assert scene.receipts() == {}


def test_a_server_that_moves_is_stopped_after_one_message_in_each_run(tmp_path: Path) -> None:
    with archived(tmp_path / "a", deletion="move-at-store") as scene:
        report = scene.go()
        assert (len(scene.inbox.uids()), len(scene.trash.uids())) == (5, 1)
        assert report.deleted == 0
        scene.server.deletion = "flag"
        assert scene.go().deleted == 5
        assert (scene.inbox.uids(), len(scene.trash.uids())) == ([], 1)


def test_a_server_that_moves_a_moment_later_is_found_out(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        gone = list(scene.inbox.messages)

        def late(_command: Command) -> None:
            if not scene.trash.uids() and len(scene.inbox.uids()) < 6:
                scene.trash.add(gone[0].body, date=gone[0].internaldate)

        # Looked at when the baseline is taken, after the expunge, and after the time to settle.
        scene.script.on("EXAMINE", script.before(late), folder=TRASH, nth=2)
        report = scene.go(settle=0.05)
        assert report.deleted == 0
        assert "permanent_delete" in told(report)
        assert len(scene.inbox.uids()) == 5


def test_another_message_that_comes_into_deleted_items_meanwhile_is_none_of_ours(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        alike = mail(1).replace(b"Text", b"Test")
        scene.script.on("UID EXPUNGE", script.before(lambda _command: scene.trash.add(alike)), times=1)
        assert scene.go().deleted == 6
        assert len(scene.trash.uids()) == 1


def test_without_a_known_trash_every_folder_is_watched(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        with scene.server.state.lock:
            trash = scene.server.state.mailboxes[ALICE].pop(TRASH)
            trash.attributes = ""
            scene.server.state.mailboxes[ALICE][b"Papierkorb"] = trash
        body = scene.inbox.find(1)
        scene.script.on(
            "UID EXPUNGE",
            script.before(lambda _command: scene.folder("Papierkorb").add(body.body, date=body.internaldate)),
            times=1,
        )
        report = scene.go()
        assert report.deleted == 0
        assert "moved the message to Papierkorb" in told(report)


def test_without_uidplus_nothing_goes_and_one_sentence_says_so(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        scene.server.without("UIDPLUS")
        before = scene.content()
        report = scene.go()
        assert scene.content() == before
        assert "no UIDPLUS" in of(report).error
        assert "UID STORE" not in scene.verbs()


def test_without_uidplus_a_dedicated_mailbox_is_expunged(tmp_path: Path) -> None:
    with archived(tmp_path / "a", delete={"after_days": DAYS, "dedicated": True}) as scene:
        scene.server.without("UIDPLUS")
        report = scene.go()
        assert not report.problems(), told(report)
        assert (report.deleted, scene.inbox.uids()) == (6, [])


def test_without_uidplus_nothing_goes_while_somebody_elses_mark_is_there(tmp_path: Path) -> None:
    with archived(tmp_path / "a", delete={"after_days": DAYS, "dedicated": True}) as scene:
        scene.server.without("UIDPLUS")
        scene.inbox.add(mail(77), flags=(DELETED,))
        before = scene.content()
        report = scene.go()
        assert scene.content() == before
        assert of(report).spared == {deletion.OTHERS_MARKED: 6}
        assert "EXPUNGE" not in scene.verbs()


def test_without_uidplus_a_mark_that_comes_meanwhile_stops_the_expunge(tmp_path: Path) -> None:
    with archived(tmp_path / "a", delete={"after_days": DAYS, "dedicated": True}) as scene:
        scene.server.without("UIDPLUS")
        scene.inbox.add(mail(77))
        before = [one[:2] for one in scene.content()[INBOX]]

        def mark(command: Command) -> t.Iterator[script.Chunk]:
            yield from command.ordinary()
            scene.inbox.change(7, flags=(DELETED,))

        scene.script.on("UID STORE", mark, times=1)
        report = scene.go()
        assert [one[:2] for one in scene.content()[INBOX]] == before
        assert [uid for uid, _, flags in scene.content()[INBOX] if DELETED in flags] == [7]
        assert "EXPUNGE" not in scene.verbs()
        assert "somebody else marked" in of(report).error
        assert scene.receipts() == {}


def forget_expunge(command: Command) -> t.Iterable[script.Chunk]:
    """Say OK and do nothing."""
    return [command.fill(b"{tag} OK UID EXPUNGE completed\r\n")]


REFUSALS: dict[str, tuple[str, script.Action, str]] = {
    "UID EXPUNGE is refused": ("UID EXPUNGE", script.no("not here"), "the server refused UID EXPUNGE: NO not here"),
    "UID EXPUNGE is unknown": ("UID EXPUNGE", script.bad("what"), "the server refused UID EXPUNGE: BAD what"),
    "STORE is refused": ("UID STORE", script.no("read only"), "the server refused STORE: NO read only"),
    "EXPUNGE does nothing": ("UID EXPUNGE", forget_expunge, "said OK to EXPUNGE, but 1 of the messages are still there"),
    "the folder is read only": (
        "SELECT",
        script.edit(lambda answer: answer.replace(b"READ-WRITE", b"READ-ONLY")),
        "the server opens it for reading only",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_leaves_everything_unmarked(tmp_path: Path, case: str) -> None:
    verb, action, words = REFUSALS[case]
    with archived(tmp_path / "a") as scene:
        before = scene.content()
        rule = scene.script.on(verb, action, where=lambda command: "-FLAGS" not in command.text)
        report = scene.go()
        assert rule.hits
        assert scene.content() == before
        assert words in of(report).error
        assert scene.receipts() == {}
        scene.script.clear()
        assert scene.go().deleted == 6


LOST = [
    (verb, action)
    for verb in ("SELECT", "UID STORE", "UID EXPUNGE", "UID SEARCH", "EXAMINE", "NOOP", "UID FETCH")
    for action in ("before", "after")
]


@pytest.mark.parametrize(("verb", "moment"), LOST)
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_connection_that_is_lost_anywhere_is_settled_by_the_next_run(tmp_path: Path, verb: str, moment: str, nth: int) -> None:
    def lose(command: Command) -> t.Iterator[script.Chunk]:
        if moment == "after":
            for chunk in command.ordinary():
                assert chunk is not None
        yield script.CLOSE

    with archived(tmp_path / "a") as scene:
        selected = scene.script.on("SELECT", script.before(lambda _command: None))
        rule = scene.script.on(verb, lose, where=lambda _command: bool(selected.hits), nth=nth, times=1)
        scene.go()
        assert rule.hits or nth > 1
        after = scene.content()
        assert {flags for _, _, flags in after[INBOX]} <= {frozenset(), frozenset({DELETED})}
        scene.script.clear()
        report = scene.go()
        assert not report.problems(), told(report)
        assert (scene.inbox.uids(), scene.trash.uids()) == ([], [])
        assert scene.receipts().keys() == ALL
        assert all(scene.receipts().values())
        assert set(scene.states().values()) == {7}


def test_marks_of_a_run_that_was_cut_short_are_taken_back_when_the_profile_deletes_no_more(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        before = scene.content()
        scene.script.on("UID EXPUNGE", script.close)
        scene.go()
        assert not scene.unmarked()
        assert set(scene.receipts().values()) == {None}
        scene.script.clear()
        del scene.run.profiles[0]["delete"]
        report = scene.go()
        assert not report.problems(), told(report)
        assert scene.content() == before
        assert scene.receipts() == {}


def test_a_message_that_was_moved_when_the_run_was_cut_short_is_not_called_deleted(tmp_path: Path) -> None:
    with archived(tmp_path / "a", deletion="move-at-store") as scene:
        scene.script.on("UID EXPUNGE", script.close)
        scene.go()
        assert set(scene.receipts().values()) == {None}
        scene.script.clear()
        scene.server.deletion = "flag"
        report = scene.go()
        assert report.deleted == 5, told(report)
        assert scene.states()[1] == 8
        assert 1 not in scene.receipts()


def test_a_folder_that_became_another_one_since_it_was_read_loses_nothing_and_stops_no_other(tmp_path: Path) -> None:
    """UIDs of one numbering mean other messages under the next."""
    with Scene(tmp_path / "a") as scene:
        scene.folder("Projects").add(mail(50))
        scene.archive()
        scene.script.on("SELECT", script.before(lambda _command: scene.inbox.renumber(7)), folder="INBOX", times=1)
        report = scene.go()
        folder = f"127.0.0.1:{scene.server.port}, mailbox {ALICE}, folder INBOX"
        cause = "its UIDVALIDITY changed from 1 to 7, so no more is deleted in it"
        assert of(report).error == f"{folder}: {cause}. Run again; the folder is read anew then."
        assert (of(report, "Projects").error, of(report, "Projects").deleted, report.deleted) == ("", 1, 1)
        assert (scene.inbox.uids(), scene.folder("Projects").uids(), scene.unmarked()) == (sorted(ALL), [], True)
        assert not scene.go().problems()
        scene.age()
        assert scene.go().deleted == 6


def test_a_new_message_in_deleted_items_that_cannot_be_read_leaves_open_what_became_of_ours(tmp_path: Path) -> None:
    """It has the size of the one that went: perhaps the server moved it instead."""
    with archived(tmp_path / "a") as scene:
        alike = mail(1).replace(b"Text", b"Test")
        scene.script.on("UID EXPUNGE", script.before(lambda _command: scene.trash.add(alike)), times=1)
        scene.script.on("UID FETCH", script.no("broken index"), folder=TRASH, where=lambda command: command.bodies)
        report = scene.go()
        cause = "a new message of the size of a deleted one cannot be read: NO broken index"
        remedy = "Look whether deleted messages are in Deleted Items"
        assert of(report).error == f"127.0.0.1:{scene.server.port}, mailbox {ALICE}: {cause}. {remedy}."
        assert report.deleted == 0
        assert (set(scene.inbox.uids()), scene.receipts()) == (ALL - {1}, {1: None})
        scene.script.clear()
        assert scene.go().deleted == 6
        assert scene.inbox.uids() == []
        assert all(scene.receipts().values())
