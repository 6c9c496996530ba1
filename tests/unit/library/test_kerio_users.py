# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_users: the exact calls that create and change accounts, and what is refused before any of them."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.accounts_script import (
    ARCHIVE,
    COM,
    MAIN,
    PASSWORD,
    aliases,
    archiving,
    change,
    create,
    declare,
    domains,
    groups,
    refused,
    remove,
    user,
    users,
    who,
)
from tests.unit.rpc_script import Script, failing, login, logout


@pytest.mark.shows("change", "diff")
def test_archive_mailbox_is_created_enabled_and_with_its_password() -> None:
    fields = {
        "fullName": "Archive",
        "publishInGal": False,
        "emailAddresses": ["post"],
        "role": {"userRole": "UserRole", "publicFolderRight": False, "archiveFolderRight": True},
        "diskSizeLimit": {"isActive": True, "limit": {"value": 2048, "units": "MegaBytes"}},
        "itemLimit": {"isActive": False, "limit": 0},
    }
    wanted = {
        **ARCHIVE,
        "full_name": "Archive",
        "in_global_address_list": False,
        "addresses": ["Post@example.net", "archive", "post"],
        "archive_folder_right": True,
        "disk_limit_mb": 2048,
        "item_limit": 0,
    }
    after = user("archive", **{**fields, "diskSizeLimit": {"isActive": True, "limit": {"value": 2, "units": "GigaBytes"}}})
    result = declare(
        domains(),
        users(user("alice")),
        groups(),
        aliases(),
        create({"loginName": "archive", **fields}),
        users(user("alice"), after),
        users=[wanted],
    )
    assert result["accounts"] == {"create": ["archive@example.com"], "change": [], "delete": []}
    assert result["diff"]["before"] == {}
    shown = result["diff"]["after"]["users"]["archive@example.com"]
    assert (shown["password"], shown["enabled"], shown["addresses"]) == ("(new secret)", True, ["post"])
    assert PASSWORD not in str(result)


@pytest.mark.shows("again")
def test_again_changes_nothing_whatever_the_spelling() -> None:
    now = user("Archive", fullName="Archive", emailAddresses=["Sales", "archive", "office@EXAMPLE.com"])
    declared = {"address": "ARCHIVE@Example.com", "full_name": "Archive", "addresses": ["office", "SALES@example.net"]}
    result = declare(domains(), users(now), users=[{**declared, "password": PASSWORD, "role": "user", "disk_limit_mb": 0}])
    assert (result["changed"], result["diff"]["after"]) == (False, {})
    assert result["msg"] == "mail1: nothing to change in users"


@pytest.mark.shows("check")
def test_check_tells_the_same_and_writes_nothing() -> None:
    declared = [ARCHIVE, {"address": "alice@example.com", "enabled": False}, {"address": "bob@example.com", "state": "absent"}]
    read = [domains(), users(user("alice"), user("bob")), who(), archiving(), groups(), aliases()]
    checked = declare(*read, check=True, users=declared)
    alice = user("alice", isEnabled=False)
    real = declare(
        *read,
        create({"loginName": "archive"}),
        change("alice", isEnabled=False),
        remove("bob"),
        users(alice, user("archive")),
        users=declared,
    )
    assert (real["changed"], real["diff"]) == (checked["changed"], checked["diff"])
    assert real["diff"]["before"]["users"]["alice@example.com"] == {"enabled": True}
    assert sorted(real["diff"]["before"]["users"]) == ["alice@example.com", "bob@example.com"]
    assert real["msg"] == (
        "mail1: changed users (create archive@example.com, change alice@example.com, delete bob@example.com); "
        "the mail of removed accounts stays in the message store"
    )


def test_patterns_are_sparse_and_a_role_is_whole() -> None:
    after = user("alice", description="x", role={"userRole": "Auditor", "publicFolderRight": False, "archiveFolderRight": True})
    result = declare(
        domains(),
        users(user("alice")),
        change("alice", description="x", role=after["role"]),
        users(after),
        users=[{"address": "alice@example.com", "description": "x", "role": "auditor"}],
    )
    assert result["diff"]["after"]["users"] == {"alice@example.com": {"description": "x", "role": "auditor"}}


