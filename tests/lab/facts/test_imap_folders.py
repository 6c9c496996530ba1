# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders, SELECT, hidden extensions and the transparency of the relay: sheet 3.1, 3.3."""

from __future__ import annotations

import datetime
import gc
import itertools
import os

import pytest

from tests.lab.facts.imap_rig import Rig, Wire
from tests.lab.generate_load import Item
from tests.lab.imap_front import ClientProtocol
from tests.lab.imap_wire import Splitter, Tracker

WHEN = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
FLAGS = rb"(\Deleted \Seen \Answered \Draft \Flagged $MDNSent $Forwarded $AutoJunk $AutoNotJunk $Junk $NotJunk)"


def fill(rig: Rig, count: int = 3, folder: str = "INBOX") -> None:
    with rig.loader() as loader:
        loader.append(folder, [Item(b"Subject: %d\r\n\r\nbody %d\r\n" % (n, n), WHEN) for n in range(count)])


def test_imap_060_list_as_in_the_transcript(rig: Rig) -> None:
    with rig.loader() as loader:
        loader.create("INBOX/customers/bigco")
    assert rig.login().ok(b'LIST "" "*"') == [
        b'* LIST (\\Inbox) "/" "INBOX"\r\n',
        b'* LIST (\\Noselect) "/" "INBOX/customers"\r\n',
        b'* LIST () "/" "INBOX/customers/bigco"\r\n',
        b'* LIST (\\Trash) "/" "Deleted Items"\r\n',
        b'* LIST (\\Drafts) "/" "Drafts"\r\n',
        b'* LIST (\\Junk) "/" "Junk E-mail"\r\n',
        b'* LIST (\\Noselect) "/" "Public Folders"\r\n',
        b'* LIST (\\Sent) "/" "Sent Items"\r\n',
    ]


def test_imap_061_special_use_listing_returns_the_five(rig: Rig) -> None:
    found = rig.login().ok(b'LIST (SPECIAL-USE) "" "*"')
    assert sorted(found) == [
        b'* LIST (\\Drafts) "/" "Drafts"\r\n',
        b'* LIST (\\Inbox) "/" "INBOX"\r\n',
        b'* LIST (\\Junk) "/" "Junk E-mail"\r\n',
        b'* LIST (\\Sent) "/" "Sent Items"\r\n',
        b'* LIST (\\Trash) "/" "Deleted Items"\r\n',
    ]


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [(b'"" "%"', True), (b'"" "Pub*"', True), (b'"Public " "F%"', True), (b'"" INBOX', False), (b'"" ""', False)],
)
def test_imap_062_public_folders_follow_the_pattern(rig: Rig, pattern: bytes, shown: bool) -> None:
    found = rig.login().ok(b"LIST " + pattern)
    assert (b'* LIST (\\Noselect) "/" "Public Folders"\r\n' in found) is shown
    assert rig.login().ask(b'SELECT "Public Folders"')[-1].startswith(b"t NO")


@pytest.mark.parametrize("shown", [False, True])
def test_imap_063_children_attributes_by_switch(rig: Rig, shown: bool) -> None:
    rig.switch(list_children=shown)
    assert (b"Children" in b"".join(rig.login().ok(b'LIST "" "*"'))) is shown


def test_imap_064_names_are_quoted_and_survive(rig: Rig) -> None:
    names = ["Клиенты", 'say "hello"', "R&D", "100% done", "Ende.", "(x) {7}", "back\\slash", "cur", "日本語/受信箱"]
    with rig.loader() as loader:
        for name in names:
            loader.create(name)
    wire = rig.login()
    listed = b"".join(wire.ok(b'LIST "" "*"'))
    for quoted in (b'"&BBoEOwQ4BDUEPQRCBEs-"', b'"say \\"hello\\""', b'"R&-D"', b'"100% done"', b'"back\\\\slash"'):
        assert b' "/" ' + quoted + b"\r\n" in listed
        wire.ok(b"EXAMINE " + quoted)


def test_imap_065_select_flags_and_texts(rig: Rig) -> None:
    fill(rig)
    wire = rig.login()
    lines = wire.ask(b"SELECT INBOX")
    assert b"* FLAGS " + FLAGS + b"\r\n" in lines
    assert any(line.startswith(b"* OK [PERMANENTFLAGS " + FLAGS + b"]") for line in lines)
    assert b"* 3 EXISTS\r\n" in lines
    for code in (b"UIDVALIDITY ", b"UIDNEXT 4]", b"UNSEEN 1]"):
        assert any(line.startswith(b"* OK [" + code) for line in lines), lines
    assert not any(b"MODSEQ" in line for line in lines)
    assert lines[-1] == b"t OK [READ-WRITE] SELECT completed\r\n"


