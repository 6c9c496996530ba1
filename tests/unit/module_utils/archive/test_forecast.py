# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the room lasts: steady growth, a first import, a week's rhythm, what is too young, and what always holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive.forecast import (
    BESIDE_AN_OBJECT,
    DAY,
    Forecast,
    Grown,
    Room,
    forecast,
)

NOW = 1_800_000_000
GB = 10**9
ROOM = Room(GB, None)


def on(day: int, objects: int, size: int = 0) -> Grown:
    """A run of some days ago; so large that with what lies beside its objects it takes ``size`` bytes."""
    return Grown(NOW - day * DAY - 100, objects, size - objects * BESIDE_AN_OBJECT)


def steady(first: int, last: int = 0) -> list[Grown]:
    """A hundred messages and 1 MB a day."""
    return [on(day, 100, 1_000_000) for day in range(last, first)]


def of(runs: list[Grown], days: int, room: Room = ROOM) -> Forecast:
    return forecast(runs, NOW - days * DAY, room, NOW)


def test_steady_growth_lasts_as_long_as_the_room() -> None:
    found = of(steady(30), 400)
    assert (found.days, found.limit, found.bytes_per_day, found.inodes_per_day) == (1000, "bytes", 1_000_000, 100.0)
    assert found.sentence == (
        "At the growth of the last 30 days, 1.0 MB and 100.0 messages a day, the free 1.0 GB last 1,000 days"
    )


def test_what_ends_first_counts() -> None:
    found = of(steady(30), 400, Room(GB, 5_000))
    assert (found.days, found.limit) == (50, "inodes")
    assert "the free 5,000 inodes last 50 days" in found.sentence
    assert of(steady(30), 400, Room(GB, 500_000)).limit == "bytes"


@pytest.mark.parametrize("nights", [1, 4, 7])
def test_the_first_import_is_not_the_growth(nights: int) -> None:
    age = 14 + nights
    imported = [on(day, 50_000, 5 * GB) for day in range(14, age)]
    found = of(steady(14) + imported, age)
    assert (found.days, found.history_days) == (1000, 14)


def test_a_later_import_is_none_either() -> None:
    assert of([*steady(30), on(10, 50_000, 5 * GB)], 400).days == 1000


@pytest.mark.parametrize("age", [0, 1, 7, 13])
def test_an_archive_that_is_too_young_says_so(age: int) -> None:
    found = of([on(0, 50_000, 5 * GB)], age)
    assert (found.days, found.history_days) == (None, 0)
    assert found.sentence == "How long the free 1.0 GB last cannot be told yet: too little history"
    assert found.warning(10_000) == ""


def test_one_that_never_got_anything_is_too_young() -> None:
    assert forecast([], None, Room(GB, None), NOW).sentence.endswith("too little history")


def test_a_run_once_a_week_is_no_import() -> None:
    found = of([on(day, 700, 7_000_000) for day in range(2, 30, 7)], 400)
    assert found.history_days == 30
    assert found.bytes_per_day == 7_000_000 * 4 // 30


def test_an_archive_that_does_not_grow() -> None:
    found = of([], 400)
    assert found.days is None
    assert found.sentence == "The archive did not grow in the last 30 days; 1.0 GB are free"


def test_the_warning_comes_below_the_days_that_are_asked_for() -> None:
    found = of(steady(30), 400, Room(29_000_000, None))
    assert found.days == 29
    assert found.warning(29) == ""
    assert found.warning(30) == f"{found.sentence}, fewer than 30. Extend the file system or move the archive, see docs/growth.md"


def test_a_full_disk_lasts_no_day() -> None:
    assert of(steady(30), 400, Room(-5, -5)).days == 0


RUNS = st.lists(
    st.builds(Grown, st.integers(NOW - 40 * DAY, NOW + DAY), st.integers(0, 10**6), st.integers(0, 10**12)), max_size=60
)
ROOMS = st.builds(Room, st.integers(-(10**6), 10**14), st.none() | st.integers(-100, 10**9))


@given(RUNS, st.integers(0, 1000), ROOMS)
def test_it_is_never_more_than_the_room_allows(runs: list[Grown], age: int, room: Room) -> None:
    found = of(runs, age, room)
    if found.days is not None:
        assert found.days * found.bytes_per_day <= max(0, room.bytes)
        assert room.inodes is None or found.days * found.inodes_per_day <= max(0, room.inodes) + found.days * 0.01
    assert (found.days is None) == (found.limit is None)
    assert found.sentence


@given(RUNS, st.integers(14, 1000), ROOMS, st.integers(0, 10**12))
def test_more_room_never_lasts_shorter(runs: list[Grown], age: int, room: Room, more: int) -> None:
    less, longer = of(runs, age, room), of(runs, age, room._replace(bytes=room.bytes + more))
    assert (less.days is None) == (longer.days is None)
    assert less.days is None or longer.days is None or longer.days >= less.days


@given(RUNS, st.integers(0, 1000), ROOMS, st.randoms())
def test_the_order_of_runs_does_not_matter(runs: list[Grown], age: int, room: Room, drawn: object) -> None:
    mixed = list(runs)
    drawn.shuffle(mixed)  # type: ignore[attr-defined]
    assert of(mixed, age, room) == of(runs, age, room)


@given(st.integers(1, 10**5), st.integers(1, 10**9), st.integers(7, 23), st.integers(101, 10**6))
def test_an_import_of_any_size_is_left_out(objects: int, size: int, day: int, times: int) -> None:
    usual = [Grown(NOW - number * DAY - 1, objects, size) for number in range(30) if number != day]
    imported = Grown(NOW - day * DAY - 1, objects * times, size * times)
    assert of([*usual, imported], 400).bytes_per_day == objects * BESIDE_AN_OBJECT + size
