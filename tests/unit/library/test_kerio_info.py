# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_info: reads, and returns what the other modules take."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import info
from ansible_collections.mailops.kerio.plugins.modules import (
    kerio_advanced_options,
    kerio_archiving,
    kerio_info,
    kerio_ip_address_groups,
    kerio_master_authentication,
    kerio_security_policy,
    kerio_services,
    kerio_users,
)
from tests.unit.library import test_kerio_ip_address_groups as groups
from tests.unit.library import test_kerio_security_policy as policy
from tests.unit.library.test_kerio_archiving import archive, archive_of_2013, domain, domains, read
from tests.unit.module_utils.kerio import services_script as services
from tests.unit.rpc_script import Call, Script, error, failing, listing, login, logout, query, run_module

MAIN = kerio_info.main
OLDER = ["archiving", "master_authentication", "advanced_options"]
ADVANCED = {
    "masterAuthentication": {"isEnabled": True, "groupRestriction": "keriodb://g/1", "password": ""},
    "miscellaneous": {"insertXEnvelopeTo": True, "logHostNames": False},
}
GROUPS = Call("IpAddressGroups.getGroupList", None, {"groups": [{"id": "keriodb://g/1", "name": "Archive host"}]})


def version() -> Call:
    return Call("Server.getVersion", None, {"product": "Kerio Connect", "version": "10.0.8.9228", "major": 10})


def advanced(**changed: t.Any) -> Call:
    return Call("AdvancedOptions.get", None, {"options": {**ADVANCED, **changed}})


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.shows("read", "check")
def test_settings_have_the_shape_of_the_modules(check: bool) -> None:
    script = Script(login(), version(), read(), domains(domain("example.com")), advanced(), GROUPS, logout())
    result = run_module(MAIN, script, check=check, gather=OLDER)
    assert (result["changed"], result["product"], result["version"]) == (False, "Kerio Connect", "10.0.8.9228")
    assert result["settings"]["advanced_options"] == {"insert_x_envelope_to": True, "log_host_names": False}
    assert result["settings"]["master_authentication"] == {"enabled": True, "ip_address_group": "Archive host"}
    assert result["settings"]["archiving"] == {
        "enabled": False,
        "remote_address": "",
        "to_local_folder": True,
        "folder_interval": "month",
        "compress_old_folders": False,
        "compression_start_time": "02:05",
        "local_messages": True,
        "incoming_messages": True,
        "outgoing_messages": True,
        "relayed_messages": False,
        "before_filter": False,
        "instant_messages": False,
        "per_domain": False,
        "domains": [
            {
                "name": "example.com",
                "remote_address": "",
                "local_messages": False,
                "incoming_messages": False,
                "outgoing_messages": False,
                "before_filter": False,
            }
        ],
    }


def test_pasted_settings_change_nothing() -> None:
    script = Script(login(), version(), read(), domains(domain("example.com")), advanced(), GROUPS, logout())
    settings = run_module(MAIN, script, gather=OLDER)["settings"]
    for main, pasted, calls in (
        (kerio_archiving.main, settings["archiving"], [read(), domains(domain("example.com"))]),
        (kerio_master_authentication.main, settings["master_authentication"], [advanced(), GROUPS]),
        (kerio_advanced_options.main, settings["advanced_options"], [advanced()]),
    ):
        result = run_module(main, Script(login(), *calls, logout()), **pasted)
        assert (result["failed"], result["changed"], result["warnings"]) == (False, False, [])


def test_old_server_leaves_out_what_it_does_not_know() -> None:
    bare = {"id": "keriodb://domain/1", "name": "example.com"}
    script = Script(login(), version(), read(archive_of_2013()), domains(bare), logout())
    archiving = run_module(MAIN, script, gather=["archiving"])["settings"]["archiving"]
    assert {"per_domain", "instant_messages", "domains"}.isdisjoint(archiving)


def test_reference_to_a_group_that_is_gone_is_left_out_and_told() -> None:
    """An id cannot be declared; without it the module leaves the server as it is."""
    gone = advanced(masterAuthentication={"isEnabled": True, "groupRestriction": "keriodb://g/9"})
    result = run_module(MAIN, Script(login(), version(), gone, GROUPS, logout()), gather=["master_authentication"])
    assert result["settings"]["master_authentication"] == {"enabled": True}
    (told,) = result["left_out"]
    assert told.startswith(
        "mail1: ip_address_group of master_authentication is left out: it refers to an IP address group that is"
    )
    assert "keriodb://g/9" in told
    assert result["warnings"] == result["left_out"]
    script = Script(login(), gone, GROUPS, logout())
    assert run_module(kerio_master_authentication.main, script, enabled=True)["changed"] is False


def test_reference_of_a_service_to_a_group_that_is_gone_is_left_out_and_told() -> None:
    imap = services.imap(group={"isUsed": True, "ipGroup": {"id": "keriodb://g/9", "name": ""}})
    listed = Call("Services.get", None, {"services": [imap]})
    result = run_module(MAIN, Script(login(), version(), listed, GROUPS, logout()), gather=["services"])
    (service,) = result["settings"]["services"]
    assert service["name"] == "IMAP"
    assert "ip_address_group" not in service
    assert "ip_address_group of service IMAP is left out" in result["left_out"][0]


