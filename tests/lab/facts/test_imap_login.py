# SPDX-License-Identifier: GPL-3.0-or-later
"""Greeting, ID, capabilities and logins of users: sheet 3.1, 3.4, 2.9."""

from __future__ import annotations

import base64
import imaplib
import socket
from pathlib import Path

import pytest

from tests.lab.facts import sasl
from tests.lab.facts.imap_rig import Rig


def test_imap_001_greeting_names_program_and_version(rig: Rig) -> None:
    rig.options("AdvancedOptions")["miscellaneous"]["showProgramNameAndVersion"] = True
    rig.restart()
    assert rig.wire().line() == b"* OK Kerio Connect 10.0.8 IMAP4rev1 server ready\r\n"


def test_imap_002_greeting_without_version(rig: Rig) -> None:
    rig.options("AdvancedOptions")["miscellaneous"]["showProgramNameAndVersion"] = False
    assert b"Kerio Connect" in rig.wire().line()  # until the restart
    rig.restart()
    assert rig.wire().line() == b"* OK IMAP4rev1 server ready\r\n"


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        (True, b'* ID ("name" "Kerio Connect" "version" " 10.0.8 ")\r\n'),
        (False, b'* ID ("name" "Kerio Connect")\r\n'),
    ],
)
def test_imap_003_id_pads_the_version_with_blanks(rig: Rig, shown: bool, answer: bytes) -> None:
    rig.options("AdvancedOptions")["miscellaneous"]["showProgramNameAndVersion"] = shown
    rig.restart()
    assert rig.greeted().ask(b'ID ("name" "test")') == [answer, b"t OK ID completed\r\n"]
    assert rig.login().ask(b"ID NIL") == [answer, b"t OK ID completed\r\n"]


def test_imap_004_login_completes_with_the_short_name_in_the_primary_domain(rig: Rig) -> None:
    assert rig.greeted().ask(b"LOGIN alice not-a-secret-alice") == [b"t OK LOGIN completed\r\n"]


def test_imap_005_login_with_the_full_address(rig: Rig) -> None:
    assert rig.greeted().ask(b'LOGIN "alice@example.com" "not-a-secret-alice"') == [b"t OK LOGIN completed\r\n"]


def test_imap_006_failed_login_is_no_and_the_connection_stays(rig: Rig) -> None:
    wire = rig.greeted()
    assert wire.ask(b"LOGIN alice wrong")[-1].startswith(b"t NO LOGIN ")
    assert wire.ask(b"LOGIN alice not-a-secret-alice")[-1] == b"t OK LOGIN completed\r\n"


def test_imap_007_further_addresses_and_aliases_are_no_logins(rig: Rig) -> None:
    for name in (b"a.angstrom", b"info", b"sales@example.com", b"nobody"):
        assert rig.greeted().ask(b"LOGIN " + name + b" not-a-secret-alice")[-1].startswith(b"t NO LOGIN ")


def test_imap_008_disabled_user_cannot_log_in(rig: Rig) -> None:
    rig.state.directory.users[0]["isEnabled"] = False
    assert rig.greeted().ask(b"LOGIN alice not-a-secret-alice")[-1].startswith(b"t NO LOGIN ")


def test_imap_009_password_as_literal_of_both_kinds(rig: Rig) -> None:
    wire = rig.greeted()
    wire.send(b"t LOGIN alice {18}\r\n")
    assert wire.line().startswith(b"+ ")
    wire.send(b"not-a-secret-alice\r\n")
    assert wire.until(b"t") == [b"t OK LOGIN completed\r\n"]
    other = rig.greeted()
    other.send(b"t LOGIN {5+}\r\nalice {18+}\r\nnot-a-secret-alice\r\n")
    assert other.until(b"t") == [b"t OK LOGIN completed\r\n"]


def _plain(wire_text: bytes) -> bytes:
    return base64.b64encode(b"\0" + wire_text)


def test_imap_010_authenticate_plain(rig: Rig) -> None:
    wire = rig.greeted()
    wire.send(b"t AUTHENTICATE PLAIN\r\n")
    assert wire.line() == b"+ \r\n"
    wire.send(_plain(b"alice\0not-a-secret-alice"), b"\r\n")
    assert wire.until(b"t") == [b"t OK AUTHENTICATE completed\r\n"]
    bad = rig.greeted()
    bad.send(b"t AUTHENTICATE PLAIN\r\n", _plain(b"alice\0wrong"), b"\r\n")
    assert bad.until(b"t")[-1].startswith(b"t NO AUTHENTICATE ")


