# SPDX-License-Identifier: GPL-3.0-or-later
"""The trees of the users against the catalog: every placement is there and is its object, and there is nothing else."""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding

OTHERS_WRITE = 0o022


@dataclass
class Trees:
    """Looks at the trees, folder by folder; ``placements`` counts those that were looked at."""

    root: str
    catalog: Catalog
    placements: int = 0
    findings: list[Finding] = field(default_factory=list)

    def folder(self, folder: UserFolder) -> None:
        """The placements of a folder, and what else is in its ``cur``."""
        cur = f"{folder.dir}/cur"
        found = self._entries(cur)
        for row in self.catalog.folder_placements(folder.id):
            self.placements += 1
            name = layout.placement_name(row.internaldate, row.digest, row.size, row.vsize, row.flags)
            here = found.get(layout.base_name(name), {})
            if not here:
                self._find("placement_missing", f"{cur}/{name}")
                continue
            present = name if name in here else min(here)
            if present != name:
                self._find("placement_name", f"{cur}/{present}", name)
            if not self._is_object(row.digest, here.pop(present)):
                self._find("placement_other", f"{cur}/{present}")
        for here in found.values():
            for name in here:
                self._find("placement_unknown", f"{cur}/{name}")

    def rest(self, known: t.Collection[UserFolder]) -> None:
        """What lies in the trees outside the folders that the catalog knows, and directories that others may write to."""
        cur = {f"{folder.dir}/cur" for folder in known}
        trees = self.catalog.trees()
        for path, directories, files in os.walk(Path(self.root, layout.MAIL)):
            relative = os.path.relpath(path, self.root)
            self._mode(relative)
            if relative == layout.MAIL:
                for name in sorted(set(directories) - trees):
                    self._find("foreign", f"{relative}/{name}")
                directories[:] = [name for name in directories if name in trees]
            if relative in cur:
                directories.clear()
                continue
            # A link to a directory is none of them, and readers of the tree would follow it.
            linked = [name for name in directories if Path(path, name).is_symlink()]
            for name in sorted([*files, *linked]):
                self._find("foreign", f"{relative}/{name}")

    def _mode(self, relative: str) -> None:
        mode = Path(self.root, relative).stat().st_mode
        if stat.S_IMODE(mode) & OTHERS_WRITE:
            self._find("open_to_others", relative, f"{stat.S_IMODE(mode):04o}")

    def _entries(self, cur: str) -> dict[str, dict[str, int]]:
        """What ``cur`` holds: name without flags -> names with them -> inode."""
        entries: dict[str, dict[str, int]] = {}
        try:
            with os.scandir(Path(self.root, cur)) as listed:
                for entry in listed:
                    entries.setdefault(layout.base_name(entry.name), {})[entry.name] = entry.inode()
        except FileNotFoundError:
            pass  # each of its placements is told to be missing
        return entries

    def _is_object(self, digest: bytes, inode: int) -> bool:
        """Whether the inode is one of the object's; an object without a file is told of elsewhere."""
        copy = 0
        while True:
            try:
                facts = os.lstat(f"{self.root}/{layout.object_path(digest, copy)}")
            except FileNotFoundError:
                return copy == 0
            if facts.st_ino == inode:
                return True
            copy += 1

    def _find(self, kind: str, subject: str, detail: str = "") -> None:
        self.findings.append(Finding(kind, subject, detail))
