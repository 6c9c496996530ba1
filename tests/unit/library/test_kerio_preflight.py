# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_preflight against scripted sessions: what of the admin API differs, and that nothing is written."""

from __future__ import annotations

import copy
import typing as t
from unittest import mock

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import CertificateError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import preflight_certificate
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.preflight_certificate import Greeted
from ansible_collections.mailops.kerio.plugins.modules import kerio_preflight
from tests.unit.rpc_script import ANYTHING, Call, Script, error, listing, login, logout, run_module

Answers = dict[str, t.Any]
METHODS = ("CRAM-MD5", "DIGEST-MD5", "NTLM", "PLAIN", "LOGIN")
ROW = {"id": "row1", "groupId": "group1", "groupName": "Archive hosts", "type": "Host", "host": "192.0.2.7"}
ADVANCED = {
    "masterAuthentication": {"isEnabled": True, "groupRestriction": "group1", "password": ""},
    "httpProxy": {"isEnabled": False},
    "miscellaneous": dict.fromkeys(
        ("insertXEnvelopeTo", "logHostNames", "showProgramNameAndVersion", "enableTNEFDecoding"), False
    ),
}
# In the order in which they are called.
RIGHT: Answers = {
    "Archive.get": {"options": {"remoteArchive": {"enabled": True, "value": "archive@example.com"}}},
    "AdvancedOptions.get": {"options": ADVANCED},
    "SecurityPolicy.get": {"options": {"authenticationMethods": [{"enabled": True, "value": name} for name in METHODS]}},
    "Domains.get": listing({"id": "domain1", "name": "example.com", "isPrimary": True}),
    "IpAddressGroups.getGroupList": {"groups": [{"id": "group1", "name": "Archive hosts"}]},
    "IpAddressGroups.get": listing(ROW),
    "Services.get": {"services": [{"id": "s1", "name": "IMAP"}, {"id": "s2", "name": "Secure IMAP"}]},
    "Users.get": listing({"id": "user1", "loginName": "alice"}),
    "Groups.get": listing(),
    "Aliases.get": listing(),
    "Session.whoAmI": {"userDetails": {"effectiveRole": {"userRole": "FullAdmin"}}},
    "Server.getVersion": {"product": "Kerio Connect", "version": "10.0.8.9228"},
    "Version.getApiVersion": {"apiVersion": 52},
    "Server.getWebSessions": listing(
        {"id": "web1", "userName": "Admin", "componentType": "WebComponentADMIN", "expirationTime": "01.02.2030 03:04:05"}
    ),
}
NO_METHOD = error(-32601, "Method not found")


def look(*, check: bool = False, greeted: Greeted | None = None, **changed: t.Any) -> dict[str, t.Any]:
    """Run the module; ``changed`` are answers by method, "_" in place of the dot."""
    answers = {**copy.deepcopy(RIGHT), **{name.replace("_", "."): answer for name, answer in changed.items()}}
    calls = [Call(method, ANYTHING, answer) for method, answer in answers.items()]
    with mock.patch.object(preflight_certificate, "greet", lambda *_: greeted or Greeted(days=90.0, ahead=0.5)):
        return run_module(kerio_preflight.main, Script(login(), *calls, logout()), check=check)


def facts(result: dict[str, t.Any]) -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["verdict"], row["found"]) for row in result["facts"]}


# With structures this small most options are missing; the lab shows a server that has them all.
@pytest.mark.shows("read", "check")
@pytest.mark.parametrize("check", [False, True])
def test_a_server_as_it_is_assumed(check: bool) -> None:
    result = look(check=check)
    told = facts(result)
    assert {name for name, (verdict, _found) in told.items() if verdict != "holds"} == {"api-members"}
    assert told["api-version"][1] == "It is Kerio Connect 10.0.8.9228, version of the API 52."
    assert "01.02.2030 03:04:05" in told["api-session"][1]
    assert (result["failed"], result["changed"], result["name"]) == (False, False, "mail1")
    assert (result["archive_address"], result["master_authentication"], result["clock_ahead"]) == (
        "archive@example.com",
        True,
        0.5,
    )
    assert result["msg"] == "mail1: 14 facts hold, 1 differ, 0 cannot be told"
    assert {row["id"] for row in result["by_hand"]} >= {"archive-loop", "api-live"}


