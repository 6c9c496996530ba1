# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects are read when: all of them within the days that are asked for, however often that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import DIRECTORIES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_share import DAY, Reading, due

START = 1_700_000_000


@pytest.mark.parametrize(("days", "every"), [(1, DAY), (7, DAY), (30, DAY), (30, 3600), (30, 7 * DAY), (400, DAY), (2, 3600)])
def test_everything_is_read_within_the_days(days: int, every: int) -> None:
    reading, now = Reading(), START
    shares = []
    for _time in range(3 * days * DAY // every + 2):
        chosen = due(reading, now, days)
        shares.append(len(chosen))
        reading = reading.after(chosen, now)
        ages = [now - reading.read.get(number, START) for number in range(DIRECTORIES)]
        assert max(ages) <= days * DAY
        now += every
    assert max(shares[1:]) < 2 * (1 + DIRECTORIES * max(every, DAY) / (days * DAY))
    assert reading.oldest() is not None


def test_after_a_long_pause_what_is_overdue_is_read_at_once() -> None:
    reading = Reading().after(range(DIRECTORIES), START)
    assert due(reading, START + 31 * DAY, 30) == list(range(DIRECTORIES))


def test_a_clock_that_went_backwards_makes_everything_due() -> None:
    reading = Reading().after([3], START)
    assert due(reading, START - 10, 30) == list(range(DIRECTORIES))


@given(st.dictionaries(st.integers(0, 255), st.integers(0, START)), st.integers(0, START), st.integers(0, START))
def test_what_is_known_survives_its_file(read: dict[int, int], began: int, last: int) -> None:
    reading = Reading(began, last, read)
    assert Reading.from_data(reading.as_data()) == reading


@pytest.mark.parametrize(
    "data", [None, [], {}, {"began": 1, "last": 1, "read": {"zz": 1}}, {"began": "x", "last": 1, "read": {}}]
)
def test_a_broken_file_means_never(data: object) -> None:
    assert Reading.from_data(data) == Reading()
