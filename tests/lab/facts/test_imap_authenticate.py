# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to log in over IMAP: MD5 methods, what the security policy leaves, literals, words of refusal (sheet 2.9, 3.4; kb1239)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.lab.facts import sasl
from tests.lab.facts.imap_rig import PASSWORD, Rig, Wire
from tests.lab.facts.masterauth import master

ALL = {"CRAM-MD5", "DIGEST-MD5", "PLAIN", "LOGIN"}
MD5 = {"CRAM-MD5", "DIGEST-MD5"}
MODES = ("SPNoRestrictions", "SPAuthenticationRequired", "SPEncryptionRequired")
# What is left without TLS.
BARE = list(zip(MODES, (ALL, MD5, set()), strict=True))
EXCEPTIONS = {"SPAuthenticationRequired": "authenticationExceptionGroup", "SPEncryptionRequired": "encryptionExceptionGroup"}


def reversible(rig: Rig, **members: Any) -> None:
    """Alice's password is kept so that it can be read back."""
    rig.state.directory.users[0].update(isPasswordReversible=True, **members)


def answers(rig: Rig, way: str, password: str = PASSWORD, name: str = "alice") -> bytes:
    return sasl.WAYS[way](rig.greeted(), name, password)


def capabilities(wire: Wire) -> set[str]:
    return set(wire.ok(b"CAPABILITY")[0].decode().split())


def methods(wire: Wire) -> set[str]:
    return {word.removeprefix("AUTH=") for word in capabilities(wire) if word.startswith("AUTH=")}


def test_imap_110_this_client_computes_the_example_of_rfc_2831() -> None:
    given = {"username": "chris", "realm": "elwood.innosoft.com", "nonce": "OA6MG9tEQGm2hh", "nc": "00000001"}
    given |= {"cnonce": "OA6MHXh6VqTrRk", "digest-uri": "imap/elwood.innosoft.com"}
    assert sasl.digest_value(given, "secret") == "d388dad90d4bbd760a152321f2143af7"
    assert sasl.digest_value(given, "secret", "") == "ea40f60335c427b5527b84dbabcdfffd"


def test_imap_111_digest_md5_byte_for_byte(rig: Rig) -> None:
    reversible(rig)
    wire = rig.greeted()
    challenge = sasl.begin(wire, "DIGEST-MD5")
    form = rb'realm="example\.com",nonce="[0-9a-f]{32}",qop="auth",charset=utf-8,algorithm=md5-sess'
    assert re.fullmatch(form, challenge)
    wire.send(b"*\r\n")
    assert wire.until(b"t")[-1].startswith(b"t BAD ")
    assert sasl.digest(wire, "alice", PASSWORD) == b"t OK AUTHENTICATE completed\r\n"
    wire.ok(b"SELECT INBOX")
    assert [(one["method"], one["ok"]) for one in rig.logins()] == [("DIGEST-MD5", True)]
    other = sasl.offered(sasl.begin(rig.greeted(), "DIGEST-MD5"))
    assert other["nonce"].encode() not in challenge


@pytest.mark.parametrize("members", [
    {"isPasswordReversible": False},
    {"isPasswordReversible": True, "authType": "UKerberosAuth"},
    {"isPasswordReversible": True, "itemSource": "DSLDAPSource"},
])  # fmt: skip
def test_imap_112_md5_methods_refuse_sha_and_directory_where_plain_accepts(rig: Rig, members: dict[str, Any]) -> None:
    reversible(rig)
    for way in sasl.WAYS:
        assert answers(rig, way).startswith(b"t OK "), way
    rig.state.directory.users[0].update(members)
    for way in sasl.HASHED:
        assert answers(rig, way).startswith(b"t NO AUTHENTICATE "), way
        assert rig.logins()[-1]["cause"] == "method"
    for way in sasl.CLEAR:
        assert answers(rig, way).startswith(b"t OK "), way


