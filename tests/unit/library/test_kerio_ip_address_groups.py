# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_ip_address_groups: the exact calls for groups that are created, changed and removed."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.address_script import (
    AFTER,
    AS_DECLARED,
    CREATES,
    DONE,
    ENTRIES,
    MAIN,
    NEW_ROWS,
    SETS,
    WANTED,
    Object,
    create,
    group,
    on_entries,
    read,
    row,
    rows,
    sent,
)
from tests.unit.rpc_script import Call, Script, error, failing, login, logout, run_module


@pytest.mark.shows("change", "diff")
def test_a_group_gets_exactly_the_declared_entries_in_a_safe_order() -> None:
    removes = (on_entries("validateRemove", "2"), on_entries("remove", "2"))
    script = Script(login(), *read(), CREATES, *SETS, *removes, *read(DONE), logout())
    result = run_module(MAIN, script, groups=WANTED)
    assert result["changed"] is True
    assert result["msg"] == "mail1: changed IP address groups (change Archive hosts)"
    before = [{"description": "archive1", "host": "192.0.2.10"}, {"network": "10.0.0.0/8"}]
    assert result["diff"]["before"] == {"ip_address_groups": {"Archive hosts": {"entries": before}}}
    assert result["diff"]["after"] == {"ip_address_groups": {"Archive hosts": {"entries": AFTER}}}
    assert result["plan"] == {"create": 0, "change": 1, "delete": 0}


@pytest.mark.shows("again")
def test_again_changes_nothing() -> None:
    result = run_module(MAIN, Script(login(), *read(DONE), logout()), groups=WANTED)
    assert (result["changed"], result["diff"]["before"], result["warnings"]) == (False, {}, [])


@pytest.mark.shows("check")
def test_a_check_asks_the_server_changes_nothing_and_says_the_same() -> None:
    asked = (SETS[0], on_entries("validateRemove", "2"))
    result = run_module(MAIN, Script(login(), *read(), *asked, logout()), check=True, groups=WANTED)
    assert result["diff"]["after"] == {"ip_address_groups": {"Archive hosts": {"entries": AFTER}}}
    assert result["warnings"] == []


def test_what_means_the_same_is_the_same_and_no_description_is_not_managed() -> None:
    current = rows(_8={"groupName": "Archive hosts", "type": "Network", "addr1": "10.9.0.7", "addr2": "16"}, _9=IPV6)
    wanted = group(
        {"host": " 192.0.2.10"},
        {"network": "10.0.0.0/255.0.0.0"},
        {"network": "10.9.0.0/16"},
        {"host": "2001:DB8:0:0:0:0:0:1"},
    )
    assert run_module(MAIN, Script(login(), *read(current), logout()), groups=wanted)["changed"] is False


IPV6 = {"groupName": "Archive hosts", "type": "Host", "host": "2001:db8::1"}


def test_a_group_without_entries_must_only_exist() -> None:
    assert run_module(MAIN, Script(login(), *read(), logout()), groups=group())["changed"] is False
    result = failing(MAIN, Script(login(), *read(), logout()), groups=[{"name": "Nobody"}])
    assert "IP address group Nobody: the server does not have it" in result["msg"]


def test_no_groups_ask_nothing() -> None:
    assert run_module(MAIN, Script(login(), logout()), groups=[])["changed"] is False


def test_child_groups_are_created_first_and_found_by_their_new_id() -> None:
    groups = [
        {"name": "All", "entries": [{"group": "offices"}, {"group": "local CLIENTS"}]},
        {"name": "Offices", "entries": [{"this_machine": True}, {"range": "10.0.0.1 - 10.0.0.3"}]},
    ]
    offices = (
        sent("Offices", type="ThisMachine"),
        sent("Offices", type="Range", addr1="10.0.0.1", addr2="10.0.0.3"),
    )
    everything = (
        sent("All", type="ChildGroup", childGroupId="group-Offices"),
        sent("All", type="ChildGroup", childGroupId="group-Local clients"),
    )
    offices_there = rows(_5=offices[0] | {"groupId": "group-Offices"}, _6=offices[1] | {"groupId": "group-Offices"})
    done = [
        *offices_there,
        *(row(str(number), **entry | {"groupId": "group-All"}) for number, entry in enumerate(everything, 7)),
    ]
    script = Script(login(), *read(), create(*offices), read(offices_there)[0], create(*everything), *read(done), logout())
    result = run_module(MAIN, script, groups=groups)
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"]["ip_address_groups"] == {
        "All": {"entries": [{"group": "Local clients"}, {"group": "Offices"}]},
        "Offices": {"entries": [{"range": "10.0.0.1-10.0.0.3"}, {"this_machine": True}]},
    }


