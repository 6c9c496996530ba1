# SPDX-License-Identifier: GPL-3.0-or-later
"""Who changed what: entries out of the ledger, each compared with its tree; the fields of ``runner.Outcome``."""

from __future__ import annotations

import json
import typing as t
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    audit_table,
    evidence_checkpoint,
    evidence_note,
    evidence_read,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_read import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import option_of, whole
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, InputError

EVENTS = (
    "archived",
    "adopted",
    "deleted",
    "quarantined",
    "acknowledged",
    "lost",
    "found",
    "exported",
    "restored",
    "imported",
    "users",
    "profiles",
    "run",
    "repaired",
    "rebuilt",
    "verified",
)
MOST = 100_000
_ABOUT = ("server", "mailbox", "digest", "user", "by", "to", "selection")
_USER = ("name", "was", "full_name", "addresses")
_DATE_LENGTH = len("2026-01-31")

Data = dict[str, t.Any]


@dataclass(frozen=True)
class Wish:
    """Which entries are asked for. ``about`` is in lower case."""

    events: frozenset[str]
    since: float
    until: float
    about: str

    def takes(self, entry: t.Mapping[str, t.Any]) -> bool:
        """Whether this entry is one of them; one without a time belongs to no time."""
        if self.events and entry.get("event") not in self.events:
            return False
        at = entry.get("at")
        return isinstance(at, int | float) and self.since <= at <= self.until and (not self.about or self.about in _text(entry))


def _text(entry: t.Mapping[str, t.Any]) -> str:
    """All that an entry can be about, in lower case."""
    parts = [entry.get(key) for key in _ABOUT]
    changes = entry.get("changes")
    if isinstance(changes, list):
        parts += [change.get(key) for change in changes for key in _USER]
    return "\n".join(json.dumps(part, ensure_ascii=False) for part in parts if part).lower()


@dataclass
class Found:
    """``entries``: the newest that match, oldest first; ``count``: how many do. ``problems``: why nobody should believe them."""

    entries: deque[Data]
    count: int
    problems: list[EvidenceError]


def look(ledger: Ledger, wish: Wish, limit: int) -> Found:
    """Read the whole ledger. What comes behind an entry that was changed is not looked at: nothing vouches for it."""
    found = Found(deque(maxlen=limit), 0, [])
    try:
        for index, line in enumerate(ledger.checked()):
            entry = json.loads(line)
            if wish.takes(entry):
                found.count += 1
                found.entries.append({"index": index, **entry})
        if ledger.checkpoint:
            ledger.log.continues(ledger.checkpoint)
    except EvidenceError as error:
        found.problems.append(error)
    return found


def declare(params: Data) -> Data:
    """Do what the module was asked for; the fields of ``runner.Outcome``."""
    limit = option_of(params, "limit", whole(0, MOST))
    since = float("-inf") if params["since"] is None else point_in_time("since", params["since"])
    until = float("inf") if params["until"] is None else point_in_time("until", params["until"])
    wish = Wish(frozenset(params["events"]), since, until, params["about"].lower())
    with evidence_read.opened(params["root"]) as ledger:
        found = look(ledger, wish, limit)
    signed = _signed(ledger.checkpoint, params["ledger_verifier_key"], found.problems)
    size = ledger.log.position.entries
    facts = {
        "entries": size,
        "behind": size - evidence_checkpoint.entries_of(ledger.checkpoint),
        "fits": not found.problems if ledger.checkpoint else None,
        "signed": signed,
        "problems": [str(error) for error in found.problems],
    }
    entries = list(found.entries)
    return {
        "changed": False,
        "msg": _sentence(found, size),
        "failed": bool(found.problems),
        "warnings": [] if ledger.checkpoint else ["The ledger has no checkpoint yet, so that nothing vouches for it"],
        "data": {"entries": entries, "table": audit_table.lines(entries), "count": found.count, "ledger": facts},
    }


def _signed(checkpoint: str, key: str | None, problems: list[EvidenceError]) -> bool | None:
    """Whether the key signed it; None when nobody asks."""
    if not key:
        return None
    try:
        evidence_note.verify(checkpoint, key)
    except EvidenceError as error:
        problems.append(error)
        return False
    return True


def _sentence(found: Found, size: int) -> str:
    shown = f", the newest {len(found.entries):,} are shown" if len(found.entries) < found.count else ""
    told = f"{found.count:,} of {size:,} entries of the ledger match{shown}"
    return "; ".join([*map(str, found.problems), told])


def point_in_time(option: str, text: str) -> float:
    """Seconds since the epoch. A time without a zone is in UTC; a day is its first second, and its last one for ``until``."""
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        remedy = "Give a time such as 2026-01-31, 2026-01-31T12:00:00+01:00, or seconds since the epoch"
        raise InputError(option, f"{text!r} is no time", remedy) from None
    if option == "until" and len(text) <= _DATE_LENGTH:
        found += timedelta(days=1, seconds=-1)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
