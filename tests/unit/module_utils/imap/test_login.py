# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in: every form of refusal, and passwords that appear nowhere."""

from __future__ import annotations

import hashlib
import logging
import ssl
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    InputError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import (
    Access,
    Credentials,
    Endpoint,
    open_connection,
    try_master_password,
)
from tests.unit.imap_script import OK_GREETING, PASSWORD, Expect, Peer, Server, Step, connected, plain, serving
from tests.unit.module_utils.imap.certificates import Authority

CHALLENGE = b"<1234.5678@mail1.example.com> {7}"
DIGEST = hashlib.md5(CHALLENGE + PASSWORD.encode(), usedforsecurity=False).hexdigest().encode()
ASKED = Expect(b"X-MASTERAUTH", b"+ " + CHALLENGE + b" \r\n")


def answered(answer: bytes) -> Expect:
    return Expect(DIGEST, answer, tagged=False)


WELCOME: list[Step] = [OK_GREETING, ASKED, answered(b"{tag} OK X-MASTERAUTH Welcome to server, master\r\n")]
CAPABILITY = Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n{tag} OK done\r\n")


TOLD = b"[CAPABILITY IMAP4rev1 MOVE]"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def over_tls(server: Server, authority: Authority, timeout: float = 10) -> Endpoint:
    return Endpoint("localhost", server.port, Access.IMAP_SSL, str(authority.ca_file), timeout=timeout)


def close(peer: Peer) -> None:
    peer.sock.close()


def test_master_login_byte_for_byte(authority: Authority) -> None:
    set_user = Expect(rb'X-SETUSER "al\\"ice\\\\@example.com"', b"{tag} OK X-SETUSER completed\r\n")
    steps: list[Step] = [*WELCOME, set_user, CAPABILITY, Peer.wait_for_close]
    credentials = Credentials('al"ice\\@example.com', PASSWORD, master=True)
    with (
        serving(steps, context=authority.server_context()) as server,
        open_connection(over_tls(server, authority), credentials) as conn,
    ):
        assert conn.capabilities == {"IMAP4REV1", "UIDPLUS"}
        assert conn.name == f"localhost:{server.port}"


REFUSALS: list[tuple[list[Step], str, str, str]] = [
    ([OK_GREETING, ASKED, answered(b"{tag} NO X-MASTERAUTH failed\r\n")], "X-MASTERAUTH", "NO", "X-MASTERAUTH failed"),
    ([OK_GREETING, Expect(b"X-MASTERAUTH", b"{tag} NO not from there\r\n")], "X-MASTERAUTH", "NO", "not from there"),
    ([OK_GREETING, Expect(b"X-MASTERAUTH", b"{tag} BAD Unknown command\r\n")], "X-MASTERAUTH", "BAD", "Unknown command"),
    ([OK_GREETING, Expect(b"X-MASTERAUTH", b"* BYE go away\r\n")], "X-MASTERAUTH", "BYE", "go away"),
    ([OK_GREETING, ASKED, answered(b""), close], "X-MASTERAUTH", "closed", "closed the connection"),
    ([OK_GREETING, ASKED, answered(b"* BYE too many\r\n"), close], "X-MASTERAUTH", "BYE", "too many"),
    ([OK_GREETING, ASKED, answered(b"+ more\r\n")], "X-MASTERAUTH", "BAD", "asked for more"),
    ([*WELCOME, Expect(b"X-SETUSER .*", b"{tag} NO no such user\r\n")], "X-SETUSER", "NO", "no such user"),
    ([*WELCOME, Expect(b"X-SETUSER .*", b"* BYE no\r\n")], "X-SETUSER", "BYE", "no"),
    ([b"* BYE your address is blocked\r\n"], "greeting", "BYE", "your address is blocked"),
    ([OK_GREETING, ASKED, answered(b"{tag} NO " + DIGEST + b" is wrong\r\n")], "X-MASTERAUTH", "NO", "*** is wrong"),
]


@pytest.mark.parametrize(("steps", "stage", "answer", "words"), REFUSALS)
def test_refusals_keep_stage_form_and_words(authority: Authority, steps: list[Step], stage: str, answer: str, words: str) -> None:
    with (
        serving([*steps, Peer.wait_for_close], context=authority.server_context()) as server,
        pytest.raises(LoginRefusedError) as refused,
    ):
        open_connection(over_tls(server, authority), Credentials("bob@example.com", PASSWORD, master=True))
    details = refused.value.details
    assert (details["stage"], details["answer"]) == (stage, answer)
    assert words in details["server_text"]
    assert words in str(refused.value)
    assert PASSWORD not in repr(refused.value.as_result())


