# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over one folder: what is due, filing by a new route from the store, and the proof that every UID has a row."""

from __future__ import annotations

import math
import typing as t
from collections import deque
from dataclasses import replace

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Cursor, MessageRow, SourceFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import Origin, Suspect
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Filing
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import (
    Accounts,
    Comparison,
    FolderFigures,
    Reconcile,
    State,
    Tallies,
    account,
    account_skipped,
    account_touched,
    compare,
    may_skip,
    tallies_after,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import NEWEST_FIRST
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Stopwatch
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_filter import Sieve
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox, target_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_refile import Refiling
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import STOPPED, FolderReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_tools import Tools
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Examined, Fetch, Item, Parcel
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import uidset
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus

CHUNK_LEAST, CHUNK_MOST = 1000, 10_000
CAREFUL_TRIES = 5  # breaks of which no message is guilty
MOST_CULPRITS = 50  # each costs a connection
MOST_SILENT = 3  # messages in a row on which the server falls silent; each costs a time-out
MOST_DEATHS = 30  # of processes; a message that kills costs three at first, one when it is tried again
NARROW = 100  # messages among which the one that kills is looked for one at a time
DIED = "the archiving process died"
# Below this part of the folder, what was touched is read back, and all other rows are proven by their number and sum.
TOUCHED_PART = 4


def figures(status: FolderStatus) -> FolderFigures:
    """What the ledger compares of a folder's status."""
    return FolderFigures(status.uidvalidity, status.uidnext, status.messages, status.highestmodseq)


def folder_key(mailbox: Mailbox, name: str) -> str:
    """What tells a source folder from all others."""
    return f"{mailbox.server.name}/{mailbox.name}/{name}"


def unchanged(
    mailbox: Mailbox,
    source: SourceFolder | None,
    status: FolderStatus,
    open_rows: t.Mapping[State, int],
    reconcile: Reconcile,
) -> bool:
    """Tell whether the folder need not be opened."""
    if source is None or reconcile.due(folder_key(mailbox, source.name), source.reconciled):
        return False
    return may_skip(
        FolderFigures(source.uidvalidity, source.uidnext, source.messages, source.highestmodseq),
        figures(status),
        complete=source.complete,
        same_rules=source.rules == mailbox.rules,
        route_filed=source.filed,
        due=open_rows.get(State.FAILED, 0)
        + (open_rows.get(State.QUARANTINED, 0) if reconcile.asked else 0)
        + (0 < source.due <= reconcile.now),
    )


def skipped_report(name: str, status: FolderStatus, open_rows: t.Mapping[State, int]) -> FolderReport:
    """The report of a folder that was not opened."""
    return FolderReport(name, account_skipped(status.messages, open_rows))


def opened_again(catalog: Catalog, sieve: Sieve, uidvalidity: int, filing: Filing) -> set[int]:
    """The UIDs with an open row that changed rules, other archive users, time or flags touch."""
    if sieve.idle:
        return set()
    rows = (row for row in catalog.open_messages(sieve.source.id) if row.uidvalidity == uidvalidity)
    return sieve.opened_again(rows, filing)


class FolderPass:
    """The scheduler's side of one folder. ``chunks`` wait for a worker; the pass is over when none waits and none is out.

    ``held`` are messages that may have moved here: ``run_moves`` decides.

    First ``meet``, for all folders of the mailbox; commit, then ``begin``. When it is over ``settle``, commit, ``prove``.
    """

    def __init__(self, mailbox: Mailbox, folder: Folder, tools: Tools) -> None:
        self.mailbox = mailbox
        self.folder = folder
        self.report = FolderReport(folder.name, opened=True)
        self.chunks: deque[Fetch] = deque()
        self.out = 0
        self.filing = mailbox.filing(folder.parts)
        self._tools = tools
        self._catalog = tools.catalog
        self._watch = Stopwatch()
        self._careful_tries = 0
        self._culprits = 0
        self._silent = 0
        self._deaths = 0
        self.source = self._catalog.source_folder(mailbox.server.name, mailbox.name, folder.name, mailbox.route)
        self._reconciling = tools.reconcile.due(folder_key(mailbox, folder.name), self.source.reconciled)
        self._status = FolderStatus(0, 0, 0)
        self._uids: t.Sequence[int] = ()
        self._before: dict[int, State] = {}
        self._tallies: Tallies = {}
        self._touched: set[int] = set()
        self._comparison = Comparison([], [], 0, [])
        self._sieve = Sieve(mailbox.profile.filter, self.source, mailbox.rules, tools.reconcile.now)
        self.origin = Origin(self.source.id, 0, mailbox.kind, f"{mailbox.server.name}/{mailbox.name}", mailbox.route)
        self.held: list[Item] = []
        self.suspect: Suspect | None = None

    @property
    def over(self) -> bool:
        """Whether nothing is left to do but to settle and prove."""
        return not self.chunks and not self.out and not self.held

    @property
    def counted(self) -> bool:
        """Whether it is known which messages it holds: those that are not listed may be there all the same."""
        return bool(self.origin.uidvalidity) and not self._unlisted

    @property
    def vanished(self) -> t.Sequence[int]:
        """UIDs that were there at the last pass and are not any more."""
        return self._comparison.vanished

    def meet(self, examined: Examined) -> None:
        """Compare the folder with the ledger, and have what vanished written with the next commit."""
        self._status, self._uids = examined.status, examined.uids
        validity = self._status.uidvalidity
        self.origin = Origin(self.source.id, validity, self.mailbox.kind, self.origin.label, self.mailbox.route)
        self._before = self._catalog.states(self.source.id, validity)
        self._tallies = self._catalog.tallies(self.source.id, validity)
        self._sieve = self._sieve_of(examined)
        again = opened_again(self._catalog, self._sieve, validity, self.filing)
        if self._reconciling or self._tools.reconcile.asked:
            again |= {uid for uid, state in self._before.items() if state is State.QUARANTINED}
        self._comparison = compare(self._uids, self._before, again)
        self._close_old_rows(validity)
        # Where more is counted than listed, whoever is not listed need not be gone.
        if self._comparison.vanished and not self._unlisted:
            self._touched.update(self._comparison.vanished)
            rows = [MessageRow(uid, State.VANISHED) for uid in self._comparison.vanished]
            self._tools.committer.record(self.origin, rows)

    def _sieve_of(self, examined: Examined) -> Sieve:
        self.report.notes += [examined.note] if examined.note else []
        return Sieve(
            self.mailbox.profile.filter,
            self.source,
            self.mailbox.rules,
            self._tools.reconcile.now,
            examined.matched,
            self._status.highestmodseq is not None,
            self._reconciling,
            {*map(target_of, self._catalog.routes(self.source.id))} > {target_of(self.mailbox.route)},
        )

    def begin(self) -> None:
        """File what the archive has already, and cut the rest into chunks."""
        if not self.filing.needs_header and not self._tools.committer.fits(self.filing.decide(b"").targets):
            self.fail("its path in the archive would be too long for the file system; exclude it, or rename it on the server")
            return
        damaged = self._refile()
        if self._restored():
            self._cut(self._uids)
            return
        # What failed before comes last: it may break the connection again and again.
        self._cut(self._comparison.new)
        self._cut(damaged, whole=True)
        self._cut_again()

    def _refile(self) -> list[int]:
        changed = self.source.rules != self.mailbox.rules
        refiling = Refiling(self._tools, self.source, self.origin, self.filing, self._sieve, changed, self.suspect)
        refiling.run(set(self._uids))
        self._touched |= refiling.touched
        self.report.refiled += refiling.refiled
        self.held += refiling.held
        if not refiling.ended:
            self.fail(STOPPED)
        return refiling.damaged

    def _restored(self) -> bool:
        """Whether UIDNEXT went back, as after a restore of the server: UIDs stand for other messages now, so all are read."""
        known, now = self.source, self._status
        if known.uidvalidity != now.uidvalidity or not 0 < now.uidnext < known.uidnext:
            return False
        self.report.notes.append(f"UIDNEXT went back from {known.uidnext} to {now.uidnext}: all messages are read again")
        return True

    def _cut_again(self) -> None:
        """A message on which a process died is asked for alone, so that it costs one process."""
        again = self._comparison.again
        failed = [uid for uid in again if self._before.get(uid) in (State.FAILED, State.QUARANTINED)]
        rows = self._catalog.messages(self.source.id, self._status.uidvalidity, failed)
        deadly = {uid for uid, row in rows.items() if row.reason.startswith(DIED)}
        self._cut([uid for uid in again if uid not in deadly])
        self._cut(sorted(deadly), careful=True)

    def _cut(self, wanted: t.Sequence[int], careful: bool = False, most: int = CHUNK_MOST, whole: bool = False) -> None:
        """Cut UIDs (ascending) into chunks; the newest come first where that is wanted. ``whole``: whatever the filter says."""
        if self.report.error:
            return
        newest = self.mailbox.profile.order == NEWEST_FIRST
        most = min(most, CHUNK_LEAST) if newest else most
        readers = min(self._tools.pool.growth.most, self.mailbox.limit)
        size = min(max(CHUNK_LEAST, math.ceil(len(wanted) / (2 * readers))), most)
        pieces = [wanted[max(0, end - size) : end] for end in range(len(wanted), 0, -size)]
        for piece in pieces if newest else reversed(pieces):
            chunk = Fetch(self.mailbox.access, self.folder, self._status.uidvalidity, piece, self.filing, careful)
            if self._sieve.rule and not whole:
                chunk = replace(chunk, filter=self._sieve.rule, now=self._sieve.now, unmatched=self._sieve.unmatched(piece))
            self.chunks.append(chunk)

    def _close_old_rows(self, validity: int) -> None:
        """Open rows under an older UIDVALIDITY can never be settled; everything else that was seen under it stays as it is."""
        if self.source.uidvalidity in (0, validity):
            return
        old: dict[int, list[MessageRow]] = {}
        for row in self._catalog.open_messages(self.source.id):
            if row.uidvalidity != validity:
                old.setdefault(row.uidvalidity, []).append(MessageRow(row.uid, State.VANISHED))
        for number, rows in old.items():
            self._tools.committer.record(Origin(self.source.id, number, self.origin.kind, self.origin.label, ""), rows)

    def take(self, parcel: Parcel) -> None:
        """File what a worker stored."""
        self._touched |= parcel.uids()
        self._silent = 0 if parcel.items else self._silent
        parcel.items = self._sieve.take(parcel.items)
        self.held += self._tools.committer.take(self.origin, parcel, self.suspect)
        self.report.bytes += parcel.bytes
        self.report.notes += [f"UID {uid}: {text}" for uid, text in [*parcel.failed, *parcel.notes]]

    def resume(self, chunk: Fetch, remaining: t.Sequence[int], error: ArchiveToolError) -> None:
        """Go on after a lost connection: one message at a time through what was under way, to find the one that breaks it.

        A message that was alone on the line when the connection broke has failed; the next run tries it again.
        """
        left = list(remaining)
        in_flight = uidset.expand(error.details.get("in_flight", ""))
        if chunk.careful and len(in_flight) == 1:
            culprit = in_flight[0]
            self._culprits += 1
            self._silent += bool(error.details.get("silent"))
            left = [uid for uid in left if uid != culprit]
            self.take(Parcel(failed=[(culprit, f"the connection broke while the server sent this message: {error.cause}")]))
        else:
            self._careful_tries += 1
        if self._silent >= MOST_SILENT:
            self.fail(f"the server falls silent on one message after the other, the last is UID {in_flight[0]}: {error.cause}")
        suspects = set(in_flight)
        whole = not chunk.filter
        self._cut([uid for uid in left if uid in suspects], careful=True, whole=whole)
        self._cut([uid for uid in left if uid not in suspects], careful=chunk.careful, whole=whole)

    @property
    def may_resume(self) -> bool:
        """Whether the folder's connection may break once more."""
        return self._careful_tries < CAREFUL_TRIES and self._culprits < MOST_CULPRITS

    def bury(self, chunk: Fetch, delivered: t.Container[int], how: str) -> None:
        """Go on after the process that read ``chunk`` died: in smaller parts, then one message at a time, to find what killed it.

        A message with which a process was alone when it died has failed; later runs try it again, alone from the beginning.
        """
        left = [uid for uid in chunk.uids if uid not in delivered]
        self._deaths += 1
        if self._deaths > MOST_DEATHS:
            self.fail(f"{DIED} {self._deaths} times in this folder, last with {how}; the next run goes on behind what is done")
        elif left and chunk.careful:
            self.take(Parcel(failed=[(left[0], f"{DIED} ({how}) while it handled this message")]))
            self._cut(left[1:], careful=True)
        elif len(left) <= NARROW:
            self._cut(left, careful=True)
        else:
            self._cut(left, most=NARROW)

    def fail(self, message: str) -> None:
        """Give the folder up in this run."""
        self.report.error = self.report.error or message
        self.chunks.clear()
        self.held.clear()

    def settle(self) -> None:
        """Have the folder's figures remembered with the next commit."""
        if self.report.error or self._unlisted:
            return
        source = self.source
        known = Cursor(*self._known_figures(), source.rules, source.complete, source.reconciled, source.due)
        reconciled = self._tools.reconcile.now if self._reconciling else source.reconciled
        complete = self._status.messages == len(self._uids)
        due = self._sieve.due(set(self._uids)) if self._sieve.rule.mutable else 0
        cursor = Cursor(*figures(self._status), self.mailbox.rules, complete, reconciled, due)
        if cursor != known or not source.filed:
            self._tools.committer.record(self.origin, (), cursor)

    def prove(self) -> None:
        """Account for every UID by the rows in the catalog, after the commit."""
        self.report.accounts = self._account()
        self.report.seconds = self._watch.seconds
        if not self.report.error and not self.report.accounts.balanced():
            self.report.error = f"{len(self.report.accounts.missing)} messages on the server have no row in the catalog"
        if not self.report.error and self._unlisted:
            counted, listed = self._status.messages, len(self._uids)
            self.report.error = f"the server counts {counted} messages here, but its SEARCH lists only {listed}; run again"

    def _account(self) -> Accounts:
        """Read back the rows that this pass touched. All others are there when the tallies of the folder say so.

        A tally that is not as it must be has every row read.
        """
        key = (self.source.id, self._status.uidvalidity)
        touched = self._touched.union(self._comparison.wanted)
        if len(touched) * TOUCHED_PART < len(self._uids) and not self._unlisted:
            now = self._catalog.states_of(*key, touched)
            was = {uid: self._before[uid] for uid in touched if uid in self._before}
            if touched <= now.keys() and self._catalog.tallies(*key) == tallies_after(self._tallies, was, now):
                return account_touched(len(self._uids), self._tallies, was, now, set(self._comparison.vanished))
        return account(self._uids, self._before, self._catalog.states(*key) if self._uids else {})

    @property
    def _unlisted(self) -> bool:
        return self._status.messages > len(self._uids)

    def _known_figures(self) -> FolderFigures:
        source = self.source
        return FolderFigures(source.uidvalidity, source.uidnext, source.messages, source.highestmodseq)
