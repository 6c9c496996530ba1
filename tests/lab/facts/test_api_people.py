# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts: what create and set refuse, passwords, directories, roles, removal, and thousands of them (sheet 2.6, 2.10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.lab.facts import sasl
from tests.lab.facts.imap_rig import Rig
from tests.lab.facts.plain import Plain, admin, by, get
from tests.lab.fixtures import ApiFailureError, LabServer

Row = dict[str, Any]


@pytest.fixture
def here(server: LabServer) -> Iterator[Plain]:
    with admin(server) as client:
        yield client
    server.reset()


def stored(client: Plain, server: LabServer, login: str) -> Row:
    return by(get(client, "Users", server.domain())["list"], "loginName", login)


def put(client: Plain, kid: str, **pattern: Any) -> list[int]:
    return [e["code"] for e in client.result("Users.set", {"userIds": [kid], "pattern": pattern})["errors"]]


def size(value: int, units: str) -> Row:
    return {"isActive": True, "limit": {"value": value, "units": units}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"domainId": ""},
        {"loginName": ""},
        {"loginName": 7},
        {"role": {"userRole": "BuiltInAdmin", "publicFolderRight": False, "archiveFolderRight": False}},
        {"role": "Auditor"},
        {"authType": "UGuess"},
        {"itemSource": "DSElsewhere"},
        {"emailForwarding": {"mode": "Forward", "emailAddresses": []}},
        {"diskSizeLimit": size(1, "MB")},
        {"isEnabled": "yes"},
        {"cleanOutItems": {"isUsedDomain": False, "autoDelete": {"isEnabled": True, "days": 29}}},
    ],
)
def test_api_145_impossible_users(server: LabServer, client: Plain, wrong: Row) -> None:
    user = {"domainId": server.domain()["id"], "loginName": "wrong", **wrong}
    answer = client.result("Users.create", {"users": [user]})
    assert [(e["inputIndex"], e["code"]) for e in answer["errors"]] == [(0, -32602)]
    assert answer["result"] == []
    if "domainId" not in wrong:
        assert put(client, server.user("bob")["id"], **wrong) == [-32602]


def test_api_146_required_members_of_a_user(server: LabServer, client: Plain) -> None:
    users = [{"loginName": "x"}, {"domainId": server.domain()["id"]}, {}]
    answer = client.result("Users.create", {"users": users})
    assert [(e["inputIndex"], e["code"]) for e in answer["errors"]] == [(0, -32602), (1, -32602), (2, -32602)]


@pytest.mark.parametrize(("member", "days", "code"), [
    ("autoDelete", 29, -32602), ("autoDelete", 30, 0), ("autoDelete", 24856, -32602), ("deletedItems", 24855, 0),
    ("keepForRecovery", 24856, -32602), ("sentItems", -1, -32602), ("junkEmail", 1, 0),
])  # fmt: skip
def test_api_147_days_of_a_domains_clean_out(server: LabServer, here: Plain, member: str, days: int, code: int) -> None:
    pattern = {member: {"isEnabled": True, "days": days}}
    answer = here.result("Domains.set", {"domainIds": [server.domain()["id"]], "pattern": pattern})
    assert [e["code"] for e in answer["errors"]] == ([code] if code else [])
    assert (server.domain()[member]["days"] == days) is (code == 0)


@pytest.mark.parametrize(("switch", "erased"), [("erases", True), ("keeps", False)])
def test_api_148_an_empty_password_erases(server: LabServer, here: Plain, switch: str, erased: bool) -> None:
    account = server.add_user("peter", role="Auditor")
    server.set_switches(empty_password=switch)
    assert put(here, account["id"], fullName="Peter") == []
    with Plain(server) as other:
        assert "result" in other.login("peter", account["password"])
    assert put(here, account["id"], password="") == []
    with Plain(server) as other:
        assert ("result" in other.login("peter", account["password"])) is not erased
        assert ("result" in other.login("peter", "")) is erased
    assert stored(here, server, "peter")["password"] == ""


@pytest.mark.parametrize(("reversible", "auth", "works"), [
    (True, "UInternalAuth", True), (False, "UInternalAuth", False), (True, "UKerberosAuth", False), (True, "ULDAPAuth", False),
])  # fmt: skip
def test_api_149_cram_md5_needs_a_reversible_password_of_the_servers_own(
    rig: Rig, reversible: bool, auth: str, works: bool
) -> None:
    rig.state.directory.users[0].update(isPasswordReversible=reversible, authType=auth)
    assert sasl.cram(rig.greeted(), "alice", "not-a-secret-alice").startswith(b"t OK") is works
    rig.greeted().ok(b"LOGIN alice not-a-secret-alice")


@pytest.mark.parametrize(("switch", "codes"), [("needs_mode", [-32602]), ("any", [])])
def test_api_150_a_directory_user_is_removed_with_a_mode(server: LabServer, here: Plain, switch: str, codes: list[int]) -> None:
    account = server.add_user("dirk", directory=True)
    user = stored(here, server, "dirk")
    assert (user["itemSource"], user["authType"]) == ("DSLDAPSource", "ULDAPAuth")
    server.set_switches(directory_remove=switch)
    request = {"userId": account["id"], "method": "UDeleteUser"}
    assert [e["code"] for e in here.result("Users.remove", {"requests": [request]})["errors"]] == codes
    if codes:
        for mode, expected in (("", codes), ("Gone", codes), ("DSModeDeactivate", [])):
            answer = here.result("Users.remove", {"requests": [{**request, "mode": mode}]})
            assert [e["code"] for e in answer["errors"]] == expected, mode


