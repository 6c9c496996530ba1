# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_master_authentication: when the password is written, when it is not, and what is refused."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_master_authentication
from tests.unit.rpc_script import Call, Script, failing, login, logout, run_module

MAIN = kerio_master_authentication.main
MASTER = "not-a-secret-master"
GROUPS = [{"id": "keriodb://g/1", "name": "Archive host"}, {"id": "keriodb://g/2", "name": "Local clients"}]


def options(*, on: bool, group: str, **password: str) -> dict[str, t.Any]:
    return {
        "masterAuthentication": {"isEnabled": on, "groupRestriction": group, **password},
        "miscellaneous": {"insertXEnvelopeTo": True},
        "httpProxy": {"isEnabled": True},
    }


def read(*, on: bool, group: str = "") -> Call:
    received = options(on=on, group=group, password="")
    received["httpProxy"]["password"] = ""
    return Call("AdvancedOptions.get", None, {"options": received})


def write(*, on: bool, group: str = "", **password: str) -> Call:
    return Call("AdvancedOptions.set", {"options": options(on=on, group=group, **password)})


def groups() -> Call:
    return Call("IpAddressGroups.getGroupList", None, {"groups": GROUPS})


WANTED = {"enabled": True, "ip_address_group": "Archive host", "password": MASTER}
ON = {"on": True, "group": "keriodb://g/1"}


@pytest.mark.shows("change", "diff")
def test_first_activation_writes_switch_group_and_password_at_once() -> None:
    script = Script(login(), read(on=False), groups(), write(**ON, password=MASTER), read(**ON), logout())
    result = run_module(MAIN, script, **WANTED)
    assert result["changed"] is True
    assert result["password_written"] is True
    assert result["diff"]["before"] == {
        "master_authentication": {"enabled": False, "ip_address_group": "", "password": "(secret)"}
    }
    assert result["diff"]["after"] == {
        "master_authentication": {"enabled": True, "ip_address_group": "Archive host", "password": "(new secret)"}
    }
    assert MASTER not in str(result)


@pytest.mark.shows("check")
def test_check_of_the_first_activation_writes_nothing() -> None:
    result = run_module(MAIN, Script(login(), read(on=False), groups(), logout()), check=True, **WANTED)
    assert (result["changed"], result["password_written"]) == (True, True)
    assert MASTER not in str(result)


@pytest.mark.shows("again")
def test_again_with_the_right_password_changes_nothing() -> None:
    result = run_module(MAIN, Script(login(), read(**ON), groups(), logout()), password_state="right", **WANTED)
    assert (result["changed"], result["password_written"], result["warnings"]) == (False, False, [])


def test_wrong_password_is_written() -> None:
    script = Script(login(), read(**ON), groups(), write(**ON, password=MASTER), read(**ON), logout())
    result = run_module(MAIN, script, password_state="wrong", **WANTED)
    assert result["diff"]["after"] == {"master_authentication": {"password": "(new secret)"}}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"password_state": "cannot_tell", "password_state_reason": "BYE too many connections"}, "BYE too many connections"),
        ({"password_state": "cannot_tell"}, "nobody can tell"),
        ({}, "password_state is not given"),
    ],
)
def test_password_is_never_written_on_a_guess(state: dict[str, str], words: str) -> None:
    result = run_module(MAIN, Script(login(), read(**ON), groups(), logout()), **WANTED, **state)
    assert result["changed"] is False
    assert words in result["warnings"][0]


def test_other_change_while_nobody_can_tell_leaves_the_password_out() -> None:
    moved = {"on": True, "group": "keriodb://g/2"}
    script = Script(login(), read(**ON), groups(), write(**moved), read(**moved), logout())
    wanted = {**WANTED, "ip_address_group": "local clients", "password_state": "cannot_tell"}
    result = run_module(MAIN, script, **wanted)
    assert result["diff"]["after"] == {"master_authentication": {"ip_address_group": "Local clients"}}


@pytest.mark.parametrize("state", ["wrong", "right", "unset"])
def test_password_is_not_written_while_it_stays_off(state: str) -> None:
    script = Script(login(), read(on=False), logout())
    result = run_module(MAIN, script, enabled=False, password=MASTER, password_state=state)
    assert (result["changed"], result["warnings"]) == (False, [])


def test_switching_off_writes_no_password() -> None:
    off = {"on": False, "group": "keriodb://g/1"}
    script = Script(login(), read(**ON), groups(), write(**off), read(**off), logout())
    result = run_module(MAIN, script, enabled=False, password=MASTER, password_state="wrong")
    assert result["diff"]["after"] == {"master_authentication": {"enabled": False}}


def test_on_without_a_group_is_refused() -> None:
    result = failing(MAIN, Script(login(), read(on=False), logout()), enabled=True, password=MASTER)
    assert "without an IP address group" in result["msg"]


def test_removing_the_group_is_refused() -> None:
    result = failing(MAIN, Script(login(), read(**ON), groups(), logout()), ip_address_group="")
    assert "without an IP address group" in result["msg"]


def test_on_without_a_group_is_possible_when_it_is_asked_for() -> None:
    script = Script(login(), read(on=False), write(on=True, password=MASTER), read(on=True), logout())
    assert run_module(MAIN, script, enabled=True, password=MASTER, allow_any_address=True)["changed"] is True


def test_on_without_a_password_is_refused() -> None:
    result = failing(MAIN, Script(login(), read(on=False), logout()), enabled=True, ip_address_group="Archive host")
    assert "without a password" in result["msg"]


def test_unknown_group_is_refused_with_the_known_ones() -> None:
    result = failing(MAIN, Script(login(), read(on=False), groups(), logout()), **{**WANTED, "ip_address_group": "Nowhere"})
    assert "'Archive host', 'Local clients'" in result["msg"]


@pytest.mark.parametrize("password", ["elevenchars", "pässwörter-genug", "with-a-newline\n--"])
def test_unusable_password_is_refused_before_anything_is_read(password: str) -> None:
    result = failing(MAIN, Script(login(), logout()), **{**WANTED, "password": password})
    assert "the master password" in result["msg"]
    assert password not in result["msg"]


def test_nothing_declared_changes_nothing_whatever_is_there() -> None:
    result = run_module(MAIN, Script(login(), read(on=True), logout()))
    assert (result["failed"], result["changed"]) == (False, False)


@pytest.mark.shows("error")
def test_group_that_does_not_hold_is_an_error() -> None:
    script = Script(login(), read(on=False), groups(), write(**ON, password=MASTER), read(on=True), logout())
    result = failing(MAIN, script, **WANTED)
    assert result["error"]["options"] == ["ip_address_group"]
    assert MASTER not in str(result)
