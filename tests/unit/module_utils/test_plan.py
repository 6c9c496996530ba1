# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what is compared, in which order things are done, and what a diff may show."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.plan import (
    Plan,
    Rule,
    item_changes,
    normalise,
    same,
    settings_change,
)

RULES = {"password": Rule(secret=True), "names": Rule(unordered=True), "methods": Rule(partial=True)}
PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def test_option_that_is_absent_is_not_managed() -> None:
    assert settings_change("archiving", {"enabled": True, "other": 1}, {"enabled": None, "other": 1}, {}) is None


def test_change_holds_touched_options_alone() -> None:
    change = settings_change("archiving", {"enabled": False, "other": 1}, {"enabled": True, "other": 1}, {})
    assert change is not None
    assert (change.action, change.key, change.before, change.after) == ("change", "", {"enabled": False}, {"enabled": True})


def test_false_and_empty_are_managed() -> None:
    change = settings_change("x", {"a": True, "b": "text", "c": 1}, {"a": False, "b": "", "c": 0}, {})
    assert change is not None
    assert change.values == {"a": False, "b": "", "c": 0}


def test_secret_is_a_change_that_is_never_shown() -> None:
    change = settings_change("master", {"password": "not-a-secret-old"}, {"password": "not-a-secret-new"}, RULES)
    assert change is not None
    assert change.values == {"password": "not-a-secret-new"}
    assert Plan("mail1", (change,)).diff()["before"] == {"master": {"password": "(secret)"}}
    assert Plan("mail1", (change,)).diff()["after"] == {"master": {"password": "(new secret)"}}
    assert "not-a-secret" not in repr(change)


def test_secret_of_what_is_created_or_deleted_is_not_shown() -> None:
    changes = item_changes(
        "user", {"old": {"password": "not-a-secret-1"}}, {"new": {"password": "not-a-secret-2"}}, RULES, ["old"]
    )
    plan = Plan("mail1", tuple(changes))
    assert "not-a-secret" not in json.dumps(plan.diff()) + repr(plan) + plan.sentence("users")


@pytest.mark.parametrize(
    ("current", "desired", "rule", "equal"),
    [
        (["b", "a"], ["a", "b"], Rule(unordered=True), True),
        (["b", "a"], ["a", "b"], Rule(), False),
        (["a", "a"], ["a"], Rule(unordered=True), False),
        ([{"n": 2, "m": 1}], ({"m": 1, "n": 2},), Rule(), True),
        ({"LOGIN": True, "NTLM": True}, {"LOGIN": True}, Rule(partial=True), True),
        ({"LOGIN": True, "NTLM": True}, {"LOGIN": False}, Rule(partial=True), False),
        ({"LOGIN": True, "NTLM": True}, {"LOGIN": True}, Rule(), False),
        ("A@Example.com", "a@example.com", Rule(sanitize=str.lower), True),
        ("x", "x", Rule(secret=True), False),
        (None, "", Rule(), False),
    ],
)
def test_comparison(current: object, desired: object, rule: Rule, equal: bool) -> None:
    assert same(current, desired, rule) is equal


def test_items_are_created_changed_and_deleted_in_order_of_identity() -> None:
    current = {"b": {"n": 1}, "c": {"n": 1}, "d": {"n": 1}, "e": {"n": 1}}
    desired = {"z": {"n": 1}, "a": {"n": 1, "m": None}, "c": {"n": 2}, "b": {"n": 1}}
    changes = item_changes("user", current, desired, {}, delete=["e", "b", "gone"])
    assert [(change.action, change.key) for change in changes] == [
        ("create", "a"),
        ("create", "z"),
        ("change", "c"),
        ("delete", "e"),
    ]
    assert changes[0].values == {"n": 1}
    plan = Plan("mail1", tuple(changes))
    assert plan.counts() == {"create": 2, "change": 1, "delete": 1}
    assert plan.diff()["before"] == {"user": {"c": {"n": 1}, "e": {"n": 1}}}
    assert plan.diff()["after"] == {"user": {"a": {"n": 1}, "c": {"n": 2}, "z": {"n": 1}}}


def test_what_is_not_to_be_deleted_stays() -> None:
    assert item_changes("user", {"a": {"n": 1}}, {}, {}) == []


def test_diff_names_the_server_and_has_sorted_keys() -> None:
    change = settings_change("archiving", {"b": 1, "a": 1}, {"b": 2, "a": {"z": 1, "y": 2}}, {})
    assert change is not None
    diff = Plan("mail1", (change,)).diff()
    assert (diff["before_header"], diff["after_header"]) == ("mail1", "mail1")
    assert json.dumps(diff["after"]) == '{"archiving": {"a": {"y": 2, "z": 1}, "b": 2}}'


def test_sentence_is_one_and_short() -> None:
    changes = item_changes("user", {}, {f"u{number:02}": {"n": 1} for number in range(20)}, {})
    assert Plan("mail1").sentence("users") == "mail1: nothing to change in users"
    sentence = Plan("mail1", tuple(changes)).sentence("users", check_mode=True)
    assert sentence.startswith("mail1: would change users (create u00, ")
    assert sentence.endswith("create u07 and 12 more)")


@given(PLAIN_VALUES)
def test_normal_form_is_stable_and_equal_to_itself(value: object) -> None:
    for rule in (Rule(), Rule(unordered=True), Rule(partial=True)):
        assert normalise(normalise(value, rule), rule) == normalise(value, rule)
        assert same(value, value, rule)


@given(st.lists(st.dictionaries(st.text(), st.integers())), st.randoms(use_true_random=False))
def test_order_means_nothing_where_the_rule_says_so(values: list[dict[str, int]], dice: random.Random) -> None:
    shuffled = list(values)
    dice.shuffle(shuffled)
    assert same(values, shuffled, Rule(unordered=True))