def test_imap_066_examine_says_select_and_is_read_only(rig: Rig) -> None:
    fill(rig)
    wire = rig.login()
    assert wire.ask(b"EXAMINE INBOX")[-1] == b"t OK [READ-ONLY] SELECT completed\r\n"
    wire.ok(b"UID FETCH 1 BODY[]")
    assert b"\\Seen" not in b"".join(wire.ok(b"UID FETCH 1 FLAGS"))


def test_imap_067_highestmodseq_only_with_condstore(rig: Rig) -> None:
    fill(rig)
    for position, shown in (("rich", True), ("IMAP4rev1", False)):
        rig.switch(capabilities="rich")
        wire = rig.login()
        wire.ok(b"EXAMINE INBOX (CONDSTORE)")
        rig.switch(capabilities=position)
        assert any(b"MODSEQ" in line for line in wire.ok(b"EXAMINE INBOX")) is shown


@pytest.mark.parametrize("on", [False, True])
def test_imap_068_groupware_folders_by_switch(rig: Rig, on: bool) -> None:
    rig.switch(groupware_folders=on)
    wire = rig.login()
    listed = b"".join(wire.ok(b'LIST "" "*"'))
    for name in (b"Contacts", b"Calendar", b"Tasks", b"Notes", b"Journal", b"Suggested Contacts"):
        assert (b'"' + name + b'"' in listed) is on
    assert wire.ask(b"EXAMINE Calendar")[-1].startswith(b"t OK" if on else b"t NO")


@pytest.mark.parametrize("on", [False, True])
def test_imap_069_public_folder_by_switch(rig: Rig, on: bool) -> None:
    rig.switch(public_folders=on)
    wire = rig.login()
    assert (b'* LIST () "/" "Public Folders/Announcements"\r\n' in wire.ok(b'LIST "" "*"')) is on
    assert wire.ask(b'EXAMINE "Public Folders/Announcements"')[-1].startswith(b"t OK" if on else b"t NO")


@pytest.mark.parametrize("on", [False, True])
def test_imap_082_archive_folder_by_switch(rig: Rig, on: bool) -> None:
    rig.switch(archive_folders=on)
    wire = rig.login()
    listed = wire.ok(b'LIST "" "*"')
    assert (b'* LIST (\\Noselect) "/" "#archive"\r\n' in listed) is on
    assert (b'* LIST () "/" "#archive/2005-Jan"\r\n' in listed) is on
    assert wire.ask(b'EXAMINE "#archive/2005-Jan"')[-1].startswith(b"t OK" if on else b"t NO")


def test_imap_070_unselectable_folders(rig: Rig) -> None:
    with rig.loader() as loader:
        loader.create("Ämter")
    rig.switch(unselectable_folders="Ämter, Drafts")
    wire = rig.login()
    listed = b"".join(wire.ok(b'LIST "" "*"'))
    assert b'"&AMQ-mter"' in listed
    for name in (b'"&AMQ-mter"', b"Drafts"):
        assert wire.ask(b"EXAMINE " + name)[-1].startswith(b"t NO ")
        assert wire.ask(b"STATUS " + name + b" (MESSAGES)")[-1].startswith(b"t NO ")
    wire.ok(b"STATUS INBOX (MESSAGES)")


HIDDEN = {
    "minimal": [
        b"UID EXPUNGE 1",
        b"UID MOVE 1 Drafts",
        b"MOVE 1 Drafts",
        b"IDLE",
        b"NAMESPACE",
        b"ENABLE QRESYNC",
        b"UNSELECT",
        b"STATUS INBOX (HIGHESTMODSEQ)",
        b"SELECT INBOX (CONDSTORE)",
        b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)",
        b"UID SEARCH RETURN (ALL) ALL",
        b'LIST "" "*" RETURN (STATUS (MESSAGES))',
        b"SORT (DATE) UTF-8 ALL",
        b"COMPRESS DEFLATE",
        b"GETQUOTAROOT INBOX",
        b"GETACL INBOX",
        b"APPEND INBOX {1+}\r\nx",
    ],
    "typical": [
        b"UID MOVE 1 Drafts",
        b"ENABLE CONDSTORE",
        b"UID SORT (DATE) UTF-8 ALL",
        b"COMPRESS DEFLATE",
        b"FETCH 1 (MODSEQ)",
    ],
    "rich": [b"COMPRESS DEFLATE", b"NOTIFY NONE", b"FETCH 1 (PREVIEW)"],
}


