# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts that are removed, those that stay, errors in the middle of a list, and adoption."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import rpc
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.accounts import declare_users, read_users
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Server
from tests.unit.accounts_script import (
    ARCHIVE,
    COM,
    ORG,
    PASSWORD,
    aliases,
    archiving,
    change,
    create,
    declare,
    domains,
    groups,
    item_error,
    refused,
    remove,
    user,
    users,
    who,
)
from tests.unit.rpc_script import PASSWORD as ADMIN_PASSWORD
from tests.unit.rpc_script import Call, Script, error, login, query


def test_whole_domain_loses_who_is_not_declared_but_nobody_who_must_stay() -> None:
    admin = {"userRole": "FullAdmin", "publicFolderRight": False, "archiveFolderRight": False}
    stay = [user("ldap", itemSource="DSLDAPSource"), user("boss", role=admin), user("chief", effectiveRole=admin), user("me")]
    now = [user("alice"), user("bob"), user("carol"), *stay]
    result = declare(
        domains(),
        users(*now),
        who("u-me", "me", "AccountAdmin"),
        archiving(),
        remove("bob", "carol"),
        users(user("alice"), *stay),
        users=[{"address": "alice@example.com"}],
        whole_domains=["Example.com"],
    )
    assert result["accounts"]["delete"] == ["bob@example.com", "carol@example.com"]


@pytest.mark.parametrize(
    ("identity", "name", "role", "leaves"),
    [("", "Admin", "BuiltInAdmin", True), ("", "Admin", "AccountAdmin", False), ("u-admin", "x", "AccountAdmin", False)],
)
def test_built_in_administrator_is_no_account(identity: str, name: str, role: str, leaves: bool) -> None:
    calls = [domains(), users(user("admin")), who(identity, name, role), archiving()]
    result = declare(*calls, check=True, users=[], whole_domains=["example.com"])
    assert result["changed"] is leaves


def test_administrator_is_removed_by_name() -> None:
    admin = user("boss", role={"userRole": "FullAdmin", "publicFolderRight": False, "archiveFolderRight": False})
    calls = [domains(), users(admin), who(), archiving(), remove("boss"), users()]
    assert declare(*calls, users=[{"address": "boss@example.com", "state": "absent"}])["changed"] is True


@pytest.mark.parametrize(
    ("gone", "me", "words"),
    [
        (user("bob", itemSource="DSLDAPSource"), "u-admin", "Remove it in the directory"),
        (user("bob"), "u-bob", "logged in with it"),
    ],
)
def test_removal_that_is_refused(gone: dict[str, t.Any], me: str, words: str) -> None:
    absent = [{"address": "bob@example.com", "state": "absent"}]
    refused(domains(), users(gone), who(me), archiving(), words=words, users=absent)


AUDITOR, CLERK = (
    {"userRole": role, "publicFolderRight": False, "archiveFolderRight": True} for role in ("Auditor", "AccountAdmin")
)
SHUT_OUT = [
    ({"enabled": False}, "it would be disabled"),
    ({"role": "auditor"}, "its role would be auditor"),
    ({"password": PASSWORD, "update_password": "always"}, "its password would be another one"),
]


@pytest.mark.parametrize(("option", "words"), SHUT_OUT)
@pytest.mark.parametrize("check", [False, True])
def test_change_that_would_keep_the_module_out_is_refused(option: dict[str, t.Any], words: str, check: bool) -> None:
    mine = user("admin", role=CLERK)
    declared = [{"address": "Admin@example.com", **option}]
    refused(domains(), users(mine), who(), words=f"logged in with it, and {words}", users=declared, check=check)
    # The built-in administrator may have the name of an account, and is another one.
    declare(domains(), users(mine), who("", "Admin", "BuiltInAdmin"), users=declared, check=True)
    declare(domains(), users(user("alice", role=CLERK)), users=[{"address": "alice@example.com", **option}], check=True)


def test_own_account_may_be_changed_where_it_does_no_harm() -> None:
    mine = {"password": ADMIN_PASSWORD, "update_password": "always", "role": "account_admin", "enabled": True}
    declare(domains(), users(user("admin", role=AUDITOR)), users=[{"address": "admin@example.com", **mine}], check=True)


ARCHIVES = [
    ("bob@example.com", {}, []),
    ("bob", {}, []),
    ("Keep@Example.NET", {"emailAddresses": ["keep"]}, []),
    ("keep@example.com", {}, [{"id": "a", "name": "keep", "deliverTo": "bob@example.com", "type": "TypeEmailAddress"}]),
]


