# SPDX-License-Identifier: GPL-3.0-or-later
"""X-MASTERAUTH and X-SETUSER byte for byte, and every form of refusal: sheet 3.2."""

from __future__ import annotations

import re

import pytest

from tests.lab.facts.imap_rig import MASTER, Rig, Wire
from tests.lab.facts.masterauth import master, md5


def test_imap_030_exchange_byte_for_byte(rig: Rig) -> None:
    rig.master()
    wire = rig.greeted()
    wire.send(b"a X-MASTERAUTH\r\n")
    challenge = re.fullmatch(rb"\+ (\S+)\r\n", wire.line())
    assert challenge
    wire.send(md5(challenge[1] + MASTER.encode()) + b"\r\n")
    assert wire.line() == b"a OK X-MASTERAUTH Welcome to server, master\r\n"
    wire.send(b'b X-SETUSER "alice"\r\n')
    assert wire.line() == b"b OK X-SETUSER completed\r\n"
    wire.ok(b"SELECT INBOX")


def test_imap_031_challenges_differ(rig: Rig) -> None:
    rig.master()
    challenges = set()
    for _ in range(3):
        wire = rig.greeted()
        wire.send(b"a X-MASTERAUTH\r\n")
        challenges.add(wire.line())
    assert len(challenges) == 3


def test_imap_032_wrong_password_is_refused_and_the_state_stays(rig: Rig) -> None:
    rig.master()
    wire = rig.greeted()
    assert master(wire, "wrong") == b"a NO X-MASTERAUTH failed\r\n"
    assert wire.ask(b"X-SETUSER alice")[-1].startswith(b"t BAD ")
    assert master(wire) == b"a OK X-MASTERAUTH Welcome to server, master\r\n"


def test_imap_033_digest_must_be_lower_case(rig: Rig) -> None:
    rig.master()
    wire = rig.greeted()
    wire.send(b"a X-MASTERAUTH\r\n")
    challenge = wire.line()[2:].strip()
    wire.send(md5(challenge + MASTER.encode()).upper(), b"\r\n")
    assert wire.line() == b"a NO X-MASTERAUTH failed\r\n"


@pytest.mark.parametrize("argument", [b"alice", b'"alice"', b"alice@example.com", b'"ALICE@example.com"', b"{5+}\r\nalice"])
def test_imap_034_setuser_takes_bare_and_quoted_names(rig: Rig, argument: bytes) -> None:
    rig.master()
    wire = rig.greeted()
    master(wire)
    assert wire.ask(b"X-SETUSER " + argument) == [b"t OK X-SETUSER completed\r\n"]
    assert rig.logins()[-1]["name"] == "alice@example.com"


@pytest.mark.parametrize("name", [b"nobody", b"alice@elsewhere.example", b"info", b'""'])
def test_imap_035_unknown_user_is_no_and_another_may_be_tried(rig: Rig, name: bytes) -> None:
    rig.master()
    wire = rig.greeted()
    master(wire)
    assert wire.ask(b"X-SETUSER " + name)[-1].startswith(b"t NO ")
    assert wire.ask(b"X-SETUSER bob") == [b"t OK X-SETUSER completed\r\n"]


@pytest.mark.parametrize(("switch", "answer", "examined"), [("no", b"t NO ", b"t BAD "), ("accept", b"t OK ", b"t OK ")])
def test_imap_048_a_master_at_a_disabled_account(rig: Rig, switch: str, answer: bytes, examined: bytes) -> None:
    rig.switch(disabled_setuser=switch)
    rig.master()
    rig.state.directory.users[0]["isEnabled"] = False
    wire = rig.greeted()
    master(wire)
    assert wire.ask(b"X-SETUSER alice")[-1].startswith(answer)
    assert wire.ask(b"EXAMINE INBOX")[-1].startswith(examined)
    assert rig.greeted().ask(b"LOGIN alice not-a-secret-alice")[-1].startswith(b"t NO ")


def test_imap_036_setuser_needs_the_master(rig: Rig) -> None:
    rig.master()
    assert rig.greeted().ask(b"X-SETUSER alice")[-1].startswith(b"t BAD ")
    assert rig.login().ask(b"X-SETUSER bob")[-1].startswith(b"t BAD ")


def test_imap_037_authenticate_with_this_name_is_unknown(rig: Rig) -> None:
    rig.master()
    assert rig.greeted().ask(b"AUTHENTICATE X-MASTERAUTH") == [b"t BAD AUTHENTICATE Unknown authentication method\r\n"]


def _cause(rig: Rig, cause: str) -> None:
    if cause == "disabled":
        rig.master(enabled=False)
    elif cause == "address":
        rig.master(group=rig.group("127.0.0.77"))
    else:
        rig.master(password="not-a-secret-other-master")


def _form(wire: Wire) -> str:
    line = master(wire)
    for form, start in (("no", b"a NO X-MASTERAUTH failed"), ("bad", b"a BAD "), ("bye", b"* BYE ")):
        if line.startswith(start):
            closed = form == "bye" and wire.line() == b""
            return form if form != "bye" or closed else "bye without close"
    return "close" if line == b"" else repr(line)


