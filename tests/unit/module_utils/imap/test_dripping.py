# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that sends its answers byte by byte is given up when the time of one answer is spent, wherever it begins to do so."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import guard
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Access, Credentials, Endpoint, open_connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import examine, fetch, search_uids
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, list_folders
from tests.unit.dripping import LIMIT, MANY, Drip, drops
from tests.unit.imap_script import OK_GREETING, PASSWORD, Expect, Peer, Step, connected, fetch_line, plain, serving
from tests.unit.module_utils.imap.certificates import Authority

INBOX = Folder("INBOX", b"INBOX", frozenset(), "/", ("INBOX",), True, "inbox")
ALICE = Credentials("alice@example.com", PASSWORD)
LONG = b"x" * MANY
WORDS = f"the server did not finish its answer within {LIMIT:g} seconds"


def dripped(drip: Drip) -> t.Callable[[Peer], None]:
    return lambda peer: drip.send(peer.send)


def asked(drip: Drip) -> list[Step]:
    """The client's command is read first."""
    return [Expect(b".*", b""), dripped(drip)]


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_greeting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encrypted: bool) -> None:
    drip = Drip(monkeypatch, drops(b"* OK " + LONG))
    authority = Authority(tmp_path)
    with serving([dripped(drip)], context=authority.server_context() if encrypted else None) as server:
        access = Access.IMAP_SSL if encrypted else Access.IMAP
        endpoint = Endpoint("localhost", server.port, access, str(authority.ca_file), timeout=LIMIT)
        with pytest.raises(NetworkError, match=WORDS) as raised:
            open_connection(endpoint, ALICE)
    assert drip.was_cut()
    assert raised.value.subject == f"localhost:{server.port}"
    assert raised.value.remedy.startswith("Check the port, the access method")


def test_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    # A record of 16 KB.
    drip = Drip(monkeypatch, drops(b"\x16\x03\x03\x40\x00" + b"\x02" * MANY))
    with serving([dripped(drip)]) as server, pytest.raises(NetworkError, match="TLS handshake did not finish within 10 seconds"):
        open_connection(Endpoint("localhost", server.port, timeout=LIMIT), ALICE)
    assert drip.was_cut()


def test_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    drip = Drip(monkeypatch, drops(b"* OK " + LONG))
    told = Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n")
    with serving([OK_GREETING, told, *asked(drip)]) as server, pytest.raises(NetworkError, match=WORDS) as raised:
        open_connection(plain(server, LIMIT), ALICE)
    assert drip.was_cut()
    assert PASSWORD not in str(raised.value)


def test_a_login_that_is_answered_by_other_words_and_by_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    drip = Drip(monkeypatch, [b"* OK one moment\r\n"] * 100, guard)
    told = Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n")
    with (
        serving([OK_GREETING, told, *asked(drip)]) as server,
        pytest.raises(ProtocolError, match=r"sent \d answers .* but not what it was asked for"),
    ):
        open_connection(plain(server, LIMIT), ALICE)
    assert drip.was_cut()


COMMANDS: list[tuple[str, t.Callable[[t.Any], t.Any]]] = [
    ("a command of ours", list_folders),
    ("a command of IMAPClient", lambda conn: examine(conn, INBOX)),
    ("a search", search_uids),
    ("a fetch", lambda conn: list(fetch(conn, [1], known_sizes={1: 1}))),
    ("a fetch into a file", lambda conn: list(fetch(conn, [1], known_sizes={1: 1}, stream_above=10))),
]


@pytest.mark.parametrize("command", [command for _, command in COMMANDS], ids=[name for name, _ in COMMANDS])
def test_a_command(monkeypatch: pytest.MonkeyPatch, command: t.Callable[[t.Any], t.Any]) -> None:
    drip = Drip(monkeypatch, drops(fetch_line(1, LONG)))
    with connected(*asked(drip), timeout=LIMIT) as conn:
        with pytest.raises(NetworkError, match=WORDS) as raised:
            command(conn)
        assert not conn.usable
    assert drip.was_cut()
    assert raised.value.details["silent"] is True


def test_answers_that_come_one_by_one_have_the_time_each(monkeypatch: pytest.MonkeyPatch) -> None:
    uids = range(1, 21)
    drip = Drip(monkeypatch, [fetch_line(uid, b"x") for uid in uids])
    with connected(*asked(drip), timeout=LIMIT) as conn:
        found = fetch(conn, uids, known_sizes=dict.fromkeys(uids, 1))
        assert [next(found).uid for _ in uids] == list(uids)
        conn.abort()
    assert drip.sent == len(uids)
