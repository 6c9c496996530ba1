# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of an archive: its skeleton, and the trees of the users against the catalog.

Every placement is there and is its object, and there is nothing else; nobody but the archive's owner may change any of it.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_verify import FolderRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import inodes_of, names_in
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding

OTHERS_WRITE, GROUP_WRITES = 0o002, 0o020
# What the root holds; what an unfinished write of a small file leaves ends with .tmp.
KNOWN = {
    *(layout.FORMAT_FILE, layout.LOCK_FILE, layout.DIRTY_FILE, layout.CLOCK_FILE),
    *(layout.BACKUP, *layout.SKELETON, "lost+found"),
}
# What archive_rebuild keeps of an older catalog, and of a ledger that was damaged.
_KEPT = "|".join(map(re.escape, sorted({layout.CATALOG_FILE, *layout.LEDGER})))
ASIDE = re.compile(rf"(?:{_KEPT})\.[0-9]{{8}}T[0-9]{{6}}Z\.broken(?:-wal|-shm|-journal)?\Z")
_CATALOG = {f"{layout.CATALOG_FILE}{end}" for end in ("", "-wal", "-shm", "-journal")}


@dataclass(frozen=True)
class Rights:
    """Who may own what is in an archive, and which rights to write are too many: the root says whether its group has them."""

    owners: frozenset[int]
    excess: int

    @classmethod
    def of(cls, root: str) -> Rights:
        """Root may archive for any owner."""
        facts = Path(root).stat()
        return cls(frozenset({0, facts.st_uid}), OTHERS_WRITE | (GROUP_WRITES & ~facts.st_mode))

    def findings(self, subject: str, facts: os.stat_result) -> t.Iterator[Finding]:
        """What is wrong with a directory or a file."""
        if stat.S_IMODE(facts.st_mode) & self.excess:
            yield Finding("open_to_others", subject, f"{stat.S_IMODE(facts.st_mode):04o}")
        if facts.st_uid not in self.owners:
            yield Finding("owner", subject, f"user {facts.st_uid}")


def skeleton(root: str, rights: Rights) -> list[Finding]:
    """Directories that are not there, or that others may change; files that do not belong into them."""
    found: list[Finding] = []
    buckets = {f"{number:02x}" for number in range(layout.DIRECTORIES)}
    for name in (".", *layout.SKELETON, *(f"{layout.OBJECTS}/{bucket}" for bucket in sorted(buckets))):
        path = Path(root, name)
        if not path.is_dir():
            found.append(Finding("format", name, "the directory is not there"))
        elif name != "." and path.is_symlink():
            found.append(Finding("foreign", name))
        elif name != layout.MAIL:  # which is told with the trees
            found += rights.findings(name, path.stat())
    for name in (layout.FORMAT_FILE, layout.CATALOG_FILE):
        found += rights.findings(name, Path(root, name).stat())
    for path in sorted(Path(root, layout.EVIDENCE).glob("*")):
        found += rights.findings(f"{layout.EVIDENCE}/{path.name}", path.lstat())
    expected: dict[str, t.AbstractSet[str]] = {".": KNOWN | _CATALOG, layout.OBJECTS: buckets, layout.STAGING: set()}
    expected[layout.EVIDENCE] = layout.LEDGER
    for folder, known in expected.items():
        names = sorted(set(_names(Path(root, folder))) - known)
        found += [Finding("foreign", os.path.normpath(f"{folder}/{name}")) for name in names if not _is_expected(name)]
    return found


def _is_expected(name: str) -> bool:
    return name.endswith(".tmp") or ASIDE.match(name) is not None


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


@dataclass
class Trees:
    """Looks at the trees, folder by folder; ``placements`` counts those that were looked at."""

    root: str
    catalog: Catalog
    rights: Rights
    placements: int = 0
    findings: list[Finding] = field(default_factory=list)

    def folder(self, folder: FolderRow) -> None:
        """The placements of a folder, and what else is in its ``cur``."""
        cur = f"{folder.dir}/cur"
        found = self._entries(cur)
        count = self.placements
        for row in self.catalog.folder_placements(folder.id):
            self.placements += 1
            name = row.file_name
            here = found.get(layout.base_name(name), {})
            if row.user_id != folder.user_id:
                self._find("placement_row", f"{cur}/{name}")
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
        if self.placements > count:
            self._parts(folder.dir)

    def _parts(self, directory: str) -> None:
        """Dovecot refuses a folder without one of these; where cur is missing, so are the placements."""
        for part in layout.MAILDIR_PARTS:
            if not Path(self.root, directory, part).is_dir():
                self._find("format", f"{directory}/{part}", "the directory is not there")

    def rest(self, known: t.Collection[FolderRow]) -> None:
        """What lies in the trees outside the folders that the catalog knows, and directories that others may change."""
        cur = {f"{folder.dir}/cur" for folder in known}
        trees = self.catalog.trees()
        for path, directories, files in os.walk(Path(self.root, layout.MAIL)):
            relative = os.path.relpath(path, self.root)
            self.findings += self.rights.findings(relative, Path(path).stat())
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

    def _entries(self, cur: str) -> dict[str, dict[str, int]]:
        try:
            return names_in(f"{self.root}/{cur}")
        except (FileNotFoundError, NotADirectoryError):
            return {}  # each of its placements is told to be missing

    def _is_object(self, digest: bytes, inode: int) -> bool:
        """Whether the inode is one of the object's; an object without a file is told of elsewhere."""
        missing = True
        for known in inodes_of(self.root, digest):
            if known == inode:
                return True
            missing = False
        return missing

    def _find(self, kind: str, subject: str, detail: str = "") -> None:
        self.findings.append(Finding(kind, subject, detail))