@pytest.mark.parametrize(("changed", "answer"), [
    ({"nonce": "elsewhere"}, b"t BAD "), ({"nc": "00000002"}, b"t BAD "), ({"qop": "auth-int"}, b"t BAD "),
    ({"realm": "example.org"}, b"t BAD "), ({"digest_uri": "smtp/localhost"}, b"t BAD "), ({"cnonce": ""}, b"t BAD "),
    ({"username": "nobody"}, b"t NO AUTHENTICATE "), ({"username": "bob"}, b"t NO AUTHENTICATE "),
    ({"qop": ""}, b"t OK "), ({"charset": ""}, b"t OK "), ({"username": "alice@example.com"}, b"t OK "),
])  # fmt: skip
def test_imap_113_answers_to_digest_md5(rig: Rig, changed: dict[str, str], answer: bytes) -> None:
    reversible(rig)
    wire = rig.greeted()
    given = sasl.digest_begin(wire, "alice", **changed)
    assert sasl.digest_end(wire, given, PASSWORD).startswith(answer)
    assert (rig.logins() == []) is answer.startswith(b"t BAD ")  # which is no attempt


@pytest.mark.parametrize(("switch", "realm"), [("domain", "example.com"), ("hostname", "mail.example.com"), ("none", "")])
def test_imap_114_realm_of_digest_md5(rig: Rig, switch: str, realm: str) -> None:
    reversible(rig)
    rig.switch(digest_realm=switch)
    for name in ("alice", "alice@example.com"):
        wire = rig.greeted()
        given = sasl.digest_begin(wire, name)
        assert given.get("realm", "") == realm
        assert sasl.digest_end(wire, given, PASSWORD).startswith(b"t OK ")


@pytest.mark.parametrize("password", ['p\u00e4ssw\u00f6rd: \\"x', "\u043f\u0430\u0440\u043e\u043b\u044c", " "])
def test_imap_115_passwords_of_any_characters(rig: Rig, password: str) -> None:
    reversible(rig, password=password)
    for way in set(sasl.WAYS) - {"command"}:
        assert answers(rig, way, password).startswith(b"t OK "), way
        assert answers(rig, way, password + "x").startswith(b"t NO "), way
    secret = password.encode()
    wire = rig.greeted()
    wire.send(b"t LOGIN alice {%d}\r\n" % len(secret))
    assert wire.line().startswith(b"+ ")
    wire.send(secret, b"\r\n")
    assert wire.until(b"t")[-1].startswith(b"t OK ")


# -- the security policy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("switch", ["hidden", "shown"])
@pytest.mark.parametrize(("mode", "bare"), BARE)
def test_imap_116_methods_follow_the_policy_and_tls(rig: Rig, mode: str, bare: set[str], switch: str) -> None:
    rig.options("SecurityPolicy")["mode"] = mode
    rig.switch(refused_methods=switch)
    wire = rig.greeted()
    assert methods(wire) == (bare if switch == "hidden" else ALL)
    assert ("LOGINDISABLED" in capabilities(wire)) is (switch == "hidden" and bare != ALL)
    wire.ok(b"STARTTLS")
    wire.starttls(rig.client_tls)
    assert methods(wire) == ALL
    assert "LOGINDISABLED" not in capabilities(wire)
    for method in rig.options("SecurityPolicy")["authenticationMethods"]:
        method["enabled"] = method["value"] in ("PLAIN", "NTLM")
    assert methods(wire) == {"PLAIN"}


