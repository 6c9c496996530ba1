# SPDX-License-Identifier: GPL-3.0-or-later
"""IP address groups have consequences: who may administer, and what becomes of a group in use (sheet 2.4, 2.10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.lab import state_defaults
from tests.lab.facts.plain import Plain, admin
from tests.lab.fixtures import LabServer
from tests.lab.state import ServerState

HERE, THERE = "127.0.0.1", "127.0.0.2"
Row = dict[str, Any]


def add(client: Plain, group: str, address: str, **members: Any) -> Row:
    """A new entry: its id, and its group's."""
    entry = {"groupId": "", "groupName": group, "host": address, "type": "Host", "enabled": True, **members}
    answer = client.result("IpAddressGroups.create", {"groups": [entry]})
    assert answer["errors"] == []
    kid = answer["result"][0]["id"]
    rows: list[Row] = client.result("IpAddressGroups.get", {"query": {}})["list"]
    return next(row for row in rows if row["id"] == kid)


def limit(client: Plain, group_id: str, **members: bool) -> None:
    setting = {"isEnabled": True, "isLimited": True, "groupId": group_id, **members}
    assert client.result("Server.setRemoteAdministration", {"setting": setting}) == {}


def remove(client: Plain, *ids: str) -> list[int]:
    return [e["code"] for e in client.result("IpAddressGroups.remove", {"groupIds": list(ids)})["errors"]]


@pytest.fixture
def here(server: LabServer) -> Iterator[Plain]:
    """From 127.0.0.1; the server is as new afterwards, whoever was cut off."""
    with admin(server) as client:
        yield client
    server.reset()


@pytest.fixture
def there(server: LabServer) -> Iterator[Plain]:
    with admin(server, THERE) as client:
        assert client.result("Session.whoAmI")["userDetails"]["loginName"] == "Admin"
        yield client


def refused(client: Plain, method: str = "Session.whoAmI") -> str:
    """How a call was refused, as the switch calls it; "" when it was not."""
    try:
        response = client.http.post(client.url, json={"jsonrpc": "2.0", "id": 3, "method": method}, timeout=30)
    except requests.ConnectionError:
        return "close"
    if response.status_code == 403:
        return "forbidden"
    return "error" if (response.json().get("error") or {}).get("code") == 1004 else ""


@pytest.mark.parametrize("form", ["forbidden", "error", "close"])
def test_api_106_remote_administration_is_limited_to_a_group(server: LabServer, here: Plain, there: Plain, form: str) -> None:
    server.set_switches(remote_admin_refusal=form)
    limit(here, add(here, "Admins", HERE)["groupId"])
    assert refused(here) == ""
    assert refused(there) == form  # its session does not help
    assert refused(there, "Session.login") == form
    assert server.calls()[-1]["outcome"] == "outside"
    limit(here, "", isLimited=False)
    assert refused(there) == ""


def test_api_107_changing_the_group_cuts_the_caller_off(server: LabServer, here: Plain) -> None:
    entry = add(here, "Admins", HERE)
    limit(here, entry["groupId"])
    details = {"type": "Host", "host": THERE}
    assert len(here.result("IpAddressGroups.validateSet", {"groupIds": [entry["id"]], "details": details})["errors"]) == 1
    assert refused(here) == ""
    assert here.result("IpAddressGroups.set", {"groupIds": [entry["id"]], "details": details}) == {"errors": []}
    assert refused(here) == "forbidden"
    with admin(server, THERE) as other:
        assert refused(other) == ""


def test_api_108_removing_the_group_cuts_everybody_off_also_after_a_restart(server: LabServer, here: Plain) -> None:
    entry = add(here, "Admins", HERE)
    limit(here, entry["groupId"])
    assert remove(here, entry["id"]) == []
    assert refused(here) == "forbidden"
    server.service("restart")
    assert refused(here, "Session.login") == "forbidden"


def test_api_109_the_warning_is_at_the_item_that_cuts_off(here: Plain) -> None:
    entries = [add(here, "Admins", address) for address in (THERE, HERE, "127.0.0.3")]
    limit(here, entries[0]["groupId"])
    ids = [entry["id"] for entry in entries]
    errors = here.result("IpAddressGroups.validateRemove", {"groupIds": ids})["errors"]
    assert [(e["inputIndex"], e["code"], e["messageParameters"]["positionalParameters"]) for e in errors] == [(1, 1000, [HERE])]
    assert here.result("IpAddressGroups.validateRemove", {"groupIds": [ids[0], ids[2]]}) == {"errors": []}
    assert [e["code"] for e in here.result("IpAddressGroups.validateRemove", {"groupIds": ["none"]})["errors"]] == [1002]
    assert len(here.result("IpAddressGroups.get", {"query": {}})["list"]) == 5  # nothing was removed
    answer = here.result("IpAddressGroups.validateSet", {"groupIds": ids, "details": {"enabled": False}})
    assert [e["inputIndex"] for e in answer["errors"]] == [1]


def test_api_110_remote_administration_can_be_validated(here: Plain) -> None:
    group = add(here, "Others", THERE)["groupId"]
    setting = {"isEnabled": True, "isLimited": True, "groupId": group}
    assert len(here.result("Server.validateRemoteAdministration", {"setting": setting})["errors"]) == 1
    assert here.result("Server.validateRemoteAdministration", {"setting": {**setting, "isLimited": False}}) == {"errors": []}
    assert here.result("Server.getRemoteAdministration")["setting"]["isLimited"] is False


def test_api_111_switched_off_it_leaves_the_machine_itself(here: Plain, there: Plain) -> None:
    limit(here, "", isEnabled=False, isLimited=False)
    assert (refused(here), refused(there)) == ("", "forbidden")


