# SPDX-License-Identifier: GPL-3.0-or-later
"""The test of a user's login against servers that hang, hang up, lie or ask for more, and how many attempts each server costs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import ssl
import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.imap import user_login
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Endpoint
from tests.faults import imap_script as script
from tests.faults.imap_script import Action, Chunk, Command
from tests.faults.imap_server import PASSWORD, ImapServer
from tests.faults.imap_state import State
from tests.unit.module_utils.imap.certificates import Authority

pytestmark = pytest.mark.fault("hostile")

ALICE = "alice@example.com"
TIMEOUT = 0.4  # seconds


@dataclass
class Door:
    """A server with AUTHENTICATE. ``readable``: whether it can check a digest; ``tried``: mechanism, under TLS, right."""

    server: ImapServer
    readable: bool = True
    tried: list[tuple[str, bool, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.script.on("AUTHENTICATE", self.authenticate)
        self.server.script.on("LOGIN", self.login)

    def note(self, command: Command, name: str, right: bool) -> bool:
        tls = isinstance(command.session.ask.__self__.link, ssl.SSLSocket)  # type: ignore[attr-defined]  # the bound method of a Line
        self.tried.append((name, tls, right))
        return right

    def login(self, command: Command) -> None:
        self.note(command, "LOGIN", PASSWORD in command.text)

    def authenticate(self, command: Command) -> t.Iterator[Chunk]:
        name = command.text.strip()
        if f"AUTH={name}" not in self.server.capabilities:
            yield command.fill(b"{tag} BAD unknown\r\n")
            return
        right = self.plain(command) if name == "PLAIN" else self.cram(command)
        words = b"{tag} OK done\r\n" if self.note(command, name, right) else b"{tag} NO failed\r\n"
        yield command.fill(words)

    def plain(self, command: Command) -> bool:
        return base64.b64decode(command.session.ask(b"")) == f"\0{ALICE}\0{PASSWORD}".encode()

    def cram(self, command: Command) -> bool:
        challenge = b"<1.2@door>"
        name, _blank, given = base64.b64decode(command.session.ask(base64.b64encode(challenge))).decode().rpartition(" ")
        return self.readable and (name, given) == (ALICE, hmac.new(PASSWORD.encode(), challenge, hashlib.md5).hexdigest())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return authority.server_context()


def state() -> State:
    made = State()
    made.folder(ALICE)
    return made


def where(server: ImapServer, authority: Authority, access: Access = Access.IMAP_SSL) -> Endpoint:
    return Endpoint("localhost", server.port, access, str(authority.ca_file), timeout=TIMEOUT)


OFFERS = [
    ("AUTH=PLAIN",),
    ("AUTH=CRAM-MD5",),
    ("AUTH=PLAIN", "AUTH=CRAM-MD5"),
    ("AUTH=CRAM-MD5", "LOGINDISABLED"),
    ("AUTH=NTLM",),
]


@pytest.mark.parametrize("offer", OFFERS, ids=" ".join)
def test_two_attempts_at_most_one_of_them_wrong_and_no_password_without_tls(
    authority: Authority, context: ssl.SSLContext, offer: tuple[str, ...]
) -> None:
    """Every access, right and wrong passwords, readable and not."""
    for access, password, readable in itertools.product(Access, (PASSWORD, "not-a-secret-but-wrong"), (True, False)):
        tls = context if access is Access.IMAP_SSL else None
        starttls = context if access is Access.IMAP_TLS else None
        with ImapServer(state(), capabilities=("IMAP4rev1", *offer), tls=tls, starttls=starttls) as server:
            door = Door(server, readable)
            found = user_login.try_login(where(server, authority, access), ALICE, password).data()
        assert len(door.tried) <= 2
        assert [right for _name, _tls, right in door.tried].count(False) <= 1
        assert {name for name, encrypted, _right in door.tried if not encrypted} <= {"CRAM-MD5"}
        assert found["success"] == any(right for _name, _tls, right in door.tried)
        if password != PASSWORD:
            assert len(door.tried) <= 1
            assert found["answer"] in ("refused", "cannot_tell")
        trap = access is not Access.IMAP and "AUTH=CRAM-MD5" in offer and "LOGINDISABLED" not in offer
        assert (found["md5_answer"] == "refused") == (trap and password == PASSWORD and not readable)


def ask_twice(command: Command) -> t.Iterator[Chunk]:
    command.session.ask(b"")
    yield b"+ " + base64.b64encode(b"and now the password of your bank") + b"\r\n"
    yield script.HANG


def told_after(words: bytes, signal: Chunk = script.FLUSH) -> Action:
    """The password is taken, then this is said."""

    def told(command: Command) -> t.Iterator[Chunk]:
        command.session.ask(b"")
        yield command.fill(words)
        yield signal

    return told


FOREVER = [b"* OK still thinking\r\n"] * 100_001
ILL: dict[str, tuple[str, Action, str, str]] = {
    # where, what, words of the cause, mechanism
    "connection cut": ("CONNECT", script.close, "TLS handshake failed", ""),
    "connection silent": ("CONNECT", script.hang, "TLS handshake did not finish", ""),
    "closed for a blocked address": ("GREETING", script.close, "closed the connection", ""),
    "BYE for a blocked address": ("GREETING", script.bye("blocked"), "turns the connection away: blocked", ""),
    "silent": ("GREETING", script.hang, "no IMAP greeting came", ""),
    "greeting cut": ("GREETING", script.raw(b"* O", script.CLOSE), "closed the connection", ""),
    "greeting of somebody logged in": ("GREETING", script.raw(b"* PREAUTH hello\r\n"), "not the greeting", ""),
    "capabilities cut": ("CAPABILITY", script.cut(12), "closed the connection", ""),
    "capabilities silent": ("CAPABILITY", script.hang, f"within {TIMEOUT} seconds", ""),
    "BAD": ("AUTHENTICATE", script.bad("what?"), "PLAIN with BAD before it had the password: what?", "PLAIN"),
    "NO before the password": ("AUTHENTICATE", script.no("not from there"), "with NO before it had the password", "PLAIN"),
    "OK before the password": ("AUTHENTICATE", script.ok(), "said OK to AUTHENTICATE before it had the password", "PLAIN"),
    "BYE": ("AUTHENTICATE", script.bye("going down"), "hung up before it had the password: going down", "PLAIN"),
    "cut": ("AUTHENTICATE", script.close, "hung up before it had the password", "PLAIN"),
    "silent when asked": ("AUTHENTICATE", script.hang, f"within {TIMEOUT} seconds", "PLAIN"),
    "one more question": ("AUTHENTICATE", ask_twice, "asked for more", "PLAIN"),
    "BAD to the password": ("AUTHENTICATE", told_after(b"{tag} BAD hm\r\n"), "BAD when it had the password: hm", "PLAIN"),
    "BYE to the password": (
        "AUTHENTICATE",
        told_after(b"* BYE no\r\n", script.CLOSE),
        "hung up when it had the password: no",
        "PLAIN",
    ),
    "cut after the password": ("AUTHENTICATE", told_after(b"", script.CLOSE), "hung up when it had the password", "PLAIN"),
    "reset after the password": ("AUTHENTICATE", told_after(b"", script.RESET), "hung up when it had the password", "PLAIN"),
    "half an answer": ("AUTHENTICATE", told_after(b"{tag} O", script.CLOSE), "hung up when it had the password", "PLAIN"),
    "silent after the password": ("AUTHENTICATE", told_after(b"", script.HANG), f"within {TIMEOUT} seconds", "PLAIN"),
    "an answer to somebody else": (
        "AUTHENTICATE",
        told_after(b"A9 OK done\r\n", script.HANG),
        f"within {TIMEOUT} seconds",
        "PLAIN",
    ),
    "words without end": ("AUTHENTICATE", told_after(b"".join(FOREVER)), "but not what it was asked for", "PLAIN"),
}


@pytest.mark.parametrize("name", ILL)
def test_a_server_that_does_not_judge_the_password(authority: Authority, context: ssl.SSLContext, name: str) -> None:
    verb, action, words, mechanism = ILL[name]
    with ImapServer(state(), capabilities=("IMAP4rev1", "AUTH=PLAIN", "AUTH=CRAM-MD5"), tls=context) as server:
        server.script.on(verb, action)
        found = user_login.try_login(where(server, authority), ALICE, PASSWORD).data()
        assert server.verbs().count("AUTHENTICATE") <= 1
    assert (found["success"], found["answer"], found["mechanism"]) == (False, "cannot_tell", mechanism)
    assert words in found["cause"]
    assert "blocked" in found["remedy"] or "blocked" not in name
    assert "\n" not in found["cause"]


@pytest.mark.parametrize(
    ("change", "words", "remedy"),
    [
        ({"ca_file": None}, "the certificate is not trusted", "Set ca_file"),
        ({"port": 1}, "connection refused", "Check host and port"),
        ({"access": Access.IMAP_TLS}, "a port does that speaks TLS from the first byte", "Use access IMAP-SSL"),
        ({"host": "no-such-host.invalid"}, "cannot be resolved", "Check host and port"),
    ],
)
def test_a_server_that_cannot_be_reached_so(
    authority: Authority, context: ssl.SSLContext, change: dict[str, t.Any], words: str, remedy: str
) -> None:
    with ImapServer(state(), tls=context) as server:
        given = {"host": "localhost", "port": server.port, "ca_file": str(authority.ca_file), "timeout": TIMEOUT, **change}
        found = user_login.try_login(Endpoint(**given), ALICE, PASSWORD).data()
        assert {"LOGIN", "AUTHENTICATE"}.isdisjoint(server.verbs())
    assert (found["answer"], found["mechanism"], found["mechanisms"]) == ("cannot_tell", "", [])
    assert words in found["cause"]
    assert remedy in found["remedy"]
