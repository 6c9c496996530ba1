# SPDX-License-Identifier: GPL-3.0-or-later
"""The user trees made again from an intact catalog: directories, and links to objects that were read before."""

from __future__ import annotations

import os
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, layout, rebuild_take
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rebuild import RebuiltCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_verify import FolderRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_scan import Bucket, Intact, read, scan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.spread import Spread
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import inodes_of, names_in
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

WELL, MISSING, UNLINKED = "well", "missing", "unlinked"
STEP = 5_000  # links that are made durable together


@dataclass
class Links:
    """``run`` does it, once; without the lock, in check mode, it counts what is missing and reads the objects."""

    store: Store
    pool: Spread
    reporter: Reporter
    report: Report
    check_mode: bool = False
    owner: str = ""
    _intact: Intact = field(default_factory=Intact)
    _unsynced: int = 0

    def run(self) -> None:
        """Raises StoreError and CatalogError when the archive cannot be worked on."""
        root = self.store.root
        with RebuiltCatalog.of(root, readonly=self.check_mode) as catalog:
            folders = [folder for folder in catalog.folders() if self._can_be(folder)]
            missing = self._missing(catalog, folders)
            self.report.before = f"{sum(map(len, missing.values())):,} messages without a link"
            self._read(missing)
            if not self.check_mode:
                self._make_mail()
            for number, folder in enumerate(folders, 1):
                self._folder(catalog, folder)
                self.reporter.progress(f"{number:,}/{len(folders):,} folders, {self.report.figures['links']:,} links")
                if self.reporter.stop_requested:
                    self.report.stopped = True
                    break
            self.report.changed = bool(self.report.figures["links"] or self.report.figures["directories"])
            if not self.check_mode:
                self.store.sync()
                if self.report.changed:
                    catalog.note_rebuilt("trees", self.owner, self.report.figures)

    def _can_be(self, folder: FolderRow) -> bool:
        """Whether nothing but directories lies where directories of the folder must be; what does is told."""
        parts = f"{folder.dir}/cur".split("/")
        wanted = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        in_way = [path for path in (*wanted, f"{wanted[1]}/{layout.INBOX}") if self._is_no_directory(path)]
        self.report.tell(*(Problem("in_way", path, folder.dir) for path in in_way[:1]))
        return not in_way

    def _is_no_directory(self, path: str) -> bool:
        full = Path(self.store.root, path)
        return os.path.lexists(full) and not full.is_dir()

    def _missing(self, catalog: RebuiltCatalog, folders: t.Iterable[FolderRow]) -> dict[int, set[bytes]]:
        """The objects to read before links to them are made, by their directory."""
        missing: dict[int, set[bytes]] = defaultdict(set)
        for folder in folders:
            names = self._names(folder)
            for row in catalog.folder_placements(folder.id):
                if self._state(folder, row, names)[1] in (MISSING, UNLINKED):
                    missing[row.digest[0]].add(row.digest)
        return missing

    def _read(self, missing: t.Mapping[int, set[bytes]]) -> None:
        root = self.store.root
        for found in self.pool.each(scan, [Bucket(root, number, digests) for number, digests in sorted(missing.items())]):
            self._intact.add(found.objects)
            self.report.tell(*found.problems)
            told = {problem.subject for problem in found.problems}
            gone = sorted(missing[found.number] - {one.digest for one in found.objects})
            paths = [layout.object_path(digest) for digest in gone]
            self.report.tell(*(Problem("object_missing", path) for path in paths if path not in told))
            self.reporter.progress(f"{len(self._intact):,} objects read")

    def _make_mail(self) -> None:
        """The directory of all trees, with the rights of the archive root."""
        root = self.store.root
        if not Path(root, layout.MAIL).is_dir():
            rebuild_take.complete_skeleton(root)
            self.report.figures["directories"] += 1

    def _names(self, folder: FolderRow) -> dict[str, dict[str, int]]:
        """What its ``cur`` holds, which need not be there yet."""
        try:
            return names_in(f"{self.store.root}/{folder.dir}/cur")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise filesystem.os_failure(error, folder.dir) from error

    def _state(self, folder: FolderRow, row: PlacementRow, names: t.Mapping[str, t.Mapping[str, int]]) -> tuple[str, str]:
        """The placement's name in ``cur``; WELL, MISSING, UNLINKED (a file of its own with the same bytes), or what is wrong."""
        name = row.file_name
        here = names.get(layout.base_name(name), {})
        if not here:
            return name, MISSING
        if name not in here:
            return min(here), f"the catalog has it as {name}"
        if here[name] in inodes_of(self.store.root, row.digest):
            return name, WELL
        try:
            read(self.store.root, f"{folder.dir}/cur/{name}", row.digest)
        except StoreError:
            return name, "it holds another message than its name says"
        return name, UNLINKED

    def _folder(self, catalog: RebuiltCatalog, folder: FolderRow) -> None:
        names, cur = self._names(folder), f"{folder.dir}/cur"
        known: set[str] = set()
        for row in catalog.folder_placements(folder.id):
            name, state = self._state(folder, row, names)
            known.add(name)
            if state in (MISSING, UNLINKED):
                self._link(folder, row.digest, name, replaces=state == UNLINKED)
            elif state != WELL:
                self.report.tell(Problem("placement_wrong", f"{cur}/{name}", state))
        if known:
            self._directories(folder.dir)
        strange = sorted({name for here in names.values() for name in here} - known)
        self.report.tell(*(Problem("foreign", f"{cur}/{name}") for name in strange))

    def _link(self, folder: FolderRow, digest: bytes, name: str, *, replaces: bool) -> None:
        if digest not in self._intact:
            return
        if not self.check_mode:
            if replaces:  # its bytes are those of the object, which was read
                self.store.unplace(folder.dir, name)
            self.store.place(digest, folder.dir, name)
            self._unsynced += 1
            if self._unsynced >= STEP:
                self.store.sync()
                self._unsynced = 0
        self.report.figures["links"] += 1
        self.report.did(f"{folder.dir}/cur/{name}")

    def _directories(self, directory: str) -> None:
        """Make what Dovecot needs beside ``cur``."""
        tree = "/".join(directory.split("/")[:2])
        wanted = [f"{each}/{part}" for each in (tree, f"{tree}/{layout.INBOX}", directory) for part in layout.MAILDIR_PARTS]
        missing = [path for path in wanted if not Path(self.store.root, path).is_dir()]
        if missing and not self.check_mode:
            self.store.make_folder(directory)
        self.report.figures["directories"] += len(missing)
