# SPDX-License-Identifier: GPL-3.0-or-later
"""Sequence sets and SEARCH keys of rawimap.py. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.lab.generate_load import MONTHS

if TYPE_CHECKING:
    from tests.lab.rawimap import RawMessage

SET = re.compile(r"(\d+|\*)(:(\d+|\*))?(,(\d+|\*)(:(\d+|\*))?)*")
FLAG_KEYS = {"DELETED": "\\Deleted", "SEEN": "\\Seen", "FLAGGED": "\\Flagged", "ANSWERED": "\\Answered", "DRAFT": "\\Draft"}
DATE_KEYS: dict[str, Callable[[datetime.date, datetime.date], bool]] = {
    "SINCE": lambda date, limit: date >= limit,
    "BEFORE": lambda date, limit: date < limit,
    "ON": lambda date, limit: date == limit,
}
SIZE_KEYS: dict[str, Callable[[int, int], bool]] = {
    "LARGER": lambda size, limit: size > limit,
    "SMALLER": lambda size, limit: size < limit,
}

Pair = tuple[int, "RawMessage"]
Test = Callable[[Pair], bool]


class BadError(Exception):
    """The command is answered with BAD and this text."""


def sequence(text: str, top: int) -> Callable[[int], bool]:
    """Is a number in the set? `*` is the highest there is; `9:*` holds it even when it is below 9."""
    if not SET.fullmatch(text):
        raise BadError(f"bad sequence set {text!r}")
    ranges = []
    for part in text.split(","):
        ends = [top if end == "*" else int(end) for end in part.split(":")]
        ranges.append((min(ends), max(ends)))
    return lambda number: any(low <= number <= high for low, high in ranges)


def day(text: str) -> datetime.date:
    """`1-Jan-2024` as IMAP writes it."""
    try:
        number, month, year = text.strip().split(" ")[0].split("-")
        return datetime.date(int(year), MONTHS.index(month.title()) + 1, int(number))
    except ValueError as err:
        raise BadError(f"bad date {text!r}") from err


def select_messages(words: list[str], pairs: list[Pair]) -> list[Pair]:
    """The messages that all keys admit. Raises BadError for a key that is not known here."""
    tests: list[Test] = []
    rest = list(words)
    if rest[:1] and rest[0].upper() == "CHARSET":
        rest = rest[2:]
    if not rest:
        raise BadError("no search key")
    while rest:
        tests.append(_key(rest, pairs))
    return [pair for pair in pairs if all(test(pair) for test in tests)]


def _key(rest: list[str], pairs: list[Pair]) -> Test:
    """Takes one key and its arguments off the front."""
    key = rest.pop(0).upper()
    if key == "ALL":
        return lambda _pair: True
    if key == "NOT":
        inner = _key(rest, pairs)
        return lambda pair: not inner(pair)
    if key in FLAG_KEYS:
        return lambda pair: FLAG_KEYS[key] in pair[1].flags
    if key.startswith("UN") and key[2:] in FLAG_KEYS:
        return lambda pair: FLAG_KEYS[key[2:]] not in pair[1].flags
    if SET.fullmatch(key):
        admits = sequence(key, len(pairs))
        return lambda pair: admits(pair[0])
    return _with_argument(key, rest, pairs)


def _with_argument(key: str, rest: list[str], pairs: list[Pair]) -> Test:
    if not rest:
        raise BadError(f"unknown search key {key}")
    argument = rest.pop(0)
    if key == "UID":
        admits = sequence(argument, max((one.uid for _number, one in pairs), default=0))
        return lambda pair: admits(pair[1].uid)
    if key in ("KEYWORD", "UNKEYWORD"):
        return lambda pair: (argument in pair[1].flags) is (key == "KEYWORD")
    if key in DATE_KEYS:
        compare, limit = DATE_KEYS[key], day(argument)
        return lambda pair: compare(day(pair[1].date), limit)
    if key in SIZE_KEYS and argument.isdigit():
        return lambda pair: SIZE_KEYS[key](len(pair[1].raw), int(argument))
    raise BadError(f"unknown search key {key}")