def test_api_151_removal_methods(server: LabServer, here: Plain) -> None:
    ids = {login: server.add_user(login)["id"] for login in ("r1", "r2", "r3")}
    server.forget()

    def removed(login: str, **members: str) -> list[int]:
        request = {"userId": ids[login], **members}
        return [e["code"] for e in here.result("Users.remove", {"requests": [request]})["errors"]]

    assert removed("r1") == removed("r1", method="Shred") == [-32602]
    assert removed("r1", method="UMoveFolder", targetUserId=ids["r1"]) == [-32602]
    assert removed("r1", method="UMoveFolder", targetUserId="none") == [1002]
    assert removed("r1", method="UMoveFolder", targetUserId=ids["r2"]) == []
    assert removed("r2", method="UDeleteFolder") == removed("r3", method="UDeleteUser") == []
    assert [(e["login"], e["method"], e["targetUserId"]) for e in server.events("user_removed")] == [
        ("r1", "UMoveFolder", ids["r2"]), ("r2", "UDeleteFolder", ""), ("r3", "UDeleteUser", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(("switch", "shown"), [("kept", (2048, "MegaBytes")), ("largest", (2, "GigaBytes"))])
def test_api_152_units_of_sizes(server: LabServer, here: Plain, switch: str, shown: tuple[int, str]) -> None:
    server.set_switches(size_units=switch)
    assert (
        put(here, server.user("bob")["id"], diskSizeLimit=size(2048, "MegaBytes"), outMessageLimit=size(1500, "KiloBytes")) == []
    )
    bob = stored(here, server, "bob")
    assert bob["diskSizeLimit"] == size(*shown)
    assert bob["outMessageLimit"] == size(1500, "KiloBytes")


# -- roles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("switch", "code"), [("some", 1004), ("most", 0)])
def test_api_153_what_an_auditor_may(server: LabServer, here: Plain, switch: str, code: int) -> None:
    domain = {"query": {}, "domainId": server.domain()["id"]}
    policy = here.result("SecurityPolicy.get")["options"]
    account = server.add_user("auditor", role="Auditor")
    server.set_switches(auditor_reads=switch)
    with Plain(server) as auditor:
        assert "result" in auditor.login("auditor", account["password"])
        assert auditor.result("Session.whoAmI")["userDetails"]["effectiveRole"]["userRole"] == "Auditor"
        for method in ("Server.getVersion", "Services.get", "Statistics.get", "ProductRegistration.getFullStatus"):
            assert auditor.code(method) == 0, method
        refusal = auditor.call("Domains.get", {"query": {}})["error"]
        assert (refusal["code"], "internal database error" in refusal["message"]) == (1000, True)
        for method in ("Archive.get", "AdvancedOptions.get", "SecurityPolicy.get", "IpAddressGroups.getGroupList"):
            assert auditor.code(method) == code, method
        assert auditor.code("Users.get", domain) == code
        with pytest.raises(requests.Timeout):
            auditor.call("Queue.get", {"query": {}}, timeout=0.3)
        service = here.result("Services.get")["services"][0]
        for method, params in (
            ("SecurityPolicy.set", {"options": {"minutesToUnlock": 77}}),
            ("Services.set", {"services": [service]}),
            ("Services.stop", {"service": service["id"]}),
            ("Users.create", {"users": [{"domainId": domain["domainId"], "loginName": "x"}]}),
            ("IpAddressGroups.remove", {"groupIds": []}),
        ):
            assert auditor.code(method, params) == 1004, method
    assert here.result("SecurityPolicy.get")["options"] == policy


def test_api_154_accounts_more(server: LabServer, here: Plain) -> None:
    account = server.add_user("more", emailAddresses=["m.ore"], fullName="More", password="not-a-secret-else")
    assert account["addresses"] == ["more@example.com", "m.ore@example.com"]
    assert set(account) == set(server.user("bob"))
    with Plain(server) as other:
        assert other.login("more", "not-a-secret-else")["error"]["code"] == 1004  # right password, no rights
    with pytest.raises(ApiFailureError, match="1001"):
        server.add_user("more")
    server.remove_users([account["id"]])
    assert "more" not in [u["loginName"] for u in get(here, "Users", server.domain())["list"]]
    assert server.calls() == [c for c in server.calls() if c["application"] != "lab-fixture"]


def test_api_155_thousands_of_users_come_in_pages(server: LabServer, here: Plain) -> None:
    """`list_limit` caps a page, totalItems tells of all, and the last page is short (sheet 1.6)."""
    made = server.fill_users(5200)
    assert len(set(made)) == 5200
    server.set_switches(list_limit=5000)
    order = [{"columnName": "loginName", "direction": "Asc", "caseSensitive": False}]
    first = get(here, "Users", server.domain(), limit=-1, orderBy=order)
    assert (len(first["list"]), first["totalItems"]) == (5000, 5205)
    second = get(here, "Users", server.domain(), start=5000, limit=-1, orderBy=order)
    assert (len(second["list"]), second["totalItems"]) == (205, 5205)
    ids = {u["id"] for u in first["list"] + second["list"]}
    assert len(ids) == 5205
    assert set(made) < ids
    assert by(second["list"], "loginName", "person05200")["fullName"] == "Person05200"
    assert server.domain()["name"] == "example.com"