@pytest.mark.parametrize("form", ["no", "bad", "bye", "close"])
@pytest.mark.parametrize("cause", ["disabled", "address", "password"])
def test_imap_038_refusal_has_the_form_of_the_switch(rig: Rig, cause: str, form: str) -> None:
    _cause(rig, cause)
    rig.switch(master_refusal=form)
    assert _form(rig.greeted()) == form
    assert rig.logins()[-1]["cause"] == cause


BY_CAUSE = {"disabled": "master_refusal_disabled", "address": "master_refusal_address", "password": "master_refusal_password"}


@pytest.mark.parametrize("form", ["no", "bad", "bye", "close"])
@pytest.mark.parametrize("cause", BY_CAUSE)
def test_imap_039_form_can_differ_by_cause(rig: Rig, cause: str, form: str) -> None:
    other = "no" if form == "close" else "close"
    rig.switch(**{"master_refusal": other, **dict.fromkeys(BY_CAUSE.values(), other), BY_CAUSE[cause]: form})
    _cause(rig, cause)
    assert _form(rig.greeted()) == form


def test_imap_040_group_admits_by_address(rig: Rig) -> None:
    rig.master(group=rig.group("127.0.0.5", "127.0.0.6"))
    for source, admitted in (("127.0.0.5", True), ("127.0.0.6", True), ("127.0.0.7", False)):
        wire = rig.wire(source=source)
        wire.line()
        assert (master(wire) == b"a OK X-MASTERAUTH Welcome to server, master\r\n") is admitted


@pytest.mark.parametrize(("position", "admitted"), [("everyone", True), ("nobody", False)])
def test_imap_041_empty_group_restriction_follows_the_switch(rig: Rig, position: str, admitted: bool) -> None:
    rig.switch(empty_group_restriction=position)
    rig.master(group="")
    assert master(rig.greeted()).startswith(b"a OK" if admitted else b"a NO")


def test_imap_042_no_password_set_is_as_disabled(rig: Rig) -> None:
    rig.master(password="")
    wire = rig.greeted()
    wire.send(b"a X-MASTERAUTH\r\n")
    assert wire.line() == b"a NO X-MASTERAUTH failed\r\n"


@pytest.mark.parametrize("shown", [False, True])
def test_imap_043_advertised_only_by_switch(rig: Rig, shown: bool) -> None:
    rig.master()
    rig.switch(master_advertised=shown)
    assert (b"X-MASTERAUTH" in rig.greeted().ok(b"CAPABILITY")[0]) is shown


@pytest.mark.parametrize("position", ["no", "accept"])
def test_imap_044_second_setuser_on_a_connection(rig: Rig, position: str) -> None:
    rig.master()
    rig.switch(second_setuser=position)
    with rig.loader("bob") as loader:
        loader.create("Bob's folder")
    wire = rig.greeted()
    master(wire)
    wire.ok(b"X-SETUSER alice")
    wire.ok(b"SELECT INBOX")
    answer = wire.ask(b"X-SETUSER bob")[-1]
    assert answer.startswith(b"t NO " if position == "no" else b"t OK ")
    names = b"".join(wire.ok(b'LIST "" "*"'))
    assert (b"Bob's folder" in names) is (position == "accept")


@pytest.mark.parametrize("counts", [True, False])
def test_imap_045_wrong_digest_counts_for_anti_hammering_by_switch(rig: Rig, counts: bool) -> None:
    rig.master()
    rig.switch(master_failure_counts=counts)
    rig.options("SecurityPolicy")["antiHammering"].update(isEnabled=True, failedLoginsToBlock=2, minutesToBlock=5)
    for _ in range(2):
        wire = rig.wire(source="127.0.0.4")
        wire.line()
        assert master(wire, "wrong") == b"a NO X-MASTERAUTH failed\r\n"
    assert (rig.wire(source="127.0.0.4").line() == b"") is counts


def test_imap_046_works_under_tls(rig: Rig) -> None:
    rig.master()
    wire = rig.wire(rig.imaps, rig.client_tls)
    wire.line()
    assert master(wire).startswith(b"a OK")
    wire.ok(b"X-SETUSER alice")
    assert rig.logins()[-1] | {"connection": ""} == {
        "connection": "",
        "ip": "127.0.0.1",
        "name": "alice@example.com",
        "method": "X-MASTERAUTH",
        "ok": True,
        "tls": True,
        "cause": "",
    }


def test_imap_047_pipelined_after_setuser(rig: Rig) -> None:
    rig.master()
    with rig.loader() as loader:
        loader.create("Later")
    wire = rig.greeted()
    master(wire)
    wire.send(b"b X-SETUSER alice\r\nc EXAMINE Later\r\nd NOOP\r\ne UID SEARCH ALL\r\n")
    for tag in (b"b", b"c", b"d", b"e"):
        assert wire.until(tag)[-1].startswith(tag + b" OK")