def test_version_alone() -> None:
    result = run_module(MAIN, Script(login(), version(), logout()), gather=[])
    assert result["settings"] == {}
    assert result["calls"] == ["Session.login", "Server.getVersion", "Session.logout"]


def test_refused_login_is_tried_once_and_not_logged_out() -> None:
    result = failing(MAIN, Script(login(error(-32001, "Wrong password"))))
    assert result["error"]["kind"] == "login_refused"
    assert "Wrong password" in result["msg"]


def test_result_with_the_password_in_it_is_refused() -> None:
    # Ansible would return archive@******.example to the next module.
    known = archive(remoteArchive={"enabled": True, "value": "archive@not-a-secret-admin.example"})
    script = Script(login(), version(), read(known), domains(), logout())
    result = failing(MAIN, script, gather=["archiving"])
    assert result["error"]["kind"] == "secret_in_result"


NEWER = ["ip_address_groups", "services", "security_policy"]
ALICE = {
    "id": "keriodb://user/1",
    "domainId": "keriodb://domain/1",
    "loginName": "archive",
    "fullName": "Mail archive",
    "isEnabled": True,
    "emailAddresses": ["copies"],
    "role": {"userRole": "UserRole", "publicFolderRight": False, "archiveFolderRight": False},
    "itemLimit": {"isActive": False, "limit": 10},
    "aMemberOfTomorrow": 1,
}


def gathered(*calls: Call, gather: list[str]) -> dict[str, t.Any]:
    return run_module(MAIN, Script(login(), version(), *calls, logout()), gather=gather)


def test_groups_services_and_policy_change_nothing_when_pasted() -> None:
    group = groups.rows()[0]
    used = {"isUsed": True, "ipGroup": {"id": group["groupId"], "name": group["groupName"]}}
    listed = services.read(services.imap(), services.pop(group=used))
    known = policy.policy(antiHammering={"isEnabled": True, "failedLoginsToBlock": 9, "minutesToBlock": 5})
    settings = gathered(*groups.read(), listed, policy.read(known), gather=NEWER)["settings"]
    assert list(settings) == NEWER
    assert [entry["ip_address_group"] for entry in settings["services"]] == ["", group["groupName"]]
    # This server has no group for exceptions from the block.
    assert "anti_hammering_exception_group" not in settings["security_policy"]
    for main, pasted, calls in (
        (kerio_ip_address_groups.main, {"groups": settings["ip_address_groups"]}, groups.read()),
        (kerio_services.main, {"services": settings["services"]}, [listed, groups.read()[0]]),
        (kerio_security_policy.main, settings["security_policy"], [policy.read(known)]),
    ):
        result = run_module(main, Script(login(), *calls, logout()), **pasted)
        assert (result["failed"], result["changed"], result["warnings"]) == (False, False, []), main


def test_users_are_read_when_asked_for_alone() -> None:
    assert "users" not in info.DEFAULT
    listed = Call("Users.get", {"query": query("loginName"), "domainId": "keriodb://domain/1"}, listing(ALICE))
    entry = {"id": "keriodb://domain/1", "name": "example.com", "aliasList": [], "isPrimary": True}
    (user,) = gathered(domains(entry), listed, gather=["users"])["settings"]["users"]
    assert (user["address"], user["addresses"], user["role"], user["item_limit"]) == (
        "archive@example.com",
        ["copies"],
        "user",
        0,
    )
    assert "password" not in user
    assert "disk_limit_mb" not in user
    result = run_module(kerio_users.main, Script(login(), domains(entry), listed, logout()), users=[user])
    assert (result["failed"], result["changed"]) == (False, False)


def test_literal_of_tomorrow_is_left_out_rather_than_declared() -> None:
    strange = policy.policy(mode="SPQuantumRequired")
    found = gathered(policy.read(strange), gather=["security_policy"])["settings"]["security_policy"]
    assert "mode" not in found
    assert found["failed_logins_to_lock"] == 5


def test_method_that_an_old_server_lacks_leaves_its_settings_out_and_says_so() -> None:
    refused = Call("SecurityPolicy.get", None, error(-32601, "Method not found."))
    archiving = read(archive_of_2013()), domains({"id": "d", "name": "example.com"})
    result = gathered(*archiving, refused, gather=["security_policy", "archiving"])
    assert list(result["settings"]) == ["archiving"]
    (warning,) = result["warnings"]
    assert warning.startswith("mail1: security_policy is left out") and "Method not found" in warning


@pytest.mark.shows("error")
def test_other_errors_of_a_method_fail() -> None:
    refused = Call("SecurityPolicy.get", None, error(1004, "Operation failed."))
    result = failing(MAIN, Script(login(), version(), refused, logout()), gather=["security_policy"])
    assert "Operation failed" in result["msg"]


def test_master_authentication_from_every_address_can_be_pasted() -> None:
    anywhere = advanced(masterAuthentication={"isEnabled": True, "groupRestriction": "", "password": ""})
    pasted = gathered(anywhere, gather=["master_authentication"])["settings"]["master_authentication"]
    assert pasted == {"enabled": True, "ip_address_group": "", "allow_any_address": True}
    result = run_module(kerio_master_authentication.main, Script(login(), anywhere, logout()), **pasted)
    assert (result["failed"], result["changed"]) == (False, False)
