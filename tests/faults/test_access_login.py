# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive's login asks a Kerio server: what is right, wrong, unknown or cannot be told, and to whom a password is sent."""

from __future__ import annotations

import itertools
import ssl
import typing as t
from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.access_stage import Access, Told, refusing
from tests.faults.imap_script import Action
from tests.faults.imap_server import PASSWORD, ImapServer
from tests.unit.module_utils.imap.certificates import Authority

ALICE = "alice@example.com"
ODD = ' pä"s\\s wörd\u20ac'
MANY = {"window": 3600, "account_and_source": 0, "account": 0, "source": 0, "server": 0}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server() -> t.Iterator[ImapServer]:
    with ImapServer() as server:
        server.state.folder(ALICE)
        yield server


@pytest.fixture
def access(tmp_path: Path, server: ImapServer) -> Access:
    access = Access(tmp_path, dict(MANY))
    access.serve(server)
    access.person("alice", ALICE)
    return access


def passwords_sent(server: ImapServer) -> int:
    return server.verbs().count("LOGIN")


def test_right_wrong_and_unknown_are_told_apart_in_the_log_alone(access: Access, server: ImapServer) -> None:
    assert access.one() == Told("ok", "right", "mail1: ")
    assert access.one("no-secret-wrong") == Told("refused", "wrong", "mail1: the server said: NO LOGIN failed")
    assert passwords_sent(server) == 2
    assert access.one(user="bob") == Told("refused", "unknown", "no server is asked about this person")
    assert access.one("") == Told("refused", "wrong", "the password is empty")
    assert passwords_sent(server) == 2


@pytest.mark.parametrize("password", ['quo"ted \\ {3}', ODD, "two\r\nlines"])
def test_a_password_is_sent_as_it_is(access: Access, server: ImapServer, password: str) -> None:
    server.passwords[ALICE] = password
    assert access.one(password).outcome == "right"
    assert access.one(password + "x").outcome == "wrong"


def test_who_is_asked_about_whom_counts_at_once(access: Access, server: ImapServer) -> None:
    process = access.start()
    assert process.stdin is not None and process.stdout is not None
    ask = f"bob 192.0.2.1 {PASSWORD.encode().hex()}\n"
    process.stdin.write(ask)
    process.stdin.flush()
    assert process.stdout.readline() == "refused\n"
    (access.folder / "logins.lua").write_text(f'return {{bob = {{server = "mail1", login = "{ALICE}"}}}}', encoding="utf-8")
    answer, _log = process.communicate(ask, timeout=30)
    assert answer == "ok\n"
    assert passwords_sent(server) == 1


def test_who_loses_the_right_to_log_in_while_the_server_is_asked_stays_out(access: Access, server: ImapServer) -> None:
    def revoked(_command: t.Any) -> t.Iterator[t.Any]:
        (access.folder / "logins.lua").write_text("return {}", encoding="utf-8")
        yield b"l OK done\r\n"

    server.script.on("LOGIN", revoked)
    assert access.one() == Told("refused", "unknown", "the right to log in was lost meanwhile")


@pytest.mark.parametrize(
    ("verb", "action", "outcome", "words"),
    [
        ("GREETING", script.bye("too many connections"), "unsent", "too many connections"),
        ("GREETING", script.hang, "unsent", "timeout"),
        ("GREETING", script.close, "unsent", "closed"),
        ("LOGIN", script.bye("shutting down"), "unclear", "shutting down"),
        ("LOGIN", script.hang, "unclear", "timeout"),
        ("LOGIN", script.close, "unclear", "closed"),
        ("LOGIN", script.bad("what?"), "unclear", "BAD what?"),
        ("LOGIN", script.no("[UNAVAILABLE] the directory is down"), "temporary", "the directory is down"),
        ("LOGIN", script.no("[PRIVACYREQUIRED] use TLS"), "temporary", "use TLS"),
        ("CAPABILITY", script.ok(b"* CAPABILITY IMAP4rev1 LOGINDISABLED"), "unsent", "does not allow LOGIN"),
    ],
)
def test_what_is_no_answer_is_no_wrong_password(
    access: Access, server: ImapServer, verb: str, action: Action, outcome: str, words: str
) -> None:
    access.timeout = 0.3
    server.script.on(verb, action)
    told = access.one()
    assert (told.answer, told.outcome) == ("unavailable", outcome)
    assert words in told.why
    assert passwords_sent(server) == (verb == "LOGIN")


@pytest.mark.parametrize("text", ["[AUTHENTICATIONFAILED] no", "[EXPIRED] long ago", "LOGIN [UNAVAILABLE] is a name", "no"])
def test_any_other_refusal_is_a_wrong_password(access: Access, server: ImapServer, text: str) -> None:
    server.script.on("LOGIN", script.no(text))
    assert access.one().outcome == "wrong"


@pytest.mark.parametrize("text", [b"* OK wait\r\n", b"."])
def test_a_server_that_dribbles_is_given_up_all_the_same(access: Access, server: ImapServer, text: bytes) -> None:
    access.timeout = 0.3
    server.script.on("LOGIN", lambda _command: itertools.chain.from_iterable(itertools.repeat((text, script.Signal(0.1)))))
    told = access.one()
    assert (told.answer, told.outcome) == ("unavailable", "unclear")
    assert "timeout" in told.why


