# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_advanced_options: the exact calls of a change, a second run, a check run and of errors."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_advanced_options
from tests.unit.rpc_script import Call, Script, error, failing, login, logout, run_module

MAIN = kerio_advanced_options.main


def options(**miscellaneous: t.Any) -> dict[str, t.Any]:
    return {
        "masterAuthentication": {"isEnabled": True, "groupRestriction": "keriodb://ipgroup/1", "password": ""},
        "miscellaneous": {
            "logHostNames": False,
            "showProgramNameAndVersion": True,
            "insertXEnvelopeTo": False,
            "enableTNEFDecoding": True,
            "enableUUEncodedConversion": True,
            **miscellaneous,
        },
        "httpProxy": {"isEnabled": True, "address": "proxy.example.com", "password": ""},
        "aMemberOfTomorrow": {"kept": [1, 2]},
    }


def sent(**miscellaneous: t.Any) -> dict[str, t.Any]:
    """Return what a set must send: all of it, without the passwords, which the server would erase."""
    kept = copy.deepcopy(options(**miscellaneous))
    del kept["masterAuthentication"]["password"]
    del kept["httpProxy"]["password"]
    return {"options": kept}


def read(**miscellaneous: t.Any) -> Call:
    return Call("AdvancedOptions.get", None, {"options": options(**miscellaneous)})


@pytest.mark.shows("change", "diff")
def test_change_sends_everything_back_except_passwords() -> None:
    script = Script(
        login(), read(), Call("AdvancedOptions.set", sent(insertXEnvelopeTo=True)), read(insertXEnvelopeTo=True), logout()
    )
    result = run_module(MAIN, script, insert_x_envelope_to=True, tnef_decoding=True)
    assert result["changed"] is True
    assert result["msg"] == "mail1: changed advanced options (insert_x_envelope_to)"
    assert result["diff"] == {
        "before": {"advanced_options": {"insert_x_envelope_to": False}},
        "after": {"advanced_options": {"insert_x_envelope_to": True}},
        "before_header": "mail1",
        "after_header": "mail1",
    }
    assert result["plan"] == {"create": 0, "change": 1, "delete": 0}
    assert result["calls"] == [
        "Session.login",
        "AdvancedOptions.get",
        "AdvancedOptions.set",
        "AdvancedOptions.get",
        "Session.logout",
    ]
    assert result["warnings"] == []


@pytest.mark.shows("again")
def test_again_changes_nothing() -> None:
    result = run_module(MAIN, Script(login(), read(insertXEnvelopeTo=True), logout()), insert_x_envelope_to=True)
    assert (result["changed"], result["msg"]) == (False, "mail1: nothing to change in advanced options")
    assert (result["diff"]["before"], result["diff"]["after"]) == ({}, {})


@pytest.mark.shows("check")
def test_check_writes_nothing_and_says_the_same() -> None:
    result = run_module(MAIN, Script(login(), read(), logout()), check=True, insert_x_envelope_to=True)
    assert result["changed"] is True
    assert result["msg"] == "mail1: would change advanced options (insert_x_envelope_to)"
    assert result["diff"]["after"] == {"advanced_options": {"insert_x_envelope_to": True}}


def test_option_that_needs_a_restart_says_so() -> None:
    script = Script(
        login(),
        read(),
        Call("AdvancedOptions.set", sent(showProgramNameAndVersion=False)),
        read(showProgramNameAndVersion=False),
        logout(),
    )
    result = run_module(MAIN, script, show_program_name_and_version=False)
    assert result["warnings"] == ["mail1: show_program_name_and_version takes effect when the server is restarted"]


def test_option_of_an_old_server_is_refused_on_a_new_one() -> None:
    result = failing(MAIN, Script(login(), read(), logout()), allow_unsupported_activesync_devices=True)
    assert "allow_unsupported_activesync_devices" in result["msg"]
    assert "Kerio Connect 8" in result["msg"]


def test_value_that_does_not_hold_is_an_error_that_names_the_option() -> None:
    script = Script(login(), read(), Call("AdvancedOptions.set", sent(insertXEnvelopeTo=True)), read(), logout())
    result = failing(MAIN, script, insert_x_envelope_to=True)
    assert result["error"]["options"] == ["insert_x_envelope_to"]
    assert "insert_x_envelope_to is False instead of True" in result["msg"]


@pytest.mark.parametrize("code", [1004, -32602])
@pytest.mark.shows("error")
def test_refused_write_keeps_the_words_of_the_server_and_still_logs_out(code: int) -> None:
    refused = error(code, "No right for %1", "AdvancedOptions")
    script = Script(login(), read(), Call("AdvancedOptions.set", sent(insertXEnvelopeTo=True), refused), logout())
    result = failing(MAIN, script, insert_x_envelope_to=True)
    assert "No right for AdvancedOptions" in result["msg"]
    assert result["error"]["calls"][-1] == "Session.logout"
    members = result["error"].get("sent_members")
    assert (members is None) if code == 1004 else ("options.miscellaneous.insertXEnvelopeTo" in members)