@pytest.mark.parametrize(("address", "member", "names"), ARCHIVES)
@pytest.mark.parametrize(
    "options", [{"users": [{"address": "bob@example.com", "state": "absent"}]}, {"whole_domains": ["example.com"]}]
)
def test_who_gets_the_archived_mail_is_not_removed(
    address: str, member: dict[str, t.Any], names: list[t.Any], options: dict[str, t.Any]
) -> None:
    others = [aliases(domain="d2"), groups(domain="d2")]
    calls = [domains(), users(user("bob", **member)), who(), archiving(address), aliases(*names), groups(), *others]
    refused(*calls, words="gets the archived mail", **{"users": [], **options})


def test_archive_mailbox_of_a_single_domain_is_not_removed() -> None:
    own = domains(COM, {**ORG, "useRemoteArchiveAddress": True, "remoteArchiveAddress": "bob@example.com"})
    others = [aliases(domain="d2"), groups(domain="d2")]
    calls = [own, users(user("bob")), who(), archiving(), aliases(), groups(), *others]
    refused(*calls, words="gets the archived mail", users=[{"address": "bob@example.com", "state": "absent"}])


STORE = {"id": "a", "name": "store", "deliverTo": "bob@example.com", "type": "TypeEmailAddress"}
TEAM = {"id": "g", "name": "Keepers", "emailAddresses": ["keepers"]}
LED_TO = [
    ("store@example.org", {}, STORE),
    ("keepers@example.org", {"userGroups": [{"id": "g", "name": "Keepers"}]}, {**STORE, "deliverTo": "alice"}),
    ("store@example.org", {"userGroups": [{"id": "g", "name": "Keepers"}]}, {**STORE, "deliverTo": "keepers"}),
]


@pytest.mark.parametrize(("address", "member", "alias"), LED_TO, ids=["alias", "group", "alias of a group"])
def test_who_gets_the_archived_mail_over_another_domain_or_a_group_is_not_removed(
    address: str, member: dict[str, t.Any], alias: dict[str, t.Any]
) -> None:
    others = [aliases(alias, domain="d2"), groups(TEAM, domain="d2")]
    calls = [domains(), users(user("bob", **member), user("carol")), who(), archiving(address), aliases(), groups(), *others]
    refused(*calls, words="user bob@example.com: it would be removed", users=[], whole_domains=["example.com"])
    declare(*calls, users=[{"address": "carol@example.com", "state": "absent"}], check=True)


def test_too_many_removals_change_nothing() -> None:
    now = [user(name) for name in ("a1", "a2", "a3", "a4", "a5", "a6", "a7")]
    calls = [domains(), users(*now), who(), archiving()]
    words = (
        "7 accounts would be removed (a1@example.com, a2@example.com, a3@example.com, a4@example.com, a5@example.com and 2 more)"
    )
    refused(*calls, words=words, users=[ARCHIVE], whole_domains=["example.com"])
    declare(*calls, check=True, users=[], whole_domains=["example.com"], delete_limit=7)


def test_negative_limit_is_refused() -> None:
    refused(words="Write 0 to remove no account", users=[], delete_limit=-1)


def test_error_of_one_account_names_it_and_tells_what_was_done() -> None:
    second = {**ARCHIVE, "address": "box@example.com"}
    answer = {
        "errors": [item_error(1, 1003, "The limit of %1 users is exceeded.", "25")],
        "result": [{"inputIndex": 0, "id": "u"}],
    }
    result = refused(
        domains(),
        users(),
        groups(),
        aliases(),
        create({"loginName": "archive"}, {"loginName": "box"}, answer=answer),
        words="box@example.com: The limit of 25 users is exceeded. (code 1003); done before: created archive@example.com",
        users=[second, ARCHIVE],
    )
    assert result["changed"] is True
    assert result["error"]["done"] == {"created": ["archive@example.com"]}
    assert "licence" in result["msg"]


def test_error_of_a_change_names_the_account() -> None:
    answer = {"errors": [item_error(0, 1001, "Address %1 already exists.", "info")]}
    result = refused(
        domains(),
        users(user("alice")),
        groups(),
        aliases(),
        change("alice", answer, emailAddresses=["info"]),
        words="alice@example.com: Address info already exists. (code 1001)",
        users=[{"address": "alice@example.com", "addresses": ["info"]}],
    )
    assert (result["changed"], "done before" in result["msg"]) == (False, False)


def test_error_of_a_removal_names_the_account_and_what_came_before() -> None:
    absent = [{"address": f"{name}@example.com", "state": "absent"} for name in ("bob", "carol")]
    answer = {"errors": [item_error(0, 1004, "Access denied.")]}
    result = refused(
        domains(),
        users(user("alice"), user("bob"), user("carol")),
        who(),
        archiving(),
        change("alice", isEnabled=False),
        remove("bob", "carol", answer=answer),
        words="done before: changed alice@example.com, removed carol@example.com",
        users=[{"address": "alice@example.com", "enabled": False}, *absent],
    )
    assert "bob@example.com: Access denied. (code 1004)" in result["msg"]


