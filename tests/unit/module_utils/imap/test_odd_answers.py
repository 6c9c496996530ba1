# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that no server should give: told with object, cause and remedy, on a connection that stays as good as it was."""

from __future__ import annotations

import io

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import examine, fetch, select
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus
from ansible_collections.mailops.kerio.plugins.module_utils.imap.preflight_folders import QUESTIONS
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import LONGEST
from tests.unit.imap_script import Expect, connected

INBOX = Folder("INBOX", b"INBOX", frozenset(), "/", ("INBOX",), True, "inbox")
COUNTS = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n* OK [UIDNEXT 9] next\r\n"
DONE = b"{tag} OK done\r\n"


def where(conn: Connection) -> str:
    return f"{conn.name}, mailbox alice@example.com, folder INBOX"


def test_a_folder_that_is_opened_for_reading_only_is_not_changed_and_the_next_one_can_be_opened() -> None:
    refused = Expect(b'SELECT "INBOX"', COUNTS + b"{tag} OK [READ-ONLY] done\r\n")
    opened = Expect(b'SELECT "INBOX"', COUNTS + b"{tag} OK [READ-WRITE] done\r\n")
    with connected(refused, opened) as conn:
        with pytest.raises(ImapError) as raised:
            select(conn, INBOX)
        cause, remedy = "the server opens it for reading only", "Give the user of this login the right to delete there"
        assert str(raised.value) == f"{where(conn)}: {cause}. {remedy}."
        assert select(conn, INBOX) == FolderStatus(7, 9, 3, None)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (COUNTS.replace(b"UIDVALIDITY 7", b"UNSEEN 7"), "UIDVALIDITY is not told, UIDNEXT 9, EXISTS 3"),
        (COUNTS.replace(b"UIDNEXT 9", b"UIDNEXT 4294967296"), "UIDVALIDITY 7, UIDNEXT 4294967296, EXISTS 3"),
        (COUNTS.replace(b"3 EXISTS", b"3 RECENT"), "UIDVALIDITY 7, UIDNEXT 9, EXISTS is not told"),
    ],
)
def test_a_folder_without_the_numbers_that_everything_rests_on_is_not_read(counts: bytes, words: str) -> None:
    with connected(Expect(b'EXAMINE "INBOX"', counts + DONE)) as conn:
        with pytest.raises(ProtocolError) as raised:
            examine(conn, INBOX)
        cause = f"the server does not tell its numbers as IMAP has them: {words}"
        assert str(raised.value) == f"{where(conn)}: {cause}. Report it to the vendor of the server."


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b'(("" "/") NIL NIL', 'the server\'s NAMESPACE cannot be read: (("" "/") NIL NIL'),
        (b'(("" "/"))', "the server's NAMESPACE tells 1 of its 3 kinds"),
    ],
)
def test_namespaces_that_cannot_be_read_leave_the_connection_usable(answer: bytes, cause: str) -> None:
    steps = [
        Expect(b"NAMESPACE", b"* NAMESPACE " + answer + b"\r\n" + DONE),
        Expect(b"NAMESPACE", b'* namespace (("" "/")) NIL NIL\r\n' + DONE),
    ]
    with connected(*steps, capabilities=b"NAMESPACE") as conn:
        with pytest.raises(ImapError) as raised:
            QUESTIONS["imap-namespace"](conn, [])
        assert str(raised.value) == f"{conn.name}: {cause}. Report it to the vendor of the server."
        assert QUESTIONS["imap-namespace"](conn, []) == ("holds", "Personal namespaces: '' with '/'.")


def test_a_second_large_literal_in_one_response_is_refused_and_the_first_one_closed() -> None:
    sinks: list[io.BytesIO] = []

    def staging(_size: int) -> io.BytesIO:
        sinks.append(io.BytesIO())
        return sinks[-1]

    answer = b"* 1 FETCH (UID 1 BODY[] {20}\r\n" + b"x" * 20 + b" RFC822 {%d}\r\n" % (LONGEST + 1)
    with connected(Expect(b"UID FETCH 1 .*", answer)) as conn:
        with pytest.raises(ProtocolError) as raised:
            list(fetch(conn, [1], known_sizes={1: 20}, stream_above=10, staging=staging))
        assert not conn.usable
        assert str(raised.value) == f"{conn.name}: the server sent two large literals in one response. Report it to its vendor."
    assert raised.value.details == {"completed": "", "in_flight": "1"}
    assert [sink.closed for sink in sinks] == [True]