@pytest.mark.parametrize("switch", ["hidden", "shown"])
@pytest.mark.parametrize(("mode", "bare"), BARE)
def test_imap_117_what_the_policy_withholds_is_refused_before_the_secret(
    rig: Rig, mode: str, bare: set[str], switch: str
) -> None:
    reversible(rig)
    rig.switch(refused_methods=switch)
    rig.options("SecurityPolicy")["mode"] = mode
    for name in ALL:
        if name in bare:
            assert answers(rig, name).startswith(b"t OK "), name
        else:
            assert rig.greeted().ask(b"AUTHENTICATE " + name.encode())[-1].startswith(b"t NO AUTHENTICATE "), name
            assert rig.logins()[-1] | {"connection": ""} == {
                "connection": "", "ip": "127.0.0.1", "name": "", "method": name, "ok": False, "tls": False, "cause": "encryption",
            }  # fmt: skip
    assert answers(rig, "command").startswith(b"t OK" if "LOGIN" in bare else b"t NO LOGIN ")
    rig.master()
    assert master(rig.greeted()).startswith(b"a NO" if mode == "SPEncryptionRequired" else b"a OK")
    secure = rig.wire(rig.imaps, rig.client_tls)
    secure.line()
    assert sasl.plain(secure, "alice", PASSWORD).startswith(b"t OK ")


@pytest.mark.parametrize("mode", MODES[1:])
def test_imap_118_excepted_addresses_need_no_tls(rig: Rig, mode: str) -> None:
    policy = rig.options("SecurityPolicy")
    policy["mode"] = mode
    group = rig.group("127.0.0.1")
    for place in EXCEPTIONS.values():
        policy[place] = {"enabled": place == EXCEPTIONS[mode], "id": group, "name": ""}
    assert methods(rig.greeted()) == ALL
    assert answers(rig, "command").startswith(b"t OK ")
    other = rig.wire(source="127.0.0.2")
    other.line()
    assert methods(other) == (MD5 if mode == MODES[1] else set())


@pytest.mark.parametrize("announced", [False, True])
def test_imap_119_ntlm_is_a_name_only(rig: Rig, announced: bool) -> None:
    rig.switch(ntlm_announced=announced)
    wire = rig.greeted()
    assert ("NTLM" in methods(wire)) is announced
    if announced:
        sasl.begin(wire, "NTLM")
        sasl.respond(wire, b"NTLMSSP\0")
        assert wire.until(b"t")[-1].startswith(b"t NO AUTHENTICATE ")
    else:
        assert wire.ask(b"AUTHENTICATE NTLM") == [b"t BAD AUTHENTICATE Unknown authentication method\r\n"]


# -- what is sent ---------------------------------------------------------------------------------------------------

INITIAL = b"AGFsaWNlAG5vdC1hLXNlY3JldC1hbGljZQ=="  # alice and her password


@pytest.mark.parametrize(("position", "answer"), [("typical", b"t BAD "), ("rich", b"t OK "), ("IMAP4rev1 SASL-IR", b"t OK ")])
def test_imap_120_an_initial_response_needs_sasl_ir(rig: Rig, position: str, answer: bytes) -> None:
    rig.switch(capabilities=position)
    assert rig.greeted().ask(b"AUTHENTICATE PLAIN " + INITIAL)[-1].startswith(answer)
    assert rig.greeted().ask(b"AUTHENTICATE CRAM-MD5 " + INITIAL)[-1].startswith(b"t BAD ")  # the server speaks first


@pytest.mark.parametrize(("switch", "position", "waits", "plus"), [
    ("accept", "typical", True, True), ("accept", "minimal", True, False),
    ("refuse", "typical", False, False), ("refuse", "minimal", False, False),
])  # fmt: skip
def test_imap_121_literals_in_login(rig: Rig, switch: str, position: str, waits: bool, plus: bool) -> None:
    rig.switch(login_literals=switch, capabilities=position)
    wire = rig.greeted()
    wire.send(b"t LOGIN {5+}\r\nalice {18+}\r\n" + PASSWORD.encode() + b"\r\n")
    assert wire.until(b"t")[-1].startswith(b"t OK " if plus else b"t BAD ")
    other = wire if not plus else rig.greeted()  # what was not taken was swallowed: the connection goes on
    other.send(b"u LOGIN alice {18}\r\n")
    line = other.line()
    assert line.startswith(b"+ " if waits else b"u BAD ")
    if waits:
        other.send(PASSWORD.encode() + b"\r\n")
        assert other.until(b"u")[-1].startswith(b"u OK ")
    else:
        assert sasl.command(other, "alice", PASSWORD).startswith(b"t OK ")


