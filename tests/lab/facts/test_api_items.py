# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that tests provoke, switches that make no sense, and what each position refuses (sheet 1.4, 1.5, 2; section 10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.facts.plain import Plain
from tests.lab.fixtures import Factory, LabServer

Row = dict[str, Any]


def hosts(*addresses: str) -> Row:
    entries = [{"groupId": "", "groupName": "Items", "host": a, "type": "Host", "enabled": True} for a in addresses]
    return {"groups": entries}


def test_api_120_one_item_of_a_call_fails(server: LabServer, client: Plain) -> None:
    server.set_switches(fail_items="IpAddressGroups.create:1=1000, Users.create=1003")
    server.forget()
    answer = client.result("IpAddressGroups.create", hosts("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    assert [r["inputIndex"] for r in answer["result"]] == [0, 2]
    error = answer["errors"][0]
    assert (error["inputIndex"], error["code"]) == (1, 1000)
    assert "%1" in error["message"]
    assert error["messageParameters"]["positionalParameters"] == ["Items"]
    call = server.calls()[-1]
    assert (call["outcome"], call["item_errors"]) == ("ok", [[1, 1000]])
    client.result("IpAddressGroups.remove", {"groupIds": [r["id"] for r in answer["result"]]})
    assert "item_errors" not in server.calls()[-1]


def test_api_121_without_an_index_every_item_fails(server: LabServer, client: Plain) -> None:
    server.set_switches(fail_items="Users.create=1003")
    kid = server.domain()["id"]
    users = [{"domainId": kid, "loginName": login} for login in ("one", "two")]
    answer = client.result("Users.create", {"users": users})
    assert [(e["inputIndex"], e["code"]) for e in answer["errors"]] == [(0, 1003), (1, 1003)]
    assert [e["messageParameters"]["positionalParameters"] for e in answer["errors"]] == [["one"], ["two"]]
    assert answer["result"] == []
    assert client.result("Users.get", {"query": {}, "domainId": kid})["totalItems"] == 5


def test_api_122_items_of_sets_and_removals(server: LabServer, client: Plain) -> None:
    wanted = ("NNTP", "POP3")
    services = {s["name"]: s for s in client.result("Services.get")["services"]}
    server.set_switches(fail_items="Services.set:1=1000,Users.remove:0=-32602")
    changed = [{"id": services[name]["id"], "connectionLimit": {"isSet": True, "value": 7}} for name in wanted]
    assert [e["inputIndex"] for e in client.result("Services.set", {"services": changed})["errors"]] == [1]
    after = {s["name"]: s for s in client.result("Services.get")["services"]}
    assert [after[name]["connectionLimit"]["value"] for name in wanted] == [7, 1000]
    request = {"userId": "none", "method": "UDeleteUser"}
    assert [e["code"] for e in client.result("Users.remove", {"requests": [request]})["errors"]] == [-32602]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fail_items", "Users.create"),
        ("fail_items", "Users.create:x=1003"),
        ("fail_items", "Users.create=1003,"),
        ("fail_items", "Users.create=0"),
        ("fail_items", "Users.get=1000"),  # no list of items goes in
        ("fail_items", "Users.created=1000"),
        ("fail_methods", "Archive.get"),
        ("fail_methods", "Archive.get=oops"),
        ("fail_methods", "Archive.got=1000"),
        ("hang_methods", "Archive.get=1000"),
        ("hang_methods", "Archive.got"),
        ("hang_methods", "get"),
        ("absent_members", "SecurityPolicy"),
        ("absent_members", "SecurityPolicy.none"),
    ],
)
def test_api_123_switches_that_name_nothing_are_refused(
    server: LabServer, client: Plain, lab_factory: Factory, name: str, value: str
) -> None:
    with pytest.raises(ValueError, match=f"switch {name}"):
        server.set_switches(**{name: value})
    with pytest.raises(ValueError, match=f"switch {name}"):
        lab_factory(servers=1, start=False, **{name: value})
    assert client.code("Archive.get") == 0
    chosen = json.loads((server.install / "lab-server.json").read_text())["switches"]
    assert chosen.get(name, "") == ""


def test_api_124_provoked_errors_of_the_login(server: LabServer) -> None:
    server.set_switches(fail_methods="Session.login=413")
    with Plain(server) as other:
        assert other.login()["error"]["code"] == 413


# -- positions over all kinds ---------------------------------------------------------------------------------------


def user_set(client: Plain, server: LabServer, **pattern: Any) -> list[int]:
    answer = client.result("Users.set", {"userIds": [server.user("bob")["id"]], "pattern": pattern})
    return [e["code"] for e in answer["errors"]]


def service_set(client: Plain, **members: Any) -> list[int]:
    services = client.result("Services.get")["services"]
    kid = next(s["id"] for s in services if s["name"] == "POP3")
    return [e["code"] for e in client.result("Services.set", {"services": [{"id": kid, **members}]})["errors"]]