# -- groups in use --------------------------------------------------------------------------------------------------


def use(client: Plain, where: str, group: Row) -> None:
    kid = group["groupId"]
    entity = {"enabled": True, "id": kid, "name": ""}
    if where == "master":
        master = {"isEnabled": True, "groupRestriction": kid, "password": "not-a-secret-master"}
        client.result("AdvancedOptions.set", {"options": {"masterAuthentication": master}})
    elif where == "service":
        service = next(s for s in client.result("Services.get")["services"] if s["name"] == "SMTP")
        new = {"id": service["id"], "group": {"isUsed": True, "ipGroup": {"id": kid, "name": ""}}}
        assert client.result("Services.set", {"services": [new]}) == {"errors": []}
    elif where == "hammering":
        hammering = {"isEnabled": True, "failedLoginsToBlock": 9, "minutesToBlock": 5, "exceptionIpGroup": entity}
        client.result("SecurityPolicy.set", {"options": {"antiHammering": hammering}})
    elif where == "remote":
        add(client, "Everybody", "", type="Network", addr1="127.0.0.0", addr2="255.0.0.0")
        limit(client, kid, isLimited=False)
    elif where == "child":
        add(client, "Parent", "", type="ChildGroup", childGroupId=kid)
    else:
        client.result("SecurityPolicy.set", {"options": {where: entity}})


PLACES = ["master", "service", "hammering", "remote", "child", "encryptionExceptionGroup", "authenticationExceptionGroup"]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(("switch", "codes"), [("accept", []), ("refuse", [1000])])
def test_api_112_removing_a_group_in_use(server: LabServer, here: Plain, where: str, switch: str, codes: list[int]) -> None:
    server.set_switches(group_in_use=switch)
    first, last = add(here, "Used", "192.0.2.1"), add(here, "Used", "192.0.2.2")
    use(here, where, first)
    assert remove(here, first["id"]) == []
    moved = here.result("IpAddressGroups.set", {"groupIds": [last["id"]], "details": {"groupName": "Elsewhere"}})
    assert [e["code"] for e in moved["errors"]] == codes
    here.result("IpAddressGroups.set", {"groupIds": [last["id"]], "details": {"groupId": last["groupId"]}})
    if switch == "accept":  # moved away it does not come back by an id that no longer exists
        here.result("IpAddressGroups.remove", {"groupIds": [last["id"]]})
    else:
        assert remove(here, last["id"]) == [1000]
    names = [g["name"] for g in here.result("IpAddressGroups.getGroupList")["groups"]]
    assert ("Used" in names) is (switch == "refuse")
    for method in ("AdvancedOptions.get", "SecurityPolicy.get", "Services.get", "Server.getRemoteAdministration"):
        assert here.code(method) == 0, method


@pytest.mark.parametrize(("switch", "code"), [("accept", 0), ("refuse", 1002)])
def test_api_113_settings_that_name_a_group_that_is_not_there(server: LabServer, here: Plain, switch: str, code: int) -> None:
    server.set_switches(unknown_group=switch)
    master = {"isEnabled": True, "groupRestriction": "keriodb://ipaddressgroup/none", "password": "not-a-secret-master"}
    assert here.code("AdvancedOptions.set", {"options": {"masterAuthentication": master}}) == code
    entity = {"enabled": True, "id": "keriodb://ipaddressgroup/none", "name": "None"}
    assert here.code("SecurityPolicy.set", {"options": {"encryptionExceptionGroup": entity}}) == code
    assert here.code("SecurityPolicy.set", {"options": {"encryptionExceptionGroup": {**entity, "enabled": False}}}) == 0
    service = here.result("Services.get")["services"][3]
    new = {"id": service["id"], "group": {"isUsed": True, "ipGroup": {"id": entity["id"], "name": ""}}}
    errors = here.result("Services.set", {"services": [new]})["errors"]
    assert [e["code"] for e in errors] == ([code] if code else [])
    child = {"groupName": "Parent", "type": "ChildGroup", "childGroupId": entity["id"], "enabled": True}
    errors = here.result("IpAddressGroups.create", {"groups": [child]})["errors"]
    assert [e["code"] for e in errors] == ([code] if code else [])


def test_api_114_names_of_groups_follow_their_ids(here: Plain) -> None:
    entry = add(here, "Before", "192.0.2.1")
    use(here, "service", entry)
    use(here, "hammering", entry)
    use(here, "child", entry)

    def shown() -> set[str]:
        policy = here.result("SecurityPolicy.get")["options"]["antiHammering"]["exceptionIpGroup"]
        service = next(s for s in here.result("Services.get")["services"] if s["name"] == "SMTP")
        rows = here.result("IpAddressGroups.get", {"query": {}})["list"]
        parent = next(row for row in rows if row["groupName"] == "Parent")
        return {policy["name"], service["group"]["ipGroup"]["name"], parent["childGroupName"]}

    assert shown() == {"Before"}
    assert remove(here, entry["id"]) == []
    assert shown() == {""}


def test_api_115_nobody_is_in_a_group_that_is_gone_and_rings_end(server: LabServer) -> None:
    state = ServerState(server.install)
    assert not state.in_group("keriodb://ipaddressgroup/none", HERE)
    rows = [("a", "b"), ("b", "a"), ("c", "c")]
    state.settings["IpAddressGroups"] += [
        state_defaults.address_entry(kid, kid, type="ChildGroup", childGroupId=child) for kid, child in rows
    ]
    assert not any(state.in_group(kid, HERE) for kid in "abc")
    state.settings["IpAddressGroups"].append(state_defaults.address_entry("b", "b", type="Host", host=HERE))
    assert [state.in_group(kid, HERE) for kid in "abc"] == [True, True, False]
