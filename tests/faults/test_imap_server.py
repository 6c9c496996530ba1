# SPDX-License-Identifier: GPL-3.0-or-later
"""The IMAP server of the fault tests is correct until it is told otherwise; read with imaplib and raw sockets."""

from __future__ import annotations

import datetime
import imaplib
import re
import ssl
import typing as t
from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.imap_server import HOST, MASTER, PASSWORD, ImapServer
from tests.faults.imap_state import Repeated, State
from tests.faults.raw_client import RawClient
from tests.unit.module_utils.imap.certificates import Authority

ALICE = "alice@example.com"
OLD = datetime.datetime(2020, 5, 6, 7, 8, 9, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


def body(number: int, size: int = 0) -> bytes:
    return b"Subject: message %d\r\nX-Tag: a\r\n b%d\r\n\r\n" % (number, number) + b"x" * size


@pytest.fixture
def server() -> t.Iterator[ImapServer]:
    with ImapServer(capabilities=["IMAP4rev1", "LITERAL+", "UIDPLUS", "SPECIAL-USE", "CONDSTORE", "LIST-STATUS"]) as running:
        inbox = running.state.folder(ALICE)
        inbox.add(body(1), body(2, 100), flags=["\\Seen"])
        inbox.add(body(3), flags=["\\Flagged"], date=OLD)
        inbox.add(body(4), uid=4_000_000_000)
        running.state.folder(ALICE, "Deleted Items", attributes="\\Trash")
        yield running


@pytest.fixture
def client(server: ImapServer) -> t.Iterator[RawClient]:
    with RawClient(server.port) as connected:
        connected.ok(f"LOGIN {ALICE} {PASSWORD}")
        yield connected


def test_imaplib_reads_a_mailbox(server: ImapServer) -> None:
    with imaplib.IMAP4(HOST, server.port) as imap:
        imap.login(ALICE, PASSWORD)
        assert imap.list()[1] == [b'() "/" "INBOX"', b'(\\Trash) "/" "Deleted Items"']
        assert imap.select("INBOX", readonly=True) == ("OK", [b"4"])
        assert imap.response("UIDVALIDITY")[1] == [b"1"]
        assert imap.response("UIDNEXT")[1] == [b"4000000001"]
        assert imap.uid("SEARCH", "ALL")[1] == [b"1 2 3 4000000000"]
        data = imap.uid("FETCH", "2:3", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")[1]
        assert data[2] == (
            b'3 (UID 3 FLAGS (\\Flagged) INTERNALDATE "06-May-2020 07:08:09 +0200" RFC822.SIZE %d BODY[] {%d}'
            % (len(body(3)), len(body(3))),
            body(3),
        )
        assert imap.append("INBOX", "(\\Draft)", '"01-Feb-2003 04:05:06 +0000"', b"new") == (
            "OK",
            [b"[APPENDUID 1 4000000001] APPEND completed"],
        )
    new = server.state.folder(ALICE).find(4_000_000_001)
    assert (new.body, new.flags, new.internaldate.isoformat()) == (b"new", ("\\Draft",), "2003-02-01T04:05:06+00:00")


SEARCHES = {
    "ALL": "1 2 3 4000000000",
    "UID 2:3": "2 3",
    "UID 5:*": "4000000000",
    "UID 4000000001:*": "4000000000",
    "UID 1,3": "1 3",
    "SEEN": "1 2",
    "UNSEEN NOT FLAGGED": "4000000000",
    "UNFLAGGED": "1 2 4000000000",
    "DELETED": "",
    "SINCE 1-Jan-2021": "1 2 4000000000",
    "BEFORE 1-Jan-2021": "3",
    "LARGER 100": "2",
    "SMALLER 100": "1 3 4000000000",
    'HEADER Subject "MESSAGE 2"': "2",
    'HEADER X-Tag "a b3"': "3",
    'HEADER X-Tag ""': "1 2 3 4000000000",
    "OR FLAGGED LARGER 100": "2 3",
    "(OR SEEN FLAGGED) NOT UID 1": "2 3",
    "CHARSET UTF-8 KEYWORD x": "",
    "2:3": "2 3",
}


@pytest.mark.parametrize("keys", SEARCHES)
def test_search(client: RawClient, keys: str) -> None:
    client.ok("EXAMINE INBOX")
    assert client.ok(f"UID SEARCH {keys}")[:-1] == [f"* SEARCH {SEARCHES[keys]}".rstrip().encode() + b"\r\n"]


@pytest.mark.parametrize("text", ["UID SEARCH", "UID SEARCH WRONG", "UID SEARCH OR SEEN", "UID FETCH x (UID)", "UID FETCH 1 (X)"])
def test_nonsense_is_bad(client: RawClient, text: str) -> None:
    client.ok("EXAMINE INBOX")
    assert re.fullmatch(rb"\S+ BAD .*\r\n", client.command(text)[-1])


@pytest.mark.parametrize(
    "text", ["SELECT x", "EXAMINE x", "STATUS x (MESSAGES)", "APPEND x {1+}\r\nx", "LOGIN a b", "X-SETUSER a"]
)
def test_what_is_not_there_is_refused(server: ImapServer, text: str) -> None:
    with RawClient(server.port) as client:
        if not text.startswith(("LOGIN", "X-")):
            client.ok(f"LOGIN {ALICE} {PASSWORD}")
        assert re.fullmatch(rb"\S+ NO .*\r\n", client.command(text)[-1])


def test_parts_of_a_body_and_of_a_generated_one(server: ImapServer, client: RawClient) -> None:
    large = Repeated(b"Subject: x\r\n\r\n", b"0123456789", 400_000)
    server.state.folder(ALICE, "large").add(large)
    client.ok("EXAMINE large")
    whole = b"".join(client.ok("UID FETCH 1 (RFC822.SIZE BODY.PEEK[])")[:-1])
    assert whole == b"* 1 FETCH (UID 1 RFC822.SIZE 4000014 BODY[] {4000014}\r\n" + large[:] + b")\r\n"
    assert large[:] == b"Subject: x\r\n\r\n" + b"0123456789" * 400_000
    assert b"".join(client.ok("UID FETCH 1 BODY.PEEK[]<12.5>")[:-1]) == b"* 1 FETCH (UID 1 BODY[]<12> {5}\r\n\r\n012)\r\n"
    assert b"".join(client.ok("UID FETCH 1 BODY.PEEK[HEADER]")[:-1]).endswith(b"BODY[HEADER] {14}\r\nSubject: x\r\n\r\n)\r\n")


def test_status_and_list_status_and_special_use(client: RawClient) -> None:
    items = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ"
    told = b"(MESSAGES 4 UIDNEXT 4000000001 UIDVALIDITY 1 UNSEEN 2 HIGHESTMODSEQ 5)\r\n"
    assert client.ok(f"STATUS inbox ({items})")[:-1] == [b'* STATUS "INBOX" ' + told]
    lines = client.ok(f'LIST "" "*" RETURN (SPECIAL-USE STATUS ({items}))')
    assert lines[:2] == [b'* LIST () "/" "INBOX"\r\n', b'* STATUS "INBOX" ' + told]
    assert client.ok('LIST (SPECIAL-USE) "" "*"')[:-1] == [b'* LIST (\\Trash) "/" "Deleted Items"\r\n']


def test_capabilities_that_are_taken_away_are_gone(server: ImapServer, client: RawClient) -> None:
    server.without("UIDPLUS", "CONDSTORE", "LIST-STATUS")
    assert client.ok("CAPABILITY")[0] == b"* CAPABILITY IMAP4rev1 LITERAL+ SPECIAL-USE\r\n"
    client.ok("SELECT INBOX")
    for text in ("UID EXPUNGE 1", 'LIST "" "*" RETURN (STATUS (MESSAGES))', "STATUS INBOX (HIGHESTMODSEQ)", "UID FETCH 1 MODSEQ"):
        assert b" BAD " in client.command(text)[-1]


def test_names_that_are_odd_are_listed_as_they_are(server: ImapServer, client: RawClient) -> None:
    for raw in (b'a"b\\c', b"line\r\nbreak", b"\xff\xfe", b"flat"):
        server.state.folder(ALICE, raw, separator=None if raw == b"flat" else b".")
    lines = b"".join(client.ok('LIST "" "*"'))
    assert b'"." "a\\"b\\\\c"\r\n* LIST () "." {11}\r\nline\r\nbreak\r\n* LIST () "." "\xff\xfe"\r\n* LIST () NIL "flat"' in lines


def test_examine_changes_nothing(server: ImapServer, client: RawClient) -> None:
    before = server.state.snapshot()
    client.ok("EXAMINE INBOX")
    client.ok("UID FETCH 1:* (BODY[])")
    for text in ("UID STORE 1 +FLAGS (\\Deleted)", "EXPUNGE", "UID EXPUNGE 1"):
        assert b" NO [READ-ONLY]" in client.command(text)[-1]
    client.ok("CLOSE")
    assert server.state.snapshot() == before
    client.ok("SELECT INBOX")
    client.ok("UID FETCH 3 (BODY[])")
    assert server.state.folder(ALICE).find(3).flags == ("\\Flagged", "\\Seen")


def mark(client: RawClient, *more: str) -> list[bytes]:
    """\\Deleted for 1 and 3, then ``more``; what is told untagged."""
    client.ok("SELECT INBOX")
    lines = client.ok("UID STORE 1,3 +FLAGS.SILENT (\\Deleted)")[:-1]
    for text in more:
        lines += client.ok(text)[:-1]
    return lines


def contents(server: ImapServer) -> tuple[list[int], int]:
    """UIDs of the inbox, and the number of messages in Deleted Items."""
    return server.state.folder(ALICE).uids(), len(server.state.folder(ALICE, "Deleted Items").messages)


def test_expunge_takes_what_is_marked_and_uid_expunge_what_is_named(server: ImapServer, client: RawClient) -> None:
    assert mark(client, "UID EXPUNGE 2:3") == [b"* 3 EXPUNGE\r\n"]
    assert contents(server) == ([1, 2, 4_000_000_000], 0)
    assert client.ok("EXPUNGE")[:-1] == [b"* 1 EXPUNGE\r\n"]
    assert contents(server) == ([2, 4_000_000_000], 0)


def test_kerio_that_moves_at_store(server: ImapServer, client: RawClient) -> None:
    server.deletion = "move-at-store"
    assert mark(client) == [b"* 3 EXPUNGE\r\n", b"* 1 EXPUNGE\r\n"]
    assert contents(server) == ([2, 4_000_000_000], 2)
    assert server.state.folder(ALICE, "Deleted Items").messages[0].flags == ("\\Seen",)
    client.ok('SELECT "Deleted Items"')
    client.ok("UID STORE 1 +FLAGS (\\Deleted)")
    assert contents(server)[1] == 2
    client.ok("EXPUNGE")
    assert contents(server)[1] == 1


def test_kerio_that_moves_at_expunge(server: ImapServer, client: RawClient) -> None:
    server.deletion = "move-at-expunge"
    assert mark(client) == []
    assert contents(server) == ([1, 2, 3, 4_000_000_000], 0)
    assert client.ok("UID EXPUNGE 3")[:-1] == [b"* 3 EXPUNGE\r\n"]
    assert contents(server) == ([1, 2, 4_000_000_000], 1)


def test_what_others_do_is_told_when_numbers_may_change(server: ImapServer, client: RawClient) -> None:
    client.ok("EXAMINE INBOX")
    server.state.folder(ALICE).expunge(1, 3)
    server.state.folder(ALICE).add(body(5), body(6))
    assert client.ok("FETCH 2 (FLAGS)")[:-1] == [b"* 2 FETCH (FLAGS (\\Seen))\r\n", b"* 6 EXISTS\r\n"]
    assert client.ok("NOOP")[:-1] == [b"* 3 EXPUNGE\r\n", b"* 1 EXPUNGE\r\n"]
    assert client.ok("FETCH 1 (UID)")[:-1] == [b"* 1 FETCH (UID 2)\r\n"]


def test_a_snapshot_is_put_back_again_and_again(server: ImapServer) -> None:
    before = server.state.snapshot()
    for _ in range(2):
        inbox = server.state.folder(ALICE)
        inbox.renumber()
        inbox.expunge(2)
        inbox.change(3, flags=())
        server.state.folder("bob@example.com").add(b"x")
        assert server.state.snapshot() != before
        server.state.restore(before)
        assert server.state.snapshot() == before
        assert server.state.folder(ALICE).uids() == [1, 2, 3, 4_000_000_000]


def test_master_authentication_as_kerio_documents_it(server: ImapServer) -> None:
    with RawClient(server.port) as client:
        assert client.master(MASTER, f'"{ALICE}"')[-1].endswith(b"OK X-SETUSER completed\r\n")
        client.ok("EXAMINE INBOX")
    with RawClient(server.port) as client:
        assert b" NO X-MASTERAUTH failed" in client.master("not-a-secret-wrong", ALICE)[-2]


def test_tls_from_the_first_byte_and_on_demand(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    state = State()
    state.folder(ALICE)
    with ImapServer(state, tls=authority.server_context()) as server:
        imap: imaplib.IMAP4 = imaplib.IMAP4_SSL("localhost", server.port, ssl_context=context)
        imap.login(ALICE, PASSWORD)
        imap.logout()
    with ImapServer(state, starttls=authority.server_context()) as server:
        imap = imaplib.IMAP4("localhost", server.port)
        imap.starttls(context)
        imap.login(ALICE, PASSWORD)
        assert "STARTTLS" not in str(imap.capability())
        imap.logout()


def test_the_log_has_every_command_and_no_password(server: ImapServer, client: RawClient) -> None:
    client.ok("EXAMINE INBOX")
    client.ok("UID FETCH 2:3 (FLAGS)")
    told = [(entry.verb, entry.text, entry.folder, entry.uids) for entry in server.log]
    assert told == [
        ("LOGIN", "", b"", ()),
        ("EXAMINE", "INBOX", b"INBOX", ()),
        ("UID FETCH", "2:3 (FLAGS)", b"INBOX", (2, 3)),
    ]


def test_a_stopped_server_starts_again_on_its_port(server: ImapServer) -> None:
    with RawClient(server.port) as client:
        server.stop()
        assert client.rest() == b""
        with pytest.raises(ConnectionError):
            RawClient(server.port)
        server.start()
        with RawClient(server.port) as again:
            again.ok(f"LOGIN {ALICE} {PASSWORD}")


ACTIONS: dict[str, tuple[script.Action, bytes]] = {
    "raw": (script.raw(b"* odd\r\n", b"{tag} OK fine\r\n"), b"* odd\r\nT1 OK fine\r\n"),
    "ok": (script.ok(b"* 3 EXISTS"), b"* 3 EXISTS\r\nT1 OK done\r\n"),
    "no": (script.no("go away"), b"T1 NO go away\r\n"),
    "bad": (script.bad("what"), b"T1 BAD what\r\n"),
    "bye": (script.bye("reboot"), b"* BYE reboot\r\n"),
    "close": (script.close, b""),
    "cut": (script.cut(12), b'* STATUS "IN'),
    "cut and more": (script.cut(12, b'DEX"'), b'* STATUS "INDEX"'),
    "edit": (script.edit(lambda data: data.replace(b"4", b"9")), b'* STATUS "INBOX" (MESSAGES 9)\r\nT1 OK STATUS completed\r\n'),
    "around": (
        script.around(b"* 1 RECENT\r\n", b"* 2 RECENT\r\n", b"* 3 RECENT\r\n"),
        b'* 1 RECENT\r\n* 2 RECENT\r\n* STATUS "INBOX" (MESSAGES 4)\r\n* 3 RECENT\r\nT1 OK STATUS completed\r\n',
    ),
    "delay": (script.delay(0.01), b'* STATUS "INBOX" (MESSAGES 4)\r\nT1 OK STATUS completed\r\n'),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_actions(server: ImapServer, name: str) -> None:
    action, answer = ACTIONS[name]
    server.script.on("STATUS", action)
    with RawClient(server.port) as client:
        client.ok(f"LOGIN {ALICE} {PASSWORD}", tag="T0")
        client.send("STATUS INBOX (MESSAGES)", tag="T1")
        client.send("LOGOUT", tag="T2")
        assert client.rest().removesuffix(b"* BYE logging out\r\nT2 OK LOGOUT completed\r\n") == answer


def test_a_server_that_hangs_waits_for_the_client_or_its_own_end(server: ImapServer) -> None:
    rule = server.script.on("GREETING", script.hang)
    with RawClient(server.port, greeted=False) as client:
        assert client.is_silent(0.1)
    with RawClient(server.port, greeted=False) as client:
        assert client.is_silent(0.1)
        server.stop()
        assert client.rest() == b""
    assert rule.hits == 2


def test_rules_choose_by_folder_and_uid_and_count(server: ImapServer, client: RawClient) -> None:
    server.script.on("UID FETCH", script.no("one"), uid=2, times=1)
    server.script.on("UID FETCH", script.no("two"), folder="Deleted Items")
    server.script.on("UID FETCH", script.no("three"), nth=3, where=lambda command: command.bodies)
    client.ok("EXAMINE INBOX")
    client.ok("UID FETCH 3 (UID)")
    assert b" NO one" in client.command("UID FETCH 1:* (UID)")[-1]
    client.ok("UID FETCH 1:* (UID)")
    for _ in range(2):
        client.ok("UID FETCH 1 (BODY.PEEK[])")
    assert b" NO three" in client.command("UID FETCH 1 (BODY.PEEK[])")[-1]
    client.ok('EXAMINE "Deleted Items"')
    assert b" NO two" in client.command("UID FETCH 1 (UID)")[-1]
    server.script.clear()
    client.ok("UID FETCH 1 (UID)")


def test_callbacks_come_before_and_in_the_middle_of_an_answer(server: ImapServer, client: RawClient) -> None:
    inbox = server.state.folder(ALICE)
    server.script.on("EXAMINE", script.before(lambda _command: inbox.renumber(7)))
    assert b"* OK [UIDVALIDITY 7] valid\r\n" in client.ok("EXAMINE INBOX")
    server.script.on("UID FETCH", script.during(lambda _command: inbox.expunge(3), after=2))
    lines = client.ok("UID FETCH 1:* (UID)")[:-1]
    assert lines == [b"* 1 FETCH (UID 1)\r\n", b"* 2 FETCH (UID 2)\r\n", b"* 4 FETCH (UID 4)\r\n", b"* 3 EXPUNGE\r\n"]
