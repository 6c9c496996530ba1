# SPDX-License-Identifier: GPL-3.0-or-later
"""A damaged ledger: its hashes made again, or what is left of it kept and the rest told anew out of the catalog.

The new files are made beside the old ones and replace them in some steps; then the catalog commits what they hold. Until then the
catalog says that they are being replaced, so that a rebuild after a crash does it again, whatever the files look like.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    layout,
    rebuild_aside,
    rebuild_ledger,
    rebuild_take,
    store_sweep,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import entry
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_untold import UntoldCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASHES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_catalog import Stopped, give
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_evidence_look import (
    DAMAGED,
    NOTHING,
    UNHASHED,
    Growing,
    Judged,
    chunks,
    judge,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.spread import Spread
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

_NEW = ".tmp"  # which is nothing foreign to a verification


class NewFiles:
    """Entries and hashes that are written one after the other, for now beside those of the archive. Errors are StoreError."""

    def __init__(self, root: str, names: t.Iterable[str]) -> None:
        self.position = NOTHING
        self._tree = Growing()
        self._paths = {name: f"{root}/{name}{_NEW}" for name in names}
        self._files: dict[str, t.BinaryIO] = {}

    def __enter__(self) -> NewFiles:
        with _errors():
            for name, path in self._paths.items():
                self._files[name] = Path(path).open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        with _errors():
            for file in self._files.values():
                file.close()

    def add(self, entries: t.Sequence[bytes]) -> None:
        """Append entries, each without its line end."""
        text = b"".join(line + b"\n" for line in entries)
        parts = {ENTRIES: text, HASHES: self._tree.add(entries)}
        with _errors():
            for name, file in self._files.items():
                file.write(parts[name])
        self.position = Position(self.position.entries + len(entries), self.position.bytes + len(text))

    def settle(self, root: str) -> None:
        """Have them durable, with the rights of the archive."""
        with _errors():
            for path in self._paths.values():
                give(path, root)

    def publish(self, store: Store) -> None:
        """Put them in the place of the old ones, durably."""
        with _errors():
            for name, path in self._paths.items():
                Path(path).replace(f"{store.root}/{name}")
        store.sync(Written([], {layout.EVIDENCE}))

    def drop(self) -> None:
        """Remove them: they are not wanted."""
        with _errors():
            for path in self._paths.values():
                Path(path).unlink(missing_ok=True)


@dataclass
class LedgerRebuild:
    """``run`` does it, once. Without the lock, in check mode, nothing is written: the new files go into a temporary directory."""

    store: Store
    pool: Spread
    reporter: Reporter
    report: Report
    check_mode: bool = False
    owner: str = ""
    _position: Position = field(default=NOTHING)

    def run(self) -> None:
        """Raises StoreError and CatalogError when the archive cannot be worked on."""
        root = self.store.root
        with contextlib.ExitStack() as stack:
            catalog = rebuild_take.opened(stack, UntoldCatalog, root, copied=self.check_mode)
            self._position = catalog.evidence_position()
            judged = judge(root, self._position)
            damaged = judged.state == DAMAGED or catalog.replaces_ledger()
            self.report.before = f"{self._position.entries:,} entries, {judged.look.kept.entries:,} of them as they were written"
            if not damaged and judged.state != UNHASHED:
                self._tell_of_more(judged)
                return
            self.report.changed = True
            if damaged:
                self._refuse_older(catalog, judged)
            place = stack.enter_context(tempfile.TemporaryDirectory()) if self.check_mode else root
            self._make_room(place)
            try:
                if damaged:
                    self._anew(catalog, judged, place)
                else:
                    self._hashes(judged, place)
                    self._tell_of_more(judged)
            except Stopped:
                self.report.stopped, self.report.changed = True, False

    def _make_room(self, place: str) -> None:
        """The directory of the ledger, in the archive or in the temporary directory."""
        if self.check_mode:
            Path(place, layout.EVIDENCE).mkdir()
        elif not Path(place, layout.EVIDENCE).is_dir():
            rebuild_take.complete_skeleton(place)

    def _tell_of_more(self, judged: Judged) -> None:
        """Entries that the catalog does not know of are no damage; those of a run that died are cut off by the next one."""
        more = rebuild_ledger.is_cut_short(self.store.root, self._position)
        if judged.ahead or (more and self.store.dirty() is None):
            self.report.tell(Problem("ledger_more", ENTRIES))

    def _refuse_older(self, catalog: UntoldCatalog, judged: Judged) -> None:
        """That the ledger knows of more than the catalog keeps a run from sweeping by an older one: this takes it away."""
        more = rebuild_ledger.is_cut_short(self.store.root, self._position) and self.store.dirty() is None
        unknown = store_sweep.uncommitted(self.store, catalog, 0.0) if judged.ahead or more else ()
        if unknown:
            cause = f"the catalog does not know {len(unknown):,} of its objects, and less of the ledger than there is"
            remedy = "Bring the catalog forward with what: orphans, orphans: adopt; then rebuild the ledger"
            raise StoreError(f"{self.store.root}/{layout.OBJECTS}", cause, remedy)

    # Hashes alone

    def _hashes(self, judged: Judged, place: str) -> None:
        with self._writing(place, HASHES) as new:
            for entries in self._kept(judged.look.lines):
                new.add(entries)
        self.report.figures["hashed_entries"] = new.position.entries
        if not self.check_mode:
            new.settle(self.store.root)
            new.publish(self.store)

    # The ledger anew

    def _anew(self, catalog: UntoldCatalog, judged: Judged, place: str) -> None:
        kept = judged.look.kept
        with self._writing(place, ENTRIES, HASHES) as new:
            catalog.begin_hearing()
            for entries in self._kept(kept):
                new.add(entries)
                catalog.hear(entries)
            self._tell(catalog, new)
        if kept.entries < self._position.entries or not judged.fits:
            rebuild_aside.tell_of_checkpoints(self.report, kept.entries)
        if self.check_mode:
            return
        new.settle(self.store.root)
        catalog.begin_replacing()
        rebuild_aside.keep(self.store, (ENTRIES, HASHES))
        if not judged.fits:
            rebuild_aside.take_checkpoint_away(self.store)
        new.publish(self.store)
        catalog.take_ledger(new.position)

    def _tell(self, catalog: UntoldCatalog, new: NewFiles) -> None:
        figures = self.report.figures
        figures["entries_kept"] = new.position.entries
        for name, pages in (
            ("objects_told", catalog.untold_objects()),
            ("deletions_told", catalog.untold_deletions()),
            ("losses_told", catalog.untold_losses()),
        ):
            for entries in pages:
                new.add(entries)
                figures[name] += len(entries)
                self._go_on(f"{figures[name]:,} {name.replace('_', ' ')}")
        new.add([entry("rebuilt", {"by": self.owner, "what": "ledger", **figures}).encode("ascii")])

    def _kept(self, until: Position) -> t.Iterator[list[bytes]]:
        done = 0
        for entries in chunks(self.store.root, until.bytes):
            yield entries
            done += len(entries)
            self._go_on(f"{done:,}/{until.entries:,} entries")

    def _go_on(self, line: str) -> None:
        self.reporter.progress(line)
        if self.reporter.stop_requested:
            raise Stopped

    @contextlib.contextmanager
    def _writing(self, place: str, *names: str) -> t.Iterator[NewFiles]:
        new = NewFiles(place, names)
        try:
            with new:
                yield new
        except Stopped:
            new.drop()
            raise


@contextlib.contextmanager
def _errors() -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_failure(error, os.fsdecode(error.filename or ENTRIES)) from error
