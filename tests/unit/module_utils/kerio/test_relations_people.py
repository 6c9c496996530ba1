# SPDX-License-Identifier: GPL-3.0-or-later
"""People of a server, from its directory as it is read and from the accounts that are declared."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_people import People, people_of, with_declared

ALICE: dict[str, t.Any] = {
    "id": "u1",
    "loginName": "Alice",
    "emailAddresses": ["a.smith", "Old@example.net"],
    "isPasswordReversible": False,
    "diskSizeLimit": {"isActive": True, "limit": {"value": 2, "units": "GigaBytes"}},
    "itemLimit": {"isActive": False, "limit": 9},
    "emailForwarding": {"mode": "UForwardDeliver", "emailAddresses": ["Boss@example.com"]},
}
BOB: dict[str, t.Any] = {"id": "u2", "loginName": "bob"}
DIRECTORY: dict[str, t.Any] = {
    "domains": [
        {"id": "d1", "name": "example.com", "is_primary": True, "aliases": ["example.net"], "clean_out": {"sent_items": 5}}
    ],
    "users": [
        {
            "id": "u1",
            "login": "Alice",
            "domain": "example.com",
            "address": "alice@example.com",
            "enabled": True,
            "authentication": "directory",
            "clean_out": {"all_items": 30},
        },
        {
            "id": "u2",
            "login": "bob",
            "domain": "example.com",
            "address": "bob@example.com",
            "enabled": False,
            "authentication": "internal",
            "clean_out": None,
        },
    ],
    "groups": [
        {
            "id": "g1",
            "name": "Staff",
            "domain": "example.com",
            "addresses": ["staff@example.com", "staff@example.net"],
            "members": ["u1"],
        }
    ],
}
ALIASES: list[dict[str, t.Any]] = [
    {"id": "a1", "name": "info", "deliverTo": "alice", "deliverToId": "", "type": "TypeEmailAddress"},
    {"id": "a2", "name": "help", "deliverTo": "Somebody", "deliverToId": "u2"},
    {"id": "a3", "name": "board", "deliverTo": "Public Folders/Board", "type": "TypePublicFolder"},
]


def built() -> People:
    return people_of(DIRECTORY, {"d1": ([ALICE, BOB], ALIASES)})


def test_account_has_what_relations_ask_for() -> None:
    alice, bob = built().accounts
    assert (alice.address, alice.login, alice.further) == (
        "alice@example.com",
        "alice",
        ("a.smith@example.com", "old@example.com"),
    )
    assert (alice.disk_limit_mb, alice.item_limit) == (2048, 0)
    assert (alice.forwarding, alice.forwards_to) == ("UForwardDeliver", ("boss@example.com",))
    assert (alice.from_directory, alice.reversible, alice.clean_out) == (True, False, {"all_items": 30})
    assert alice.groups == {"staff", "staff@example.com"}
    assert (bob.enabled, bob.from_directory, bob.reversible, bob.forwarding) == (False, False, None, "UForwardNone")


def test_aliases_are_followed_by_id_and_by_name_at_every_name_of_the_domain() -> None:
    people = built()
    ends = {name: [end.account.login for end in people.reach(name) if end.account] for name in ("info@example.net", "help")}
    assert ends == {"info@example.net": ["alice"], "help": ["bob"]}
    assert [end.kind for end in people.reach("board")] == ["public_folder"]
    assert [end.account.login for end in people.reach("staff@example.net") if end.account] == ["alice"]


def test_declared_accounts_are_as_they_will_be() -> None:
    declared = [
        {"address": "Alice@example.com", "state": "present", "enabled": False, "addresses": ["new"], "disk_limit_mb": 0},
        {"address": "bob@example.com", "state": "absent"},
        {"address": "journal@example.com", "password_reversible": True, "item_limit": 3},
    ]
    alice, journal = with_declared(built(), declared).accounts
    assert (alice.enabled, alice.further, alice.disk_limit_mb, alice.reversible) == (False, ("new@example.com",), 0, False)
    assert (journal.address, journal.enabled, journal.reversible, journal.item_limit) == ("journal@example.com", True, True, 3)
    assert with_declared(built(), declared).reach("help") == ()


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ({"isDistributed": True}, "distributed over several servers"),
        ({"isDistributed": False, "forwardingOptions": {"isEnabled": True, "host": "other.example"}}, "to another host"),
        ({"isDistributed": False, "forwardingOptions": {"isEnabled": False, "host": "other.example"}}, ""),
        ({}, ""),
    ],
)
def test_a_domain_may_go_on_elsewhere(domain: dict[str, t.Any], words: str) -> None:
    people = people_of(DIRECTORY, {"d1": ([ALICE, BOB], ALIASES)}, [{"id": "d1", "name": "example.com", **domain}])
    for address in ("nobody@example.com", "nobody@example.net"):
        assert (words in people.continued(address)) and bool(people.continued(address)) is bool(words)
    assert people.continued("nobody@another.example") == ""
