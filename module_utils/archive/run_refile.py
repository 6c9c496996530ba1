# SPDX-License-Identifier: GPL-3.0-or-later
"""Filing by a new route, or for new archive users, what the archive has already from a folder: nothing is fetched for it."""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filters
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import SourceFolder, StoredMessage
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import Origin, Suspect
from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import CopyKeyStream
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import (
    CAUGHT,
    Decision,
    Filing,
    header_of,
    reopened,
    unknown_addresses,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import HEADER_LIMIT, header_block
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import SETTLED, State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_filter import Sieve
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_tools import Tools
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store, Stored
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Item
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

REFILE_STEP = 500


@dataclass
class Refiling:
    """Files what is stored of one folder and passes the filter.

    ``rules_changed``: they, or the archive users, are others than at the last pass.

    ``refiled`` counts new placements, ``touched`` are all UIDs whose rows may have changed, ``damaged`` those whose objects
    cannot be read: to fetch them again repairs the objects. ``ended`` is False when a stop was asked for before all was done.
    """

    tools: Tools
    source: SourceFolder
    origin: Origin
    filing: Filing
    sieve: Sieve
    rules_changed: bool
    suspect: Suspect | None = None
    refiled: int = 0
    touched: set[int] = field(default_factory=set)
    damaged: list[int] = field(default_factory=list)
    held: list[Item] = field(default_factory=list)
    ended: bool = True

    def run(self, present: t.Container[int]) -> None:
        """Look at what of the folder is stored and still ``present`` on the server, and file what is due.

        What left the mailbox is not looked at: it may be somebody else's by now, whatever was read from it before.
        """
        if self.source.filed and not (self.rules_changed and self.filing.needs_header) and not self.sieve.wakes:
            return
        stored = self.tools.catalog.stored_messages(self.source.id)
        rows = (row for row in stored if row.uid in present and self._is_due(row))
        while step := list(itertools.islice(rows, REFILE_STEP)):
            if self.tools.stopping:
                self.ended = False
                return
            for row in step:
                self.touched.add(row.uid)
                self.refiled += self._file(row)
            self.tools.committer.commit()

    def _is_due(self, row: StoredMessage) -> bool:
        if row.uidvalidity != self.origin.uidvalidity or row.state not in SETTLED:
            return False
        if row.reason.startswith(CAUGHT) and self.filing.needs_header and reopened(row.state, row.reason, self.filing):
            return True
        return (not self.source.filed and row.run_id >= self.source.filed_run) or self.sieve.wants_now(row)

    def _file(self, row: StoredMessage) -> bool:
        digest, committer = row.digest, self.tools.committer
        if digest is None:
            return False
        if not self.filing.needs_header:
            decision = self.filing.decide(b"")
            if row.state is State.ARCHIVED and committer.has(decision.targets, digest):
                return False
        if self.sieve.keeps_out(row):
            return False
        try:
            head, key = read_stored(self.tools.store, digest)
        except StoreError:
            self.damaged.append(row.uid)
            return False
        if self.sieve.rule.by_header and filters.header_reason(self.sieve.rule, header_block(head)):
            return False
        decision = self.filing.decide(header_of(head, self.filing))
        item = _item(row, digest, key, decision)
        if self.suspect is not None and any(map(self.suspect, committer.elsewhere(self.origin, item))):
            self.held.append(item)
            return False
        return committer.refile(self.origin, row, key, decision.targets, _reason(row, decision, self.filing))


def _item(row: StoredMessage, digest: bytes, key: bytes, decision: Decision) -> Item:
    """What a worker would say of a message that is stored."""
    stored = Stored(digest, row.size or 0, row.vsize or 0, 0, created=False, copy_key=key)
    return Item(row.uid, stored.size, row.internaldate or 0, row.flags, stored, decision)


def read_stored(store: Store, digest: bytes) -> tuple[bytes, bytes]:
    """The beginning of a message with its header, and its copy key, in bounded memory; raises StoreError."""
    head, key = b"", CopyKeyStream()
    for piece in store.read_chunks(digest):
        head = head or piece[:HEADER_LIMIT]
        key.update(piece)
    return head, key.digest()


def _reason(row: StoredMessage, decision: Decision, filing: Filing) -> str:
    """What the row says from now on.

    A message that another profile has archived and that no user matches counts as caught, so that a later user gets it. One that
    was caught and now has its user is no longer one for the list of unknown addresses.
    """
    if not filing.needs_header:
        return row.reason
    if decision.targets:
        return decision.reason
    return CAUGHT + " ".join(unknown_addresses(decision.reason))
