# SPDX-License-Identifier: GPL-3.0-or-later
"""IpAddressGroups works on entries (sheet 2.4), and per-item errors (sheet 1.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.facts.plain import Plain
from tests.lab.fixtures import LabServer

Entry = dict[str, Any]


def host(group: str, address: str, **members: Any) -> Entry:
    """What the vendor's sample sends."""
    return {"groupId": "", "groupName": group, "host": address, "type": "Host", "description": "", "enabled": True, **members}


def network(group: str, address: str, mask: str) -> Entry:
    return {"groupId": "", "groupName": group, "type": "Network", "addr1": address, "addr2": mask, "enabled": True}


def create(client: Plain, *entries: Entry) -> dict[str, Any]:
    answer: dict[str, Any] = client.result("IpAddressGroups.create", {"groups": list(entries)})
    return answer


def rows(client: Plain, **query: Any) -> list[Entry]:
    found: list[Entry] = client.result("IpAddressGroups.get", {"query": query})["list"]
    return found


def names(client: Plain) -> list[str]:
    return [g["name"] for g in client.result("IpAddressGroups.getGroupList")["groups"]]


@pytest.fixture(autouse=True)
def tidy(client: Plain) -> Iterator[None]:
    before = {row["id"] for row in rows(client)}
    yield
    client.result("IpAddressGroups.remove", {"groupIds": [r["id"] for r in rows(client) if r["id"] not in before]})


def test_api_060_a_new_server_has_a_group_of_local_clients(client: Plain) -> None:
    local = next(row for row in rows(client) if row["groupName"] == "Local clients")
    assert (local["type"], local["addr1"], local["addr2"]) == ("Network", "10.0.0.0", "255.0.0.0")
    assert names(client) == sorted(names(client), key=str.lower)


def test_api_061_rows_are_entries_and_a_group_is_only_their_name(client: Plain) -> None:
    answer = create(client, host("Archive", "192.0.2.1"), network("archive", "192.0.2.0", "255.255.255.0"))
    assert answer["errors"] == []
    assert [r["inputIndex"] for r in answer["result"]] == [0, 1]
    mine = [row for row in rows(client) if row["groupName"] == "Archive"]
    assert len(mine) == 2
    assert {row["id"] for row in mine} == {r["id"] for r in answer["result"]}
    assert len({row["groupId"] for row in mine}) == 1
    assert names(client).count("Archive") == 1
    assert set(mine[0]) >= {"sharedId", "status", "childGroupId", "childGroupName", "addr1", "addr2", "host"}


def test_api_062_a_group_vanishes_with_its_last_entry(client: Plain) -> None:
    ids = [r["id"] for r in create(client, host("Brief", "192.0.2.1"), host("Brief", "192.0.2.2"))["result"]]
    assert client.result("IpAddressGroups.remove", {"groupIds": ids[:1]}) == {"errors": []}
    assert "Brief" in names(client)
    assert client.result("IpAddressGroups.remove", {"groupIds": ids[1:]}) == {"errors": []}
    assert "Brief" not in names(client)


def test_api_063_errors_inside_success(client: Plain) -> None:
    create(client, host("Twice", "192.0.2.1"))
    answer = create(client, host("Twice", "192.0.2.1"), host("Twice", "192.0.2.9"), host("Twice", ""))
    assert [r["inputIndex"] for r in answer["result"]] == [1]
    assert [(e["inputIndex"], e["code"]) for e in answer["errors"]] == [(0, 1001), (2, 1000)]
    assert set(answer["errors"][0]) == {"inputIndex", "code", "message", "messageParameters"}
    assert set(answer["errors"][0]["messageParameters"]) == {"positionalParameters", "plurality"}


