# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches: every UID in exactly one, none too large, no command line too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.imap.planner import Limits, Planner
from ansible_collections.mailops.kerio.plugins.module_utils.imap.uidset import LONGEST_SET, compact


def batches(planner: Planner, sizes: dict[int, int]) -> list[list[int]]:
    """Run a planner to its end; sizes are told as soon as they are asked for."""
    found: list[list[int]] = []
    while True:
        asked = planner.sizes_to_ask()
        if asked:
            for uid in asked:
                planner.learn(uid, sizes[uid])
            planner.sizes_told()
        batch = planner.next_batch()
        if not batch:
            return found
        found.append(batch)


@given(
    st.dictionaries(st.integers(1, 4_294_967_295), st.integers(0, 100)), st.integers(1, 20), st.integers(1, 300), st.booleans()
)
def test_every_uid_is_in_one_batch_within_the_limits(sizes: dict[int, int], messages: int, volume: int, known: bool) -> None:
    found = batches(Planner(sizes, Limits(messages, volume, 2), sizes if known else None), sizes)
    assert [uid for batch in found for uid in batch] == sorted(sizes)
    for batch in found:
        assert len(batch) <= messages
        assert len(batch) == 1 or sum(sizes[uid] for uid in batch) <= volume


def test_scattered_uids_make_no_endless_command() -> None:
    uids = range(4_000_000_000, 4_000_010_000, 2)
    found = batches(Planner(uids, Limits(5000, 10**9, 2), dict.fromkeys(uids, 1)), {})
    assert sum(map(len, found)) == len(uids)
    assert all(len(compact(batch)) <= LONGEST_SET + 22 for batch in found)


def test_sizes_are_asked_ahead_but_not_without_end() -> None:
    planner = Planner(range(1, 101), Limits(10, 10**9, 2), None)
    assert planner.sizes_to_ask() == list(range(1, 21))
    assert planner.sizes_to_ask() == []
    assert planner.next_batch() == []
    planner.sizes_told()
    assert planner.sizes_to_ask() == []
    assert planner.next_batch() == list(range(1, 11))
    assert planner.sizes_to_ask() == list(range(21, 41))
    assert planner.next_batch() == list(range(11, 21))
    assert planner.next_batch() == []
