# SPDX-License-Identifier: GPL-3.0-or-later
"""The security policy's methods and what they mean to IMAP (sheet 2.9, 3.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.facts.imap_rig import Rig
from tests.lab.facts.plain import Plain
from tests.lab.fixtures import LabServer


def methods(client: Plain) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.result("SecurityPolicy.get")["options"]["authenticationMethods"]
    return found


def test_api_160_exact_strings_of_the_methods_are_the_servers_own(server: LabServer, client: Plain) -> None:
    server.set_switches(auth_methods="APOP, cram_md5, PLAIN, LOGIN")
    assert [m["value"] for m in methods(client)] == ["APOP", "cram_md5", "PLAIN", "LOGIN"]
    off = [{"enabled": False, "value": "cram_md5"}, {"enabled": True, "value": "PLAIN"}, {"enabled": False, "value": "LOGIN"}]
    client.result("SecurityPolicy.set", {"options": {"authenticationMethods": off}})
    assert {m["value"]: m["enabled"] for m in methods(client)} == {
        "APOP": True, "cram_md5": False, "PLAIN": True, "LOGIN": False,
    }  # fmt: skip
    # a name that the server does not know changes nothing, and its own comes back enabled
    client.result("SecurityPolicy.set", {"options": {"authenticationMethods": [{"enabled": False, "value": "CRAM-MD5"}]}})
    assert all(m["enabled"] for m in methods(client))
    assert "CRAM-MD5" not in [m["value"] for m in methods(client)]


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_api_161_a_disabled_method_is_refused_by_imap(rig: Rig, name: str) -> None:
    for method in rig.options("SecurityPolicy")["authenticationMethods"]:
        method["enabled"] = method["value"] != name
    wire = rig.greeted()
    assert f"AUTH={name}".encode() not in wire.ok(b"CAPABILITY")[0].split()
    assert wire.ask(b"AUTHENTICATE " + name.encode()) == [b"t BAD AUTHENTICATE Unknown authentication method\r\n"]


def test_api_162_however_the_list_spells_it(rig: Rig) -> None:
    rig.switch(auth_methods="cram_md5,PLAIN,LOGIN")
    rig.options("SecurityPolicy")["authenticationMethods"] = [{"enabled": False, "value": "cram_md5"}]
    words = rig.greeted().ok(b"CAPABILITY")[0].split()
    assert b"AUTH=CRAM-MD5" not in words
    assert {b"AUTH=PLAIN", b"AUTH=LOGIN"} < set(words)
    rig.options("SecurityPolicy")["authenticationMethods"] = [{"enabled": True, "value": "cram_md5"}]
    assert b"AUTH=CRAM-MD5" in rig.greeted().ok(b"CAPABILITY")[0].split()


@pytest.mark.parametrize(
    ("switch", "disabled", "works"),
    [
        ("always", "LOGIN", True),
        ("as_login", "LOGIN", False),
        ("as_login", "PLAIN", True),
        ("as_plain", "PLAIN", False),
        ("as_plain", "LOGIN", True),
    ],
)
def test_api_163_the_login_command_and_the_methods(rig: Rig, switch: str, disabled: str, works: bool) -> None:
    rig.switch(login_command=switch)
    for method in rig.options("SecurityPolicy")["authenticationMethods"]:
        method["enabled"] = method["value"] != disabled
    wire = rig.greeted()
    assert (b"LOGINDISABLED" in wire.ok(b"CAPABILITY")[0]) is not works
    answer = wire.ask(b"LOGIN alice not-a-secret-alice")[-1]
    assert answer.startswith(b"t OK" if works else b"t NO LOGIN")
    assert rig.logins()[-1]["cause"] == ("" if works else "policy")  # refused before the password is looked at


def test_api_164_failures_from_an_excepted_address_are_not_counted(rig: Rig) -> None:
    group = rig.group("127.0.0.9")
    exception = {"enabled": True, "id": group, "name": ""}
    hammering = {"isEnabled": True, "failedLoginsToBlock": 2, "minutesToBlock": 5, "exceptionIpGroup": exception}
    rig.options("SecurityPolicy")["antiHammering"].update(hammering)
    for source in ("127.0.0.9", "127.0.0.8"):
        wire = rig.wire(source=source)
        wire.line()
        for _ in range(2):
            wire.ask(b"LOGIN alice wrong")
    assert rig.wire(source="127.0.0.9").line().startswith(b"* OK")
    assert rig.wire(source="127.0.0.8").line() == b""
    rig.options("IpAddressGroups").clear()  # the group is gone: from now on failures count
    wire = rig.wire(source="127.0.0.9")
    wire.line()
    for _ in range(2):
        wire.ask(b"LOGIN alice wrong")
    assert rig.wire(source="127.0.0.9").line() == b""
