# SPDX-License-Identifier: GPL-3.0-or-later
"""An import: users of another archive of the same format, with all that is known of their mail, into this one.

The other archive is only read. What is here already is never changed; what was taken before is known, so that an import that was
cut short goes on where it was. The bytes are always copied: a link would have two archives share one file, and count for both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import import_plan, import_users, snapshot, store_lock
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_import import ImportCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence import refuse_unfinished
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_plan import Choice
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_report import Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_sink import Counting, Into, Writing
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_source import Head, OtherArchive
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_work import Work
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent, no_checkpoint
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sweep import recover
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, InputError

LOCKED_FOR = "archive_import"
UNFINISHED = (
    "{0}: a run goes on there, or did not end cleanly. What it has not committed is not taken: import again when the next run has"
    " ended well"
)


@dataclass(frozen=True)
class Wish:
    """What is asked for. ``reserve``: bytes that must stay free. ``ledger``: of this archive, with who has it done."""

    root: str
    source: str
    choice: Choice
    reserve: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    check_mode: bool = False


def refuse_same(root: str, source: str) -> None:
    """Raise InputError when the other archive is this one, or one lies in the other."""
    archive, other = Path(root).resolve(), Path(source).resolve()
    if other == archive or other.is_relative_to(archive) or archive.is_relative_to(other):
        cause = "it is this archive itself, or one of both lies within the other"
        raise InputError(f"source: {source}", cause, "Name the root of another archive that lies apart from this one")


class Import:
    """``run`` does it, once. Raises BusyError while this archive is in use, InputError, StoreError and CatalogError."""

    def __init__(self, wish: Wish, reporter: Reporter | None = None, checkpoint: t.Callable[[str], None] = no_checkpoint) -> None:
        self._wish = wish
        self._reporter = reporter or Silent()
        self._checkpoint = checkpoint

    def run(self) -> Report:
        """Count first: what has nothing to take writes nothing at all."""
        wish = self._wish
        refuse_same(wish.root, wish.source)
        lock = None if wish.check_mode else LOCKED_FOR
        with (
            OtherArchive(wish.source) as other,
            Store.open(wish.root, lock=lock, reserve=wish.reserve) as store,
            ImportCatalog.of(wish.root, readonly=wish.check_mode) as catalog,
        ):
            if wish.check_mode:
                catalog.hold()
            else:
                snapshot.refuse_unknown(store, catalog)
                refuse_unfinished(store, catalog)
                recover(store, catalog)
            return self._take(other, store, catalog)

    def _take(self, other: OtherArchive, store: Store, catalog: ImportCatalog) -> Report:
        head = other.head()
        counted, begin, work = self._pass(other, store, catalog, head)
        counting = Counting(other, catalog, counted)
        begin(counting)
        work(counting)
        if counted.stopped:
            # What was counted is not here.
            return dataclasses.replace(counted, users={}, users_made=0, mailboxes=[], folders=0)
        if self._wish.check_mode or not counted.changed:
            return counted
        with contextlib.ExitStack() as turn:
            # Whom archive_users makes or changes meanwhile would not be the users that this is planned with.
            turn.enter_context(store_lock.turn(self._wish.root))
            report, begin, work = self._pass(other, store, catalog, head)
            with Writing(other, catalog, report, head, Into(store, self._wish.ledger, self._checkpoint)) as sink:
                try:
                    begin(sink)
                    turn.close()
                    work(sink)
                    sink.end("stopped" if report.stopped else "problems" if report.problems else "ok", report.noted())
                except ArchiveToolError as error:
                    sink.failed(error)
                    raise
        if not report.stopped:
            report.untaken = self._untaken(other, store, catalog, head, report)
        return report

    def _untaken(self, other: OtherArchive, store: Store, catalog: ImportCatalog, head: Head, report: Report) -> int:
        """Look once more: everything is here now but for what could not be had."""
        proof, _begin, work = self._pass(other, store, catalog, head)
        work(Counting(other, catalog, proof))
        if proof.stopped:
            report.stopped = True
            return 0
        missing = report.totals().damaged + report.totals().lost
        found = proof.totals()
        return found.messages - found.known - missing

    def _pass(
        self, other: OtherArchive, store: Store, catalog: ImportCatalog, head: Head
    ) -> tuple[Report, t.Callable[[Counting], None], t.Callable[[Counting], None]]:
        """A report, and what fills it through a sink: with users, then with their mail."""
        choice = self._wish.choice
        asked = {key: sorted(getattr(choice, key)) for key in ("users", "domains", "servers") if getattr(choice, key)}
        report = Report(other.root, asked, head.origin, head.entries, head.root)
        folders = [(one.server, one.mailbox) for one in other.catalog.source_folders()]
        everybody = other.catalog.users(deleted=True)
        taken = import_plan.chosen(everybody, folders, choice)
        current = catalog.users(deleted=True)
        ids = {user.id for user in taken}
        matched = import_users.match(everybody, current)
        pairs = [pair for pair in matched if pair.there.id in ids]
        good = [pair for pair in pairs if not pair.why]
        for pair in pairs:
            if pair.why:
                report.tell(Problem(pair.there.name, "the user", pair.why, pair.remedy))
        made, left, told = import_users.steps(good, [pair for pair in matched if pair.there.id not in ids], current)
        mailboxes = import_plan.mailboxes(folders, other.origins, [pair.there for pair in good], choice)
        report.warnings += told
        names = {user.id: user.name for user in everybody}
        report.warnings += [import_plan.strangers_warning(one, names) for one in mailboxes if one.strangers]
        if other.unfinished:
            report.warnings.append(UNFINISHED.format(other.root))

        def begin(sink: Counting) -> None:
            report.users_made = len(made)
            sink.users(made, left)

        def work(sink: Counting) -> None:
            Work(other, catalog, store, sink, self._reporter, good, mailboxes).run()

        return report, begin, work
