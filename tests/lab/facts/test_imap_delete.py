# SPDX-License-Identifier: GPL-3.0-or-later
"""AutoExpungeOnDelete: 1 moves what is deleted to Deleted Items (from there: for good), 0 is plain IMAP. Sheet 3.3, 4.3."""

from __future__ import annotations

import datetime

import pytest

from tests.lab.facts.imap_rig import Rig, Wire
from tests.lab.generate_load import Item

WHEN = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
TRASH = "Deleted Items"


def prepare(rig: Rig, moment: str = "store", value: int = 1, folder: str = "INBOX", capabilities: str = "typical") -> Wire:
    """Four messages in the folder, which is selected."""
    rig.switch(delete_moment=moment, capabilities=capabilities)
    rig.restart(auto_expunge=value)
    with rig.loader() as loader:
        loader.append(folder, [Item(b"Subject: %d\r\n\r\nx\r\n" % number, WHEN, ("\\Seen",)) for number in range(4)])
    wire = rig.login()
    wire.ok(b'SELECT "%s"' % folder.encode())
    return wire


def counts(rig: Rig, folder: str = "INBOX") -> tuple[int, int]:
    """Messages in the folder and in Deleted Items, asked past the front."""
    with rig.loader() as loader:
        return loader.numbers(folder)["MESSAGES"], loader.numbers(TRASH)["MESSAGES"]


def test_imap_090_factory_value_is_one(rig: Rig) -> None:
    assert rig.state.auto_expunge_on_delete == 1


@pytest.mark.parametrize(
    "store", [b"+FLAGS (\\Deleted)", b"+FLAGS.SILENT (\\Deleted)", b"FLAGS (\\Seen \\Deleted)", b"+flags \\deleted"]
)
def test_imap_091_at_store_the_message_moves(rig: Rig, store: bytes) -> None:
    wire = prepare(rig)
    lines = wire.ok(b"UID STORE 2:3 " + store)
    assert counts(rig) == (2, 2)
    assert [line for line in lines if b"EXPUNGE" in line] in ([b"* 2 EXPUNGE\r\n"] * 2, [b"* 3 EXPUNGE\r\n", b"* 2 EXPUNGE\r\n"])
    assert wire.ok(b"UID SEARCH ALL") == [b"* SEARCH 1 4\r\n"]


def test_imap_092_store_is_answered_with_the_flag(rig: Rig) -> None:
    (line,) = prepare(rig).ok(b"STORE 2 +FLAGS (\\Deleted)")
    assert line.startswith(b"* 2 FETCH (FLAGS (\\Deleted \\Seen")


def test_imap_093_numbers_do_not_change_under_a_loop_of_stores(rig: Rig) -> None:
    """RFC 3501 7.4.1: no EXPUNGE response to STORE; the client hears of it later."""
    wire = prepare(rig)
    for number in (b"1", b"2", b"3"):
        assert not [line for line in wire.ok(b"STORE " + number + b" +FLAGS (\\Deleted)") if b"EXPUNGE" in line]
    assert len([line for line in wire.ok(b"NOOP") if b"EXPUNGE" in line]) == 3
    assert wire.ok(b"UID SEARCH ALL") == [b"* SEARCH 4\r\n"]
    assert counts(rig) == (1, 3)


@pytest.mark.parametrize("moment", ["store", "expunge"])
def test_imap_094_moved_message_keeps_flags_and_date_and_is_not_deleted(rig: Rig, moment: str) -> None:
    wire = prepare(rig, moment)
    wire.ok(b"UID STORE 1 +FLAGS (\\Deleted)")
    wire.ok(b"EXPUNGE")
    wire.ok(b'EXAMINE "Deleted Items"')
    assert wire.ok(b"FETCH 1 (INTERNALDATE BODY.PEEK[])") == [
        b'* 1 FETCH (INTERNALDATE "03-Feb-2020 04:05:06 +0000" BODY[] {17}\r\nSubject: 0\r\n\r\nx\r\n)\r\n'
    ]
    assert set(wire.ok(b"FETCH 1 FLAGS")[0].split(b"(FLAGS (")[1].rstrip(b")\r\n").split()) - {b"\\Recent"} == {b"\\Seen"}


