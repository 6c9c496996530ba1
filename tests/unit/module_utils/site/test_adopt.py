# SPDX-License-Identifier: GPL-3.0-or-later
"""Of the accounts of a server those of its archive mailboxes are taken over, by whatever address they receive."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.site import adopt


@pytest.mark.parametrize(
    ("user", "taken"),
    [
        ({"address": "archive@example.com"}, True),
        ({"address": "Archive@Example.com"}, True),
        ({"address": "store@example.com", "addresses": ["office", "archive"]}, True),
        ({"address": "store@example.com", "addresses": ["archive@example.com"]}, True),
        ({"address": "keep@a.example"}, True),
        ({"address": "archive@a.example"}, False),
        ({"address": "alice@example.com", "addresses": []}, False),
    ],
)
def test_an_account_is_that_of_an_archive_mailbox(user: dict[str, t.Any], taken: bool) -> None:
    places = {"remote_address": "ARCHIVE@example.com", "domains": [{"remote_address": "keep@a.example"}, {"remote_address": ""}]}
    found = adopt.settings({"archiving": places, "users": [user]}, {}, ())
    assert found.get("kerio_connect_users", []) == ([user] if taken else [])
