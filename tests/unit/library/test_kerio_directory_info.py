# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_directory_info: the whole directory, or an error."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError
from ansible_collections.mailops.kerio.plugins.modules import kerio_directory_info
from tests.unit.rpc_script import Call, Script, error, failing, listing, login, logout, query, run_module

MAIN = kerio_directory_info.main
COM = {"id": "d1", "name": "Example.com", "isPrimary": True, "aliasList": ["example.net"]}
ORG = {"id": "d2", "name": "example.org", "isPrimary": False, "aliasList": []}
SALES = {"id": "g1", "domainId": "d1", "name": "Sales", "emailAddresses": ["team"], "role": "UserRole"}

NEVER = {"deleted_items": None, "junk_email": None, "sent_items": None, "all_items": None}


def user(login_name: str, domain: str = "d1", **more: t.Any) -> dict[str, t.Any]:
    return {
        "id": f"u-{login_name}-{domain}",
        "domainId": domain,
        "loginName": login_name,
        "fullName": login_name.title(),
        "isEnabled": True,
        "itemSource": "DSInternalSource",
        "authType": "UInternalAuth",
        "effectiveRole": {"userRole": "UserRole", "publicFolderRight": False, "archiveFolderRight": False},
        "emailAddresses": [],
        "userGroups": [],
        "homeServer": {"id": "", "name": ""},
        **more,
    }


def alias(name: str, deliver_to: str, **more: t.Any) -> dict[str, t.Any]:
    return {
        "id": f"a-{name}",
        "domainId": "d1",
        "name": name,
        "deliverTo": deliver_to,
        "deliverToId": "",
        "type": "TypeEmailAddress",
        **more,
    }


def version() -> Call:
    return Call("Server.getVersion", None, {"product": "Kerio Connect", "version": "10.0.8.9228"})


def get(method: str, domain: str, *entries: dict[str, t.Any]) -> Call:
    order = "loginName" if method == "Users.get" else "name"
    return Call(method, {"query": query(order), "domainId": domain}, listing(*entries))


def get_domains(*entries: dict[str, t.Any]) -> Call:
    return Call("Domains.get", {"query": query("name")}, listing(*entries))


def directory(*calls: Call, **options: t.Any) -> dict[str, t.Any]:
    result = run_module(MAIN, Script(login(), version(), *calls, logout()), **options)
    assert result["failed"] is False, result["msg"]
    found: dict[str, t.Any] = result["directory"]
    return found


def of_one_domain(users: list[dict[str, t.Any]], *aliases: dict[str, t.Any]) -> dict[str, t.Any]:
    return directory(
        get_domains(COM), get("Users.get", "d1", *users), get("Groups.get", "d1"), get("Aliases.get", "d1", *aliases)
    )


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.shows("read", "check")
def test_whole_directory(check: bool) -> None:
    alice = user("Alice", emailAddresses=["a.smith", "alice"], userGroups=[{"id": "g1", "name": "Sales"}])
    found = directory(
        get_domains(COM, ORG),
        get("Users.get", "d1", alice),
        get("Groups.get", "d1", SALES),
        get("Aliases.get", "d1", alias("boss", "alice")),
        get(
            "Users.get",
            "d2",
            user("bob", "d2", isEnabled=False, itemSource="DSLDAPSource", homeServer={"id": "s", "name": "mail2"}),
        ),
        get("Groups.get", "d2"),
        get("Aliases.get", "d2"),
        check=check,
    )
    assert (found["server"], found["host"], found["version"]) == ("mail1", "mail1.example.com", "10.0.8.9228")
    assert found["domains"] == [
        {"id": "d1", "name": "example.com", "is_primary": True, "aliases": ["example.net"], "clean_out": NEVER},
        {"id": "d2", "name": "example.org", "is_primary": False, "aliases": [], "clean_out": NEVER},
    ]
    assert found["users"] == [
        {
            "id": "u-Alice-d1",
            "login": "Alice",
            "domain": "example.com",
            "address": "alice@example.com",
            "addresses": [
                "alice@example.com",
                "a.smith@example.com",
                "alice@example.net",
                "a.smith@example.net",
                "boss@example.com",
                "boss@example.net",
            ],
            "full_name": "Alice",
            "enabled": True,
            "authentication": "internal",
            "password_reversible": None,
            "groups": ["Sales"],
            "role": "UserRole",
            "home_server": None,
            "clean_out": None,
        },
        {
            "id": "u-bob-d2",
            "login": "bob",
            "domain": "example.org",
            "address": "bob@example.org",
            "addresses": ["bob@example.org"],
            "full_name": "Bob",
            "enabled": False,
            "authentication": "directory",
            "password_reversible": None,
            "groups": [],
            "role": "UserRole",
            "home_server": "mail2",
            "clean_out": None,
        },
    ]
    assert found["groups"] == [
        {
            "id": "g1",
            "name": "Sales",
            "domain": "example.com",
            "addresses": ["team@example.com", "team@example.net"],
            "members": ["u-Alice-d1"],
        }
    ]
    assert found["aliases"] == [
        {"address": "boss@example.com", "deliver_to": "alice@example.com", "type": "address"},
        {"address": "boss@example.net", "deliver_to": "alice@example.com", "type": "address"},
    ]