DIFFERING: list[tuple[str, str, t.Any, str]] = [
    ("api-version", "Server_getVersion", {"product": "Kerio Connect", "version": "11.0.0.1"}, "11.0.0.1"),
    ("api-version", "Server_getVersion", {"product": "Kerio Control", "version": "9.4.5"}, "Kerio Control"),
    ("api-rights", "Session_whoAmI", {"userDetails": {"effectiveRole": {"userRole": "Auditor"}}}, "Auditor"),
    ("api-rights", "Session_whoAmI", {"userDetails": {}}, "not told"),
    ("api-methods", "Aliases_get", NO_METHOD, "Aliases.get"),
    ("api-lists", "Users_get", listing({"id": "u", "loginName": "u"}, {"id": "u", "loginName": "u"}), "1 different objects"),
    ("api-values", "Archive_get", {"options": {"archiveFoldersInterval": "periodYear"}}, "archiving.folder_interval"),
    ("api-service-names", "Services_get", {"services": [{"id": "s1", "name": "Sicheres IMAP"}]}, "Sicheres IMAP"),
    ("api-authentication-methods", "SecurityPolicy_get", {"options": {"authenticationMethods": []}}, "none"),
    ("api-address-rows", "IpAddressGroups_get", listing({**ROW, "groupName": "Elsewhere"}), "Archive hosts, Elsewhere"),
    ("api-address-rows", "IpAddressGroups_get", listing(), "Archive hosts"),
    ("api-address-types", "IpAddressGroups_get", listing({**ROW, "type": "Country"}), "Archive hosts (Country)"),
]


@pytest.mark.parametrize(("fact", "method", "answer", "words"), DIFFERING)
def test_what_differs_is_told_of_its_fact(fact: str, method: str, answer: t.Any, words: str) -> None:
    told = facts(look(**{method: answer}))
    assert told[fact][0] == "differs"
    assert words in told[fact][1]


@pytest.mark.parametrize("group", ["group1", ""])
@pytest.mark.parametrize("on", [True, False])
def test_master_authentication_has_a_group(group: str, on: bool) -> None:
    master = {"isEnabled": on, "groupRestriction": group}
    result = look(AdvancedOptions_get={"options": {**ADVANCED, "masterAuthentication": master}})
    assert facts(result)["api-master-group"][0] == ("differs" if on and not group else "holds")
    assert [row["id"] for row in result["facts"] if row["stops"]] == (["api-master-group"] if on and not group else [])
    assert result["master_authentication"] is on


def test_a_password_that_the_server_tells_is_not_told_further() -> None:
    master = {**ADVANCED["masterAuthentication"], "password": "not-a-secret-master"}
    result = look(AdvancedOptions_get={"options": {**ADVANCED, "masterAuthentication": master}})
    assert facts(result)["api-passwords"] == ("differs", "The server tells AdvancedOptions.get.masterAuthentication.password.")
    assert "not-a-secret-master" not in str(result)


def test_a_method_that_fails_is_called_once_and_told_of_what_needs_it_alone() -> None:
    told = facts(look(SecurityPolicy_get=error(1004, "Access denied"), Server_getWebSessions=NO_METHOD))
    untold = {name for name, (verdict, _found) in told.items() if verdict == "cannot_tell"}
    assert untold == {"api-methods", "api-members", "api-values", "api-authentication-methods"}
    assert "SecurityPolicy.get: Access denied" in told["api-methods"][1]
    assert told["api-session"] == ("holds", "It lasted; the server does not tell when it would end.")


@pytest.mark.parametrize(
    ("greeted", "certificate", "clock"),
    [
        (Greeted(days=29.0, ahead=-61.0), "differs", "differs"),
        (Greeted(days=31.0, ahead=59.0), "holds", "holds"),
        (Greeted(refusal="it signed itself", ahead=61.0), "differs", "differs"),
        (Greeted(failure="timed out"), "cannot_tell", "cannot_tell"),
        (Greeted(), "cannot_tell", "cannot_tell"),
    ],
)
def test_certificate_and_clock(greeted: Greeted, certificate: str, clock: str) -> None:
    told = facts(look(greeted=greeted))
    assert (told["api-certificate"][0], told["api-clock"][0]) == (certificate, clock)


@pytest.mark.shows("error")
def test_a_server_that_lets_nobody_in_has_its_facts_and_fails() -> None:
    refusal = CertificateError("mail1:4040", "the TLS certificate cannot be verified", "Set ca_file")
    with mock.patch.object(preflight_certificate, "greet", lambda *_: Greeted(refusal="it signed itself")):
        result = run_module(kerio_preflight.main, Script(login(refusal)))
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"] == str(refusal)
    told = facts(result)
    assert told.pop("api-certificate") == ("differs", "The certificate is not trusted: it signed itself.")
    assert told.pop("api-clock")[0] == "cannot_tell"
    assert set(told.values()) == {("cannot_tell", str(refusal))}
    assert (result["archive_address"], result["master_authentication"]) == ("", False)


def test_options_that_cannot_be_meant_are_refused() -> None:
    result = run_module(kerio_preflight.main, _unused(), api_host="two words:x")
    assert (result["failed"], result["error"]["kind"]) == (True, "input")
    assert "facts" not in result


def _unused() -> Script:
    script = Script()
    script.closed = True
    return script