def test_many_entries_go_in_parts() -> None:
    hosts = [f"192.0.2.{number}" for number in range(1, 151)]
    new = [sent("Many", type="Host", host=host) for host in hosts]
    there = [*rows(), *(row(host, groupName="Many", type="Host", host=host) for host in hosts)]
    script = Script(login(), *read(), create(*new[:100]), create(*new[100:]), *read(there), logout())
    result = run_module(MAIN, script, groups=[{"name": "Many", "entries": [{"host": host} for host in hosts]}])
    assert result["plan"] == {"create": 1, "change": 0, "delete": 0}


def test_a_server_that_has_prefixes_in_host_gets_them_there() -> None:
    there = rows(_7={"groupName": "Local clients", "type": "IpPrefix", "host": "2001:db8:7::/48"})
    wanted = group(*AS_DECLARED, {"prefix": "2001:db8::/32"})
    new = sent("Archive hosts", type="IpPrefix", host="2001:db8::/32")
    done = [*there, row("9", **new | {"groupId": "group-Archive hosts"})]
    script = Script(login(), *read(there), create(new), *read(done), logout())
    assert run_module(MAIN, script, groups=wanted)["changed"] is True


def test_entries_are_enabled_before_others_are_disabled_and_alike_ones_go_together() -> None:
    current = rows(_3={"groupName": "Archive hosts", "enabled": False}, _4=IPV6)
    wanted = group(
        {"host": "192.0.2.10", "enabled": False},
        {"network": "10.0.0.0/8", "enabled": False},
        {"range": "10.0.0.1-10.0.0.9"},
        {"host": "2001:db8::1", "description": "six"},
    )
    done = rows(
        _1={"enabled": False},
        _2={"enabled": False},
        _3={"groupName": "Archive hosts"},
        _4={**IPV6, "description": "six"},
    )
    calls = (
        on_entries("validateSet", "3", enabled=True),
        on_entries("set", "3", enabled=True),
        on_entries("validateSet", "4", description="six"),
        on_entries("set", "4", description="six"),
        on_entries("validateSet", "1", "2", enabled=False),
        on_entries("set", "1", "2", enabled=False),
    )
    run_module(MAIN, Script(login(), *read(current), *calls, *read(done), logout()), groups=wanted)


def test_an_entry_that_the_server_has_in_two_spellings_is_one() -> None:
    twice = rows("2", _1={"host": "A.example.com"}, _4={**ENTRIES["1"], "host": "a.example.com"})
    calls = (on_entries("validateSet", "1", "4", enabled=False), on_entries("set", "1", "4", enabled=False))
    done = [{**entry, "enabled": entry["groupName"] == "Local clients"} for entry in twice]
    script = Script(login(), *read(twice), *calls, *read(done), logout())
    result = run_module(MAIN, script, groups=group({"host": "a.example.com", "enabled": False}))
    shown = result["diff"]["before"]["ip_address_groups"]["Archive hosts"]["entries"]
    assert shown == [{"description": "archive1", "host": "a.example.com"}]


ADVANCED = {"masterAuthentication": {"isEnabled": False, "groupRestriction": "", "password": ""}}
POLICY: Object = {
    "authenticationExceptionGroup": {"enabled": False, "id": "group-Local clients", "name": "Local clients"},
    "encryptionExceptionGroup": {"enabled": False, "id": "", "name": ""},
}


def service(name: str, group_id: str = "", used: bool = True) -> Object:
    return {"id": name, "name": name, "group": {"isUsed": used and bool(group_id), "ipGroup": {"id": group_id, "name": ""}}}


def references(advanced: Object = ADVANCED, policy: Object = POLICY, *services: Object) -> list[Call]:
    return [
        Call("AdvancedOptions.get", None, {"options": advanced}),
        Call("SecurityPolicy.get", None, {"options": policy}),
        Call("Services.get", None, {"services": [service("SMTP"), *services]}),
    ]


GONE = [{"name": "local clients", "state": "absent", "entries": None}]


def test_a_group_goes_with_all_of_its_entries() -> None:
    switched_off = service("NNTP", "group-Local clients", used=False)
    script = Script(
        login(),
        *read(),
        *references(ADVANCED, POLICY, switched_off),
        on_entries("validateRemove", "3"),
        on_entries("remove", "3"),
        *read(rows("3")),
        logout(),
    )
    result = run_module(MAIN, script, groups=GONE)
    assert result["msg"] == "mail1: changed IP address groups (delete Local clients)"
    assert result["diff"]["before"] == {"ip_address_groups": {"Local clients": {"entries": [{"range": "10.0.0.1-10.0.0.9"}]}}}
    assert result["diff"]["after"] == {}


def test_a_group_that_is_not_there_is_gone() -> None:
    assert run_module(MAIN, Script(login(), *read(rows("3")), logout()), groups=GONE)["changed"] is False


USED = {"masterAuthentication": {"isEnabled": False, "groupRestriction": "group-Local clients", "password": ""}}
EXEMPT = {
    **POLICY,
    "authenticationExceptionGroup": {"enabled": True, "id": "group-Local clients", "name": "Local clients"},
    "antiHammering": {
        "isEnabled": False,
        "failedLoginsToBlock": 5,
        "minutesToBlock": 5,
        "exceptionIpGroup": {"enabled": True, "id": "group-Local clients", "name": "Local clients"},
    },
}


