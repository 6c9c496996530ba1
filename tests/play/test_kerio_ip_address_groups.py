# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_ip_address_groups, run by ansible-playbook against the lab."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import (
    Step,
    assert_one_sentence,
    assert_untouched,
    connection,
    one,
    play,
    settle,
    switch_master,
    written,
)

Object = dict[str, t.Any]
EVERYTHING = {"fields": [], "conditions": [], "combining": "And", "start": 0, "limit": -1, "orderBy": []}
OFFICES = {
    "name": "Offices",
    "entries": [
        {"network": "198.51.100.0/24", "description": "Vienna"},
        {"range": "203.0.113.10-203.0.113.19", "enabled": False},
        {"prefix": "2001:DB8:0:10::/64"},
        {"host": "VPN.example.com"},
        {"this_machine": True},
        {"group": "branches"},
    ],
}
BRANCHES = {"name": "Branches", "entries": [{"network": "192.0.2.0/255.255.255.0"}]}
GONE = {"name": "offices", "state": "absent"}


def groups(server: LabServer, *declared: Object) -> Step:
    return Step("kerio_ip_address_groups", {**connection(server), "groups": list(declared)})


def rows(server: LabServer, name: str) -> list[Object]:
    """Return the entries of one group as the server sends them."""
    listed = server.api("IpAddressGroups.get", {"query": EVERYTHING})["list"]
    return [entry for entry in listed if entry["groupName"].lower() == name.lower()]


def others(server: LabServer, *names: str) -> list[Object]:
    listed = server.api("IpAddressGroups.get", {"query": EVERYTHING})["list"]
    return [entry for entry in listed if entry["groupName"] not in names]


def limit_administration(server: LabServer, name: str) -> None:
    """Let the web administration in from the addresses of a group alone."""
    current = server.api("Server.getRemoteAdministration")["setting"]
    group_id = rows(server, name)[0]["groupId"]
    setting = {**current, "isEnabled": True, "isLimited": True, "groupId": group_id}
    server.api("Server.setRemoteAdministration", {"setting": setting})


@pytest.mark.shows("by_hand")
def test_groups_come_change_and_go_and_those_that_are_not_named_stay(mail1: LabServer) -> None:
    before = others(mail1)
    real = settle(mail1, groups(mail1, OFFICES, BRANCHES), "IpAddressGroups.create", "IpAddressGroups.create")
    assert real.msg == "mail1: changed IP address groups (create Branches, create Offices)"
    assert real.diff["after"]["ip_address_groups"] == {
        "Branches": {"entries": [{"network": "192.0.2.0/24"}]},
        "Offices": {
            "entries": [
                {"host": "vpn.example.com"},
                {"description": "Vienna", "network": "198.51.100.0/24"},
                {"enabled": False, "range": "203.0.113.10-203.0.113.19"},
                {"prefix": "2001:db8:0:10::/64"},
                {"group": "Branches"},
                {"this_machine": True},
            ]
        },
    }
    assert others(mail1, "Offices", "Branches") == before
    by_hand = next(entry for entry in rows(mail1, "Offices") if entry["type"] == "Network")
    mail1.api("IpAddressGroups.set", {"groupIds": [by_hand["id"]], "details": {"enabled": False, "description": "closed"}})
    stranger = {"groupId": "", "groupName": "Offices", "type": "Host", "host": "10.9.9.9", "description": "", "enabled": True}
    mail1.api("IpAddressGroups.create", {"groups": [stranger]})
    changed = settle(mail1, groups(mail1, OFFICES), "IpAddressGroups.set", "IpAddressGroups.remove")
    assert {"host": "10.9.9.9"} in changed.diff["before"]["ip_address_groups"]["Offices"]["entries"]
    assert by_hand in rows(mail1, "Offices")
    assert len(rows(mail1, "Offices")) == len(OFFICES["entries"])
    gone = settle(mail1, groups(mail1, GONE), "IpAddressGroups.remove")
    assert gone.msg == "mail1: changed IP address groups (delete Offices)"
    assert others(mail1, "Branches") == before


def test_the_administration_is_not_cut_off(mail1: LabServer) -> None:
    here, elsewhere = {"network": "127.0.0.0/8"}, {"host": "192.0.2.77"}
    one(groups(mail1, {"name": "Administration", "entries": [here]}))
    limit_administration(mail1, "Administration")
    before, mine = others(mail1), rows(mail1, "Administration")
    mail1.forget()
    wrong = {"name": "Administration", "entries": [elsewhere]}
    narrower = {"name": "Administration", "entries": [{"range": "127.0.0.1-127.0.0.200"}, elsewhere]}
    shut = {"name": "Administration", "entries": [{**here, "enabled": False}]}
    declared = groups(mail1, wrong)
    check, real, off = play(replace(declared, check=True), declared, groups(mail1, shut))
    assert "network 127.0.0.0/8" in check.warnings[0]
    assert "without the new entries" in check.warnings[0]
    assert_one_sentence(
        real, "mail1: IpAddressGroups.validateRemove", "Administration: network 127.0.0.0/8", "nothing is changed"
    )
    assert_one_sentence(off, "mail1: IpAddressGroups.validateSet", "Nothing was changed")
    assert written(mail1) == ["IpAddressGroups.create", "IpAddressGroups.remove"]
    assert (others(mail1), rows(mail1, "Administration")) == (before, mine)
    mail1.forget()
    done = one(groups(mail1, narrower))
    assert done.status == "changed", done
    assert written(mail1) == ["IpAddressGroups.create", "IpAddressGroups.remove"]
    assert {entry["groupId"] for entry in rows(mail1, "Administration")} == {mine[0]["groupId"]}


def test_what_cannot_be_meant_or_is_in_use_changes_nothing(mail1: LabServer) -> None:
    switch_master(mail1, on=True)
    before = others(mail1)
    mail1.forget()
    wrong, used, empty = play(
        groups(mail1, {"name": "Offices", "entries": [{"host": "10.0.0.1"}, {"range": "10.0.0.9-10.0.0.1"}]}),
        groups(mail1, BRANCHES, {"name": "Archive hosts", "state": "absent"}),
        groups(mail1, {"name": "Archive hosts", "entries": []}),
    )
    assert_one_sentence(wrong, "mail1: IP address group Offices: entry 2", "it ends before it begins")
    assert_one_sentence(used, "mail1: IP address group Archive hosts", "still used by master authentication")
    assert_one_sentence(empty, "mail1: IP address group Archive hosts", "Declare state: absent")
    assert_untouched(mail1)
    assert others(mail1) == before


@pytest.mark.shows("broken")
def test_an_error_in_the_middle_and_a_session_that_expires(mail1: LabServer) -> None:
    before = others(mail1)
    with mail1.switched(fail_items="IpAddressGroups.create:1=1001"):
        refused = one(groups(mail1, {"name": "Offices", "entries": [{"host": "10.0.0.1"}, {"host": "10.0.0.2"}]}))
    assert_one_sentence(refused, "Offices: host 10.0.0.2", "code 1001", "nothing is changed")
    assert others(mail1) == before
    with mail1.switched(session_calls=3, extra_members=True):
        answer = one(groups(mail1, BRANCHES))
    assert answer.status == "changed", answer
    assert answer.result["calls"].count("Session.login") == 2
    assert len(rows(mail1, "Branches")) == 1