@pytest.mark.parametrize(("steps", "stage", "answer", "words"), REFUSALS)
def test_only_a_no_to_the_digest_proves_a_master_password_wrong(
    authority: Authority, steps: list[Step], stage: str, answer: str, words: str
) -> None:
    with serving([*steps, Peer.wait_for_close], context=authority.server_context()) as server:
        found = try_master_password(over_tls(server, authority), "bob@example.com", PASSWORD)
    digest_refused = answer == "NO" and len(steps) == 3 and stage == "X-MASTERAUTH"
    expected = "right" if stage == "X-SETUSER" else "wrong" if digest_refused else "cannot_tell"
    assert found.answer == expected
    assert found.source_address == ("127.0.0.1" if stage != "greeting" else "")
    assert found.mailbox == ("refused" if stage == "X-SETUSER" else None)
    assert words in found.text + found.mailbox_text


def test_a_connection_that_is_dropped_before_the_password_is_asked_for_is_no_refusal(authority: Authority) -> None:
    dropped: list[Step] = [OK_GREETING, Expect(b"X-MASTERAUTH", b""), close]
    with serving(dropped, dropped, context=authority.server_context()) as server:
        with pytest.raises(NetworkError, match="closed the connection, before it asked for the master password") as lost:
            open_connection(over_tls(server, authority), Credentials("bob", PASSWORD, master=True))
        found = try_master_password(over_tls(server, authority), "bob", PASSWORD)
    assert lost.value.details["stage"] == "X-MASTERAUTH"
    assert "the IP group of master authentication admits this host" in lost.value.remedy
    assert (found.answer, found.source_address) == ("cannot_tell", "127.0.0.1")


def test_an_ok_before_the_password_was_asked_for_proves_nothing(authority: Authority) -> None:
    early: list[Step] = [OK_GREETING, Expect(b"X-MASTERAUTH", b"{tag} OK welcome\r\n"), Peer.wait_for_close]
    literal: list[Step] = [OK_GREETING, Expect(rb'LOGIN "bob" \{\d+\}', b"{tag} OK welcome\r\n"), Peer.wait_for_close]
    with serving(early, literal, context=authority.server_context()) as server:
        endpoint = over_tls(server, authority)
        assert try_master_password(endpoint, None, PASSWORD).answer == "cannot_tell"
        with pytest.raises(ProtocolError, match="said OK to LOGIN before it had the password: welcome"):
            open_connection(endpoint, Credentials("bob", PASSWORD + '"'))


def test_right_master_password_with_and_without_mailbox(authority: Authority) -> None:
    set_user = Expect(b'X-SETUSER "bob"', b"{tag} OK X-SETUSER completed\r\n")
    with serving([*WELCOME, Peer.wait_for_close], [*WELCOME, set_user], context=authority.server_context()) as server:
        endpoint = over_tls(server, authority)
        assert try_master_password(endpoint, None, PASSWORD).mailbox is None
        found = try_master_password(endpoint, "bob", PASSWORD)
    assert (found.answer, found.mailbox, found.mailbox_text) == ("right", "opened", "X-SETUSER completed")
    assert server.peers[0].received[-1] == DIGEST


def test_silence_after_the_digest_tells_nothing(authority: Authority) -> None:
    silent: list[Step] = [OK_GREETING, ASKED, answered(b""), Peer.wait_for_close]
    with serving(silent, silent, context=authority.server_context()) as server:
        found = try_master_password(over_tls(server, authority, timeout=0.3), None, PASSWORD)
        with pytest.raises(NetworkError, match=r"did not answer within 0\.3 seconds"):
            open_connection(over_tls(server, authority, timeout=0.3), Credentials("bob", PASSWORD, master=True))
    assert found.answer == "cannot_tell"
    assert "did not answer within 0.3 seconds" in found.text


def test_master_authentication_is_refused_without_tls() -> None:
    endpoint = Endpoint("127.0.0.1", 1, Access.IMAP)
    with pytest.raises(InputError, match="refused without TLS"):
        open_connection(endpoint, Credentials("bob", PASSWORD, master=True))
    assert try_master_password(endpoint, None, PASSWORD).answer == "cannot_tell"


@pytest.mark.parametrize("password", ["not-a-secret-p\u00e4ss", "not-a-secret\r\nZ LOGOUT"])
def test_passwords_that_cannot_be_sent_are_refused_before_the_server_is_asked(password: str) -> None:
    with pytest.raises(InputError) as refused:
        open_connection(Endpoint("127.0.0.1", 1), Credentials("bob", password, master=True))
    assert password not in str(refused.value)