@pytest.mark.parametrize("moment", ["store", "expunge"])
def test_imap_095_deleting_in_deleted_items_destroys(rig: Rig, moment: str) -> None:
    wire = prepare(rig, moment, folder=TRASH)
    wire.ok(b"UID STORE 1:2 +FLAGS (\\Deleted)")
    if moment == "expunge":
        assert counts(rig, TRASH) == (4, 4)
        wire.ok(b"EXPUNGE")
    assert counts(rig, TRASH) == (2, 2)


@pytest.mark.parametrize("how", [b"EXPUNGE", b"CLOSE", b"UID EXPUNGE 1:3"])
def test_imap_096_at_expunge_the_message_moves(rig: Rig, how: bytes) -> None:
    wire = prepare(rig, "expunge")
    wire.ok(b"UID STORE 2:4 +FLAGS (\\Deleted)")
    assert counts(rig) == (4, 0)
    told = [line for line in wire.ok(how) if b"EXPUNGE" in line]
    assert len(told) == {b"EXPUNGE": 3, b"CLOSE": 0, b"UID EXPUNGE 1:3": 2}[how]
    assert counts(rig) == ((2, 2) if how.startswith(b"UID") else (1, 3))


def test_imap_097_at_expunge_nothing_happens_without_expunge(rig: Rig) -> None:
    wire = prepare(rig, "expunge")
    wire.ok(b"UID STORE 1:4 +FLAGS (\\Deleted)")
    wire.ok(b"UID STORE 2 -FLAGS (\\Deleted)")
    wire.ok(b"SELECT Drafts")
    assert counts(rig) == (4, 0)


@pytest.mark.parametrize("moment", ["store", "expunge"])
@pytest.mark.parametrize("how", [b"EXPUNGE", b"CLOSE", b"UID EXPUNGE 2"])
def test_imap_098_value_zero_is_plain_imap(rig: Rig, moment: str, how: bytes) -> None:
    wire = prepare(rig, moment, value=0)
    wire.ok(b"UID STORE 2 +FLAGS (\\Deleted)")
    assert counts(rig) == (4, 0)
    assert wire.ok(b"UID SEARCH DELETED") == [b"* SEARCH 2\r\n"]
    wire.ok(how)
    assert counts(rig) == (3, 0)


def test_imap_099_value_is_read_at_start_only(rig: Rig) -> None:
    path = rig.install / "mailserver.cfg"
    wire = prepare(rig)
    path.write_bytes(path.read_bytes().replace(b'"AutoExpungeOnDelete">1<', b'"AutoExpungeOnDelete">0<'))
    wire.ok(b"UID STORE 1 +FLAGS (\\Deleted)")
    assert counts(rig) == (3, 1)
    rig.state.load()
    wire.ok(b"UID STORE 2 +FLAGS (\\Deleted)")
    assert counts(rig) == (3, 1)


def test_imap_100_other_flags_and_a_removed_flag_do_nothing(rig: Rig) -> None:
    wire = prepare(rig)
    wire.ok(b"UID STORE 1:4 +FLAGS (\\Flagged)")
    wire.ok(b"UID STORE 1:4 -FLAGS (\\Deleted)")
    assert counts(rig) == (4, 0)


def test_imap_101_examined_folder_cannot_be_changed(rig: Rig) -> None:
    wire = prepare(rig)
    wire.ok(b"EXAMINE INBOX")
    wire.ask(b"UID STORE 1 +FLAGS (\\Deleted)")
    wire.ask(b"EXPUNGE")
    wire.ok(b"CLOSE")
    assert counts(rig) == (4, 0)


@pytest.mark.parametrize("moment", ["store", "expunge"])
def test_imap_102_works_where_move_and_uidplus_are_not_announced(rig: Rig, moment: str) -> None:
    wire = prepare(rig, moment, capabilities="minimal")
    wire.ok(b"STORE 1 +FLAGS (\\Deleted)")
    wire.ok(b"EXPUNGE")
    assert counts(rig) == (3, 1)


def test_imap_103_pipelined_stores_and_expunge(rig: Rig) -> None:
    wire = prepare(rig)
    wire.send(b"a UID STORE 1 +FLAGS (\\Deleted)\r\nb UID STORE 2 +FLAGS (\\Deleted)\r\nc EXPUNGE\r\nd UID SEARCH ALL\r\n")
    lines = [*wire.until(b"a"), *wire.until(b"b"), *wire.until(b"c"), *wire.until(b"d")]
    assert b"* SEARCH 3 4\r\n" in lines
    assert counts(rig) == (2, 2)
