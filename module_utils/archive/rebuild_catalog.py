# SPDX-License-Identifier: GPL-3.0-or-later
"""A new catalog out of objects, trees and the ledger, and how it takes the place of the old one."""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    evidence_checkpoint,
    layout,
    rebuild_aside,
    rebuild_heads,
    rebuild_ledger,
    rebuild_take,
    rebuild_trees,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rebuild import RebuiltCatalog, condition
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import MEGABYTE, Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_names import Names
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_scan import Bucket, Found, Intact, scan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_users import History
from ansible_collections.mailops.kerio.plugins.module_utils.archive.spread import Spread
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written, sync_path
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError, StoreError

NEW = f"{layout.CATALOG_FILE}.new"
_ENDS = ("", "-wal", "-shm", "-journal")
_WHY = "it was in the archive when its catalog was made anew"
CATALOG_MODE = 0o640


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """The rebuild was asked to stop, and nothing took the place of anything."""


@dataclass
class CatalogRebuild:
    """``run`` does it, once; ``store`` holds the lock, or no lock in check mode, where nothing is written."""

    store: Store
    pool: Spread
    reporter: Reporter
    report: Report
    replace: bool = False
    check_mode: bool = False
    owner: str = ""
    _intact: Intact = field(default_factory=Intact)
    _damaged: list[str] = field(default_factory=list)

    @property
    def _root(self) -> str:
        return self.store.root

    def run(self) -> None:
        """Raises CatalogError for a catalog that is intact, unless it is to be replaced."""
        path = f"{self._root}/{layout.CATALOG_FILE}"
        self.report.before = was = condition(path)
        if was == "intact" and not self.replace:
            cause = "it can be read, and a new one would know less"
            raise CatalogError(path, cause, "Restore what is missing with what: orphans, or say replace: true")
        self.report.changed = True
        if self.check_mode:
            with tempfile.TemporaryDirectory() as folder:
                self._checkpoint(self._build(f"{folder}/{layout.CATALOG_FILE}"))
            return
        new = f"{self._root}/{NEW}"
        try:
            with _errors(new):
                _remove(new)
            position = self._build(new)
            self._checkpoint(position)
            with _errors(path):
                give(new, self._root)
                if rebuild_take.is_unclean(self.store, position):
                    # With the marker of before, a sweep by the new catalog might look at what is older than it.
                    self.store.renew("archive_rebuild", max(0, rebuild_take.least_commits(self.store) - 1))
                rebuild_take.keep_changed_ledger(self.store, self.report)
                # Under its own name, a run that brings the message again would take a damaged file for the object.
                rebuild_take.keep_damaged(self.store, self._damaged)
                publish(self._root, was)
        except Stopped:
            with _errors(new):
                _remove(new)
            self.report.stopped, self.report.changed = True, False

    def _build(self, path: str) -> Position:
        """Make the new catalog; return how much of the ledger it knows."""
        with RebuiltCatalog(path) as catalog:
            self._objects(catalog)
            history = History(rebuild_take.trees_on_disk(self._root))
            telling = rebuild_ledger.Telling(catalog, self._intact, history, self.report)
            if not self.check_mode:
                self.store.sync(Written([*rebuild_ledger.files(self._root)], {layout.EVIDENCE}))
            telling.run(self._root, Position(0, 0))
            self._trees(catalog, telling)
            if telling.position.entries:
                rebuild_take.settle(catalog, self._intact, self.report)
                catalog.note_untold(_WHY)
            catalog.note_rebuilt("catalog", self.owner, self.report.figures)
            catalog.reach(rebuild_take.least_commits(self.store), telling.position)
            catalog.fold()
        return telling.position

    def _checkpoint(self, position: Position) -> None:
        """A checkpoint of more than is left of the ledger has the next runs refuse the catalog as an older one: it goes aside.

        Before the new catalog is in place: the old one does not miss it.
        """
        if evidence_checkpoint.entries_of(evidence_checkpoint.newest(self._root)) > position.entries:
            rebuild_aside.tell_of_checkpoints(self.report, position.entries)
            if not self.check_mode:
                rebuild_aside.take_checkpoint_away(self.store)

    def _objects(self, catalog: RebuiltCatalog) -> None:
        if self.report.before != "intact":  # a run could begin with that one, if this is cut short
            commits = max(1, rebuild_take.least_commits(self.store))
            rebuild_heads.bring_back(self.store, commits, self.report, check_mode=self.check_mode)
        for found in self.pool.each(scan, [Bucket(self._root, number) for number in range(layout.DIRECTORIES)]):
            self._take(catalog, found)
            told = f"{len(self._intact):,} objects, {self.report.figures['bytes'] / MEGABYTE:,.0f} MB"
            self.reporter.progress(f"{found.number + 1}/{layout.DIRECTORIES} {told}")
            if self.reporter.stop_requested:
                raise Stopped

    def _take(self, catalog: RebuiltCatalog, found: Found) -> None:
        self.report.tell(*found.problems)
        self._intact.add(found.objects)
        self._damaged += [*found.damaged, *found.unread]
        self.report.figures["objects"] += len(found.objects)
        self.report.figures["bytes"] += sum(one.size for one in found.objects)
        if not found.objects:
            return
        if not self.check_mode:
            self.store.sync(Written(found.files, {Bucket(self._root, found.number).path, layout.OBJECTS}))
        catalog.adopt([one.row() for one in found.objects], (), durable=False)

    def _trees(self, catalog: RebuiltCatalog, telling: rebuild_ledger.Telling) -> None:
        names = Names([*rebuild_ledger.folder_names(telling.folders), *telling.history.names()])
        trees = rebuild_take.trees_on_disk(self._root)
        users = rebuild_take.put_users(catalog, trees, telling.history.users.values(), names, self.report)
        catalog.begin_origins()
        store = None if self.check_mode else self.store
        taker = rebuild_take.Taker(self._root, catalog, self._intact, names, self.report, store)
        for folder in rebuild_trees.folders(self._root, self.report):
            taker.folder(folder, users[folder.tree], {})
            if self.reporter.stop_requested:
                raise Stopped
        taker.flush()
        self.reporter.progress(f"{self.report.figures['placements']:,} placements in {self.report.figures['folders']:,} folders")