@pytest.mark.parametrize("check", [False, True])
def test_a_group_in_use_is_not_removed_and_its_users_are_named(check: bool) -> None:
    child = rows(_4={"groupName": "All", "type": "ChildGroup", "childGroupId": "group-Local clients"})
    asked = references(USED, EXEMPT, service("IMAP", "group-Local clients"))
    words = (
        "IP address group Local clients: it is still used by master authentication (ip_address_group), "
        "security policy (authentication_exception_group), security policy (anti_hammering_exception_group), "
        "service IMAP, IP address group All"
    )
    if not check:
        assert words in failing(MAIN, Script(login(), *read(child), *asked, logout()), groups=GONE)["msg"]
        return
    foreseen = on_entries("validateRemove", "3")
    result = run_module(MAIN, Script(login(), *read(child), *asked, foreseen, logout()), check=True, groups=GONE)
    assert words in result["warnings"][0]


def test_a_group_goes_together_with_the_one_that_has_it_as_entry_which_goes_first() -> None:
    child = rows(_4={"groupName": "Zone", "type": "ChildGroup", "childGroupId": "group-Local clients"})
    calls = (on_entries("validateRemove", "4", "3"), on_entries("remove", "4", "3"))
    script = Script(login(), *read(child), *references(), *calls, *read(rows("3")), logout())
    run_module(MAIN, script, groups=[*GONE, {"name": "Zone", "state": "absent"}])


@pytest.mark.shows("error")
def test_what_does_not_hold_is_an_error_that_names_it() -> None:
    removes = (on_entries("validateRemove", "2"), on_entries("remove", "2"))
    half = rows(_9=NEW_ROWS["_9"])
    script = Script(login(), *read(), CREATES, *SETS, *removes, *read(half), logout())
    message = failing(MAIN, script, groups=WANTED)["msg"]
    assert "no prefix 2001:db8::/32" in message
    assert "host 192.0.2.10 otherwise (description)" in message
    assert "network 10.0.0.0/8 still there" in message


def test_another_id_of_a_group_that_stays_is_an_error() -> None:
    moved = [{**entry, "groupId": "another"} if entry["groupName"] == "Archive hosts" else entry for entry in DONE]
    removes = (on_entries("validateRemove", "2"), on_entries("remove", "2"))
    script = Script(login(), *read(), CREATES, *SETS, *removes, *read(moved), logout())
    assert "Archive hosts has another id" in failing(MAIN, script, groups=WANTED)["msg"]


def test_a_session_that_ends_in_the_middle_is_renewed_and_the_call_repeated() -> None:
    expired = create(*t.cast("dict[str, t.Any]", CREATES.params)["groups"], answer=error(-32001, "Session expired."))
    removes = (on_entries("validateRemove", "2"), on_entries("remove", "2"))
    script = Script(login(), *read(), expired, login(), CREATES, *SETS, *removes, *read(DONE), logout())
    assert run_module(MAIN, script, groups=WANTED)["changed"] is True


def test_what_cannot_be_meant_is_refused_before_anything_is_read() -> None:
    result = failing(MAIN, Script(login(), logout()), groups=group({"host": "a.example.com"}, {"range": "10.0.0.9-10.0.0.1"}))
    assert "mail1: IP address group archive HOSTS: entry 2 (range '10.0.0.9-10.0.0.1')" in result["msg"]
    assert result["error"]["kind"] == "input"


def test_what_does_not_fit_the_server_is_refused_before_anything_is_changed() -> None:
    unknown = group({"group": "Nobody"})
    assert "Archive hosts, Local clients" in failing(MAIN, Script(login(), *read(), logout()), groups=unknown)["msg"]
    child = rows(_4={"groupName": "Local clients", "type": "ChildGroup", "childGroupId": "group-Archive hosts"})
    circle = group({"group": "Local clients"})
    assert "contain itself" in failing(MAIN, Script(login(), *read(child), logout()), groups=circle)["msg"]
    twice = [*rows(), row("5", groupName="ARCHIVE HOSTS", type="Host", host="192.0.2.10")]
    assert "several groups" in failing(MAIN, Script(login(), *read(twice), logout()), groups=WANTED)["msg"]


def test_an_entry_that_no_option_can_say_is_shown_and_removed() -> None:
    odd = rows(_4={"groupName": "Archive hosts", "type": "Country", "host": "xx"})
    calls = (on_entries("validateRemove", "4"), on_entries("remove", "4"))
    script = Script(login(), *read(odd), *calls, *read(), logout())
    result = run_module(MAIN, script, groups=group(*AS_DECLARED))
    assert {"unreadable": "Country xx"} in result["diff"]["before"]["ip_address_groups"]["Archive hosts"]["entries"]
