# SPDX-License-Identifier: GPL-3.0-or-later
"""The test of a user's login, line by line: which method, how often, and what each answer of the server means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import user_login
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Endpoint
from tests.unit.imap_script import OK_GREETING, PASSWORD, Expect, Peer, Server, Step, serving
from tests.unit.module_utils.imap.certificates import Authority

USER = "alice@example.com"
TRAP = "Set CRAM-MD5 and DIGEST-MD5 to false in authentication_methods of kerio_security_policy"


def b64(data: str | bytes) -> bytes:
    return base64.b64encode(data.encode() if isinstance(data, str) else data)


PLAIN_ANSWER = b64(f"\0{USER}\0{PASSWORD}")
CHALLENGE = b"<1896.697170952@mail1.example.com>"
CRAM_ANSWER = b64(USER.encode() + b" " + hmac.new(PASSWORD.encode(), CHALLENGE, hashlib.md5).hexdigest().encode())
NO = b"{tag} NO AUTHENTICATE failed: invalid user name or password\r\n"
OK = b"{tag} OK AUTHENTICATE completed\r\n"
LOGOUT = Expect(b"LOGOUT", b"* BYE bye\r\n{tag} OK done\r\n")


def hello(capabilities: str) -> list[Step]:
    line = b"* CAPABILITY IMAP4rev1 " + capabilities.encode() + b"\r\n{tag} OK done\r\n"
    return [OK_GREETING, Expect(b"CAPABILITY", line)]


def plain(answer: bytes) -> list[Step]:
    # A regular expression: base64 has a "+".
    return [Expect(b"AUTHENTICATE PLAIN", b"+ \r\n"), Expect(PLAIN_ANSWER.replace(b"+", rb"\+"), answer, tagged=False)]


def cram(answer: bytes) -> list[Step]:
    asked = Expect(b"AUTHENTICATE CRAM-MD5", b"+ " + b64(CHALLENGE) + b"\r\n")
    return [asked, Expect(CRAM_ANSWER.replace(b"+", rb"\+"), answer, tagged=False)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> t.Any:
    return authority.server_context()


def encrypted(server: Server, authority: Authority, timeout: float = 10) -> Endpoint:
    return Endpoint("localhost", server.port, Access.IMAP_SSL, str(authority.ca_file), timeout=timeout)


def clear(server: Server) -> Endpoint:
    return Endpoint("localhost", server.port, Access.IMAP, timeout=10)


def sent(server: Server) -> list[list[bytes]]:
    """What each connection was sent, without tags, CAPABILITY and LOGOUT."""
    lines = [[line.partition(b" ")[2] or line for line in peer.received] for peer in server.peers]
    return [[line for line in of_one if line not in (b"CAPABILITY", b"LOGOUT")] for of_one in lines]


Case = tuple[str, list[list[Step]], str, str, str, str]
OVER_TLS: dict[str, Case] = {
    # capabilities, scripts behind CAPABILITY, answer, mechanism, cause, md5 answer
    "accepted": ("AUTH=PLAIN AUTH=LOGIN", [[*plain(OK), LOGOUT]], "accepted", "PLAIN", "", ""),
    "wrong, and the digest is not tried": ("AUTH=CRAM-MD5 AUTH=PLAIN", [plain(NO)], "refused", "PLAIN", "user name and pass", ""),
    "both": ("AUTH=CRAM-MD5 AUTH=PLAIN", [[*plain(OK), LOGOUT], [*cram(OK), LOGOUT]], "accepted", "PLAIN", "", "accepted"),
    "trap": ("AUTH=CRAM-MD5 AUTH=PLAIN", [[*plain(OK), LOGOUT], cram(NO)], "accepted", "PLAIN", "stored as SHA", "refused"),
    "only a digest, refused": ("LOGINDISABLED AUTH=CRAM-MD5", [cram(NO)], "cannot_tell", "CRAM-MD5", "stored as SHA", ""),
    "only a digest, accepted": ("LOGINDISABLED AUTH=CRAM-MD5", [[*cram(OK), LOGOUT]], "accepted", "CRAM-MD5", "", ""),
    "nothing": ("LOGINDISABLED AUTH=NTLM", [[]], "cannot_tell", "", "LOGINDISABLED", ""),
}


@pytest.mark.parametrize("name", OVER_TLS)
def test_over_tls(authority: Authority, tls: t.Any, name: str) -> None:
    capabilities, scripts, answer, mechanism, cause, md5 = OVER_TLS[name]
    told = [[*hello(capabilities), *script, Peer.wait_for_close] for script in scripts]
    with serving(*told, context=tls) as server:
        endpoint = encrypted(server, authority)
        found = user_login.try_login(endpoint, USER, PASSWORD)
    data = found.data()
    assert (data["answer"], data["mechanism"], data["md5_answer"]) == (answer, mechanism, md5)
    assert data["success"] == (answer == "accepted")
    assert cause in data["cause"]
    assert bool(data["cause"]) == bool(data["remedy"]) == bool(cause)
    assert data["mechanisms"] == sorted(word.removeprefix("AUTH=") for word in capabilities.split() if word.startswith("AUTH="))
    assert data["md5_mechanism"] == ("CRAM-MD5" if md5 else "")
    if name == "trap":
        assert data["remedy"] == TRAP
        assert found.warnings == [f"localhost:{server.port}: {data['cause']}. {TRAP}. This test made one failed attempt"]
    else:
        assert found.warnings == []
    said = found.sentence(endpoint, USER)
    assert said.startswith(f"localhost:{server.port}: ")
    assert USER in said
    assert (answer == "accepted") or said.endswith(f": {data['cause']}. {data['remedy']}")


def test_the_digest_is_tried_only_when_asked_for(authority: Authority, tls: t.Any) -> None:
    with serving([*hello("AUTH=CRAM-MD5 AUTH=PLAIN"), *plain(OK), LOGOUT], context=tls) as server:
        found = user_login.try_login(encrypted(server, authority), USER, PASSWORD, try_digest=False)
    assert (found.data()["answer"], found.data()["md5_mechanism"], found.warnings) == ("accepted", "", [])


@pytest.mark.parametrize(
    ("answer", "expected"), [(b"{tag} NO [UNAVAILABLE] later\r\n", "later"), (b"{tag} BAD no\r\n", "no"), (b"* BYE no\r\n", "no")]
)
def test_a_digest_that_the_server_does_not_judge_is_no_trap(
    authority: Authority, tls: t.Any, answer: bytes, expected: str
) -> None:
    offered = hello("AUTH=CRAM-MD5 AUTH=PLAIN")
    with serving([*offered, *plain(OK), LOGOUT], [*offered, *cram(answer)], context=tls) as server:
        found = user_login.try_login(encrypted(server, authority), USER, PASSWORD)
    data = found.data()
    assert (data["answer"], data["cause"], data["md5_answer"], found.warnings) == ("accepted", "", "cannot_tell", [])
    assert expected in data["md5_text"]


def test_the_command_login_stands_in_for_plain_and_login_for_both(authority: Authority, tls: t.Any) -> None:
    command = Expect(b'LOGIN "%s" "%s"' % (USER.encode(), PASSWORD.encode()), b"{tag} OK LOGIN completed\r\n")
    told = b"{tag} OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n"
    asked = Expect(b"AUTHENTICATE LOGIN", b"+ VXNlcm5hbWU6\r\n")
    login = [asked, Expect(b64(USER), b"+ UGFzc3dvcmQ6\r\n", tagged=False), Expect(b64(PASSWORD), told, tagged=False)]
    too_early = [asked, Expect(b64(USER), b"{tag} NO nobody of this name\r\n", tagged=False)]
    offered = hello("AUTH=LOGIN LOGINDISABLED")
    scripts = [*hello("AUTH=LOGIN"), command, LOGOUT], [*offered, *login, LOGOUT], [*offered, *too_early]
    with serving(*scripts, context=tls) as server:
        found = [user_login.try_login(encrypted(server, authority), USER, PASSWORD).data() for _script in scripts]
    answers = [("accepted", "LOGIN command"), ("accepted", "LOGIN"), ("cannot_tell", "LOGIN")]
    assert [(one["answer"], one["mechanism"]) for one in found] == answers
    assert [one["server_text"] for one in found[:2]] == ["LOGIN completed", "Logged in"]
    assert "NO before it had the password: nobody of this name" in found[2]["cause"]


def test_digest_md5_where_it_is_the_only_digest_and_the_server_proves_itself(authority: Authority, tls: t.Any) -> None:
    """What is expected here is computed in test_sasl; a wrong proof of the server ends the test without an answer."""
    offered = hello("AUTH=DIGEST-MD5 AUTH=PLAIN")
    asked = Expect(b"AUTHENTICATE DIGEST-MD5", b"+ " + b64(b'nonce="n",algorithm=md5-sess,charset=utf-8') + b"\r\n")
    refused = [asked, Expect(b"[A-Za-z0-9+/=]{100,}", NO, tagged=False)]
    liar = [asked, Expect(b"[A-Za-z0-9+/=]{100,}", b"+ " + b64(b"rspauth=00") + b"\r\n", tagged=False)]
    cancelled = [Expect(rb"\*", b"{tag} BAD cancelled\r\n", tagged=False)]
    first = [*offered, *plain(OK), LOGOUT]
    with serving(first, [*offered, *refused], first, [*offered, *liar, *cancelled], context=tls) as server:
        endpoint = encrypted(server, authority)
        trap, lie = (user_login.try_login(endpoint, USER, PASSWORD) for _time in range(2))
        trap_data, lie_data = trap.data(), lie.data()
    assert (trap_data["md5_mechanism"], trap_data["md5_answer"], len(trap.warnings)) == ("DIGEST-MD5", "refused", 1)
    assert (lie_data["md5_answer"], lie.warnings) == ("cannot_tell", [])
    assert "does not prove" in lie_data["md5_text"]


@pytest.mark.parametrize(
    ("capabilities", "script", "answer", "mechanism"),
    [
        ("AUTH=PLAIN AUTH=LOGIN", [], "cannot_tell", ""),
        ("AUTH=PLAIN LOGINDISABLED STARTTLS", [], "cannot_tell", ""),
        ("AUTH=PLAIN AUTH=CRAM-MD5", [*cram(OK), LOGOUT], "accepted", "CRAM-MD5"),
        ("AUTH=PLAIN AUTH=CRAM-MD5", cram(NO), "cannot_tell", "CRAM-MD5"),
    ],
)
def test_without_tls_no_password_goes_out(capabilities: str, script: list[Step], answer: str, mechanism: str) -> None:
    with serving([*hello(capabilities), *script, Peer.wait_for_close]) as server:
        endpoint = clear(server)
        found = user_login.try_login(endpoint, USER, PASSWORD)
    data = found.data()
    assert (data["answer"], data["mechanism"], data["md5_answer"]) == (answer, mechanism, "")
    assert sent(server) == [[b"AUTHENTICATE CRAM-MD5", CRAM_ANSWER]] if mechanism else [[]]
    assert ["tried by CRAM-MD5 without TLS, which is weak" in text for text in found.warnings] == [True] * bool(mechanism)
    if answer == "cannot_tell":
        assert "Set access to IMAP-SSL or IMAP-TLS" in data["remedy"]


def test_capabilities_from_before_starttls_decide_nothing(authority: Authority, tls: t.Any) -> None:
    """Somebody between could offer what he likes as long as nothing is encrypted."""
    told = b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN AUTH=CRAM-MD5] ready\r\n"
    starts: list[Step] = [told, Expect(b"STARTTLS", b"{tag} OK go\r\n"), lambda peer: peer.start_tls(tls)]
    with serving([*starts, *hello("LOGINDISABLED AUTH=NTLM")[1:], Peer.wait_for_close]) as server:
        endpoint = Endpoint("localhost", server.port, Access.IMAP_TLS, str(authority.ca_file), timeout=10)
        found = user_login.try_login(endpoint, USER, PASSWORD).data()
    assert (found["answer"], found["mechanism"], found["mechanisms"]) == ("cannot_tell", "", ["NTLM"])


@pytest.mark.parametrize(
    ("words", "answer", "cause"),
    [
        ("[AUTHENTICATIONFAILED] Authentication failed.", "refused", "refuses user name and password"),
        ("LOGIN failed", "refused", "refuses user name and password"),
        ("[AUTHORIZATIONFAILED] not here", "refused", "does not let this user in"),
        ("[EXPIRED] too old", "refused", "expired"),
        ("[UNAVAILABLE] Temporary authentication failure.", "cannot_tell", "did not judge"),
        ("[LIMIT] Maximum number of connections", "cannot_tell", "did not judge"),
        ("[PRIVACYREQUIRED] no", "cannot_tell", "without TLS"),
        ("[X-OTHER words] account is locked", "refused", "refuses user name and password"),
    ],
)
def test_what_a_no_means(authority: Authority, tls: t.Any, words: str, answer: str, cause: str) -> None:
    with serving([*hello("AUTH=PLAIN"), *plain(b"{tag} NO " + words.encode() + b"\r\n")], context=tls) as server:
        data = user_login.try_login(encrypted(server, authority), USER, PASSWORD).data()
    assert (data["answer"], data["server_text"], data["success"]) == (answer, words, False)
    assert cause in data["cause"]
    assert data["remedy"]


@pytest.mark.parametrize(("password", "as_literal"), [('qu"ote\\ and: blank ', True), ("pä☃wörd ", True), ("a'{5} $", False)])
def test_any_text_reaches_the_server_as_it_is(authority: Authority, tls: t.Any, password: str, as_literal: bool) -> None:
    user = 'jö"rg: x@example.com'
    expected = b64(f"\0{user}\0{password}").replace(b"+", rb"\+")
    plainly = [Expect(b"AUTHENTICATE PLAIN", b"+ \r\n"), Expect(expected, OK, tagged=False)]
    arguments: list[bytes] = []

    def command(peer: Peer) -> None:
        """LOGIN; what comes as a literal is asked for."""
        tag, _space, rest = peer.line().removesuffix(b"\r\n").partition(b" LOGIN ")
        for text in (user, password):
            size = len(text.encode())
            if not rest.endswith(b"{%d}" % size):
                break
            peer.send(b"+ go on\r\n")
            arguments.append(peer.exact(size))
            rest = peer.line()
        arguments.extend([rest.strip()] if rest else [])
        peer.send(tag + b" OK LOGIN completed\r\n")

    with serving([*hello("AUTH=PLAIN"), *plainly], [*hello(""), command], context=tls) as server:
        endpoint = encrypted(server, authority)
        assert [user_login.try_login(endpoint, user, password).data()["answer"] for _time in range(2)] == ["accepted"] * 2
    assert arguments == [user.encode(), password.encode() if as_literal else b'"%s"' % password.encode()]


@pytest.mark.parametrize(
    ("user", "password"), [("", PASSWORD), (USER, ""), (USER, "a\r\nb"), ("a\0b", PASSWORD), (USER, "\udcff-not-utf-8")]
)
def test_what_cannot_be_sent_is_refused_before_the_server_is_asked(tmp_path: Path, user: str, password: str) -> None:
    endpoint = Endpoint("localhost", 1, ca_file=str(tmp_path / "absent"))
    for ask in (user_login.try_login, user_login.untried):
        with pytest.raises(InputError) as refused:
            ask(endpoint, user, password)
        assert not password or password not in str(refused.value)
        assert "ca_file" not in refused.value.subject


def test_a_server_that_repeats_what_it_was_sent_shows_no_password(authority: Authority, tls: t.Any) -> None:
    """Whole, encoded, at the cut of a long line, and on the second connection."""
    shown = [PASSWORD.encode(), PLAIN_ANSWER, b"x" * 285 + PASSWORD.encode(), b"x " * 145 + PLAIN_ANSWER]
    offered = hello("AUTH=PLAIN AUTH=CRAM-MD5")
    refused = [[*offered, *plain(b"{tag} NO <" + text + b">\r\n")] for text in shown]
    repeated = PASSWORD.encode() + b" " + b64(PASSWORD) + b"\r\n"
    later = [[[*offered, *plain(OK), LOGOUT], [greeting + repeated]] for greeting in (b"* BYE ", b"* PREAUTH ")]
    with serving(*refused, *later[0], *later[1], context=tls) as server:
        endpoint = encrypted(server, authority)
        found = [user_login.try_login(endpoint, USER, PASSWORD).data() for _script in range(len(refused) + len(later))]
    for data in found:
        text = repr(data)
        assert not any(secret[:6] in text for secret in (PASSWORD, PLAIN_ANSWER.decode(), b64(PASSWORD).decode()))
    assert [data["answer"] for data in found] == ["refused"] * 4 + ["accepted"] * 2
    assert all("***" in data["md5_text"] for data in found[4:])


def test_the_manual_knows_every_answer() -> None:
    manual = (Path(__file__).parents[4] / "docs" / "login.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in manual.splitlines() if line.startswith("| `")]
    known = {(row[0].strip("`"), row[1]) for row in rows}
    trap = user_login.OTHERS_FAIL.cause.format(clear="PLAIN", digest="CRAM-MD5")
    verdicts = [user_login.WRONG, user_login.NOT_OVER_PLAIN_TEXT, *user_login.CODES.values()]
    told = [(one.answer, one.cause) for one in verdicts] + [("accepted", trap), ("cannot_tell", user_login.REFUSED_DIGEST.cause)]
    for answer, cause in told:
        assert any(answer == one and cause.startswith(begin) for one, begin in known), cause
    assert {f"[{code}]" for code in user_login.CODES} <= set(re.findall(r"\[[A-Z]+\]", manual))