# -- refusals -------------------------------------------------------------------------------------------------------

CAUSES = {"disabled": b"disabled", "locked": b"locked", "method": b"method"}


def _cause(rig: Rig, cause: str) -> str:
    """Make alice's account such; the way to log in."""
    if cause == "disabled":
        rig.state.directory.users[0]["isEnabled"] = False
    elif cause == "locked":
        rig.options("SecurityPolicy").update(enableLockout=True, failedLoginsToLock=1)
        answers(rig, "PLAIN", "wrong")
    return "CRAM-MD5" if cause == "method" else "PLAIN"


@pytest.mark.parametrize("switch", ["same", "telling"])
@pytest.mark.parametrize("cause", list(CAUSES))
def test_imap_122_words_of_a_refusal(rig: Rig, cause: str, switch: str) -> None:
    rig.switch(refusal_words=switch)
    wrong = answers(rig, "PLAIN", "wrong", "bob")
    assert wrong.startswith(b"t NO AUTHENTICATE ")
    refusal = answers(rig, _cause(rig, cause))
    assert (CAUSES[cause] in refusal) is (switch == "telling")
    assert (refusal == wrong) is (switch == "same")
    assert rig.logins()[-1]["cause"] == cause


@pytest.mark.parametrize("way", list(sasl.WAYS))
def test_imap_123_disabled_and_locked_accounts_are_refused_every_way(rig: Rig, way: str) -> None:
    reversible(rig)
    rig.state.directory.users[0]["isEnabled"] = False
    assert answers(rig, way).startswith(b"t NO ")
    reversible(rig, isEnabled=True)
    rig.options("SecurityPolicy").update(enableLockout=True, failedLoginsToLock=2)
    assert answers(rig, way).startswith(b"t OK ")
    for _ in range(2):
        assert answers(rig, way, "wrong").startswith(b"t NO ")
    assert answers(rig, way).startswith(b"t NO ")
    assert rig.logins()[-1]["cause"] == "locked"


@pytest.mark.parametrize("most", [0, 3])
def test_imap_124_refusals_on_one_connection(rig: Rig, most: int) -> None:
    rig.switch(refusals_per_connection=most)
    wire = rig.greeted()
    for _ in range(3):
        assert sasl.command(wire, "alice", "wrong").startswith(b"t NO LOGIN ")
    if most:
        assert wire.line() == b""
    else:
        assert sasl.command(wire, "alice", PASSWORD).startswith(b"t OK ")


def test_imap_126_a_refusal_may_come_late_and_keeps_nobody_else_waiting(rig: Rig) -> None:
    rig.switch(refusal_delay=60.0)
    wire = rig.greeted()
    wire.send(b"t LOGIN alice wrong\r\n")
    assert answers(rig, "command").startswith(b"t OK ")
    assert rig.logins()[0]["ok"] is False  # refused, and not told yet
    wire.link.settimeout(0)
    with pytest.raises(BlockingIOError):
        wire.link.recv(1)


def test_imap_125_the_log_tells_passwords_that_crossed_a_bare_connection(rig: Rig) -> None:
    reversible(rig)
    assert answers(rig, "PLAIN").startswith(b"t OK ")
    assert answers(rig, "CRAM-MD5").startswith(b"t OK ")
    wire = rig.greeted()
    wire.ok(b"STARTTLS")
    wire.starttls(rig.client_tls)
    assert sasl.command(wire, "alice", PASSWORD).startswith(b"t OK ")
    clear = [one["method"] for one in rig.logins() if not one["tls"] and one["method"] in ("PLAIN", "LOGIN")]
    assert clear == ["PLAIN"]
    assert len(rig.logins()) == 3
