# SPDX-License-Identifier: GPL-3.0-or-later
"""The bar charts of a report: where each bar is, and what its axis says. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

HEIGHT = 100
SLOT = 10  # the width of a bar with the space beside it
GAP = 2
# A chart of few runs has thin bars all the same.
LEAST_SLOTS = 15
# The steps of an axis that can be halved and read.
_NICE = (1, 2, 4, 6, 8, 10)


@dataclass(frozen=True)
class Bar:
    """One run, ``index`` of the list; lengths in units of the drawing, ``y`` from its top."""

    index: int
    x: float
    y: float
    height: float
    failed: bool


@dataclass(frozen=True)
class Chart:
    """``ticks`` are the values at the top, in the middle and at the bottom of the axis."""

    key: str
    width: int
    bars: tuple[Bar, ...]
    ticks: tuple[int, int, int]


def chart(runs: t.Sequence[t.Mapping[str, t.Any]], key: str) -> Chart:
    """The chart of one figure of ``runs``, in their order."""
    top = axis_top(max((int(run[key]) for run in runs), default=0))
    bars = []
    for index, run in enumerate(runs):
        height = round(int(run[key]) * HEIGHT / top, 3)
        failed = run["outcome"] not in ("ok", "stopped")
        bars.append(Bar(index, index * SLOT + GAP / 2, round(HEIGHT - height, 3), height, failed))
    return Chart(key, SLOT * max(LEAST_SLOTS, len(runs)), tuple(bars), (top, top // 2, 0))


def axis_top(most: int) -> int:
    """The end of an axis that shows values up to ``most``: at least 2, so that its half is a whole number."""
    power = 1
    while power * _NICE[-1] < most:
        power *= 10
    return max(2, next(power * step for step in _NICE if power * step >= most))