def literal(data: bytes) -> t.Callable[[Peer], None]:
    def take(peer: Peer) -> None:
        assert peer.exact(len(data)) == data

    return take


def test_login_sends_what_cannot_be_quoted_as_literals() -> None:
    user, password = "j\u00fcrgen@example.com", 'not-a-"secret\\'
    name, secret = user.encode(), password.encode()

    def second_literal(peer: Peer) -> None:
        take_name, take_secret = literal(name + b" {%d}\r\n" % len(secret)), literal(secret + b"\r\n")
        take_name(peer)
        peer.send(b"+ go on\r\n")
        take_secret(peer)
        tag = peer.received[-1].split()[0]
        peer.send(tag + b" OK LOGIN completed\r\n")

    steps: list[Step] = [
        OK_GREETING,
        Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"),
        Expect(rb"LOGIN \{%d\}" % len(name), b"+ go on\r\n"),
        second_literal,
        CAPABILITY,
        Peer.wait_for_close,
    ]
    with serving(steps) as server, open_connection(plain(server), Credentials(user, password)) as conn:
        assert conn.user == user


@pytest.mark.parametrize(
    "answer", [b"{tag} NO LOGIN failed: alice not-a-secret-password\r\n", b"{tag} BAD no\r\n", b"* BYE no\r\n"]
)
def test_refused_login_hides_the_password_that_the_server_echoes(answer: bytes) -> None:
    steps: list[Step] = [
        OK_GREETING,
        Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1\r\n{tag} OK\r\n"),
        Expect(b"LOGIN .*", answer),
    ]
    with serving([*steps, Peer.wait_for_close]) as server, pytest.raises(LoginRefusedError) as refused:
        open_connection(plain(server), Credentials("alice", PASSWORD))
    assert refused.value.details["stage"] == "LOGIN"
    assert PASSWORD not in f"{refused.value} {refused.value!r} {refused.value.as_result()}"


def test_login_is_not_sent_where_the_server_forbids_it_without_tls() -> None:
    steps: list[Step] = [
        OK_GREETING,
        Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n{tag} OK done\r\n"),
        Peer.wait_for_close,
    ]
    with serving(steps) as server, pytest.raises(LoginRefusedError, match="LOGINDISABLED"):
        open_connection(plain(server), Credentials("alice", PASSWORD))
    assert len(server.peers[0].received) == 1


def test_what_is_told_with_greeting_and_login_is_not_asked_for() -> None:
    steps: list[Step] = [
        b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n",
        Expect(b"LOGIN .*", b"{tag} OK " + TOLD + b" logged in\r\n"),
        Expect(b"NOOP", b"{tag} OK done\r\n"),
        Peer.wait_for_close,
    ]
    with serving(steps) as server, open_connection(plain(server), Credentials("alice", PASSWORD)) as connection:
        assert connection.capabilities == {"IMAP4REV1", "MOVE"}
        assert connection.client.has_capability("MOVE")
        connection.client.noop()


def test_what_was_told_before_the_mailbox_was_opened_is_asked_again(authority: Authority) -> None:
    steps: list[Step] = [
        OK_GREETING,
        ASKED,
        answered(b"{tag} OK " + TOLD + b" Welcome to server, master\r\n"),
        Expect(b"X-SETUSER .*", b"{tag} OK X-SETUSER completed\r\n"),
        CAPABILITY,
        Peer.wait_for_close,
    ]
    credentials = Credentials("alice", PASSWORD, master=True)
    with (
        serving(steps, context=authority.server_context()) as server,
        open_connection(over_tls(server, authority), credentials) as connection,
    ):
        assert connection.capabilities == {"IMAP4REV1", "UIDPLUS"}


def test_what_was_told_before_tls_is_not_believed(authority: Authority) -> None:
    steps: list[Step] = [
        b"* OK [CAPABILITY IMAP4rev1 STARTTLS EVIL] ready\r\n",
        Expect(b"STARTTLS", b"{tag} OK go ahead\r\n"),
        start_tls(authority.server_context()),
        Expect(b"LOGIN .*", b"{tag} OK done\r\n"),
        CAPABILITY,
        Peer.wait_for_close,
    ]
    with serving(steps) as server:
        endpoint = Endpoint("localhost", server.port, Access.IMAP_TLS, str(authority.ca_file))
        with open_connection(endpoint, Credentials("alice", PASSWORD)) as connection:
            assert connection.capabilities == {"IMAP4REV1", "UIDPLUS"}