def publish(root: str, was: str) -> None:
    """Put the new catalog in the place of the old one, which is kept aside. Raises OSError and StoreError.

    A crash leaves the old one, or the new one. Where an unreadable one has a WAL, it may leave none at all, which is as unusable:
    the WAL must not be there when the new file gets its name, for SQLite would write it into that.
    """
    path = f"{root}/{layout.CATALOG_FILE}"
    if was == "intact":
        _settle_old(path)
    aside = path + rebuild_aside.ending([Path(path)]) if was != "absent" else ""
    there = [end for end in _ENDS if Path(path + end).exists()]
    for end in there if aside else ():
        os.link(path + end, aside + end)
    sync_path(root)
    beside = [end for end in there if end]
    if beside:
        Path(path).unlink(missing_ok=True)
        sync_path(root)
        for end in beside:
            Path(path + end).unlink()
        sync_path(root)
    Path(root, NEW).replace(path)
    sync_path(root)


def _settle_old(path: str) -> None:
    """Have all of an intact catalog in its one file."""
    with RebuiltCatalog(path, create=False) as old:
        old.fold()
    if Path(f"{path}-wal").exists():
        raise StoreError(path, "another program has it open", "Find it with fuser and end it, then run archive_rebuild again")


def give(path: str, root: str) -> None:
    """Rights and owner of a catalog, or of a file of the ledger; durable with its content."""
    Path(path).chmod(CATALOG_MODE)
    if os.geteuid() == 0:
        facts = Path(root).stat()
        os.chown(path, facts.st_uid, facts.st_gid)
    sync_path(path)


def _remove(path: str) -> None:
    for end in _ENDS:
        Path(path + end).unlink(missing_ok=True)


@contextlib.contextmanager
def _errors(subject: str) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_failure(error, subject) from error