def test_password_is_written_again_only_if_always_is_declared() -> None:
    declared = {"address": "alice@example.com", "password": PASSWORD}
    assert declare(domains(), users(user("alice")), users=[declared])["changed"] is False
    always = {**declared, "update_password": "always"}
    calls = [domains(), users(user("alice")), change("alice", password=PASSWORD), users(user("alice"))]
    result = declare(*calls, users=[always])
    assert result["diff"]["before"]["users"] == {"alice@example.com": {"password": "(secret)"}}
    assert PASSWORD not in str(result)


def test_how_a_password_is_stored_waits_for_the_next_one() -> None:
    declared = {"address": "alice@example.com", "password": PASSWORD, "password_reversible": True}
    after = users(user("alice", isPasswordReversible=True))
    result = declare(domains(), users(user("alice")), change("alice", isPasswordReversible=True), after, users=[declared])
    assert any("alice@example.com" in text and "until it is set again" in text for text in result["warnings"])
    both = change("alice", password=PASSWORD, isPasswordReversible=True)
    result = declare(domains(), users(user("alice")), both, after, users=[{**declared, "update_password": "always"}])
    assert result["warnings"] == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"address": "archive"}, "not an e-mail address"),
        ({"address": "*@example.com"}, "not an e-mail address"),
        ({"address": "a@example.com", "addresses": ["b", "c,d"]}, "'c,d'"),
        ({"address": "a@example.com", "addresses": [""]}, "Write local parts"),
        ({"address": "a@example.com", "password": ""}, "erase"),
        ({"address": "alice\u200b@example.com"}, r"'alice\u200b@example.com' has characters"),
        ({"address": "bob@example.com", "addresses": ["bo\u0308b"]}, r"'bo\u0308b' has characters"),
        ({"address": "a@example.com", "disk_limit_mb": -1}, "-1 is negative"),
    ],
)
@pytest.mark.shows("error")
def test_what_cannot_be_meant_is_refused_before_anything_is_read(entry: dict[str, t.Any], words: str) -> None:
    refused(words=words, users=[entry])


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ([{"address": "a@example.de"}], "no domain example.de; it has example.com, example.org"),
        ([{"address": "a@example.net"}], "alias of the domain example.com"),
        ([{"address": "a@example.com"}, {"address": "A@Example.com"}], "declared twice"),
        ([{"address": "a@example.com", "addresses": ["x"]}, {"address": "x@example.com"}], "x@example.com is declared for a@"),
    ],
)
def test_contradictions_are_refused_before_any_user_is_read(declared: list[dict[str, t.Any]], words: str) -> None:
    refused(domains(), words=words, users=declared)


@pytest.mark.parametrize("name", ["example.net", "example.de"])
def test_whole_domain_is_one_of_the_servers_own(name: str) -> None:
    refused(domains(), words="whole_domains", users=[], whole_domains=[name])


def test_whole_domain_is_not_distributed() -> None:
    spread = domains({**COM, "isDistributed": True})
    refused(spread, words="example.com is a distributed domain", users=[], whole_domains=["example.com"])
    alone = {"users": [{"address": "alice@example.com", "state": "absent"}], "check": True}
    assert declare(spread, users(user("alice")), who(), archiving(), **alone)["plan"]["delete"] == 1


@pytest.mark.parametrize("check", [False, True])
def test_creation_needs_a_password(check: bool) -> None:
    words = "none is created without a password"
    refused(domains(), users(), words=words, check=check, users=[{"address": "archive@example.com"}])