def test_no_password_in_logs_and_reprs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with connected(Expect(b"NOOP", b"{tag} OK done\r\n")) as conn:
        conn.client.noop()
        assert PASSWORD not in repr(vars(conn)) + repr(vars(conn.client)) + repr(vars(conn.reader.wire))
    assert PASSWORD not in caplog.text
    assert "NOOP" not in caplog.text
    assert PASSWORD not in repr(Credentials("alice", PASSWORD))


STRANGERS: list[tuple[list[Step], str]] = [
    ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "an HTTP server answers"),
    ([Expect(b"Z0 NOOP", b"HTTP/1.0 400 Bad Request\r\n\r\n", tagged=False)], "an HTTP server answers"),
    ([Expect(b"Z0 NOOP", b"\x15\x03\x01\x00\x02\x02\x46", tagged=False)], "speaks TLS from the first byte"),
    ([Expect(b"Z0 NOOP", b"", tagged=False), close], "speaks TLS from the first byte. Use access IMAP-SSL"),
    ([b"220 mail1.example.com ESMTP ready\r\n"], "an SMTP or FTP server answers"),
    ([b"+OK POP3 server ready\r\n"], "a POP3 server answers"),
    ([b"SSH-2.0-x\r\n"], "not the greeting of an IMAP server: SSH-2.0-x"),
    ([b"* PREAUTH welcome\r\n"], "not the greeting of an IMAP server"),
]


@pytest.mark.parametrize(("steps", "cause"), STRANGERS)
def test_what_is_no_imap_server_is_named(steps: list[Step], cause: str) -> None:
    with serving([*steps, Peer.wait_for_close]) as server, pytest.raises(ProtocolError, match=cause):
        open_connection(plain(server, timeout=0.3), Credentials("alice", PASSWORD))


def test_silent_server_is_a_time_out() -> None:
    with (
        serving([Peer.wait_for_close]) as server,
        pytest.raises(NetworkError, match=r"no IMAP greeting came within 0\.3 seconds"),
    ):
        open_connection(plain(server, timeout=0.3), Credentials("alice", PASSWORD))


def test_nothing_listens_and_no_such_host() -> None:
    with serving([b"* BYE\r\n"]) as server, pytest.raises(ArchiveToolError):
        open_connection(plain(server), Credentials("alice", PASSWORD))
    with pytest.raises(NetworkError, match="connection refused"):
        open_connection(plain(server), Credentials("alice", PASSWORD))
    with pytest.raises(NetworkError, match="cannot be resolved"):
        open_connection(Endpoint("nowhere.invalid", 993), Credentials("alice", PASSWORD))
    assert try_master_password(Endpoint("localhost", server.port), None, PASSWORD).answer == "cannot_tell"


def start_tls(context: ssl.SSLContext) -> t.Callable[[Peer], None]:
    return lambda peer: peer.start_tls(context)


OFFER: list[Step] = [OK_GREETING, Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n")]


def test_starttls_then_login(authority: Authority) -> None:
    steps: list[Step] = [*OFFER, Expect(b"STARTTLS", b"{tag} OK go ahead\r\n"), start_tls(authority.server_context())]
    steps += [Expect(b"LOGIN .*", b"{tag} OK done\r\n"), CAPABILITY, Peer.wait_for_close]
    with serving(steps) as server:
        endpoint = Endpoint("localhost", server.port, Access.IMAP_TLS, str(authority.ca_file))
        with open_connection(endpoint, Credentials("alice", PASSWORD)) as conn:
            assert conn.reader.wire.encrypted


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ([OK_GREETING, CAPABILITY], "does not offer STARTTLS"),
        ([*OFFER, Expect(b"STARTTLS", b"{tag} NO not now\r\n")], "refused STARTTLS: NO not now"),
        ([*OFFER, Expect(b"STARTTLS", b"{tag} OK go\r\n* CAPABILITY IMAP4rev1 EVIL\r\n")], "sent plain text behind"),
    ],
)
def test_starttls_that_is_not_safe_is_refused(authority: Authority, steps: list[Step], cause: str) -> None:
    with serving([*steps, Peer.wait_for_close]) as server, pytest.raises(ProtocolError, match=cause):
        endpoint = Endpoint("localhost", server.port, Access.IMAP_TLS, str(authority.ca_file))
        open_connection(endpoint, Credentials("alice", PASSWORD))
    assert not any(b"LOGIN" in line for line in server.peers[0].received)
