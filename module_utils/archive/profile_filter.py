# SPDX-License-Identifier: GPL-3.0-or-later
"""How the keys ``filter`` and ``delete`` of a profile are checked. Pure: no I/O."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import MessageFilter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import (
    Check,
    NotAllowedError,
    flag,
    names,
    nested,
    size,
    whole,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_types import DeleteRules

FIRST_YEAR, LAST_YEAR = 1970, 2999
DAYS = 36_500
LARGEST = (4 << 30) - 1  # what SEARCH LARGER can ask for (RFC 3501, number)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_FIELD = re.compile(r"[A-Za-z0-9_.-]{1,100}")  # less than RFC 5322 allows; what needs no quoting in a SEARCH
_A_DATE = (
    f"a date as 2020-01-31, or a time as 2020-01-31T12:00:00Z, from {FIRST_YEAR} to {LAST_YEAR}, UTC unless it says otherwise"
)


def instant(value: t.Any) -> int:
    """Seconds since the epoch of a date (its first second, UTC) or a time, as YAML gives them or as text."""
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        try:
            value = datetime.datetime.fromisoformat(value.strip())
        except ValueError:
            raise NotAllowedError(_A_DATE) from None
    elif isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    if not isinstance(value, datetime.datetime) or not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise NotAllowedError(_A_DATE)
    aware = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    return int(aware.timestamp())


def _texts(value: t.Any) -> tuple[str, ...]:
    listed = names(value)
    if not listed:
        raise NotAllowedError("a list of at least one text")
    return tuple(sorted(dict.fromkeys(listed)))


def _fields(value: t.Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise NotAllowedError("a dictionary of header fields, each with a list of texts")
    for name in value:
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            raise NotAllowedError("names of header fields, as Subject or X-Spam-Flag", str(name), "it is no header field")
    found: dict[str, tuple[str, ...]] = {}
    for name, listed in nested(value, dict.fromkeys(value, _texts), "a dictionary").items():
        found[name.lower()] = tuple(sorted({*found.get(name.lower(), ()), *listed}))
    return tuple(sorted(found.items()))


FILTER_KEYS: dict[str, Check] = {
    "since": instant,
    "before": instant,
    "older_than_days": whole(1, DAYS),
    "younger_than_days": whole(1, DAYS),
    "seen": flag,
    "flagged": flag,
    "larger_than": size(0, LARGEST),
    "smaller_than": size(1, LARGEST),
    "headers": _fields,
    "not_headers": _fields,
}


def message_filter(value: t.Any) -> MessageFilter:
    """Which messages are archived."""
    made = MessageFilter(**nested(value, FILTER_KEYS, "a dictionary"))
    for key, contradicts, cause, remedy in _CONTRADICTIONS:
        if contradicts(made):
            raise NotAllowedError(remedy, key, cause + ", so no message could pass")
    return made


def _reached(low: int | None, high: int | None) -> bool:
    return low is not None and high is not None and low >= high


def _denied(made: MessageFilter) -> bool:
    """Whether everything that a field has to contain is something that it must not contain."""
    forbidden = {name: [text.casefold() for text in texts] for name, texts in made.not_headers}
    return any(
        all(any(other in text.casefold() for other in forbidden.get(name, ())) for text in texts) for name, texts in made.headers
    )


_CONTRADICTIONS: tuple[tuple[str, t.Callable[[MessageFilter], bool], str, str], ...] = (
    ("since", lambda made: _reached(made.since, made.before), "it is not earlier than filter.before", "an earlier date"),
    (
        "older_than_days",
        lambda made: _reached(made.older_than_days, made.younger_than_days),
        "it is not less than filter.younger_than_days",
        "a smaller number of days",
    ),
    (
        "larger_than",
        # Larger than 9 and smaller than 10 is nothing either.
        lambda made: made.larger_than is not None and _reached(made.larger_than + 1, made.smaller_than),
        "it leaves no size below filter.smaller_than",
        "a smaller size",
    ),
    (
        "headers",
        _denied,
        "each of its texts for a field contains one that filter.not_headers forbids there",
        "texts that not_headers does not forbid",
    ),
)

DELETE_KEYS: dict[str, Check] = {"after_days": whole(0, DAYS), "dedicated": flag}


def delete_rules(value: t.Any) -> DeleteRules:
    """When archived messages are deleted on the server."""
    checked = nested(value, DELETE_KEYS, "a dictionary")
    if "after_days" not in checked:
        raise NotAllowedError(f"a whole number from 0 to {DAYS}", "after_days", "it is missing")
    return DeleteRules(**checked)
