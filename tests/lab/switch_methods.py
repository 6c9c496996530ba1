# SPDX-License-Identifier: GPL-3.0-or-later
"""The switches that name API methods: `hang_methods`, `fail_methods`, `fail_items`."""

from __future__ import annotations

import dataclasses
import functools
import re

NAME = re.compile(r"[A-Z]\w*\.[a-z]\w*")
CODED = re.compile(rf"({NAME.pattern})=(-?[1-9]\d*)")
ITEM = re.compile(rf"({NAME.pattern})(?::(\d+))?=(-?[1-9]\d*)")


@dataclasses.dataclass(frozen=True)
class ItemFailure:
    """`index` None = every item of the call."""

    method: str
    index: int | None
    code: int


def _each(switch: str, text: str, pattern: re.Pattern[str], form: str) -> list[re.Match[str]]:
    """The comma-separated parts; raises ValueError for one that has not the form."""
    found = []
    for part in (part.strip() for part in text.split(",")) if text.strip() else ():
        match = pattern.fullmatch(part)
        if match is None:
            raise ValueError(f"switch {switch}: {part!r} is not {form}")
        found.append(match)
    return found


@functools.cache
def hanging(text: str) -> frozenset[str]:
    return frozenset(match[0] for match in _each("hang_methods", text, NAME, "Interface.method"))


@functools.cache
def failing(text: str) -> dict[str, int]:
    return {match[1]: int(match[2]) for match in _each("fail_methods", text, CODED, "Interface.method=code")}


@functools.cache
def failing_items(text: str) -> tuple[ItemFailure, ...]:
    found = _each("fail_items", text, ITEM, "Interface.method=code or Interface.method:index=code")
    return tuple(ItemFailure(match[1], int(match[2]) if match[2] else None, int(match[3])) for match in found)


def code_of_item(text: str, method: str, index: int) -> int:
    """The code with which this item of a call is to fail; 0 = it is not."""
    hits = (one.code for one in failing_items(text) if one.method == method and one.index in (None, index))
    return next(hits, 0)
