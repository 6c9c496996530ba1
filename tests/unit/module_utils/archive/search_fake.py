# SPDX-License-Identifier: GPL-3.0-or-later
"""A SEARCH as a plain server answers it: dates of its own time zone, header fields as they were sent, parts of words."""

from __future__ import annotations

import datetime
import email
import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A message; ``date`` in epoch seconds, ``hours`` how far the server's time zone is east of UTC."""

    body: bytes
    date: int
    flags: tuple[str, ...]
    hours: int = 0

    @property
    def day(self) -> datetime.date:
        zone = datetime.timezone(datetime.timedelta(hours=self.hours))
        return datetime.datetime.fromtimestamp(self.date, zone).date()

    def header(self, name: str, text: str) -> bool:
        fields = email.message_from_bytes(self.body).get_all(name, [])
        return any(text.lower() in str(field).lower() for field in fields)


_PLAIN: dict[str, t.Callable[[Candidate], bool]] = {
    "SEEN": lambda message: "\\Seen" in message.flags,
    "UNSEEN": lambda message: "\\Seen" not in message.flags,
    "FLAGGED": lambda message: "\\Flagged" in message.flags,
    "UNFLAGGED": lambda message: "\\Flagged" not in message.flags,
}
_WITH_VALUE: dict[str, t.Callable[[Candidate, t.Any], bool]] = {
    "SINCE": lambda message, day: message.day >= day,
    "BEFORE": lambda message, day: message.day < day,
    "LARGER": lambda message, size: len(message.body) > size,
    "SMALLER": lambda message, size: len(message.body) < size,
}


def matches(message: Candidate, criteria: t.Sequence[t.Any]) -> bool:
    """Whether a message meets all criteria, which come as IMAPClient takes them."""
    rest = list(criteria)
    answers = []
    while rest:
        answers.append(_one(message, rest))
    return all(answers)


def _one(message: Candidate, rest: list[t.Any]) -> bool:
    word = rest.pop(0)
    if isinstance(word, list):
        return matches(message, word)
    if word in _PLAIN:
        return _PLAIN[word](message)
    if word in _WITH_VALUE:
        return _WITH_VALUE[word](message, rest.pop(0))
    if word == "NOT":
        return not _one(message, rest)
    if word == "OR":
        both = [_one(message, rest), _one(message, rest)]
        return any(both)
    assert word == "HEADER", word
    return message.header(rest.pop(0), rest.pop(0))