@pytest.mark.parametrize("position", HIDDEN)
def test_imap_071_hidden_extensions_are_refused_and_recorded(rig: Rig, position: str) -> None:
    rig.switch(capabilities=position)
    wire = rig.login()
    wire.ok(b"SELECT INBOX")
    for command in HIDDEN[position]:
        assert wire.ask(command)[-1].startswith(b"t BAD "), command
        assert rig.commands()[-1]["refused"]
    wire.ok(b"NOOP")


SHOWN = {
    "minimal": [b"UID SEARCH ALL", b"UID FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])", b"EXPUNGE", b"CLOSE"],
    "typical": [b"UID EXPUNGE 1", b"NAMESPACE", b"GETQUOTAROOT INBOX", b"MYRIGHTS INBOX", b'UID SEARCH SUBJECT "RETURN MODSEQ"'],
    "rich": [
        b"ENABLE QRESYNC",
        b"UID SEARCH RETURN (ALL) ALL",
        b"STATUS INBOX (HIGHESTMODSEQ SIZE)",
        b'LIST "" "*" RETURN (STATUS (MESSAGES) CHILDREN)',
        b"UID MOVE 1 Drafts",
        b"UNSELECT",
    ],
}


@pytest.mark.parametrize("position", SHOWN)
def test_imap_072_announced_extensions_work(rig: Rig, position: str) -> None:
    fill(rig)
    rig.switch(capabilities=position)
    wire = rig.login()
    wire.ok(b"SELECT INBOX")
    for command in SHOWN[position]:
        wire.ok(command)
        assert rig.commands()[-1]["refused"] == ""


@pytest.mark.parametrize(("position", "shown"), [("minimal", False), ("typical", True)])
def test_imap_073_uidplus_codes_only_with_uidplus(rig: Rig, position: str, shown: bool) -> None:
    rig.switch(capabilities=position)
    fill(rig)
    wire = rig.login()
    wire.send(b"t APPEND INBOX {6}\r\n")
    assert wire.line().startswith(b"+ ")
    wire.send(b"a: b\r\n\r\n")
    assert (b"[APPENDUID " in wire.until(b"t")[-1]) is shown
    wire.ok(b"SELECT INBOX")
    assert (b"[COPYUID " in b"".join(wire.ask(b"UID COPY 1 Drafts"))) is shown


def test_imap_074_append_of_every_literal_kind_is_exact(rig: Rig) -> None:
    bodies = [
        b"a: b\r\n\r\n)\r\nt OK not yet\r\n* 1 EXPUNGE\r\n{5}\r\n",
        os.urandom(300_000).replace(b"\0", b"\1").replace(b"\n", b"x"),
    ]
    wire = rig.login()
    for body in bodies:
        wire.send(b"t APPEND INBOX (\\Seen) {%d}\r\n" % len(body))
        assert wire.line().startswith(b"+ ")
        wire.send(body, b"\r\n")
        assert wire.until(b"t")[-1].startswith(b"t OK")
        wire.send(b"u APPEND INBOX {%d+}\r\n" % len(body), body, b"\r\nv NOOP\r\n")
        assert wire.until(b"u")[-1].startswith(b"u OK")
        wire.until(b"v")
    wire.ok(b"EXAMINE INBOX")
    for number, body in enumerate([bodies[0], bodies[0], bodies[1], bodies[1]], 1):
        got = wire.ok(b"FETCH %d BODY.PEEK[]" % number)[0]
        assert got == b"* %d FETCH (BODY[] {%d}\r\n" % (number, len(body)) + body + b")\r\n"


def test_imap_075_append_into_a_missing_folder_keeps_the_stream_in_step(rig: Rig) -> None:
    wire = rig.login()
    wire.send(b"t APPEND Missing {4}\r\n")
    assert wire.line().startswith(b"+ ")
    wire.send(b"a: b\r\n")
    assert b"[TRYCREATE]" in wire.until(b"t")[-1]
    wire.ok(b"NOOP")


@pytest.mark.parametrize(("position", "allowed"), [("typical", False), ("rich", True)])
def test_imap_079_several_messages_in_one_append_need_multiappend(rig: Rig, position: str, allowed: bool) -> None:
    rig.switch(capabilities=position)
    wire = rig.login()
    wire.send(b"t APPEND INBOX {6+}\r\na: b\r\n () {6+}\r\nc: d\r\n\r\n")
    assert wire.until(b"t")[-1].startswith(b"t OK" if allowed else b"t BAD")
    assert b"(MESSAGES %d)" % (2 if allowed else 0) in b"".join(wire.ok(b"STATUS INBOX (MESSAGES)"))


