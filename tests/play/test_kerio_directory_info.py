# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_directory_info, run by ansible-playbook against the lab: the whole directory or one sentence."""

from __future__ import annotations

import typing as t

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import Step, assert_one_sentence, assert_untouched, connection, one, play


def directory(server: LabServer, **options: t.Any) -> Step:
    return Step("kerio_directory_info", {**connection(server), **options})


def whole(server: LabServer, method: str, **parameters: str) -> list[dict[str, t.Any]]:
    """Return all that a list method has, as an administrator sees it."""
    query = {"fields": [], "conditions": [], "combining": "And", "start": 0, "limit": -1, "orderBy": []}
    found: list[dict[str, t.Any]] = server.api(method, {"query": query, **parameters})["list"]
    return found


@pytest.mark.shows("run", "check")
def test_everybody_is_told_with_all_addresses_page_by_page_and_in_a_check(mail1: LabServer) -> None:
    mail1.refuse_writes()
    whole, check = play(directory(mail1, page_size=2), Step("kerio_directory_info", directory(mail1).options, check=True))
    assert_untouched(mail1)
    assert [whole.status, check.status] == ["ok", "ok"]
    assert check.result["directory"] == whole.result["directory"]
    # Four people and the archive mailbox, two a page.
    assert whole.result["calls"].count("Users.get") == 3
    found = whole.result["directory"]
    assert (found["server"], found["version"]) == ("mail1", mail1.api("Server.getVersion")["version"])
    users = {user["login"]: user for user in found["users"]}
    assert set(users) == {entry["login"] for entry in mail1.users}
    for entry in mail1.users:
        user = users[entry["login"]]
        assert (user["id"], user["address"], user["full_name"]) == (entry["id"], entry["address"], entry["full_name"])
        assert set(entry["addresses"]) <= set(user["addresses"])
        assert user["addresses"][0] == entry["address"]
        assert (user["enabled"], user["authentication"]) == (True, "internal")
    # An alias that ends at her, at each name of the domain.
    assert {"info@example.com", "info@example.net"} <= set(users["alice"]["addresses"])


def test_groups_have_their_members_and_domains_their_aliases(mail1: LabServer) -> None:
    found = one(directory(mail1)).result["directory"]
    identity = {entry["login"]: entry["id"] for entry in mail1.users}
    members = {group["name"]: set(group["members"]) for group in found["groups"]}
    assert members == {
        "sales": {identity["bob"], identity["carol"]},
        "staff": {identity[login] for login in ("alice", "bob", "carol", "dora")},
    }
    assert [(domain["name"], domain["is_primary"], domain["aliases"]) for domain in found["domains"]] == [
        ("example.com", True, ["example.net"])
    ]
    # An alias exists at each name of its domain.
    assert {(alias["address"], alias["deliver_to"]) for alias in found["aliases"]} == {
        ("info@example.com", "alice@example.com"),
        ("info@example.net", "alice@example.com"),
        ("orders@example.com", "sales@example.com"),
        ("orders@example.net", "sales@example.com"),
    }


@pytest.mark.shows("by_hand")
def test_a_change_on_the_server_is_seen(mail1: LabServer) -> None:
    alice = mail1.user("alice")
    mail1.api("Users.set", {"userIds": [alice["id"]], "pattern": {"isEnabled": False, "fullName": "Alice Renamed"}})
    users = {user["login"]: user for user in one(directory(mail1)).result["directory"]["users"]}
    assert (users["alice"]["enabled"], users["alice"]["full_name"]) == (False, "Alice Renamed")


def test_what_the_server_removes_by_itself_and_how_passwords_are_stored_is_told(mail1: LabServer) -> None:
    domain, alice = whole(mail1, "Domains.get")[0], mail1.user("alice")
    mail1.api("Domains.set", {"domainIds": [domain["id"]], "pattern": {"deletedItems": {"isEnabled": True, "days": 7}}})
    mail1.api("Users.set", {"userIds": [alice["id"]], "pattern": {"isPasswordReversible": True}})
    found = one(directory(mail1)).result["directory"]
    never = {"deleted_items": None, "junk_email": None, "sent_items": None, "all_items": None}
    assert found["domains"][0]["clean_out"] == {**never, "deleted_items": 7}
    users = {user["login"]: user for user in found["users"]}
    assert (users["alice"]["password_reversible"], users["bob"]["password_reversible"]) == (True, False)
    assert users["alice"]["clean_out"] is None


@pytest.mark.shows("broken")
def test_half_a_directory_is_an_error(mail1: LabServer) -> None:
    """Somebody who is missing by mistake would be taken for one who left."""
    with mail1.switched(fail_methods="Groups.get=1000"):
        assert_one_sentence(one(directory(mail1)), "mail1: Groups.get", "code 1000")
    with mail1.switched(hang_methods="Aliases.get"):
        silent = one(directory(mail1, timeout=1))
    assert_one_sentence(silent, "Aliases.get", "no answer within 1 s", "full administration")
    assert "directory" not in silent.result


def test_a_server_that_cuts_its_lists_is_read_to_the_end(mail1: LabServer) -> None:
    with mail1.switched(list_limit=2):
        answer = one(directory(mail1))
    assert len(answer.result["directory"]["users"]) == len(mail1.users)