def test_api_064_set_and_remove_index_into_the_ids(client: Plain) -> None:
    kid = create(client, host("Edit", "192.0.2.1"))["result"][0]["id"]
    answer = client.result("IpAddressGroups.set", {"groupIds": ["none", kid], "details": {"description": "new"}})
    assert [(e["inputIndex"], e["code"]) for e in answer["errors"]] == [(0, 1002)]
    assert next(r for r in rows(client) if r["id"] == kid)["description"] == "new"
    answer = client.result("IpAddressGroups.remove", {"groupIds": ["none"]})
    assert [(e["inputIndex"], e["code"]) for e in answer["errors"]] == [(0, 1002)]


@pytest.mark.parametrize(
    ("details", "code"),
    [
        ({"type": "Host", "host": "192.0.2.7"}, 0),
        ({"host": "192.0.2.7"}, -32602),
        ({"type": "Range"}, -32602),
        ({"type": "Range", "addr1": "192.0.2.1", "addr2": "192.0.2.9"}, 0),
        ({"enabled": False}, 0),
        ({"type": "Moon"}, -32602),
    ],
)
def test_api_065_type_and_value_go_together(client: Plain, details: Entry, code: int) -> None:
    kid = create(client, host("Typed", "192.0.2.1"))["result"][0]["id"]
    answer = client.result("IpAddressGroups.set", {"groupIds": [kid], "details": details})
    assert [e["code"] for e in answer["errors"]] == ([code] if code else [])


def test_api_066_matching_ignores_case_and_knows_no_wild_cards(client: Plain) -> None:
    create(client, host("MixedCase", "192.0.2.1"), host("MixedCase", "192.0.2.2"))

    def found(comparator: str, value: str) -> int:
        return len(rows(client, conditions=[{"fieldName": "groupName", "comparator": comparator, "value": value}]))

    assert found("Eq", "mixedcase") == 2
    assert found("Like", "dcas") == 2
    assert found("Like", "%case") == 0


def test_api_067_vendor_sample_filters_by_name_and_sorts_by_item(client: Plain) -> None:
    create(client, host("Sorted", "192.0.2.2"), host("Sorted", "192.0.2.1"))
    conditions = [{"fieldName": "groupName", "comparator": "Eq", "value": "Sorted"}]
    found = rows(client, conditions=conditions, orderBy=[{"columnName": "item", "direction": "Asc"}])
    assert [row["host"] for row in found] == ["192.0.2.1", "192.0.2.2"]
    assert "item" not in found[0]


def test_api_068_an_unknown_group_id_is_refused(client: Plain) -> None:
    answer = create(client, host("Name", "192.0.2.1", groupId="keriodb://ipaddressgroup/none"))
    assert [e["code"] for e in answer["errors"]] == [1002]


def test_api_069_validate_warns_before_the_caller_is_cut_off(client: Plain) -> None:
    kid = create(client, host("Admins", "127.0.0.1"))["result"][0]["id"]
    group = next(row for row in rows(client) if row["id"] == kid)["groupId"]
    validate = {"groupIds": [kid], "details": {"type": "Host", "host": "192.0.2.1"}}
    assert client.result("IpAddressGroups.validateSet", validate) == {"errors": []}
    client.result("Server.setRemoteAdministration", {"setting": {"isEnabled": True, "isLimited": True, "groupId": group}})
    assert len(client.result("IpAddressGroups.validateSet", validate)["errors"]) == 1
    assert len(client.result("IpAddressGroups.validateRemove", {"groupIds": [kid]})["errors"]) == 1
    assert next(r for r in rows(client) if r["id"] == kid)["host"] == "127.0.0.1"
    client.result("Server.setRemoteAdministration", {"setting": {"isEnabled": True, "isLimited": False, "groupId": ""}})
    assert client.result("IpAddressGroups.validateRemove", {"groupIds": [kid]}) == {"errors": []}


def test_api_070_nothing_has_to_be_applied(server: LabServer, client: Plain) -> None:
    create(client, host("AtOnce", "192.0.2.1"))
    assert "AtOnce" in [g["name"] for g in server.api("IpAddressGroups.getGroupList")["groups"]]
    assert client.code("IpAddressGroups.apply") == -32601
