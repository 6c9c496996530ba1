# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of source messages: what became of every UID that a Kerio server ever showed, and what is due. Pure: no I/O.

The ledger of events, out of which proofs are made, is another one (``evidence``).
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, field
from enum import IntEnum

DAY = 86_400


class State(IntEnum):
    """What became of one UID of a Kerio server; the numbers are part of the catalog's format."""

    ARCHIVED = 1
    COPY = 2
    EXCLUDED = 3
    LEFT = 4
    FAILED = 5
    QUARANTINED = 6
    DELETED = 7
    VANISHED = 8


# The message's bytes are in the archive and stay there.
KEPT = frozenset({State.ARCHIVED, State.COPY, State.DELETED})
# In the archive, and on the server as far as is known: there is nothing to do about it.
SETTLED = frozenset({State.ARCHIVED, State.COPY})
# Not archived, and that may change: a rule, a new archive user, another attempt.
OPEN = frozenset({State.EXCLUDED, State.LEFT, State.FAILED, State.QUARANTINED})
# Gone from the server; a UID in one of these states that shows up again is read again.
GONE = frozenset({State.DELETED, State.VANISHED})


class FolderFigures(t.NamedTuple):
    """What STATUS or EXAMINE says of a folder; ``highestmodseq`` is None where the server does not offer it."""

    uidvalidity: int
    uidnext: int
    messages: int
    highestmodseq: int | None


def may_skip(known: FolderFigures, now: FolderFigures, *, complete: bool, same_rules: bool, route_filed: bool, due: int) -> bool:
    """Tell whether a folder need not be opened: its figures, its rules and its routes are as they were, and nothing is due.

    ``complete`` says that the last pass ended with every UID accounted for, ``due`` how many messages are worth another attempt.
    """
    # A UIDNEXT that is not told hides that one message went and another came.
    told = now.uidnext > 0
    return told and complete and same_rules and route_filed and not due and known == now


@dataclass(frozen=True)
class Comparison:
    """The UIDs on the server against the rows of the ledger under the same UIDVALIDITY; all lists ascend."""

    new: list[int]
    again: list[int]
    known: int
    vanished: list[int]

    @property
    def wanted(self) -> list[int]:
        """The UIDs to fetch: never seen, to be tried again, or opened again by a rule."""
        return sorted([*self.new, *self.again]) if self.again else self.new


def compare(on_server: t.Iterable[int], rows: t.Mapping[int, State], reopened: t.Container[int] = ()) -> Comparison:
    """Compare the UIDs that SEARCH gave with the rows; ``reopened`` are UIDs whose open row a changed rule touches.

    Failed messages are always due. UIDs are asked for, never counted up, so gaps mean nothing.
    """
    present = set(on_server)
    new = sorted(present - rows.keys())
    unsettled = [(uid, state) for uid, state in rows.items() if state is not State.ARCHIVED and state is not State.COPY]
    again = sorted(uid for uid, state in unsettled if uid in present and _is_due(state, uid in reopened))
    gone = {uid for uid, state in unsettled if state in GONE}
    vanished = sorted(rows.keys() - present - gone)
    return Comparison(new, again, len(present) - len(new) - len(again), vanished)


def _is_due(state: State, reopened: bool) -> bool:
    return state is State.FAILED or state in GONE or (reopened and state in OPEN)


@dataclass(frozen=True)
class Reconcile:
    """When a folder is compared UID by UID although its figures say that nothing changed, and quarantine is tried again.

    ``days`` between two comparisons, 0 for every run; ``now`` in seconds since the epoch. ``asked``: somebody asked for one
    mailbox, so what it has in quarantine is tried whatever the day.
    """

    days: int = 7
    now: int = 0
    asked: bool = False

    def due(self, key: str, reconciled: int) -> bool:
        """Whether the folder ``key`` comes due. Each has its own time within the days, so that they do not all come at once."""
        period = self.days * DAY
        if not period:
            return True
        phase = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:6]) % period
        return (self.now - phase) // period > (reconciled - phase) // period