def test_imap_011_cram_md5_works_only_with_reversible_passwords(rig: Rig) -> None:
    assert sasl.cram(rig.greeted(), "alice", "not-a-secret-alice").startswith(b"t NO ")
    rig.state.directory.users[0]["isPasswordReversible"] = True
    assert sasl.cram(rig.greeted(), "alice", "not-a-secret-alice").startswith(b"t OK ")
    assert sasl.cram(rig.greeted(), "alice", "wrong").startswith(b"t NO ")


def test_imap_012_switched_off_method_is_unknown_and_not_announced(rig: Rig) -> None:
    assert b" AUTH=CRAM-MD5" in rig.greeted().ok(b"CAPABILITY")[0]
    for method in rig.options("SecurityPolicy")["authenticationMethods"]:
        method["enabled"] = method["value"] != "CRAM-MD5"
    wire = rig.greeted()
    assert b"CRAM-MD5" not in wire.ok(b"CAPABILITY")[0]
    assert wire.ask(b"AUTHENTICATE CRAM-MD5") == [b"t BAD AUTHENTICATE Unknown authentication method\r\n"]


@pytest.mark.parametrize(
    ("position", "listed", "hidden"),
    [
        ("minimal", {"IMAP4rev1"}, {"UIDPLUS", "LIST-STATUS", "CONDSTORE", "LITERAL+", "MOVE"}),
        ("typical", {"IMAP4rev1", "UIDPLUS", "LITERAL+", "IDLE", "SPECIAL-USE"}, {"LIST-STATUS", "CONDSTORE", "MOVE"}),
        ("rich", {"UIDPLUS", "LIST-STATUS", "CONDSTORE", "QRESYNC", "MOVE", "LITERAL+"}, {"COMPRESS=DEFLATE"}),
        ("IMAP4rev1 XFOO", {"XFOO"}, {"UIDPLUS"}),
    ],
)
def test_imap_013_capabilities_follow_the_switch(rig: Rig, position: str, listed: set[str], hidden: set[str]) -> None:
    rig.switch(capabilities=position)
    for wire in (rig.greeted(), rig.login()):
        words = set(wire.ok(b"CAPABILITY")[0].decode().split())
        assert listed <= words
        assert not hidden & words


def test_imap_014_starttls_upgrades_and_is_no_longer_offered(rig: Rig) -> None:
    wire = rig.greeted()
    assert b" STARTTLS" in wire.ok(b"CAPABILITY")[0]
    wire.ok(b"STARTTLS")
    wire.starttls(rig.client_tls)
    assert b"STARTTLS" not in wire.ok(b"CAPABILITY")[0]
    wire.ok(b"LOGIN alice not-a-secret-alice")
    assert rig.logins()[-1]["tls"] is True


def test_imap_015_imaps_is_encrypted_from_the_first_byte(rig: Rig) -> None:
    wire = rig.wire(rig.imaps, rig.client_tls)
    assert wire.line().startswith(b"* OK ")
    wire.ok(b"LOGIN alice not-a-secret-alice")
    wire.ok(b"SELECT INBOX")


def test_imap_016_encryption_required_refuses_plain_logins(rig: Rig) -> None:
    rig.options("SecurityPolicy")["mode"] = "SPEncryptionRequired"
    wire = rig.greeted()
    assert b"LOGINDISABLED" in wire.ok(b"CAPABILITY")[0]
    assert wire.ask(b"LOGIN alice not-a-secret-alice")[-1].startswith(b"t NO LOGIN ")
    secure = rig.wire(rig.imaps, rig.client_tls)
    secure.line()
    secure.ok(b"LOGIN alice not-a-secret-alice")


def test_imap_017_anti_hammering_closes_new_connections_of_that_address_only(rig: Rig) -> None:
    hammering = rig.options("SecurityPolicy")["antiHammering"]
    hammering.update(isEnabled=True, failedLoginsToBlock=2, minutesToBlock=5)
    wire = rig.wire(source="127.0.0.2")
    wire.line()
    for _ in range(2):
        assert wire.ask(b"LOGIN alice wrong")[-1].startswith(b"t NO")
    assert rig.wire(source="127.0.0.2").line() == b""
    assert rig.wire(source="127.0.0.3").line().startswith(b"* OK")


