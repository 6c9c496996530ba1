# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the archive and is not in the catalog: told, taken into the catalog, or removed where that costs no message."""

from __future__ import annotations

import contextlib
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    layout,
    rebuild_heads,
    rebuild_ledger,
    rebuild_take,
    rebuild_trees,
    snapshot,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rebuild import RebuiltCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_verify import FolderRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_names import Names
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_scan import (
    Bucket,
    Found,
    Intact,
    read,
    scan,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_trees import DiskFolder, DiskPlacement
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_users import History
from ansible_collections.mailops.kerio.plugins.module_utils.archive.spread import Spread
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import held, inodes_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import values_of
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

REPORT, ADOPT, REMOVE = "report", "adopt", "remove"
GROUP = 100_000  # rows of so many objects are in memory at a time
_WHY = "the catalog did not know it"


@dataclass
class Orphans:
    """``run`` does it, once. Without the lock, in check mode, nothing is written: rows go into a copy of the catalog."""

    store: Store
    pool: Spread
    reporter: Reporter
    report: Report
    mode: str = REPORT
    remove_last_copies: bool = False
    check_mode: bool = False
    owner: str = ""
    _intact: Intact = field(default_factory=Intact)
    _found: list[Found] = field(default_factory=list)
    _written: Written = field(default_factory=Written)

    def run(self) -> None:
        """Raises StoreError and CatalogError when the archive cannot be worked on."""
        with self._catalog() as catalog:
            if self.mode == REMOVE:
                self._refuse_older(catalog)
            self._objects(catalog)
            if self.mode == ADOPT:
                self._adopt(catalog)
            else:
                self._look(catalog)
            self.report.before = f"{len(self._intact):,} objects that the catalog does not know"
            if self.report.changed and not self.check_mode:
                catalog.note_rebuilt("orphans", self.owner, self.report.figures)

    @contextlib.contextmanager
    def _catalog(self) -> t.Iterator[RebuiltCatalog]:
        idle = self.check_mode or self.mode == REPORT
        copied = self.check_mode and self.mode == ADOPT
        with contextlib.ExitStack() as stack:
            yield rebuild_take.opened(stack, RebuiltCatalog, self.store.root, readonly=idle, copied=copied)

    # Objects

    def _objects(self, catalog: RebuiltCatalog) -> None:
        """Read what has no row."""
        if self.mode == ADOPT:
            commits = max(catalog.commits() + 1, rebuild_take.least_commits(self.store))
            rebuild_heads.bring_back(self.store, commits, self.report, check_mode=self.check_mode)
        for found in self.pool.each(scan, self._buckets(catalog)):
            self._intact.add(found.objects)
            self.report.tell(*found.problems)
            self._found.append(found)
            self.reporter.progress(f"{found.number + 1}/{layout.DIRECTORIES} {len(self._intact):,} unknown objects")

    def _buckets(self, catalog: RebuiltCatalog) -> t.Iterator[Bucket]:
        for first, end in catalog.object_groups(GROUP):
            known: dict[int, set[bytes]] = defaultdict(set)
            for row in catalog.objects_in(first, end):
                known[row.digest[0]].add(row.digest)
            for number in range(first, end):
                yield Bucket(self.store.root, number, but=known[number])

    # Trees

    def _unknown(self, catalog: RebuiltCatalog) -> t.Iterator[tuple[DiskFolder, dict[bytes, str], list[DiskPlacement]]]:
        """Folders with placements that the catalog does not have, those that it has of them, and those that it does not."""
        rows = {row.dir: row for row in catalog.folders()}
        for folder in rebuild_trees.folders(self.store.root, Report.unread()):
            known = self._known(catalog, rows.get(folder.dir))
            listed = rebuild_trees.placements(self.store.root, folder.dir, Report.unread())
            unknown = [one for digest, placed in listed.items() for one in placed if one.name != known.get(digest)]
            if unknown:
                yield folder, known, unknown

    @staticmethod
    def _known(catalog: RebuiltCatalog, folder: FolderRow | None) -> dict[bytes, str]:
        rows = catalog.folder_placements(folder.id) if folder is not None else ()
        return {row.digest: row.file_name for row in rows}

    # Telling and removing

    def _refuse_older(self, catalog: RebuiltCatalog) -> None:
        """What an older catalog does not know is not left over: nothing else says where it is filed."""
        behind = rebuild_ledger.is_cut_short(self.store.root, catalog.evidence_position())
        if behind or catalog.get_meta(snapshot.META):
            cause = "it may be older than the archive: it came from a backup, or the ledger has more than it knows of"
            raise StoreError(catalog.path, cause, "Bring it forward with orphans: adopt, run archive_run once, and then remove")

    def _look(self, catalog: RebuiltCatalog) -> None:
        root, since = self.store.root, catalog.evidence_position()
        if self.mode == REPORT:
            self.report.figures["ledger_entries"] = sum(1 for _entry in rebuild_ledger.entries(root, since, self.report))
        for folder, _known, unknown in self._unknown(catalog):
            for one in unknown:
                self._placement(f"{folder.dir}/cur/{one.name}", one)
        for found in self._found:
            self._bucket(catalog, found)
        if not self.check_mode:
            self.store.sync(self._written)

    def _placement(self, path: str, placed: DiskPlacement) -> None:
        if self.mode == REPORT:
            self.report.figures["unknown_placements"] += 1
            self.report.tell(Problem("placement_unknown", path))
        elif placed.inode in inodes_of(self.store.root, placed.parsed.digest) or self._is_twin(path, placed.parsed.digest):
            self._unlink(path, "placements_removed")
        else:
            self.report.tell(Problem("kept", path, "no other file is known to hold its bytes"))

    def _is_twin(self, path: str, digest: bytes) -> bool:
        """Whether a file of its own holds no other bytes than the object's own file, which was read and is whole."""
        try:
            for each in (path, layout.object_path(digest)):
                read(self.store.root, each, digest)
        except StoreError:
            return False
        return True

    def _bucket(self, catalog: RebuiltCatalog, found: Found) -> None:
        """What becomes of the unknown objects of a directory."""
        if self.mode == REPORT:
            self.report.figures["unknown_objects"] += len(found.objects)
            self.report.tell(*(Problem("object_unknown", layout.object_path(one.digest)) for one in found.objects))
            return
        last = [path for path in found.files if self.remove_last_copies]
        doomed = {path: bytes.fromhex(path.rpartition("/")[2][:64]) for path in [*found.damaged, *last]}
        digests = set(doomed.values())
        known = catalog.known_digests(digests) if doomed else set()
        noted = rebuild_ledger.spoken_of(self.store.root, digests - known) if last else set()
        for path, digest in doomed.items():
            if digest in known:
                self.report.tell(Problem("kept", path, "the catalog has messages or placements of it"))
            elif digest in noted:
                self.report.tell(Problem("kept", path, "the ledger says that it was archived"))
            elif path in found.damaged and self._may_be_another(path):
                self.report.tell(Problem("kept", path, "it is whole, but another message than its name says"))
            else:
                self._unlink(path, "objects_removed")
        if not self.remove_last_copies:
            told = "no placement and no row has it; remove_last_copies: true removes it"
            self.report.tell(*(Problem("kept", path, told) for path in found.files))

    def _may_be_another(self, path: str) -> bool:
        """Whether a damaged object may be the last copy of another message than that of its name."""
        try:
            inside = held(Path(self.store.root, path))
        except OSError:
            return True
        return inside is not None and not self._is_twin(path, inside.digest)

    def _unlink(self, path: str, figure: str) -> None:
        self.report.figures[figure] += 1
        self.report.did(path)
        self.report.changed = True
        if self.check_mode:
            return
        try:
            Path(self.store.root, path).unlink()
        except OSError as error:
            raise os_failure(error, path) from error
        self._written.directories.add(path.rpartition("/")[0])

    # Adopting

    def _adopt(self, catalog: RebuiltCatalog) -> None:
        root, since = self.store.root, catalog.evidence_position()
        wanted = {one.parsed.digest for _folder, _placed, unknown in self._unknown(catalog) for one in unknown}
        self._read(wanted | rebuild_ledger.digests(root, since))
        store = None if self.check_mode else self.store
        for found in self._found:
            self._adopt_objects(catalog, found, store)
        known = {user.tree: user for user in catalog.users(deleted=True)}
        trees = rebuild_take.trees_on_disk(root)
        values = {tree: values_of(user) for tree, user in known.items()}
        telling = rebuild_ledger.Telling(catalog, self._intact, History(trees, values), self.report)
        if store is not None:
            store.sync(Written(rebuild_ledger.files(root), {layout.EVIDENCE}))
        telling.run(root, since)
        names = Names([*rebuild_ledger.folder_names(telling.folders), *telling.history.names()])
        new = [tree for tree in trees if tree not in known]
        told = [user for tree, user in telling.history.users.items() if tree in new]
        users = {tree: user.id for tree, user in known.items()} | rebuild_take.put_users(catalog, new, told, names, self.report)
        catalog.begin_origins(wanted)
        taker = rebuild_take.Taker(root, catalog, self._intact, names, self.report, store)
        for folder, placed, _unknown in self._unknown(catalog):
            taker.folder(folder, users[folder.tree], placed)
        taker.flush()
        rebuild_take.settle(catalog, self._intact, self.report)
        figures = self.report.figures
        self.report.changed = any(figures[name] for name in ("objects", "placements", "users", "ledger_entries"))
        if store is not None:
            self._settle(catalog, store, telling)

    def _read(self, digests: set[bytes]) -> None:
        """Read the objects that have rows and are spoken of by what has none."""
        by_bucket: dict[int, set[bytes]] = defaultdict(set)
        for digest in digests:
            if digest not in self._intact:
                by_bucket[digest[0]].add(digest)
        for found in self.pool.each(scan, [Bucket(self.store.root, number, some) for number, some in sorted(by_bucket.items())]):
            self._intact.add(found.objects)
            self.report.tell(*found.problems)

    def _adopt_objects(self, catalog: RebuiltCatalog, found: Found, store: Store | None) -> None:
        if not found.objects:
            return
        if store is not None:
            store.sync(Written(found.files, {Bucket(store.root, found.number).path, layout.OBJECTS}))
        catalog.adopt([one.row() for one in found.objects], (), _WHY)
        self.report.figures["objects"] += len(found.objects)
        for one in found.objects:
            self.report.did(layout.object_path(one.digest))

    def _settle(self, catalog: RebuiltCatalog, store: Store, telling: rebuild_ledger.Telling) -> None:
        """Files that are no objects go out of the way of the next run, and so does a marker of before.

        It would have the run refuse this catalog, or sweep what lies here. Until the catalog counts as many commits as the new
        one says, no run begins.
        """
        rebuild_take.keep_changed_ledger(store, self.report)
        rebuild_take.keep_damaged(store, [path for found in self._found for path in (*found.damaged, *found.unread)])
        commits = max(catalog.commits() + 1, rebuild_take.least_commits(store))
        if rebuild_take.is_unclean(store, telling.position):
            store.renew("archive_rebuild", commits)
        catalog.reach(commits, telling.position)
