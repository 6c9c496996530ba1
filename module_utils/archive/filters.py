# SPDX-License-Identifier: GPL-3.0-or-later
"""Which messages of a selected folder a profile archives. Pure: no I/O.

A condition is decided three times, each time more exactly: by the server's SEARCH (``criteria``: never too narrow for dates,
since a server compares dates in its own time zone), by what the server lists of a message (``reason``), and by its header
(``header_reason``). Reasons are what a catalog row says; they begin with ``FILTER``.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import re
import typing as t
from dataclasses import astuple, dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import decode_words, fields
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import DAY

FILTER = "filter: "
LONGEST = 300  # characters of a reason
# A server compares the date of its own time zone (RFC 3501, section 6.4.4): up to 14 hours before UTC, up to 12 behind it, and
# its clock need not be right to the minute.
MARGIN = 2
LARGEST_NUMBER = (1 << 32) - 1  # RFC 3501, number
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SAFE_WORD = re.compile(r"(?!nil$)[A-Za-z0-9!#$&'+,./:;<=>?@\[\]^_`|}~-]+", re.ASCII | re.IGNORECASE)  # what an atom may hold
_ENCODED = "=?"


@dataclass(frozen=True)
class MessageFilter:
    """Conditions that a message must all meet; a filter without any lets everything pass.

    ``since`` and ``before`` are instants (INTERNALDATE in UTC, seconds since the epoch), ``before`` the first that is too late.
    Ages are in days by INTERNALDATE. Sizes are bytes. ``headers`` and ``not_headers``: name -> texts, one of which the field must
    contain (none of which it may contain), in any case.
    """

    since: int | None = None
    before: int | None = None
    older_than_days: int | None = None
    younger_than_days: int | None = None
    seen: bool | None = None
    flagged: bool | None = None
    larger_than: int | None = None
    smaller_than: int | None = None
    headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    not_headers: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return self != MessageFilter()

    @property
    def by_flags(self) -> bool:
        """Whether a flag decides, which may change at any time."""
        return self.seen is not None or self.flagged is not None

    @property
    def by_header(self) -> bool:
        """Whether the header decides."""
        return bool(self.headers or self.not_headers)

    @property
    def mutable(self) -> bool:
        """Whether a message that does not pass today may pass later."""
        return self.by_flags or self.older_than_days is not None

    def fingerprint(self) -> str:
        """A short hash of the conditions; "" when there are none."""
        return hashlib.sha256(repr(astuple(self)).encode("utf-8", "surrogatepass")).hexdigest()[:16] if self else ""


class Facts(t.NamedTuple):
    """What a server lists of a message. ``internaldate``: seconds since the epoch, 0 when it cannot be read."""

    size: int
    internaldate: int
    flags: t.Collection[str] = ()


class _Condition(t.NamedTuple):
    """``fails(value, facts, now)`` tells whether a message does not meet the condition; ``words`` say that, for the row."""

    key: str
    fails: t.Callable[[t.Any, Facts, int], bool]
    words: t.Callable[[t.Any], str]


def _date(instant: int) -> str:
    moment = _EPOCH + datetime.timedelta(seconds=instant)
    return moment.strftime("%Y-%m-%d" if instant % DAY == 0 else "%Y-%m-%d %H:%M:%S UTC")


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _flag(name: str) -> t.Callable[[t.Any, Facts, int], bool]:
    return lambda value, facts, _now: (name in {flag.lower() for flag in facts.flags}) != value


# What can never change stands before what can, so that a row names the reason that lasts. A message whose date cannot be read
# meets every condition on dates: it is rather archived than lost.
_CONDITIONS: tuple[_Condition, ...] = (
    _Condition("since", lambda value, facts, _: 0 < facts.internaldate < value, lambda value: f"before {_date(value)}"),
    _Condition("before", lambda value, facts, _: facts.internaldate >= value, lambda value: f"not before {_date(value)}"),
    _Condition(
        "younger_than_days",
        lambda value, facts, now: 0 < facts.internaldate <= now - value * DAY,
        lambda value: f"{_days(value)} old or older",
    ),
    _Condition("larger_than", lambda value, facts, _: facts.size <= value, lambda value: f"not larger than {value} bytes"),
    _Condition("smaller_than", lambda value, facts, _: facts.size >= value, lambda value: f"not smaller than {value} bytes"),
    _Condition(
        "older_than_days",
        lambda value, facts, now: facts.internaldate > now - value * DAY,
        lambda value: f"younger than {_days(value)}",
    ),
    _Condition("seen", _flag("\\seen"), lambda value: "not seen" if value else "seen"),
    _Condition("flagged", _flag("\\flagged"), lambda value: "not flagged" if value else "flagged"),
)
_UNDATED = frozenset({"since", "before", "older_than_days", "younger_than_days"})
_MUTABLE = frozenset({"older_than_days", "seen", "flagged"})


def _failing(rule: MessageFilter, facts: Facts, now: int, left_out: t.Container[str] = ()) -> str:
    for condition in _CONDITIONS:
        value = getattr(rule, condition.key)
        if value is None or condition.key in left_out or (condition.key in _UNDATED and not facts.internaldate):
            continue
        if condition.fails(value, facts, now):
            return FILTER + condition.words(value)
    return ""


def reason(rule: MessageFilter, facts: Facts, now: int) -> str:
    """Why the message is kept out by its size, date or flags; "" when it is not."""
    return _failing(rule, facts, now)


def lasting_reason(rule: MessageFilter, facts: Facts, now: int) -> str:
    """As ``reason``, by those conditions alone that the message will never meet."""
    return _failing(rule, facts, now, _MUTABLE)


def comes_of_age(rule: MessageFilter, internaldate: int | None) -> int:
    """The instant from which on the message is old enough; 0 when its age does not matter, or is not known."""
    return internaldate + rule.older_than_days * DAY if rule.older_than_days and internaldate else 0


def header_reason(rule: MessageFilter, header: bytes) -> str:
    """Why the message is kept out by its header block; "" when it is not.

    A text counts as contained when it stands in the field as it was sent (unfolded) or in its decoded words, whatever the case.
    Of a field that occurs several times each one counts.
    """
    if not rule.by_header:
        return ""
    values: dict[str, set[str]] = {name: set() for name, _texts in (*rule.headers, *rule.not_headers)}
    for field, value in fields(header):
        name = field.decode("ascii")
        if name in values:
            values[name] |= _readings(value)
    for name, texts in rule.headers:
        if not _contained(texts, values[name]):
            return _lacks(name, texts)
    for name, texts in rule.not_headers:
        found = _contained(texts, values[name])
        if found:
            return _has(name, found)
    return ""


def _lacks(name: str, texts: t.Sequence[str]) -> str:
    return f"{FILTER}header {name} has none of {', '.join(texts[:3])}{', ...' if len(texts) > 3 else ''}"[:LONGEST]


def _has(name: str, text: str) -> str:
    return f"{FILTER}header {name} has {text}"[:LONGEST]


def _readings(value: str) -> set[str]:
    """A field's value as it may be read: as it was sent, with its words decoded, and its bytes that are no UTF-8 as Latin-1."""
    latin = value.encode("utf-8", "surrogateescape").decode("latin-1") if not value.isprintable() else value
    return {_plain(reading) for reading in (value, decode_words(value), latin)}