READ_ONLY: list[Row] = [
    {"id": "other"},
    {"isWritableByMe": False},
    {"migration": {"isEnabled": True, "status": ""}},
    {"consumedItems": 7},
    {"lastLoginInfo": {"dateTime": 1, "protocol": "x"}},
    {"homeServer": {"id": "other", "name": ""}},
    {"hasDefaultSpamRule": False},
]


@pytest.mark.parametrize("member", READ_ONLY)
@pytest.mark.parametrize(("switch", "codes"), [("ignore", []), ("reject", [-32602])])
def test_api_125_read_only_members_of_users(server: LabServer, client: Plain, member: Row, switch: str, codes: list[int]) -> None:
    def bob() -> Row:
        rows: list[Row] = client.result("Users.get", {"query": {}, "domainId": server.domain()["id"]})["list"]
        return next(row for row in rows if row["loginName"] == "bob")

    before = bob()
    server.set_switches(read_only_members=switch)
    assert user_set(client, server, **member) == codes
    assert bob() == before


@pytest.mark.parametrize("member", [{"isRunning": False}, {"defaultPort": 1}, {"name": "Post office"}])
@pytest.mark.parametrize(("switch", "codes"), [("ignore", []), ("reject", [-32602])])
def test_api_126_read_only_members_of_services(
    server: LabServer, client: Plain, member: Row, switch: str, codes: list[int]
) -> None:
    before = client.result("Services.get")
    server.set_switches(read_only_members=switch)
    assert service_set(client, **member) == codes
    assert client.result("Services.get") == before
    assert service_set(client, howToStart="Automatic", name="POP3") == []  # id and the same name are always welcome


@pytest.mark.parametrize(("switch", "code"), [("accept", 0), ("reject", -32602)])
def test_api_127_partial_security_policy(server: LabServer, client: Plain, switch: str, code: int) -> None:
    server.set_switches(partial_options=switch)
    assert client.code("SecurityPolicy.set", {"options": {"minutesToUnlock": 6}}) == code
    whole = client.result("SecurityPolicy.get")["options"]
    assert client.code("SecurityPolicy.set", {"options": whole}) == 0
    for member in whole:
        part = {k: v for k, v in whole.items() if k != member}
        assert client.code("SecurityPolicy.set", {"options": part}) == code, member


@pytest.mark.parametrize(("switch", "code"), [("accept", 0), ("reject", -32602)])
def test_api_128_unknown_members_at_any_depth(server: LabServer, client: Plain, switch: str, code: int) -> None:
    policy = client.result("SecurityPolicy.get")["options"]
    service = next(s for s in client.result("Services.get")["services"] if s["name"] == "POP3")
    listener = {**service["listeners"][0], "more": 1}
    server.set_switches(unknown_members=switch)
    expected = [code] if code else []
    assert client.code("SecurityPolicy.set", {"options": {**policy, "more": 1}}) == code
    hammering = {**policy["antiHammering"], "more": 1}
    assert client.code("SecurityPolicy.set", {"options": {"antiHammering": hammering}}) == code
    methods = [{**policy["authenticationMethods"][0], "more": 1}, *policy["authenticationMethods"][1:]]
    assert client.code("SecurityPolicy.set", {"options": {"authenticationMethods": methods}}) == code
    assert service_set(client, more=1) == expected
    assert service_set(client, listeners=[listener]) == expected
    assert user_set(client, server, more=1) == expected
    role = {"userRole": "UserRole", "publicFolderRight": False, "archiveFolderRight": False, "more": 1}
    assert user_set(client, server, role=role) == expected
    assert client.result("SecurityPolicy.get")["options"] == policy


def test_api_129_members_that_a_server_lacks(server: LabServer, client: Plain) -> None:
    server.set_switches(absent_members="SecurityPolicy.antiHammering, User.publishInGal, Service.connectionLimit")
    policy = client.result("SecurityPolicy.get")["options"]
    assert "antiHammering" not in policy
    assert client.code("SecurityPolicy.set", {"options": policy}) == 0
    rows = client.result("Users.get", {"query": {}, "domainId": server.domain()["id"]})["list"]
    assert not [row for row in rows if "publishInGal" in row]
    assert not [s for s in client.result("Services.get")["services"] if "connectionLimit" in s]
    server.set_switches(unknown_members="reject")
    assert user_set(client, server, publishInGal=False) == [-32602]
    server.set_switches(absent_members="", unknown_members="accept")
    assert client.result("SecurityPolicy.get")["options"]["antiHammering"]["failedLoginsToBlock"] == 100


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("SecurityPolicy.set", {"mode": "SPMaybe"}),
        ("SecurityPolicy.set", {"mode": 1}),
        ("Archive.set", {"archiveFoldersInterval": "periodYear"}),
    ],
)
def test_api_130_values_outside_of_an_enum(client: Plain, method: str, options: Row) -> None:
    assert client.code(method, {"options": options}) == -32602
