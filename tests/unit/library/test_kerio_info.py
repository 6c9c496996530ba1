# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_info: reads, and returns what the other modules take."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.modules import (
    kerio_advanced_options,
    kerio_archiving,
    kerio_info,
    kerio_master_authentication,
)
from tests.unit.library.test_kerio_archiving import archive, archive_of_2013, domain, domains, read
from tests.unit.rpc_script import Call, Script, error, failing, login, logout, run_module

MAIN = kerio_info.main
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
def test_settings_have_the_shape_of_the_modules(check: bool) -> None:
    script = Script(login(), version(), read(), advanced(), GROUPS, domains(domain("example.com")), logout())
    result = run_module(MAIN, script, check=check)
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
    script = Script(login(), version(), read(), advanced(), GROUPS, domains(domain("example.com")), logout())
    settings = run_module(MAIN, script)["settings"]
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


def test_group_that_is_gone_is_shown_by_its_id() -> None:
    gone = advanced(masterAuthentication={"isEnabled": True, "groupRestriction": "keriodb://g/9"})
    result = run_module(MAIN, Script(login(), version(), gone, GROUPS, logout()), gather=["master_authentication"])
    assert result["settings"]["master_authentication"]["ip_address_group"] == "keriodb://g/9"


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