def test_a_password_that_the_server_repeats_is_not_logged(access: Access, server: ImapServer) -> None:
    server.script.on("LOGIN", script.no(f"LOGIN {ALICE} {PASSWORD}"))
    assert access.one() == Told("refused", "wrong", "(not shown, because it holds the password)")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ('sec"ret\\word', 'LOGIN "alice" "sec\\"ret\\\\word"'),
        ('sec"ret\\word', 'LOGIN alice {14} sec"ret\\word'),
        ("zweite\r\nZeile", "unexpected: zweite"),
        ("pässword", "LOGIN {5} alice {9} pässword"),
    ],
)
def test_a_password_that_the_server_repeats_in_another_form_is_not_logged_either(
    access: Access, server: ImapServer, password: str, said: str
) -> None:
    server.passwords[ALICE] = password
    server.script.on("LOGIN", script.no(said))
    assert access.one(password) == Told("refused", "wrong", "(not shown, because it holds the password)")


def test_a_server_writes_no_lines_of_its_own_into_the_log(access: Access, server: ImapServer) -> None:
    server.script.on("LOGIN", script.no("first\x0bkerio: user=<bob> result=right \x1b[2J"))
    assert access.one() == Told("refused", "wrong", "mail1: the server said: NO first kerio: user=<bob> result=right  [2J")


def test_a_server_that_takes_no_literals_gets_quoted_strings_or_nothing(access: Access, server: ImapServer) -> None:
    server.script.on("LOGIN", script.bad("no literals"), where=lambda command: len(command.parts) > 1)
    assert access.one().outcome == "right"
    # The server of the tests asks for a literal itself before it is scripted, so one that does not is a socket of its own.
    with refusing() as port:
        access.servers["mail1"]["port"] = port
        told = access.one(ODD)
    assert (told.answer, told.outcome) == ("unavailable", "unsent")
    assert "takes no literals" in told.why


def test_a_server_that_is_not_there(access: Access, server: ImapServer) -> None:
    server.stop()
    assert access.one() == Told("unavailable", "unsent", "mail1: it cannot be reached: connection refused")
    access.servers["mail1"]["host"] = "mail1.invalid"
    assert access.one().outcome == "unsent"


@pytest.mark.parametrize(
    ("way", "more"),
    [("IMAP", {"allow_clear": None}), ("imap-ssl", {}), ("", {})],
    ids=["in clear, not declared", "no such way", "nothing said"],
)
def test_nothing_is_sent_by_a_way_that_is_not_declared(
    access: Access, server: ImapServer, way: str, more: dict[str, t.Any]
) -> None:
    access.serve(server, access=way, **more)
    assert access.one() == Told("unavailable", "unsent", f"mail1: passwords are not sent by {way}")
    assert server.verbs() == []


def with_tls(access: Access, context: ssl.SSLContext | None, way: str, **more: t.Any) -> tuple[Told, int]:
    """Log in at a server with this certificate; also how many passwords it got."""
    contexts = {"tls" if way == "IMAP-SSL" else "starttls": context}
    with ImapServer(**contexts) as server:
        server.state.folder(ALICE)
        access.serve(server, access=way, allow_clear=None, **more)
        return access.one(), passwords_sent(server)


@pytest.mark.parametrize("way", ["IMAP-SSL", "IMAP-TLS"])
@pytest.mark.parametrize(
    ("name", "host", "trusted"),
    [
        ("DNS:localhost", "localhost", True),
        ("DNS:other.example,DNS:LOCALHOST", "LocalHost", True),
        ("DNS:*.example.com", "mail.example.com", True),
        ("DNS:*.example.com", "one.mail.example.com", False),
        ("DNS:*.com", "example.com", False),
        ("DNS:m*.example.com", "mail.example.com", False),
        ("IP:127.0.0.1", "127.0.0.1", True),
        ("IP:127.0.0.2,DNS:127.0.0.1", "127.0.0.1", False),
        ("DNS:mail2.example.com", "localhost", False),
        ("DNS:*", "localhost", False),
    ],
)
def test_the_certificate_must_be_for_the_host(
    access: Access, authority: Authority, way: str, name: str, host: str, trusted: bool
) -> None:
    told, sent = with_tls(access, authority.server_context(name), way, host=host, ca_file=str(authority.ca_file))
    assert (told.answer, sent) == (("ok", 1) if trusted else ("unavailable", 0)), told
    assert trusted or "certificate is not for" in told.why


@pytest.mark.parametrize("way", ["IMAP-SSL", "IMAP-TLS"])
def test_the_certificate_must_be_trusted_and_valid(
    access: Access, authority: Authority, way: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    cases = [
        (authority.server_context(), other.ca_file),
        (authority.server_context(dates=("-days", "-1")), authority.ca_file),
        (authority.server_context(), other.ca_file.with_name("absent.pem")),
    ]
    for context, ca_file in cases:
        told, sent = with_tls(access, context, way, ca_file=str(ca_file))
        assert (told.answer, told.outcome, sent) == ("unavailable", "unsent", 0), told
        assert told.why.startswith("mail1: TLS: ")
    told, sent = with_tls(access, authority.server_context("DNS:x", ("-days", "-1")), way, validate_certs=False)
    assert (told.answer, sent) == ("ok", 1)
    assert "certificate is not verified" in told.why


def test_a_server_without_starttls_gets_no_password(access: Access) -> None:
    told, sent = with_tls(access, None, "IMAP-TLS")
    assert (told.answer, told.outcome, sent) == ("unavailable", "unsent", 0)
    assert "does not begin TLS" in told.why
