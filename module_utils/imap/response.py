# SPDX-License-Identifier: GPL-3.0-or-later
"""What an IMAP response says (RFC 3501 section 7); pure, over a response that is complete."""

from __future__ import annotations

import calendar
import re
import typing as t
from dataclasses import dataclass
from functools import lru_cache

Buffer = bytes | bytearray
Value: t.TypeAlias = "bytes | list[Value] | None"
# offset behind a literal's header -> what took its bytes, which are not part of the data
Streamed = t.Mapping[int, t.Any]

# A response of free text, which may end with what looks like the header of a literal.
FREE_TEXT = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)\b|[^*]", re.IGNORECASE)
# Numbers of more digits are none: int() refuses thousands of them.
_HEAD = re.compile(rb"\* (\d{1,20}) FETCH \(", re.IGNORECASE)
# The answer to our FETCH in the order of the question, up to the literal: one match instead of six for nearly every message.
_USUAL = re.compile(
    rb"\* (\d{1,20}) FETCH \(UID (\d{1,20}) RFC822\.SIZE (\d{1,20}) FLAGS \(([^)]*)\)"
    rb' INTERNALDATE "([^"]*)" BODY\[\] \{(\d{1,20})\}\r\n'
)
# One item of FETCH; the number of the group that matched tells which.
_ITEM = re.compile(
    rb" *(?:UID (\d{1,20})"
    rb"|RFC822\.SIZE (\d{1,20})"
    rb"|FLAGS \(([^)]*)\)"
    rb'|INTERNALDATE "([^"]*)"'
    rb"|BODY\[\] ~?\{(\d{1,20})\+?\}\r\n"
    rb'|BODY\[\] "((?:[^"\\]|\\.)*)"'
    rb"|BODY\[\] (NIL))",
    re.IGNORECASE | re.DOTALL,
)
_OTHER_NAME = re.compile(rb' *[^\s()\["{]+(?:\[[^\]]*\])?(?:<\d+>)? +')
_VALUE = re.compile(
    rb' *(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|~?\{(\d{1,20})\+?\}\r\n|(NIL)(?=[ )\r\n]|\Z)|([^\s()"]+))', re.IGNORECASE | re.DOTALL
)
# Lists in lists: BODYSTRUCTURE of forwarded mail goes some ten deep, Python's stack ends near a thousand.
DEEPEST = 100
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_DATE = re.compile(
    r"\s*(\d{1,2})[- ]([A-Za-z]{3})[- ](\d{4})\s+(\d{1,2}):(\d\d):(\d\d)(?:\.\d+)?\s*(?:([+-])(\d\d):?(\d\d)|GMT|UTC?|Z)?\s*"
)
USUAL_DATE = len("17-Jul-1996 02:44:25 -0700")
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip


class MalformedError(ValueError):
    """A response that cannot be read; the argument is its beginning."""

    def __init__(self, data: Buffer, start: int, end: int) -> None:
        super().__init__(clean(bytes(data[start : min(end, start + 120)])))


@dataclass(slots=True)
class Message:
    """What one FETCH response says; None: not said. ``nil``: the server sent NIL for the body."""

    sequence: int
    uid: int | None = None
    size: int | None = None
    flags: bytes | None = None
    date: bytes | None = None
    body: t.Any = None
    nil: bool = False


def printable(text: str) -> str:
    """Return the text with nothing that breaks a line or steers a terminal; a folder may be called anything."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def clean(text: bytes, longest: int = 300) -> str:
    """Return the server's words fit for a report: one line, no control characters, not endless."""
    words = printable(" ".join(text.decode("utf-8", "replace").split()))
    return words if len(words) <= longest else words[:longest] + "..."


def is_fetch(data: Buffer, start: int, end: int) -> bool:
    """Whether the response is a FETCH."""
    return _HEAD.match(data, start, end) is not None


def usual_fetch(data: Buffer, start: int, end: int) -> tuple[Message, int, int] | None:
    """Read a FETCH in the form that nearly all have, up to its literal: what it says, where the literal begins, and its size.

    None for everything else, also when not all of that has come. The literal and what follows it are not looked at.
    """
    usual = _USUAL.match(data, start, end)
    if usual is None:
        return None
    sequence, uid, size, flags, date, literal = usual.groups()
    return Message(int(sequence), int(uid), int(size), flags, date), usual.end(), int(literal)


