# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over one folder: what is due, filing by a new route from the store, and the proof that every UID has a row."""

from __future__ import annotations

import itertools
import math
import typing as t
from collections import deque

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    Cursor,
    MessageRow,
    SourceFolder,
    StoredMessage,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import Committer, Origin
from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import CopyKeyStream
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import (
    CAUGHT,
    Decision,
    Filing,
    header_of,
    reopened,
    unknown_addresses,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import HEADER_LIMIT
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import (
    Comparison,
    Figures,
    State,
    account,
    account_skipped,
    compare,
    may_skip,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Stopwatch
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Examined, Fetch, Parcel
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus

CHUNK_LEAST, CHUNK_MOST = 1000, 10_000
REFILE_STEP = 500
CAREFUL_TRIES = 5  # breaks of which no message is guilty
MOST_CULPRITS = 50  # each costs a connection, and a time-out when the server just falls silent


def figures(status: FolderStatus) -> Figures:
    """What the ledger compares of a folder's status."""
    return Figures(status.uidvalidity, status.uidnext, status.messages, status.highestmodseq)


def unchanged(
    mailbox: Mailbox, source: SourceFolder | None, status: FolderStatus, open_rows: t.Mapping[State, int]
) -> bool:
    """Tell whether the folder need not be opened."""
    if source is None:
        return False
    return may_skip(
        Figures(source.uidvalidity, source.uidnext, source.messages, source.highestmodseq),
        figures(status),
        complete=source.complete,
        same_rules=source.rules == mailbox.rules,
        route_filed=source.filed,
        due=open_rows.get(State.FAILED, 0),
    )


def skipped_report(name: str, status: FolderStatus, open_rows: t.Mapping[State, int]) -> FolderReport:
    """The report of a folder that was not opened."""
    return FolderReport(name, account_skipped(status.messages, open_rows))


def opened_again(catalog: Catalog, mailbox: Mailbox, source: SourceFolder, uidvalidity: int, filing: Filing) -> set[int]:
    """The UIDs with an open row that changed rules, or other archive users, touch."""
    if source.rules == mailbox.rules:
        return set()
    rows = (row for row in catalog.open_messages(source.id) if row.uidvalidity == uidvalidity)
    return {row.uid for row in rows if reopened(row.state, row.reason, filing)}


class FolderPass:
    """The scheduler's side of one folder. ``chunks`` wait for a worker; the pass is over when none waits and none is out.

    Then ``settle``, commit, ``prove``.
    """

    def __init__(self, mailbox: Mailbox, folder: Folder, catalog: Catalog, committer: Committer, workers: int) -> None:
        self.mailbox = mailbox
        self.folder = folder
        self.report = FolderReport(folder.name, opened=True)
        self.chunks: deque[Fetch] = deque()
        self.out = 0
        self.filing = mailbox.filing(folder.parts)
        self._catalog = catalog
        self._committer = committer
        self._workers = workers
        self._watch = Stopwatch()
        self._careful_tries = 0
        self._culprits = 0
        self.source = catalog.source_folder(mailbox.server.name, mailbox.name, folder.name, mailbox.route)
        self._status = FolderStatus(0, 0, 0)
        self._uids: t.Sequence[int] = ()
        self._before: dict[int, State] = {}
        self._comparison = Comparison([], [], 0, [])
        self.origin = Origin(self.source.id, 0, mailbox.kind, f"{mailbox.server.name}/{mailbox.name}", mailbox.route)

    @property
    def over(self) -> bool:
        """Whether nothing is left to do but to settle and prove."""
        return not self.chunks and not self.out

    def begin(self, examined: Examined, store: Store) -> None:
        """Compare the folder with the ledger, file what the archive has already, and cut the rest into chunks."""
        self._status, self._uids = examined.status, examined.uids
        validity = self._status.uidvalidity
        self.origin = Origin(self.source.id, validity, self.mailbox.kind, self.origin.label, self.mailbox.route)
        self._before = self._catalog.states(self.source.id, validity)
        again = opened_again(self._catalog, self.mailbox, self.source, validity, self.filing)
        self._comparison = compare(self._uids, self._before, again)
        if not self.filing.needs_header and not self._committer.fits(self.filing.decide(b"").targets):
            self.fail("its path in the archive would be too long for the file system; exclude it, or rename it on the server")
            return
        self._close_old_rows(validity)
        damaged = self._refile(store)
        if self._restored():
            self._cut(self._uids)
            return
        # What failed before comes last: it may break the connection again and again.
        self._cut(sorted({*self._comparison.new, *damaged}))
        self._cut(self._comparison.again)

    def _restored(self) -> bool:
        """Whether UIDNEXT went back, as after a restore of the server: UIDs stand for other messages now, so all are read."""
        known, now = self.source, self._status
        if known.uidvalidity != now.uidvalidity or not 0 < now.uidnext < known.uidnext:
            return False
        self.report.notes.append(f"UIDNEXT went back from {known.uidnext} to {now.uidnext}: all messages are read again")
        return True

    def _cut(self, wanted: t.Sequence[int], careful: bool = False) -> None:
        size = max(CHUNK_LEAST, min(CHUNK_MOST, math.ceil(len(wanted) / (2 * self._workers))))
        for start in range(0, len(wanted), size):
            self.chunks.append(
                Fetch(
                    self.mailbox.access,
                    self.folder,
                    self._status.uidvalidity,
                    wanted[start : start + size],
                    self.filing,
                    careful,
                )
            )

    def _close_old_rows(self, validity: int) -> None:
        """Open rows under an older UIDVALIDITY can never be settled; everything else that was seen under it stays as it is."""
        if self.source.uidvalidity in (0, validity):
            return
        old: dict[int, list[MessageRow]] = {}
        for row in self._catalog.open_messages(self.source.id):
            if row.uidvalidity != validity:
                old.setdefault(row.uidvalidity, []).append(MessageRow(row.uid, State.VANISHED))
        for number, rows in old.items():
            self._committer.record(Origin(self.source.id, number, self.origin.kind, self.origin.label, ""), rows)

    def _refile(self, store: Store) -> list[int]:
        """File by this pass's route what the archive already has from this folder: nothing is fetched for it.

        Return the UIDs whose objects cannot be read: to fetch them again repairs the objects.
        """
        filed = self.source.filed
        caught = self.source.rules != self.mailbox.rules and self.filing.needs_header
        if filed and not caught:
            return []
        present = set(self._uids)
        damaged: list[int] = []
        since = self.source.filed_run
        # Only what is in the mailbox now: it may be somebody else's by now, whatever was read from it before.
        rows = (
            row for row in self._catalog.stored_messages(self.source.id) if row.uid in present and self._is_due(row, filed, since)
        )
        while step := list(itertools.islice(rows, REFILE_STEP)):
            for row in step:
                self.report.refiled += self._refile_row(store, row, damaged)
            self._committer.commit()
        return damaged

    def _is_due(self, row: StoredMessage, filed: bool, since: int) -> bool:
        if row.uidvalidity != self._status.uidvalidity or row.state not in (State.ARCHIVED, State.COPY):
            return False
        if row.reason.startswith(CAUGHT) and self.filing.needs_header and reopened(row.state, row.reason, self.filing):
            return True
        return not filed and row.run_id >= since

    def _refile_row(self, store: Store, row: StoredMessage, damaged: list[int]) -> bool:
        digest = row.digest
        if digest is None:
            return False
        if not self.filing.needs_header:
            decision = self.filing.decide(b"")
            if row.state is State.ARCHIVED and self._committer.has(decision.targets, digest):
                return False
        try:
            head, key = _read(store, digest)
        except StoreError:
            damaged.append(row.uid)
            return False
        decision = self.filing.decide(header_of(head, self.filing))
        return self._committer.refile(self.origin, row, key, decision.targets, _reason(row, decision, self.filing))

    def take(self, parcel: Parcel) -> None:
        """File what a worker stored."""
        self._committer.take(self.origin, parcel)
        self.report.bytes += parcel.bytes
        self.report.notes += [f"UID {uid}: {text}" for uid, text in [*parcel.failed, *parcel.notes]]

    def resume(self, chunk: Fetch, remaining: t.Sequence[int], in_flight: t.Sequence[int], cause: str) -> None:
        """Go on after a lost connection: one message at a time through what was under way, to find the one that breaks it.

        A message that was alone on the line when the connection broke has failed; the next run tries it again.
        """
        left = list(remaining)
        if chunk.careful and len(in_flight) == 1:
            culprit = in_flight[0]
            self._culprits += 1
            left = [uid for uid in left if uid != culprit]
            self.take(Parcel(failed=[(culprit, f"the connection broke while the server sent this message: {cause}")]))
        else:
            self._careful_tries += 1
        suspects = set(in_flight)
        self._cut([uid for uid in left if uid in suspects], careful=True)
        self._cut([uid for uid in left if uid not in suspects], careful=chunk.careful)

    @property
    def may_resume(self) -> bool:
        """Whether the folder's connection may break once more."""
        return self._careful_tries < CAREFUL_TRIES and self._culprits < MOST_CULPRITS

    def fail(self, message: str) -> None:
        """Give the folder up in this run."""
        self.report.error = self.report.error or message
        self.chunks.clear()

    def settle(self) -> None:
        """Have the folder's figures remembered with the next commit."""
        if self.report.error:
            return
        if self._unlisted:
            # Whoever is not listed need not be gone.
            return
        vanished = [MessageRow(uid, State.VANISHED) for uid in self._comparison.vanished]
        cursor = Cursor(*figures(self._status), self.mailbox.rules, complete=self._status.messages == len(self._uids))
        same = cursor == Cursor(*self._known_figures(), self.source.rules, self.source.complete)
        if vanished or not same or not self.source.filed:
            self._committer.record(self.origin, vanished, cursor)

    def prove(self) -> None:
        """Account for every UID by the rows in the catalog, after the commit."""
        after = self._catalog.states(self.source.id, self._status.uidvalidity) if self._uids else {}
        self.report.accounts = account(self._uids, self._before, after)
        self.report.seconds = self._watch.seconds
        if not self.report.error and not self.report.accounts.balanced():
            self.report.error = f"{len(self.report.accounts.missing)} messages on the server have no row in the catalog"
        if not self.report.error and self._unlisted:
            counted, listed = self._status.messages, len(self._uids)
            self.report.error = f"the server counts {counted} messages here, but its SEARCH lists only {listed}; run again"

    @property
    def _unlisted(self) -> bool:
        return self._status.messages > len(self._uids)

    def _known_figures(self) -> Figures:
        source = self.source
        return Figures(source.uidvalidity, source.uidnext, source.messages, source.highestmodseq)


def _read(store: Store, digest: bytes) -> tuple[bytes, bytes]:
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
