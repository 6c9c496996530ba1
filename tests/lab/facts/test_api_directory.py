# SPDX-License-Identifier: GPL-3.0-or-later
"""SearchQuery, Domains, Users, Groups, Aliases (sheet 1.6, 1.7, 2.2, 2.5-2.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.facts.plain import Plain, by, get
from tests.lab.fixtures import LabServer

Row = dict[str, Any]


@pytest.fixture
def domain(client: Plain) -> Row:
    found: Row = client.result("Domains.get", {"query": {}})["list"][0]
    return found


def condition(field: str, comparator: str, value: str) -> Row:
    return {"fieldName": field, "comparator": comparator, "value": value}


def logins(client: Plain, domain: Row, *conditions: Row, **query: Any) -> list[str]:
    return [u["loginName"] for u in get(client, "Users", domain, conditions=list(conditions), **query)["list"]]


def add_user(client: Plain, domain: Row, login: str, **members: Any) -> str:
    answer = client.result("Users.create", {"users": [{"domainId": domain["id"], "loginName": login, **members}]})
    assert answer["errors"] == []
    return str(answer["result"][0]["id"])


def drop_user(client: Plain, kid: str, **members: Any) -> Row:
    answer: Row = client.result("Users.remove", {"requests": [{"userId": kid, "method": "UDeleteUser", **members}]})
    return answer


# -- 1.6 queries ----------------------------------------------------------------------------------------------------


def test_api_071_partial_and_full_queries(client: Plain, domain: Row) -> None:
    everyone = get(client, "Users", domain)
    assert everyone["totalItems"] == len(everyone["list"]) == 5
    full = {"fields": [], "conditions": [], "combining": "And", "start": 0, "limit": -1}
    order = [{"columnName": "loginName", "direction": "Asc", "caseSensitive": False}]
    assert get(client, "Users", domain, **full, orderBy=order)["totalItems"] == 5
    assert logins(client, domain, orderBy=[{"columnName": "loginName", "direction": "Desc"}])[0] == "dora"


def test_api_072_start_limit_and_total(client: Plain, domain: Row, server: LabServer) -> None:
    order = [{"columnName": "loginName", "direction": "Asc"}]
    page = get(client, "Users", domain, start=1, limit=2, orderBy=order)
    assert [u["loginName"] for u in page["list"]] == ["archive", "bob"]
    assert page["totalItems"] == 5
    server.set_switches(list_limit=3)
    page = get(client, "Users", domain, limit=-1)
    assert (len(page["list"]), page["totalItems"]) == (3, 5)


def test_api_073_fields_leave_the_other_members_out(client: Plain, domain: Row) -> None:
    page = get(client, "Users", domain, fields=["id", "loginName"])
    assert {frozenset(user) for user in page["list"]} == {frozenset({"id", "loginName"})}
    constants = {c["name"]: c["value"] for c in client.result("Server.getNamedConstantList")["constants"]}
    assert "fullName" in get(client, "Users", domain, fields=[constants["LIST_USERS"]])["list"][0]
    assert constants["kerio_web_Asc"] == "Asc"


@pytest.mark.parametrize(
    ("comparator", "value", "expected"),
    [
        ("Eq", "bob", ["bob"]),
        ("NotEq", "bob", ["alice", "archive", "carol", "dora"]),
        ("LessThan", "bob", ["alice", "archive"]),
        ("LessEq", "bob", ["alice", "archive", "bob"]),
        ("GreaterThan", "carol", ["dora"]),
        ("GreaterEq", "carol", ["carol", "dora"]),
        ("Like", "ar", ["archive", "carol"]),
        ("Like", "a%c", ["alice", "archive"]),
    ],
)
def test_api_074_comparators(client: Plain, domain: Row, comparator: str, value: str, expected: list[str]) -> None:
    assert sorted(logins(client, domain, condition("loginName", comparator, value))) == expected


def test_api_075_conditions_are_joined_by_one_operator(client: Plain, domain: Row) -> None:
    both = condition("loginName", "Like", "a"), condition("fullName", "Like", "Dvo")
    assert logins(client, domain, *both, combining="And") == ["dora"]
    assert len(logins(client, domain, *both, combining="Or")) == 4


def test_api_076_quicksearch(client: Plain, domain: Row) -> None:
    assert logins(client, domain, condition("QUICKSEARCH", "Like", "dvořák")) == ["dora"]
    assert logins(client, domain, condition("QUICKSEARCH", "Like", "bob")) == ["bob"]
    quick = condition("QUICKSEARCH", "Like", "alice")
    assert [a["name"] for a in get(client, "Aliases", domain, conditions=[quick])["list"]] == ["info"]


@pytest.mark.parametrize(
    "query",
    [
        {"conditions": [condition("loginName", "Near", "x")]},
        {"conditions": [condition("isWritableByMe", "Eq", "1")]},
        {"conditions": [condition("itemSource", "Eq", "x"), condition("loginName", "Eq", "x")], "combining": "Or"},
        {"conditions": [{"fieldName": "loginName"}]},
        {"orderBy": [{"columnName": "loginName", "direction": "Up"}]},
    ],
)
def test_api_077_impossible_queries(client: Plain, domain: Row, query: Row) -> None:
    assert client.code("Users.get", {"query": query, "domainId": domain["id"]}) == -32602


def test_api_078_ids_are_opaque_and_carry_their_kind(client: Plain, domain: Row) -> None:
    assert domain["id"].startswith("keriodb://domain/")
    guid = domain["id"].rsplit("/", 1)[1]
    assert all(u["id"].startswith(f"keriodb://user/{guid}/") for u in get(client, "Users", domain)["list"])


# -- 2.2, 2.5 domains -----------------------------------------------------------------------------------------------


def test_api_079_domain_archiving_is_set_by_a_sparse_pattern(client: Plain, domain: Row) -> None:
    pattern = {"useRemoteArchiveAddress": True, "remoteArchiveAddress": "archive@example.com", "archiveLocalMessages": True}
    assert client.result("Domains.set", {"domainIds": [domain["id"]], "pattern": pattern}) == {"errors": []}
    assert client.result("Domains.get", {"query": {}})["list"][0] == {**domain, **pattern}
    assert "archiveRelayedMessages" not in domain


def test_api_080_the_name_of_a_domain_is_written_once(client: Plain, domain: Row) -> None:
    client.result("Domains.set", {"domainIds": [domain["id"]], "pattern": {"name": "other.example"}})
    assert client.result("Domains.get", {"query": {}})["list"][0]["name"] == domain["name"]
    created = client.result("Domains.create", {"domains": [{"name": "second.example"}, {"name": domain["name"]}]})
    assert [e["code"] for e in created["errors"]] == [1001]
    kid = created["result"][0]["id"]
    answer = client.result("Domains.remove", {"domainIds": [domain["id"], kid]})
    assert [e["inputIndex"] for e in answer["errors"]] == [0]  # primary, and not empty


def test_api_156_what_is_said_of_domains_as_a_whole_and_of_one(server: LabServer, client: Plain, domain: Row) -> None:
    setting = client.result("Domains.getSettings")["setting"]
    assert (setting["hostname"], setting["publicFoldersPerDomain"]) == (f"mail.{domain['name']}", False)
    before = client.result("Domains.getUserCountInfo", {"domainId": domain["id"]})["countInfo"]["currentUsers"]
    server.add_user("one-more")
    counted = client.result("Domains.getUserCountInfo", {"domainId": domain["id"]})["countInfo"]
    assert counted == {"currentUsers": before + 1, "allowedUsers": -1}
    assert client.code("Domains.getUserCountInfo", {"domainId": "keriodb://domain/none"}) == 1002


# -- 2.6 users ------------------------------------------------------------------------------------------------------


def test_api_081_the_default_address_is_not_listed(client: Plain, domain: Row) -> None:
    users = get(client, "Users", domain)["list"]
    assert by(users, "loginName", "alice")["emailAddresses"] == ["a.angstrom"]
    assert by(users, "loginName", "bob")["emailAddresses"] == []
    assert by(users, "loginName", "bob")["itemSource"] == "DSInternalSource"


def test_api_082_create_needs_a_domain_and_a_login(client: Plain, domain: Row) -> None:
    vendor = {"loginName": "new", "password": "not-a-secret-new", "domainId": domain["id"], "isEnabled": True}
    taken = {**vendor, "loginName": "ALICE"}
    elsewhere = {**vendor, "domainId": "keriodb://domain/none"}
    answer = client.result("Users.create", {"users": [vendor, taken, elsewhere, {"domainId": domain["id"]}]})
    assert [(e["inputIndex"], e["code"]) for e in answer["errors"]] == [(1, 1001), (2, 1002), (3, -32602)]
    kid = answer["result"][0]["id"]
    assert by(get(client, "Users", domain)["list"], "id", kid)["password"] == ""
    assert drop_user(client, kid) == {"errors": []}
    assert [e["code"] for e in drop_user(client, kid)["errors"]] == [1002]


@pytest.mark.parametrize(("limit", "codes"), [(0, []), (5, [1003])])
def test_api_083_licensed_users(server: LabServer, client: Plain, domain: Row, limit: int, codes: list[int]) -> None:
    server.set_switches(licensed_users=limit)
    answer = client.result("Users.create", {"users": [{"domainId": domain["id"], "loginName": "sixth"}]})
    assert [e["code"] for e in answer["errors"]] == codes
    for created in answer["result"]:
        drop_user(client, created["id"])


def test_api_084_a_sparse_pattern_changes_a_password_only(server: LabServer, client: Plain, domain: Row) -> None:
    kid = add_user(client, domain, "paul", fullName="Paul", password="not-a-secret-one")
    before = by(get(client, "Users", domain)["list"], "id", kid)
    assert client.result("Users.set", {"userIds": [kid], "pattern": {"password": "not-a-secret-two"}}) == {"errors": []}
    assert by(get(client, "Users", domain)["list"], "id", kid) == before
    with Plain(server) as other:  # the right password fails for want of rights, the wrong one as a login
        assert other.login("paul", "not-a-secret-two")["error"]["code"] == 1004
        assert other.login("paul", "not-a-secret-one")["error"]["code"] == 1000
    drop_user(client, kid)


def test_api_085_removing_with_references_removes_the_aliases(client: Plain, domain: Row) -> None:
    kid = add_user(client, domain, "quinn")
    alias = {"domainId": domain["id"], "name": "q", "deliverTo": "quinn", "type": "TypeEmailAddress"}
    client.result("Aliases.create", {"aliases": [alias]})
    assert drop_user(client, kid, removeReferences=True, targetUserId="", mode="DSModeDelete") == {"errors": []}
    assert "q" not in [a["name"] for a in get(client, "Aliases", domain)["list"]]
    assert [e["code"] for e in drop_user(client, kid, method="Shred")["errors"]] == [1002]


def test_api_086_there_is_no_get_details(client: Plain) -> None:
    assert client.code("Users.getDetails", {}) == -32601


# -- 2.7 groups and aliases -----------------------------------------------------------------------------------------


def test_api_087_members_are_known_through_the_users_only(client: Plain, domain: Row) -> None:
    groups = get(client, "Groups", domain)["list"]
    sales = by(groups, "name", "sales")
    assert not [m for m in sales if "member" in m.lower() or "user" in m.lower()]
    users = get(client, "Users", domain)["list"]
    assert [u["loginName"] for u in users if sales["id"] in [g["id"] for g in u["userGroups"]]] == ["bob", "carol"]
    assert set(users[0]["userGroups"][0]) == {"id", "name", "description", "itemSource"}


def test_api_088_member_lists_have_different_parameter_names(client: Plain, domain: Row) -> None:
    sales = by(get(client, "Groups", domain)["list"], "name", "sales")["id"]
    dora = by(get(client, "Users", domain)["list"], "loginName", "dora")["id"]
    assert client.result("Groups.addMemberList", {"groupId": sales, "userList": [dora]}) == {"errors": []}
    assert sales in [g["id"] for g in by(get(client, "Users", domain)["list"], "id", dora)["userGroups"]]
    assert client.code("Groups.removeMemberList", {"groupId": sales, "userList": [dora]}) == -32602
    assert client.result("Groups.removeMemberList", {"groupId": sales, "userIds": [dora]}) == {"errors": []}
    again = client.result("Groups.removeMemberList", {"groupId": sales, "userIds": [dora]})
    assert [e["code"] for e in again["errors"]] == [1002]


@pytest.mark.parametrize("shape", ["string", "object"])
def test_api_089_shape_of_a_groups_role(server: LabServer, client: Plain, domain: Row, shape: str) -> None:
    server.set_switches(group_role=shape)
    role = get(client, "Groups", domain)["list"][0]["role"]
    assert (role if shape == "string" else role["userRole"]) == "UserRole"
    new = {"domainId": domain["id"], "name": f"auditors-{shape}", "role": role}
    kid = client.result("Groups.create", {"groups": [new]})["result"][0]["id"]
    assert by(get(client, "Groups", domain)["list"], "id", kid)["role"] == role
    assert client.result("Groups.set", {"groupIds": [kid], "pattern": {"description": "d"}}) == {"errors": []}
    assert client.result("Groups.remove", {"requests": [{"groupId": kid, "mode": ""}]}) == {"errors": []}


def test_api_090_a_group_gives_its_role_to_its_members(client: Plain, domain: Row) -> None:
    kid = client.result("Groups.create", {"groups": [{"domainId": domain["id"], "name": "boss", "role": "FullAdmin"}]})
    kid = kid["result"][0]["id"]
    dora = by(get(client, "Users", domain)["list"], "loginName", "dora")
    groups = [*dora["userGroups"], {"id": kid}]
    client.result("Users.set", {"userIds": [dora["id"]], "pattern": {"userGroups": groups}})
    after = by(get(client, "Users", domain)["list"], "loginName", "dora")
    assert (after["role"]["userRole"], after["groupRole"]["userRole"]) == ("UserRole", "FullAdmin")
    assert after["effectiveRole"]["userRole"] == "FullAdmin"
    client.result("Groups.remove", {"requests": [{"groupId": kid}]})
    assert by(get(client, "Users", domain)["list"], "loginName", "dora") == dora


@pytest.mark.parametrize("member", ["type", "deliverToSelect"])
def test_api_091_both_spellings_of_an_alias_type(client: Plain, domain: Row, member: str) -> None:
    alias = {"domainId": domain["id"], "name": f"x-{member}", "deliverTo": "bob", member: "TypeEmailAddress"}
    kid = client.result("Aliases.create", {"aliases": [alias]})["result"][0]["id"]
    stored = by(get(client, "Aliases", domain)["list"], "id", kid)
    assert stored["type"] == "TypeEmailAddress"
    assert "deliverToSelect" not in stored
    assert client.result("Aliases.set", {"aliasIds": [kid], "pattern": {"deliverTo": "carol"}}) == {"errors": []}
    assert client.result("Aliases.check", {"checkString": alias["name"]}) == {"result": ["carol@example.com"]}
    assert client.result("Aliases.remove", {"aliasIds": [kid]}) == {"errors": []}


def test_api_092_check_tells_where_an_address_really_goes(client: Plain) -> None:
    def goes(address: str) -> list[str]:
        found: list[str] = client.result("Aliases.check", {"checkString": address})["result"]
        return found

    assert goes("info") == ["alice@example.com"]
    assert goes("orders@example.com") == ["bob@example.com", "carol@example.com"]
    assert goes("a.angstrom@example.net") == ["alice@example.com"]
    assert goes("nobody@example.com") == []
    assert goes("someone@elsewhere.example") == ["someone@elsewhere.example"]


def test_api_093_find_by_email_takes_local_parts(client: Plain, domain: Row) -> None:
    wanted = {"addresses": ["a.angstrom", "sales", "info"], "domainId": domain["id"]}
    found = client.result("Server.findEntityByEmail", wanted)["entities"]
    assert [(e["kind"], e["name"]) for e in found] == [("EntityUser", "alice"), ("EntityGroup", "sales"), ("EntityAlias", "info")]


@pytest.mark.parametrize("allowed", [False, True])
def test_api_094_login_by_domain_alias(server: LabServer, allowed: bool) -> None:
    server.set_switches(domain_alias_login=allowed)
    with Plain(server) as other:  # 1004: the login was right, the rights are not
        code = other.login("alice@example.net", server.user("alice")["password"])["error"]["code"]
        assert code == (1004 if allowed else 1000)
        assert other.login("info", server.user("alice")["password"])["error"]["code"] == 1000