def parse_fetch(data: Buffer, view: memoryview, start: int, end: int, streamed: Streamed) -> Message:
    """Read ``* n FETCH (...)``; ``body`` becomes a slice of ``view`` (no copy), a view of a quoted string, or what was streamed.

    Items may come in any order, and unknown ones are passed over. Raises MalformedError.
    """
    head = _HEAD.match(data, start, end)
    if head is None:
        raise MalformedError(data, start, end)
    message = Message(int(head[1]))
    at = head.end()
    item = _ITEM.match(data, at, end)
    while item or data[at : at + 1] not in (b")", b""):
        if item is None:
            at = _skip_item(data, at, end)
        else:
            at = item.end()
            if item.lastindex == 5:
                at = _take_literal(message, view, at, int(item[5]), streamed)
            else:
                _take_item(message, item)
        item = _ITEM.match(data, at, end)
    # A literal that was longer than its announcement goes on behind what looks like the end.
    if at + 1 != end and (at >= end or data[at + 1 : end].strip()):
        raise MalformedError(data, start, end)
    return message


def _take_literal(message: Message, view: memoryview, at: int, size: int, streamed: Streamed) -> int:
    if at in streamed:
        message.body = streamed[at]
        return at
    message.body = view[at : at + size]
    return at + size


def _take_item(message: Message, item: re.Match[bytes]) -> None:
    kind = item.lastindex
    if kind == 1:
        message.uid = int(item[1])
    elif kind == 2:
        message.size = int(item[2])
    elif kind == 3:
        message.flags = item[3]
    elif kind == 4:
        message.date = item[4]
    elif kind == 6:
        message.body = memoryview(_ESCAPE.sub(rb"\1", item[6]))
    else:
        message.nil = True


def _skip_item(data: Buffer, at: int, end: int) -> int:
    name = _OTHER_NAME.match(data, at, end)
    if name is None:
        raise MalformedError(data, at, end)
    return parse_value(data, name.end(), end)[1]


def parse_value(data: Buffer, at: int, end: int, depth: int = 0) -> tuple[Value, int]:
    """Read one atom, string, NIL (None) or list at ``at``; return it and the offset behind it. Raises MalformedError."""
    token = _VALUE.match(data, at, end)
    if token is None or token.lastindex == 2 or depth > DEEPEST:
        raise MalformedError(data, at, end)
    if token.lastindex == 1:
        return _parse_list(data, token.end(), end, depth + 1)
    if token.lastindex == 4:
        stop = token.end() + int(token[4])
        if stop > end:
            raise MalformedError(data, at, end)
        return bytes(data[token.end() : stop]), stop
    return _scalar(token), token.end()


def _scalar(token: re.Match[bytes]) -> bytes | None:
    if token.lastindex == 3:
        return _ESCAPE.sub(rb"\1", token[3]) if b"\\" in token[3] else bytes(token[3])
    return None if token.lastindex == 5 else bytes(token[6])


def _parse_list(data: Buffer, at: int, end: int, depth: int) -> tuple[Value, int]:
    values: list[Value] = []
    while True:
        token = _VALUE.match(data, at, end)
        if token is not None and token.lastindex == 2:
            return values, token.end()
        value, at = parse_value(data, at, end, depth)
        values.append(value)


def parse_values(data: Buffer, at: int, end: int) -> list[Value]:
    """Read values up to the end of the response."""
    values: list[Value] = []
    while data[at:end].strip():
        value, at = parse_value(data, at, end)
        values.append(value)
    return values


@lru_cache(maxsize=4096)
def parse_flags(flags: bytes) -> tuple[str, ...]:
    r"""Return the flags as spelled, without ``\Recent``, which tells about the session; what is not UTF-8 reads as Latin-1."""
    try:
        text = flags.decode("utf-8")
    except UnicodeDecodeError:
        text = flags.decode("latin-1")
    return tuple(flag for flag in text.replace('"', "").split() if flag.lower() != "\\recent")


def parse_internaldate(date: bytes) -> int | None:
    """Return epoch seconds UTC; a date without zone counts as UTC. None when it cannot be read."""
    hour, minute, second = date[12:14], date[15:17], date[18:20]
    if len(date) == USUAL_DATE and date[14:18:3] == b"::" and (hour + minute + second).isdigit():
        # Many messages share a day, and to read one from the start takes as long as to look a message up.
        midnight = _parse_date(date[:12] + b"00:00:00" + date[20:])
        return None if midnight is None else midnight + 3600 * int(hour) + 60 * int(minute) + int(second)
    return _parse_date(date)


@lru_cache(maxsize=1024)
def _parse_date(date: bytes) -> int | None:
    match = _DATE.fullmatch(date.decode("latin-1"))
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    offset = int(zone_hours or 0) * 3600 + int(zone_minutes or 0) * 60
    try:
        local = calendar.timegm((int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), int(second)))
    except (KeyError, ValueError, OverflowError):
        return None
    return local + offset if sign == "-" else local - offset
