# SPDX-License-Identifier: GPL-3.0-or-later
"""Which messages that were kept out of the archive have to be looked at again, and when. Pure: no I/O.

Profiles with different filters may read one mailbox, and a message has one row. So a row says EXCLUDED while nobody wants the
message, and each route remembers for itself that it has decided (``SourceFolder.filed``, ``filed_run``). Whether time or a flag
has changed that is told by the row's size and date and by the server's SEARCH, not by the row's reason, which may be that of
another filter.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filters
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import SourceFolder, StoredMessage
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Filing, reopened
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Item

EVERY_RUN = 1  # as ``due``: an instant that has always passed
_NOT_WANTED = (State.EXCLUDED, State.LEFT)


@dataclass
class Sieve:
    """A profile's filter over one folder in one pass.

    ``matched``: the UIDs that the server finds for it, None when it was not asked. ``now``: epoch seconds. ``tells_flags``: a
    change of flags changes HIGHESTMODSEQ. ``whole``: everything is compared again, whatever is remembered. ``shared``: other
    routes archive from the folder for other targets.
    """

    rule: filters.MessageFilter
    source: SourceFolder
    rules: str
    now: int
    matched: t.Collection[int] | None = None
    tells_flags: bool = False
    whole: bool = False
    shared: bool = False
    _rows: dict[int, StoredMessage] = field(default_factory=dict)
    _ages: dict[int, int] = field(default_factory=dict)
    _by_flags: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.matched = None if self.matched is None else frozenset(self.matched)

    @property
    def idle(self) -> bool:
        """Whether no open row can have come due: all were decided by these very rules, and neither time nor flags matter."""
        decided = self.source.filed and self.source.rules == self.rules
        return decided and not (self.rule and (self.whole or self.rule.mutable))

    def opened_again(self, rows: t.Iterable[StoredMessage], filing: Filing) -> set[int]:
        """The UIDs of open ``rows`` that changed rules, other archive users, another route's pass, time or a flag touch."""
        found = set()
        for row in rows:
            if row.state not in _NOT_WANTED:
                continue
            self._rows[row.uid] = row
            if filters.is_filtered(row.reason):
                self._hold(row.uid, _facts(row))
                again = self._undecided(row) or (bool(self.rule) and self.whole) or self._may_pass(row)
            else:
                # What was left for its addresses is another matter under a filter that has not seen it.
                new = self._undecided(row)
                again = (new and bool(self.rule)) or ((new or self._rules_changed) and reopened(row.state, row.reason, filing))
            if again:
                found.add(row.uid)
        return found

    @property
    def _rules_changed(self) -> bool:
        return self.source.rules != self.rules

    def _undecided(self, row: StoredMessage) -> bool:
        return not self.source.filed and row.run_id >= self.source.filed_run

    def _may_pass(self, row: StoredMessage) -> bool:
        """Whether something that the filter goes by has changed since the route's last pass, as far as it can be told."""
        rule = self.rule
        if not rule.mutable or row.reason in filters.header_reasons(rule):
            return False
        if filters.lasting_reason(rule, _facts(row), self.now):
            return False
        age = filters.comes_of_age(rule, row.internaldate)
        if rule.by_flags:
            return age <= self.now and (self.matched is None or row.uid in self.matched)
        return 0 < self.source.due <= age <= self.now

    # What other routes have archived

    @property
    def wakes(self) -> bool:
        """Whether time or a flag may make this route want what another one has archived."""
        return self.shared and self.rule.mutable

    def wants_now(self, row: StoredMessage) -> bool:
        """Whether an archived message that this route has not filed may have come due."""
        if not self.wakes:
            return False
        self._hold(row.uid, _facts(row))
        return self._may_pass(row)

    def keeps_out(self, row: StoredMessage) -> bool:
        """Whether an archived message is none for this route, by all but its header."""
        if not self.rule:
            return False
        if self.rule.by_flags and self.matched is not None:
            flags = _flags(bool(self.rule.seen), bool(self.rule.flagged))
            out = row.uid not in self.matched
        else:
            flags, out = _flags("S" in row.flags, "F" in row.flags), False
        out = out or bool(filters.reason(self.rule, _facts(row)._replace(flags=flags), self.now))
        if out:
            self._hold(row.uid, _facts(row))
        return out

    # Orders and parcels

    def unmatched(self, uids: t.Iterable[int]) -> tuple[int, ...]:
        """Those of ``uids`` that the server did not find."""
        matched = self.matched
        return () if matched is None else tuple(uid for uid in uids if uid not in matched)

    def take(self, items: t.Iterable[Item]) -> list[Item]:
        """Those items of a parcel that say something new."""
        return [item for item in items if not self._is_old(item)]

    def _is_old(self, item: Item) -> bool:
        """Whether an open row stays as it is, although the filter keeps the message out.

        Another profile may have left the message, or kept it out by a filter of its own, and would find its row changed at every
        run. A route that has never read the folder before, and one that gave the row its reason, may change it.
        """
        if item.decision.state is not State.EXCLUDED or not filters.is_filtered(item.decision.reason):
            self._ages.pop(item.uid, None)
            self._by_flags.discard(item.uid)
            return False
        self._hold(item.uid, filters.Facts(item.size, item.internaldate))
        row = self._rows.get(item.uid)
        if row is None:
            return False
        if (row.state, row.reason) == (State.EXCLUDED, item.decision.reason):
            return True
        return bool(self.source.filed_run) and row.reason not in filters.reasons(self.rule)

    def _hold(self, uid: int, facts: filters.Facts) -> None:
        """A message that is kept out, perhaps for some time only."""
        rule = self.rule
        if not rule.mutable or filters.lasting_reason(rule, facts, self.now):
            return
        age = filters.comes_of_age(rule, facts.internaldate)
        if age > self.now:
            self._ages[uid] = age
        elif rule.by_flags:
            self._ages.pop(uid, None)
            self._by_flags.add(uid)

    def due(self, present: t.Container[int]) -> int:
        """The earliest instant at which a message that is kept out may pass, 0 when never.

        ``EVERY_RUN`` when nothing but a look can tell. ``present`` are the UIDs on the server.
        """
        if not self.tells_flags and any(uid in present for uid in self._by_flags):
            return EVERY_RUN
        return min((age for uid, age in self._ages.items() if uid in present), default=0)


def _facts(row: StoredMessage) -> filters.Facts:
    """What a row tells of a message; of its flags nothing."""
    return filters.Facts(row.size or 0, row.internaldate or 0)


def _flags(seen: bool, flagged: bool) -> tuple[str, ...]:
    return ("\\Seen",) * seen + ("\\Flagged",) * flagged
