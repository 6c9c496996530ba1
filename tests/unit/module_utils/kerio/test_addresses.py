# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses in the one form in which they are compared, and whom they lead to."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import addresses

NAMES = ("example.com", "example.net")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (" Sales ", "sales"),
        ("Sales@Example.COM", "sales"),
        ("sales@example.net", "sales"),
        ("sales@example.org", "sales@example.org"),
        ("sales@sub.example.com", "sales@sub.example.com"),
        ("example.com", "example.com"),
    ],
)
def test_address_in_an_own_domain_is_its_local_part(name: str, told: str) -> None:
    assert addresses.local(name, NAMES) == told


def test_further_addresses_are_told_once_and_without_the_default_one() -> None:
    listed = ["Alice@example.com", "b", "B@example.net", "", " ", "alice", "alice@example.org"]
    assert addresses.further("Alice", listed, NAMES) == ["b", "alice@example.org"]


def test_local_parts_become_addresses_at_every_name_of_the_domain() -> None:
    assert addresses.of_user("Alice", ["b", " "], NAMES) == [f"{name}@{domain}" for domain in NAMES for name in ("alice", "b")]