def test_imap_076_pipelined_commands_are_all_answered_and_ours_wait_their_turn(rig: Rig) -> None:
    fill(rig, 40)
    wire = rig.login()
    wire.send(
        b'a EXAMINE INBOX\r\nb UID FETCH 1:20 BODY.PEEK[]\r\nc UID FETCH 21:40 BODY.PEEK[]\r\nd CAPABILITY\r\ne LIST "" *\r\n'
    )
    assert wire.until(b"a")[-1] == b"a OK [READ-ONLY] SELECT completed\r\n"
    # Dovecot may hold back the tagged answer of b until c is done, too (RFC 3501 5.5 allows it).
    answers = [wire.response() for _ in range(42)]
    assert sorted(line[:4] for line in answers if not line.startswith(b"* ")) == [b"b OK", b"c OK"]
    assert sorted(int(line.split()[1]) for line in answers if line.startswith(b"* ")) == list(range(1, 41))
    assert wire.until(b"d")[0].startswith(b"* CAPABILITY IMAP4rev1 ")
    assert wire.until(b"e")[0] == b'* LIST (\\Inbox) "/" "INBOX"\r\n'


def test_imap_080_a_literal_is_asked_for_only_when_earlier_commands_are_answered(rig: Rig) -> None:
    fill(rig, 40)
    wire = rig.login()
    wire.ok(b"EXAMINE INBOX")
    wire.send(b"a UID FETCH 1:40 BODY.PEEK[]\r\nb EXAMINE {5}\r\n")
    assert len(wire.until(b"a")) == 41
    assert wire.line() == b"+ OK\r\n"
    wire.send(b"INBOX\r\n")
    assert wire.until(b"b")[-1].startswith(b"b OK")


STREAM = (
    b"* 1 FETCH (UID 1 BODY[] {30}\r\na OK no\r\nb OK no\r\n* BYE {5}\r\n FLAGS ())\r\na OK done\r\n"
    b"* 2 FETCH (BODY[] {0}\r\n BODY[TEXT] {3}\r\nx\r\n)\r\n+ idling\r\nb NO [TRYCREATE] {x}\r\nc BAD\r\n"
)


def test_imap_081_the_stream_is_followed_wherever_it_is_cut() -> None:
    for first in range(len(STREAM)):
        for size in (1, 7, 50):
            tracker, splitter = Tracker(), Splitter()
            cuts = [0, first, *range(first + size, len(STREAM), size), len(STREAM)]
            pieces = [STREAM[start:end] for start, end in itertools.pairwise(cuts)]
            assert [tag for piece in pieces for tag in tracker.feed(piece)] == [b"a", b"b", b"c"]
            units = [unit for piece in pieces for unit in splitter.feed(piece)]
            assert b"".join(units) == STREAM
            assert [unit[:4] for unit in units] == [b"* 1 ", b"a OK", b"* 2 ", b"+ id", b"b NO", b"c BA"]


def test_imap_077_idle_tells_of_new_mail(rig: Rig) -> None:
    wire = rig.login()
    wire.ok(b"SELECT INBOX")
    wire.send(b"t IDLE\r\n")
    assert wire.line().startswith(b"+ ")
    fill(rig, 1)
    assert wire.line() == b"* 1 EXISTS\r\n"
    wire.send(b"DONE\r\n")
    assert wire.until(b"t")[-1].startswith(b"t OK")
    wire.ok(b"SELECT INBOX")


def read_all(wire: Wire, tag: bytes, sizes: list[int]) -> None:
    for size in sizes:
        assert len(wire.response()) > size
    assert wire.until(tag)[-1].startswith(tag + b" OK")


def _busy(one: object) -> bool:
    return isinstance(one, ClientProtocol) and one.link is not None and one.link.client is not None


def test_imap_078_a_client_that_does_not_read_is_not_buffered_without_bound(rig: Rig) -> None:
    body = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 65536
    with rig.loader() as loader:
        loader.append("INBOX", [Item(body, WHEN)] * 60)
    wire = rig.login()
    wire.ok(b"EXAMINE INBOX")
    wire.send(b"t UID FETCH 1:* BODY.PEEK[]\r\n")
    other = rig.login("bob")
    for _ in range(20):
        other.ok(b"STATUS INBOX (MESSAGES)")
    held = [one.link.client.get_write_buffer_size() for one in gc.get_objects() if _busy(one)]
    assert 0 < max(held) < 2 << 20
    read_all(wire, b"t", [len(body)] * 60)