OFF = {"isEnabled": False, "days": 30}


def after(days: int) -> dict[str, t.Any]:
    return {"isEnabled": True, "days": days}


def test_what_a_domain_removes_by_itself() -> None:
    actions = {"deletedItems": after(7), "junkEmail": OFF, "sentItems": after(365), "keepForRecovery": after(14)}
    domain = {**COM, **actions, "autoDelete": after(730)}
    found = directory(get_domains(domain), get("Users.get", "d1"), get("Groups.get", "d1"), get("Aliases.get", "d1"))
    assert found["domains"][0]["clean_out"] == {"deleted_items": 7, "junk_email": None, "sent_items": 365, "all_items": 730}


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ({"isUsedDomain": True, "deletedItems": after(7)}, None),
        ({"isUsedDomain": False, "deletedItems": after(7), "junkEmail": OFF}, {**NEVER, "deleted_items": 7}),
        ({"isUsedDomain": False, "deletedItems": OFF}, NEVER),
        ({"deletedItems": after(7), "junkEmail": "of tomorrow"}, {**NEVER, "deleted_items": 7}),
        ({"deletedItems": "of tomorrow"}, None),
        (None, None),
    ],
)
def test_what_the_server_removes_of_one_user(items: t.Any, told: t.Any) -> None:
    assert of_one_domain([user("alice", cleanOutItems=items)])["users"][0]["clean_out"] == told


@pytest.mark.parametrize(("said", "told"), [(True, True), (False, False), ("perhaps", None)])
def test_how_a_password_is_stored(said: t.Any, told: bool | None) -> None:
    assert of_one_domain([user("alice", isPasswordReversible=said)])["users"][0]["password_reversible"] is told


@pytest.mark.parametrize("kind", ["UKerberosAuth", "UPamAuth", "ULDAPAuth"])
def test_local_user_whose_password_others_know_is_of_the_directory(kind: str) -> None:
    assert of_one_domain([user("alice", authType=kind)])["users"][0]["authentication"] == "directory"


def test_alias_of_an_alias_ends_at_the_user() -> None:
    # The one that is further away is listed first, so that one pass is not enough.
    aliases = [alias("office", "boss@example.com"), alias("boss", "", deliverToId="u-alice-d1")]
    found = of_one_domain([user("alice")], *aliases)
    assert found["users"][0]["addresses"][2:] == [
        "boss@example.com",
        "boss@example.net",
        "office@example.com",
        "office@example.net",
    ]


def test_circle_of_aliases_ends() -> None:
    found = of_one_domain([user("alice")], alias("a", "b"), alias("b", "a"))
    assert found["users"][0]["addresses"] == ["alice@example.com", "alice@example.net"]