def test_error_without_a_place_is_told_without_a_guess() -> None:
    answer = {"errors": [item_error(None, 1000, "Failed.")]}
    script = [domains(), users(), groups(), aliases(), create({"loginName": "archive"}, answer=answer)]
    result = refused(*script, words="an item: Failed. (code 1000)", users=[ARCHIVE])
    assert result["changed"] is False


def test_success_that_did_not_hold_is_an_error() -> None:
    made = [domains(), users(), groups(), aliases(), create({"loginName": "archive"})]
    refused(*made, users(), words="enabled is missing instead of True", users=[ARCHIVE])
    gone = [domains(), users(user("bob")), who(), archiving(), remove("bob"), users(user("bob"))]
    refused(*gone, words="still there", users=[{"address": "bob@example.com", "state": "absent"}])


def test_many_accounts_are_created_in_parts() -> None:
    declared = [{"address": f"u{number:03}@example.com", "password": PASSWORD} for number in range(150)]
    names = [{"loginName": f"u{number:03}"} for number in range(150)]
    calls = [domains(), users(), groups(), aliases(), create(*names[:100]), create(*names[100:])]
    result = declare(*calls, users(*(user(entry["loginName"]) for entry in names)), users=declared)
    assert result["plan"]["create"] == 150


def test_accounts_of_an_auditor() -> None:
    answer = error(1000, "Internal database error.")
    refused(Call("Domains.get", {"query": query("name")}, answer), words="full administrator", users=[ARCHIVE])


def test_error_of_a_whole_change_names_the_account() -> None:
    calls = [domains(), users(user("alice")), change("alice", error(1004, "Access denied."), isEnabled=False)]
    words = "mail1: Users.set (alice@example.com): Access denied. (code 1004)"
    refused(*calls, words=words, users=[{"address": "alice@example.com", "enabled": False}])


def server_of(*calls: Call) -> Server:
    """Return a server that answers by a script; it is read once, and nobody logs out."""
    client = rpc.Client("mail1", "Admin", ADMIN_PASSWORD, Script(login(), *calls))
    client.login()
    return Server(client)


def adopted() -> list[t.Any]:
    """Users with a value for every option, spelled as servers do; one has values that no option can take."""
    right = {"userRole": "FullAdmin", "publicFolderRight": True, "archiveFolderRight": False}
    limits = {
        "diskSizeLimit": {"isActive": True, "limit": {"value": 3, "units": "GigaBytes"}},
        "itemLimit": {"isActive": True, "limit": 9},
    }
    odd = {"role": {**right, "userRole": "RoleOfTomorrow"}, "diskSizeLimit": {"isActive": True, "limit": "much"}}
    return [
        user("Alice", fullName="Alice", emailAddresses=["Sales", "alice"], role=right, **limits),
        user("bob", itemSource="DSLDAPSource", isEnabled=False, **odd),
    ]


def test_accounts_are_read_as_they_are_declared_and_declaring_them_again_changes_nothing() -> None:
    found = read_users(server_of(domains(), users(*adopted()), users(user("carol", "d2"), domain="d2")))
    assert [entry["address"] for entry in found] == ["alice@example.com", "bob@example.com", "carol@example.org"]
    assert found[0] == {
        "address": "alice@example.com",
        "full_name": "Alice",
        "description": "",
        "enabled": True,
        "addresses": ["sales"],
        "role": "full_admin",
        "public_folder_right": True,
        "archive_folder_right": False,
        "in_global_address_list": True,
        "may_change_password": True,
        "password_reversible": False,
        "disk_limit_mb": 3072,
        "item_limit": 9,
    }
    assert not {"role", "disk_limit_mb"} & set(found[1])
    again = [domains(), users(*adopted()), users(user("carol", "d2"), domain="d2")]
    assert declare(*again, users=found, whole_domains=["example.com", "example.org"])["changed"] is False


def test_who_only_compares_needs_no_passwords_and_cannot_write() -> None:
    entries = [
        {"address": "new@example.com", "state": "present"},
        {"address": "alice@example.com", "update_password": "always"},
        {"address": "bob@example.com", "update_password": "on_create"},
    ]
    server = server_of(domains(), users(user("alice"), user("bob")), groups(), aliases())
    plan = declare_users(server, {"users": entries, "whole_domains": None, "delete_limit": None}, True)
    assert [(c.action, c.key, c.after["password"]) for c in plan.changes] == [
        ("create", "new@example.com", "(new secret)"),
        ("change", "alice@example.com", "(new secret)"),
    ]
    with pytest.raises(ValueError, match="cannot be written"):
        declare_users(server_of(), {"users": entries}, False)