TAKEN = [
    ([user("bob", emailAddresses=["Archive"])], [], [], "the account bob@example.com"),
    ([user("bob", emailAddresses=["archive@example.net"])], [], [], "the account bob@example.com"),
    ([], [{"id": "g", "name": "Keepers", "emailAddresses": ["archive"]}], [], "the group Keepers"),
    ([], [], [{"id": "a", "name": "archive", "deliverTo": "bob@example.com"}], "which delivers to bob@example.com"),
    ([], [], [{"id": "a", "name": "archive@example.net", "deliverTo": "bob"}], "the alias archive@example.net"),
]


@pytest.mark.parametrize(("people", "teams", "names", "words"), TAKEN)
def test_account_that_would_take_the_mail_of_another_is_refused(
    people: list[t.Any], teams: list[t.Any], names: list[t.Any], words: str
) -> None:
    refused(domains(), users(*people), groups(*teams), aliases(*names), words=words, users=[ARCHIVE])


def test_address_that_is_anothers_is_not_added_unless_given_up_before() -> None:
    people = [user("alice"), user("bob", emailAddresses=["info", "old"])]
    alice = {"address": "alice@example.com", "addresses": ["info"]}
    refused(domains(), users(*people), groups(), aliases(), words="of the account bob@example.com", users=[alice])
    result = declare(
        domains(),
        users(*people),
        groups(),
        aliases(),
        change("bob", emailAddresses=["old"]),
        change("alice", emailAddresses=["info"]),
        users(user("alice", emailAddresses=["info"]), user("bob", emailAddresses=["old"])),
        users=[alice, {"address": "bob@example.com", "addresses": ["old"]}],
    )
    assert result["accounts"]["change"] == ["bob@example.com", "alice@example.com"]


def test_address_at_another_domain_of_the_server_is_not_added_and_stays_where_it_is() -> None:
    words = "addresses has bob@example.org, which is not at example.com"
    refused(domains(), users(), words=words, users=[{**ARCHIVE, "addresses": ["bob@example.org"]}])
    alice = {"address": "alice@example.com", "addresses": ["Bob@Example.org"]}
    refused(domains(), users(user("alice")), words=words, users=[alice])
    there = users(user("alice", emailAddresses=["bob@example.org"]))
    assert declare(domains(), there, users=[alice])["changed"] is False


def test_address_of_an_account_that_is_declared_absent_may_be_declared_for_another() -> None:
    declared = [{"address": "alice@example.com", "addresses": ["gone"]}, {"address": "gone@example.com", "state": "absent"}]
    assert declare(domains(), users(user("alice", emailAddresses=["gone"])), users=declared)["changed"] is False


def test_wild_card_alias_is_nobodys_and_an_absent_account_takes_nothing() -> None:
    catch_all = aliases({"id": "a", "name": "*", "deliverTo": "bob"})
    people = [user("bob", emailAddresses=["gone"])]
    result = declare(
        domains(),
        users(*people),
        groups(),
        catch_all,
        check=True,
        users=[ARCHIVE, {"address": "gone@example.com", "state": "absent"}],
    )
    assert result["plan"] == {"create": 1, "change": 0, "delete": 0}


@pytest.mark.parametrize(
    "entry",
    [
        {"address": "archive@example.com", "password": "archive"},
        {"address": "a@example.com", "password": PASSWORD, "full_name": f"the {PASSWORD} one"},
        {"address": "not-a-secret-admin@example.com", "password": PASSWORD},
    ],
)
def test_name_with_a_password_in_it_is_refused_before_the_login(entry: dict[str, t.Any]) -> None:
    script = Script()
    script.closed = True
    result = failing(MAIN, script, users=[entry])
    assert result["error"]["kind"] == "secret_in_result"


def test_removed_name_with_a_password_in_it_is_refused_and_told_as_done() -> None:
    calls = [domains(), users(user("not-a-secret-admin2")), who(), archiving(), remove("not-a-secret-admin2"), users()]
    result = failing(MAIN, Script(login(), *calls, logout()), users=[], whole_domains=["example.com"])
    assert (result["error"]["kind"], result["changed"]) == ("secret_in_result", True)