def _plain(value: str) -> str:
    """In lower case, and in one line: every run of blanks and folds is one blank."""
    return " ".join(value.split()).casefold()


def _contained(texts: t.Iterable[str], values: t.Collection[str]) -> str:
    return next((text for text in texts if any(_plain(text) in value for value in values)), "")


def is_filtered(text: str) -> bool:
    """Whether a row's reason is that of a filter."""
    return text.startswith(FILTER)


@functools.lru_cache(maxsize=64)
def header_reasons(rule: MessageFilter) -> frozenset[str]:
    """Every reason that ``header_reason`` can give. A header does not change, so neither do they."""
    found = {_lacks(name, texts) for name, texts in rule.headers}
    return frozenset(found | {_has(name, text) for name, texts in rule.not_headers for text in texts})


@functools.lru_cache(maxsize=64)
def reasons(rule: MessageFilter) -> frozenset[str]:
    """Every reason that a filter can give."""
    given = ((condition, getattr(rule, condition.key)) for condition in _CONDITIONS)
    return header_reasons(rule) | {FILTER + condition.words(value) for condition, value in given if value is not None}


# What the server is asked


def criteria(rule: MessageFilter, now: int) -> list[t.Any]:
    """The criteria of a SEARCH, as IMAPClient takes them, that finds whatever passes and little else; empty: nothing to ask."""
    found: list[t.Any] = []
    for lower in _given(rule.since, rule.younger_than_days and now - rule.younger_than_days * DAY):
        found += ["SINCE", _day(lower, -MARGIN)]
    for upper in _given(rule.before, rule.older_than_days and now - rule.older_than_days * DAY):
        found += ["BEFORE", _day(upper, MARGIN)]
    if rule.seen is not None:
        found.append("SEEN" if rule.seen else "UNSEEN")
    if rule.flagged is not None:
        found.append("FLAGGED" if rule.flagged else "UNFLAGGED")
    for word, size in (("LARGER", rule.larger_than), ("SMALLER", rule.smaller_than)):
        found += [word, size] if size is not None and size <= LARGEST_NUMBER else []
    for name, texts in rule.headers:
        found += _any_of(name, texts)
    for name, texts in rule.not_headers:
        for text in texts:
            found += ["NOT", "HEADER", name, text] if _SAFE_WORD.fullmatch(text) and _ENCODED not in text else []
    return found


def _given(*values: int | None) -> list[int]:
    return [value for value in values if value is not None]


def _day(instant: int, days: int) -> datetime.date:
    """The UTC date of an instant, some days away."""
    return (_EPOCH + datetime.timedelta(seconds=instant, days=days)).date()


def _any_of(name: str, texts: t.Iterable[str]) -> list[t.Any]:
    """HEADER for all words of one of the texts, or for encoded words, which not every server decodes; empty when a text has none.

    The words find more than the text, and they find it where lines are folded as well.
    """
    found: list[t.Any] = ["HEADER", name, _ENCODED]
    for text in texts:
        words = [word for word in text.split() if _SAFE_WORD.fullmatch(word) and _ENCODED not in word]
        if not words:
            return []
        found = ["OR", [part for word in words for part in ("HEADER", name, word)], *found]
    return found
