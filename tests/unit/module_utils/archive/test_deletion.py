# SPDX-License-Identifier: GPL-3.0-or-later
"""The clauses of deletion as plain functions."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate, Placed, Receipt
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import DAY, MessageFilter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import DeleteRules
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import Listed

MESSAGE = Candidate(7, b"\x01" * 32, 100, 1000, 2000, State.ARCHIVED)
SAME = {"uid": 7, "size": 100, "internaldate": 1000, "flags": ("\\Seen",)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"flags": ()}, ""),
        ({"flags": ("\\Flagged",)}, deletion.FLAGGED),
        ({"flags": ("\\fLAGGED", "\\Seen")}, deletion.FLAGGED),
        ({"flags": ("\\Deleted",)}, deletion.MARKED),
        ({"size": 101}, deletion.OTHER_SIZE),
        ({"internaldate": 1001}, deletion.OTHER_DATE),
    ],
)
def test_the_words_of_the_server_spare_a_message_for_one_reason(change: dict[str, t.Any], reason: str) -> None:
    assert deletion.judge_server(MESSAGE, Listed(**{**SAME, **change})) == reason


def test_a_message_that_the_server_does_not_list_is_spared() -> None:
    assert deletion.judge_server(MESSAGE, None) == deletion.NOT_LISTED


def test_ages_count_in_whole_days() -> None:
    assert deletion.cutoff(100 * DAY, DeleteRules(30)) == 70 * DAY
    assert deletion.cutoff(100 * DAY, DeleteRules(0)) == 100 * DAY


def test_of_several_rules_the_longest_wait_counts_and_dedicated_only_if_all_say_so() -> None:
    assert deletion.strictest([DeleteRules(10, True), DeleteRules(30, True)]) == DeleteRules(30, True)
    assert deletion.strictest([DeleteRules(30, True), DeleteRules(10)]) == DeleteRules(30, False)


@pytest.mark.parametrize(
    ("rule", "never"),
    [
        (MessageFilter(), False),
        (MessageFilter(larger_than=100), True),
        (MessageFilter(larger_than=99), False),
        (MessageFilter(older_than_days=10), False),  # will pass one day
        (MessageFilter(flagged=True), False),
        (MessageFilter(headers=(("subject", ("invoice",)),)), False),
        (MessageFilter(headers=(("subject", ("order",)),)), True),
    ],
)
def test_a_filter_keeps_out_for_good_by_what_never_changes(rule: MessageFilter, never: bool) -> None:
    head = b"Subject: Invoice 7\r\n\r\nSubject: order\r\n"
    assert deletion.never_passes(rule, MESSAGE, (), head, now=1000 + DAY) is never


def test_a_receipt_is_plain_data() -> None:
    receipt = Receipt(MESSAGE, ("\\Seen",), (Placed("mail/a/cur/x", "the object's own file"),), "O_DIRECT", 5000)
    assert receipt.as_proof(30, {"Deleted Items": [1, 2]}) == {
        "digest": "01" * 32,
        "size": 100,
        "internaldate": 1000,
        "archived": 2000,
        "after_days": 30,
        "flags": ["\\Seen"],
        "placements": [{"path": "mail/a/cur/x", "proof": "the object's own file"}],
        "reread": "O_DIRECT",
        "proven": 5000,
        "watched": {"Deleted Items": [1, 2]},
    }


def test_a_copy_is_named_in_the_receipt() -> None:
    receipt = Receipt(MESSAGE, (), (Placed("mail/a/cur/x", "read again, digest equal", "02" * 32),), "O_DIRECT", 1)
    assert receipt.as_proof(1, {})["placements"] == [
        {"path": "mail/a/cur/x", "proof": "read again, digest equal", "copy": "02" * 32}
    ]
