# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts with their nouns, and lists that end."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.words import counted, some


@pytest.mark.parametrize(("count", "text"), [(0, "0 users"), (1, "1 user"), (2, "2 users"), (1204, "1,204 users")])
def test_noun_goes_with_its_count(count: int, text: str) -> None:
    assert counted(count, "user") == text


def test_a_noun_may_say_what_several_are() -> None:
    assert [counted(count, "mailbox") for count in (0, 1, 2)] == ["0 mailboxes", "1 mailbox", "2 mailboxes"]


@pytest.mark.parametrize(
    ("texts", "between", "text"),
    [
        ([], ", ", ""),
        (["a", "b"], ", ", "a, b"),
        (["a", "b", "c"], ", ", "a, b and 1 more"),
        (["a", "b", "c"], "; ", "a; b; and 1 more"),
        (["a"] * 1204, ", ", "a, a and 1,202 more"),
    ],
)
def test_first_of_a_list_are_named_and_the_rest_counted(texts: list[str], between: str, text: str) -> None:
    assert some(texts, 2, between) == text


def test_the_first_of_a_list_are_enough_where_it_is_told_how_many_there_are() -> None:
    assert [some(["a", "b"], 2, "; ", count) for count in (2, 3, 1204)] == ["a; b", "a; b; and 1 more", "a; b; and 1,202 more"]