@pytest.mark.parametrize(
    "nobodys",
    [
        alias("*", "alice"),
        alias("news", "alice", type="TypePublicFolder"),
        alias("away", "alice@elsewhere.example"),
    ],
)
def test_alias_that_is_no_address_of_the_user(nobodys: dict[str, t.Any]) -> None:
    found = of_one_domain([user("alice")], nobodys)
    assert found["users"][0]["addresses"] == ["alice@example.com", "alice@example.net"]
    assert len(found["aliases"]) == 2


def test_type_that_is_new_is_passed_on() -> None:
    assert of_one_domain([], alias("x", "y", type="TypeOfTomorrow"))["aliases"][0]["type"] == "TypeOfTomorrow"


def page(start: int, total: int, *logins: str) -> Call:
    entries = [user(name) for name in logins]
    return Call("Users.get", {"query": query("loginName", start, 2), "domainId": "d1"}, listing(*entries, total=total))


def paged(*pages: Call) -> tuple[Call, ...]:
    first = Call("Domains.get", {"query": query("name", 0, 2)}, listing(COM))
    return (first, *pages)


def rest() -> list[Call]:
    return [Call(method, {"query": query("name", 0, 2), "domainId": "d1"}, listing()) for method in ("Groups.get", "Aliases.get")]


def test_all_pages_are_read_also_when_the_server_sends_fewer_than_asked() -> None:
    pages = [page(0, 4, "alice", "bob"), page(2, 4, "carol"), page(3, 4, "dave")]
    found = directory(*paged(*pages), *rest(), page_size=2)
    assert [entry["login"] for entry in found["users"]] == ["alice", "bob", "carol", "dave"]


@pytest.mark.parametrize(
    "pages",
    [
        [page(0, 3, "alice", "bob"), page(2, 3)],  # cut short
        [page(0, 3, "alice", "bob"), page(2, 3, "bob")],  # somebody was removed meanwhile, and the rest moved up
        [page(0, 1, "alice", "bob")],  # more than it counts
    ],
)
def test_partial_answer_is_an_error(pages: list[Call]) -> None:
    result = failing(MAIN, Script(login(), version(), *paged(*pages), logout()), page_size=2)
    assert "Users.get" in result["msg"]
    assert "Run again" in result["msg"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"totalItems": 0}, "'list'"),
        ({"list": []}, "'totalItems'"),
        (listing({"loginName": "alice"}), "'id'"),
        (error(1004, "Access denied"), "Access denied"),
        (NetworkError("mail1: Users.get", "no answer within 30 s", "Use an account with full administration"), "no answer"),
    ],
)
@pytest.mark.shows("error")
def test_domain_that_fails_fails_all(answer: t.Any, words: str) -> None:
    broken = Call("Users.get", {"query": query("loginName"), "domainId": "d2"}, answer)
    script = Script(
        login(),
        version(),
        get_domains(COM, ORG),
        get("Users.get", "d1", user("alice")),
        get("Groups.get", "d1"),
        get("Aliases.get", "d1"),
        broken,
        logout(),
    )
    result = failing(MAIN, script)
    assert words in result["msg"]
    assert "directory" not in result


def test_user_without_a_login_name_is_an_error() -> None:
    calls = [get_domains(COM), get("Users.get", "d1", {"id": "u1"}), get("Groups.get", "d1"), get("Aliases.get", "d1")]
    assert "without loginName" in failing(MAIN, Script(login(), version(), *calls, logout()))["msg"]


def test_directory_with_the_password_in_a_name_is_refused() -> None:
    calls = [
        get_domains(COM),
        get("Users.get", "d1", user("not-a-secret-admin")),
        get("Groups.get", "d1"),
        get("Aliases.get", "d1"),
    ]
    result = failing(MAIN, Script(login(), version(), *calls, logout()))
    assert result["error"]["kind"] == "secret_in_result"
