# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of IMAP commands (RFC 3501 section 9): strings, lists, sets, dates, SEARCH keys. Pure."""

from __future__ import annotations

import datetime
import email
import re
import typing as t

from tests.faults.imap_state import Message

Value: t.TypeAlias = "bytes | list[Value]"
Test = t.Callable[[int, Message], bool]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HEADER_BYTES = 1 << 21
LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n\Z")
TOKEN = re.compile(rb'\s*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|([^\s()"]+))', re.DOTALL)
SET = re.compile(r"(\d+|\*)(:(\d+|\*))?(,(\d+|\*)(:(\d+|\*))?)*")
FLAG_KEYS = {"DELETED": "\\Deleted", "SEEN": "\\Seen", "FLAGGED": "\\Flagged", "ANSWERED": "\\Answered", "DRAFT": "\\Draft"}
DATE_KEYS: dict[str, t.Callable[[datetime.date, datetime.date], bool]] = {
    "SINCE": lambda date, limit: date >= limit,
    "BEFORE": lambda date, limit: date < limit,
    "ON": lambda date, limit: date == limit,
}
SIZE_KEYS: dict[str, t.Callable[[int, int], bool]] = {
    "LARGER": lambda size, limit: size > limit,
    "SMALLER": lambda size, limit: size < limit,
}


class BadCommandError(Exception):
    """The command is answered with BAD and this text."""


def parse(parts: t.Sequence[bytes]) -> list[Value]:
    """Read arguments: ``parts`` are text and literal data in turn."""
    stack: list[list[Value]] = [[]]
    for number, part in enumerate(parts):
        if number % 2:
            stack[-1].append(part)
            continue
        text = LITERAL.sub(b"", part).strip()
        at = 0
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise BadCommandError("the arguments cannot be read")
            at = match.end()
            _take(stack, match)
    if len(stack) != 1:
        raise BadCommandError("a parenthesis is open")
    return stack[0]


def _take(stack: list[list[Value]], match: re.Match[bytes]) -> None:
    if match[1]:
        stack.append([])
    elif match[2]:
        if len(stack) < 2:
            raise BadCommandError("a parenthesis is closed that was not open")
        inner = stack.pop()
        stack[-1].append(inner)
    elif match[3] is not None:
        stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[3], flags=re.DOTALL))
    else:
        stack[-1].append(match[4])


def word(value: Value) -> str:
    """An argument that must not be a list."""
    if isinstance(value, list):
        raise BadCommandError("a list where a word belongs")
    return value.decode("utf-8", "surrogateescape")


def in_set(text: str, top: int) -> t.Callable[[int], bool]:
    """Is a number in the set? ``*`` is ``top``, the highest there is; ``9:*`` holds it even when it is below 9."""
    if not SET.fullmatch(text):
        raise BadCommandError(f"bad set {text!r}")
    ranges = []
    for part in text.split(","):
        ends = [top if end == "*" else int(end) for end in part.split(":")]
        ranges.append((min(ends), max(ends)))
    return lambda number: any(low <= number <= high for low, high in ranges)


def imap_date(when: datetime.datetime) -> str:
    """INTERNALDATE without its quotes."""
    return f"{when.day:02d}-{MONTHS[when.month - 1]}-{when:%Y %H:%M:%S %z}"


def parse_date(text: str) -> datetime.datetime:
    """Read INTERNALDATE or, without a time, the day of a SEARCH key."""
    match = re.fullmatch(r" ?(\d{1,2})-([A-Za-z]{3})-(\d{4})(?: (\d\d):(\d\d):(\d\d) ([+-]\d{4}))?", text)
    if match is None or match[2].title() not in MONTHS:
        raise BadCommandError(f"bad date {text!r}")
    month = MONTHS.index(match[2].title()) + 1
    day = f"{match[3]}-{month:02d}-{int(match[1]):02d}"
    clock = f"{match[4] or '00'}:{match[5] or '00'}:{match[6] or '00'}{match[7] or '+0000'}"
    try:
        return datetime.datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S%z")
    except ValueError as error:
        raise BadCommandError(f"bad date {text!r}") from error


def search_test(keys: t.Sequence[Value], top: int) -> Test:
    """What all of ``keys`` admit, as a test of (sequence number, message); ``top`` is the highest UID."""
    rest = list(keys)
    if rest[:1] and isinstance(rest[0], bytes) and rest[0].upper() == b"CHARSET":
        rest = rest[2:]
    if not rest:
        raise BadCommandError("no search key")
    tests: list[Test] = []
    while rest:
        tests.append(_key(rest, top))
    return lambda number, message: all(test(number, message) for test in tests)


def _key(rest: list[Value], top: int) -> Test:
    """Take one key and its arguments off the front."""
    if not rest:
        raise BadCommandError("a search key is missing")
    first = rest.pop(0)
    if isinstance(first, list):
        return search_test(first, top)
    key = first.decode("ascii", "replace").upper()
    if key == "ALL":
        return lambda _number, _message: True
    if key == "NOT":
        inner = _key(rest, top)
        return lambda number, message: not inner(number, message)
    if key == "OR":
        left, right = _key(rest, top), _key(rest, top)
        return lambda number, message: left(number, message) or right(number, message)
    if key in FLAG_KEYS:
        return lambda _number, message: FLAG_KEYS[key] in message.flags
    if key.startswith("UN") and key[2:] in FLAG_KEYS:
        return lambda _number, message: FLAG_KEYS[key[2:]] not in message.flags
    if SET.fullmatch(key):
        admits = in_set(key, top)
        return lambda number, _message: admits(number)
    return _with_argument(key, rest, top)


def _with_argument(key: str, rest: list[Value], top: int) -> Test:
    if not rest:
        raise BadCommandError(f"unknown search key {key}")
    argument = word(rest.pop(0))
    if key == "UID":
        admits = in_set(argument, top)
        return lambda _number, message: admits(message.uid)
    if key in ("KEYWORD", "UNKEYWORD"):
        return lambda _number, message: (argument in message.flags) is (key == "KEYWORD")
    if key in DATE_KEYS:
        compare, limit = DATE_KEYS[key], parse_date(argument).date()
        return lambda _number, message: compare(message.internaldate.date(), limit)
    if key in SIZE_KEYS and argument.isdigit():
        return lambda _number, message: SIZE_KEYS[key](len(message.body), int(argument))
    if key == "HEADER" and rest:
        wanted = word(rest.pop(0)).casefold()
        return lambda _number, message: any(wanted in text.casefold() for text in header(message, argument))
    raise BadCommandError(f"unknown search key {key}")


def header(message: Message, name: str) -> list[str]:
    """The values of a header field, unfolded."""
    block = message.body[:HEADER_BYTES].partition(b"\r\n\r\n")[0]
    values = email.message_from_bytes(block).get_all(name) or []
    return [" ".join(str(value).split()) for value in values]