def test_imap_018_lockout_refuses_the_right_password(rig: Rig) -> None:
    rig.options("SecurityPolicy").update(enableLockout=True, failedLoginsToLock=2, minutesToUnlock=5)
    wire = rig.greeted()
    for _ in range(2):
        wire.ask(b"LOGIN alice wrong")
    assert wire.ask(b"LOGIN alice not-a-secret-alice")[-1].startswith(b"t NO LOGIN ")
    assert wire.ask(b"LOGIN bob not-a-secret-bob")[-1].startswith(b"t OK LOGIN ")


def test_imap_019_stopped_service_serves_nobody(rig: Rig) -> None:
    rig.state.service("IMAP")["isRunning"] = False
    assert rig.wire().line() == b""


def test_imap_020_service_group_restricts_by_address(rig: Rig) -> None:
    group = rig.group("127.0.0.9")
    rig.state.service("IMAP")["group"].update(isUsed=True, ipGroup={"id": group, "name": "Under test"})
    assert rig.wire(source="127.0.0.8").line() == b""
    assert rig.wire(source="127.0.0.9").line().startswith(b"* OK")


def test_imap_021_commands_of_other_states_are_bad(rig: Rig) -> None:
    wire = rig.greeted()
    assert wire.ask(b"SELECT INBOX")[-1].startswith(b"t BAD ")
    wire.ok(b"LOGIN alice not-a-secret-alice")
    assert wire.ask(b"LOGIN alice not-a-secret-alice")[-1].startswith(b"t BAD ")
    assert wire.ask(b"FROBNICATE")[-1].startswith(b"t BAD ")


def test_imap_022_logins_and_commands_are_written_down_without_secrets(rig: Rig) -> None:
    wire = rig.greeted()
    wire.ask(b"LOGIN alice wrong-not-a-secret")
    wire.ok(b"LOGIN alice not-a-secret-alice")
    wire.ok(b"EXAMINE INBOX")
    assert [(one["name"], one["ok"]) for one in rig.logins()] == [("alice", False), ("alice@example.com", True)]
    commands = rig.commands()
    assert [one["command"] for one in commands] == ["LOGIN", "LOGIN", "EXAMINE"]
    assert commands[-1]["user"] == "alice@example.com"
    assert "not-a-secret" not in (rig.folder / "imap-commands.jsonl").read_text()


def test_imap_023_logout_says_bye_before_and_after_login(rig: Rig) -> None:
    for wire in (rig.greeted(), rig.login()):
        lines = wire.ask(b"LOGOUT")
        assert lines[0].startswith(b"* BYE ")
        assert lines[-1].startswith(b"t OK ")
        assert wire.line() == b""


def test_imap_024_connection_breaks_after_so_many_commands(rig: Rig) -> None:
    rig.switch(drop_after_commands=3)
    wire = rig.login()
    wire.ok(b"NOOP")
    wire.ok(b"NOOP")
    with pytest.raises((AssertionError, ConnectionError)):
        wire.ok(b"NOOP")


def test_imap_025_the_standard_client_works_throughout(rig: Rig) -> None:
    with imaplib.IMAP4("127.0.0.1", rig.imap) as client:
        client.login("alice", "not-a-secret-alice")
        assert client.append("INBOX", "(\\Seen)", None, b"Subject: x\r\n\r\nbody\r\n")[0] == "OK"
        assert client.select()[1] == [b"1"]
        row = client.fetch("1", "(BODY.PEEK[])")[1][0]
        assert isinstance(row, tuple)
        assert row[1] == b"Subject: x\r\n\r\nbody\r\n"


def test_imap_026_dovecot_listens_on_loopback_and_refuses_user_passwords(rig: Rig) -> None:
    rig.login()
    user = rig.state.find_user("alice")
    assert user is not None
    with imaplib.IMAP4("127.0.0.1", rig.backend.port) as client:
        for name, password in (("alice@example.com", user.password), ("alice", "")):
            with pytest.raises(imaplib.IMAP4.error):
                client.login(name, password)
    table = Path("/proc/net/tcp").read_text(encoding="ascii")
    listening = [line.split()[1] for line in table.splitlines()[1:] if line.split()[3] == "0A"]
    ports = [one for one in listening if int(one.partition(":")[2], 16) == rig.backend.port]
    assert [socket.inet_ntoa(bytes.fromhex(one[:8])[::-1]) for one in ports] == ["127.0.0.1"]


def test_imap_027_connections_end_with_the_server(rig: Rig) -> None:
    wires = [rig.greeted(), rig.login()]
    wires[1].ok(b"SELECT INBOX")
    rig.stop()
    assert [wire.line() for wire in wires] == [b"", b""]