@dataclass
class Accounts:
    """Where every UID that was seen in a folder ended. ``seen`` is what the server's SEARCH gave.

    ``new`` was filed in this run, ``copies`` kept but not filed again, ``known`` archived before, ``gone`` disappeared between
    SEARCH and FETCH; the rest are the states that stay open. ``missing`` UIDs have no row: the proof fails.
    """

    seen: int = 0
    new: int = 0
    copies: int = 0
    known: int = 0
    excluded: int = 0
    left: int = 0
    failed: int = 0
    quarantined: int = 0
    gone: int = 0
    missing: list[int] = field(default_factory=list)

    COUNTS: t.ClassVar[tuple[str, ...]] = (
        "seen",
        "new",
        "copies",
        "known",
        "excluded",
        "left",
        "failed",
        "quarantined",
        "gone",
    )

    def add(self, other: Accounts) -> None:
        """Add the figures of another folder."""
        self.seen += other.seen  # one by one: by name it costs five times as much, and a run may have a hundred thousand folders
        self.new += other.new
        self.copies += other.copies
        self.known += other.known
        self.excluded += other.excluded
        self.left += other.left
        self.failed += other.failed
        self.quarantined += other.quarantined
        self.gone += other.gone
        self.missing += other.missing

    def balanced(self) -> bool:
        """Tell whether every UID that was seen has one place in the figures."""
        return not self.missing and self.seen == sum(getattr(self, name) for name in self.COUNTS if name != "seen")

    def as_data(self) -> dict[str, int]:
        """The figures by name, as results show them."""
        return {name: getattr(self, name) for name in self.COUNTS}


# Under which figure a row counts, unless its message is in the archive and on the server.
_FIGURE = {
    State.EXCLUDED: "excluded",
    State.LEFT: "left",
    State.FAILED: "failed",
    State.QUARANTINED: "quarantined",
    State.DELETED: "gone",
    State.VANISHED: "gone",
}


def account(on_server: t.Collection[int], before: t.Mapping[int, State], after: t.Mapping[int, State]) -> Accounts:
    """Account for every UID on the server by the rows before and after a pass; the rows are read back, not assumed."""
    accounts = Accounts(seen=len(on_server))
    for uid in on_server:
        state = after.get(uid)
        if state is None:
            accounts.missing.append(uid)
            continue
        name = _FIGURE.get(state)
        if name is None:
            filed_before = before.get(uid) in SETTLED
            name = "known" if filed_before else "new" if state is State.ARCHIVED else "copies"
        setattr(accounts, name, getattr(accounts, name) + 1)
    return accounts


class Tally(t.NamedTuple):
    """The rows of a folder in one state: how many, and the sum of their UIDs, which tells if other ones took their place."""

    rows: int = 0
    uids: int = 0

    def plus(self, uid: int, count: int) -> Tally:
        """One row more (``count`` 1) or less (-1)."""
        return Tally(self.rows + count, self.uids + count * uid)


Tallies = t.Mapping[State, Tally]


def tallies_after(before: Tallies, was: t.Mapping[int, State], now: t.Mapping[int, State]) -> dict[State, Tally]:
    """The tallies of a folder once the rows of some UIDs went from ``was`` to ``now``; none of the others may have changed."""
    found = dict(before)
    for rows, count in ((was, -1), (now, 1)):
        for uid, state in rows.items():
            found[state] = found.get(state, Tally()).plus(uid, count)
    return {state: tally for state, tally in found.items() if tally.rows}


def account_touched(
    on_server: int, before: Tallies, was: t.Mapping[int, State], now: t.Mapping[int, State], vanished: t.Container[int]
) -> Accounts:
    """``account`` for a pass that touched the rows ``was`` and left ``now``, when the tallies prove that all others are there.

    ``on_server`` is how many UIDs the server lists. ``vanished`` are those of ``was`` that it does not list.
    """
    here = {uid: state for uid, state in now.items() if uid not in vanished}
    accounts = account(here.keys(), was, now)
    for state, tally in before.items():
        if state not in GONE:
            name = _FIGURE.get(state, "known")
            untouched = tally.rows - sum(1 for known in was.values() if known is state)
            setattr(accounts, name, getattr(accounts, name) + untouched)
    accounts.seen = on_server
    return accounts


def account_skipped(messages: int, open_rows: t.Mapping[State, int]) -> Accounts:
    """The figures of a folder that was not opened: what the server counts, less the rows that stay open."""
    accounts = Accounts(seen=messages)
    for state, count in open_rows.items():
        name = _FIGURE[state]
        setattr(accounts, name, getattr(accounts, name) + count)
    accounts.known = messages - sum(open_rows.values())
    return accounts
