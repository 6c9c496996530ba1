# SPDX-License-Identifier: GPL-3.0-or-later
"""APPEND: dates in the one language of IMAP, the answers' codes, and sending no faster than is allowed."""

from __future__ import annotations

import calendar
import datetime
import time
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.append import Answer, Appender, Outgoing, internal_date, limit
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Result
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import parse_internaldate
from tests.faults.imap_server import ImapServer
from tests.faults.raw_run import ALICE
from tests.unit.imap_script import PASSWORD as SCRIPT_PASSWORD
from tests.unit.imap_script import Access, Credentials, Endpoint, Peer, logged_in, open_connection, plain, serving


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ((2024, 2, 29, 23, 59, 59), b"29-Feb-2024 23:59:59 +0000"),
        ((1970, 1, 1, 0, 0, 0), b"01-Jan-1970 00:00:00 +0000"),
        ((1969, 12, 31, 23, 59, 58), b"31-Dec-1969 23:59:58 +0000"),
        ((2106, 10, 7, 6, 28, 16), b"07-Oct-2106 06:28:16 +0000"),
    ],
)
def test_a_date_is_kept_to_the_second(moment: tuple[int, ...], text: bytes) -> None:
    seconds = calendar.timegm(moment)
    assert internal_date(seconds) == text
    assert parse_internaldate(text) == seconds


def test_months_are_english_in_every_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "01-Mär-2025")  # as in the locale that Ansible sets for its modules
    months = [
        internal_date(int(datetime.datetime(2025, month, 1, tzinfo=datetime.UTC).timestamp()))[3:6] for month in range(1, 13)
    ]
    assert b" ".join(months) == b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"


@pytest.mark.parametrize(
    ("status", "text", "code", "uid"),
    [
        ("OK", "[APPENDUID 38505 3955] done", "APPENDUID", (38505, 3955)),
        ("OK", "done", "", None),
        ("NO", "[OverQuota] full", "OVERQUOTA", None),
        ("NO", "[TRYCREATE]", "TRYCREATE", None),
        ("NO", "[APPENDUID 1 2] and yet refused", "APPENDUID", None),
        ("NO", "see [LIMIT] there", "", None),
    ],
)
def test_what_an_answer_says(status: str, text: str, code: str, uid: tuple[int, int] | None) -> None:
    answer = Answer(b"key", Result(status, text))
    assert (answer.code, answer.uid) == (code, uid)


@pytest.fixture
def server() -> t.Iterator[ImapServer]:
    with ImapServer() as made:
        made.state.folder(ALICE)
        yield made


def connect(server: ImapServer) -> t.Any:
    return open_connection(Endpoint("127.0.0.1", server.port, Access.IMAP), Credentials(ALICE, server.password))


def test_the_limit_is_what_the_server_announces(server: ImapServer) -> None:
    with connect(server) as conn:
        assert limit(conn) is None
    server.capabilities += ("APPENDLIMIT=35651584",)
    with connect(server) as conn:
        assert limit(conn) == 35_651_584


def test_it_sends_no_faster_than_it_may(server: ImapServer) -> None:
    now = [0.0]
    pace = Pace(100_000, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    body = b"x" * 300_000
    with connect(server) as conn:
        appender = Appender(conn, b"INBOX", pace)
        for key in (b"1", b"2"):
            appender.put(Outgoing(key, len(body), (body,), 0))
        appender.finish()
    assert [answer.key for answer in appender.answers] == [b"1", b"2"]
    assert [one.body for one in server.state.folder(ALICE).messages] == [body, body]
    assert 5.5 <= now[0] <= 6.5


def test_a_message_that_cannot_be_read_to_its_end_leaves_nothing(server: ImapServer) -> None:
    def broken() -> t.Iterator[bytes]:
        yield b"x" * 300_000
        raise ValueError

    with connect(server) as conn:
        appender = Appender(conn, b"INBOX")
        with pytest.raises(ValueError):
            appender.put(Outgoing(b"1", 300_001, broken(), 0))
        assert not conn.usable
        assert appender.waiting == [b"1"]
    server.stop()  # ends when it has seen all that was sent
    assert server.state.folder(ALICE).messages == []


def test_what_the_server_says_before_it_hangs_up_is_told() -> None:
    def hang_up(peer: Peer) -> None:
        peer.line()
        peer.send(b"+ go on\r\n")
        peer.exact(1000)
        peer.send(b"* BYE that is too much\r\n")
        peer.sock.close()

    with serving([*logged_in(), hang_up]) as server, open_connection(plain(server), Credentials(ALICE, SCRIPT_PASSWORD)) as conn:
        appender = Appender(conn, b"INBOX")
        with pytest.raises(NetworkError, match="that is too much"):
            appender.put(Outgoing(b"1", 16 << 20, [b"x" * (1 << 20)] * 16, 0))
        assert appender.waiting == [b"1"]


def test_what_is_on_the_way_is_bounded(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.mailops.kerio.plugins.module_utils.imap.append.DEPTH", 4)
    with connect(server) as conn:
        appender = Appender(conn, b"INBOX")
        most = 0
        for number in range(50):
            appender.put(Outgoing(b"%d" % number, 4, (b"mail",), number))
            most = max(most, len(appender.waiting))
        appender.finish()
    assert most == 4
    assert [answer.result.ok for answer in appender.answers] == [True] * 50
    assert len(server.state.folder(ALICE).messages) == 50
