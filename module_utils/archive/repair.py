# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair of an archive out of itself and out of backups: what is written was compared with its digest before.

An object comes from another inode of its own, from a placement that still has the bytes, or from a copy of the archive elsewhere.
Placements are links to objects again, under the names that the catalog has for them. Nothing is thrown away that could be the
last copy of a message: what the catalog does not know stays where it is, and so does a placement whose object cannot be restored.
"""

from __future__ import annotations

import os
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import OBJECT_MODE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_trees import OTHERS_WRITE
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

LOCKED_FOR = "archive_repair"
# The damage that each action mends.
_MENDS = {
    "restore_object": {"object_missing", "object_damaged", "object_mode"},
    "link_placement": {"placement_missing", "placement_other", "placement_name"},
    "set_mode": {"object_mode", "open_to_others"},
}
# Of an object, where it needs another file.
_OBJECT_KINDS = {"object_missing", "object_damaged"}


class Step(t.NamedTuple):
    """One thing to do, or that was done. ``source``: the intact file that an object comes from, "" for the rest."""

    action: str
    subject: str
    source: str = ""

    def as_data(self) -> dict[str, str]:
        """Plain data for a result."""
        return self._asdict()


@dataclass
class Repaired:
    """``steps`` were done, or would be; ``left`` is what is not as it must be afterwards."""

    found: list[Finding] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)


@dataclass
class Repair:
    """``run`` does it, once. ``backups``: roots of whole copies of this archive, the best first. ``write``: or tell only.

    Raises BusyError while the archive is in use, StoreError when its last run did not end cleanly.
    """

    root: str
    backups: t.Sequence[str]
    reporter: Reporter
    write: bool
    processes: int = 0
    result: Repaired = field(default_factory=Repaired)
    _replaced: set[tuple[int, int]] = field(default_factory=set)  # device and inode of the files that objects are restored over

    def run(self) -> Repaired:
        """Find what is wrong, repair what can be repaired, and look again."""
        with (
            Store.open(self.root, lock=LOCKED_FOR if self.write else None) as store,
            Catalog.of(self.root, readonly=True) as catalog,
        ):
            if store.dirty() is not None:
                cause = "a run goes on, or the last one did not end cleanly"
                raise StoreError(self.root, cause, "Wait, or run archive_run once, which clears up; then repair")
            result = self.result
            result.found = self._verified(sample=0)
            self._objects(store, catalog)
            self._placements(store, catalog)
            self._modes()
            if self.write and result.steps:
                store.sync()
                self.reporter.progress(f"{len(result.steps):,} steps done, looking again")
                # Bytes that were not repaired are as damaged as before; all else is compared once more.
                result.left = [one for one in result.found if one.kind == "object_damaged" and not self._mended(one)]
                result.left += [one for one in self._verified(sample=1) if one not in result.left]
            else:
                result.left = [one for one in result.found if self.write or not self._mended(one)]
        return result

    def _verified(self, sample: int) -> list[Finding]:
        wish = Wish(self.root, sample=sample, processes=self.processes, keep=False)
        return Verification(wish, self.reporter).run().findings

    def _mended(self, finding: Finding) -> bool:
        steps = self.result.steps
        if finding.kind in ("object_links", "object_size"):
            # What follows from a placement or an object that is mended.
            digest = finding.subject.rpartition("/")[2][:64]
            return any(digest in step.subject for step in steps if step.action != "set_mode")
        return any(step.subject == finding.subject and finding.kind in _MENDS[step.action] for step in steps)

    # Objects

    def _objects(self, store: Store, catalog: Catalog) -> None:
        wrong = {_digest(one.subject): one.subject for one in self.result.found if one.kind in _OBJECT_KINDS}
        placements: dict[bytes, list[str]] = defaultdict(list)
        for row, directory in catalog.placements_of(wrong):
            placements[row.digest].append(f"{self.root}/{directory}/cur/{_name(row)}")
        for digest, subject in sorted(wrong.items()):
            source = next(filter(store.intact_as(digest), self._sources(digest, placements[digest])), None)
            if source is None:
                continue
            self._did(Step("restore_object", subject, source))
            if (path := Path(self.root, subject)).exists():
                self._replaced.add(_inode(path))
            if self.write:
                copy = subject.rpartition("/")[2][65:]
                store.restore(digest, Path(source), int(copy) if copy else 0)

    def _sources(self, digest: bytes, placements: t.Sequence[str]) -> t.Iterator[str]:
        """Files that may hold the message: in the archive itself first."""
        roots = (self.root, *self.backups)
        for root in roots:
            copy = 0
            while Path(path := f"{root}/{layout.object_path(digest, copy)}").exists() or not copy:
                yield path
                copy += 1
            if root == self.root:
                yield from placements

    # Placements

    def _placements(self, store: Store, catalog: Catalog) -> None:
        """Have every placement of what was restored, and every one that was wrong, be a link to its object."""
        restored = {_digest(step.subject) for step in self.result.steps if step.action == "restore_object"}
        broken = {_digest(one.subject) for one in self.result.found if one.kind in _OBJECT_KINDS} - restored
        named = {one.subject.rpartition("/")[2]: one.subject for one in self.result.found if one.kind in _MENDS["link_placement"]}
        details = {one.detail for one in self.result.found if one.kind == "placement_name"}
        wrong = {parsed.digest for name in named if (parsed := layout.parse_placement_name(name)) is not None}
        for row, directory in catalog.placements_of((restored | wrong) - broken):
            name = _name(row)
            present = name if name not in details else self._present(directory, name)
            if name in named or present != name or row.digest in restored:
                self._link(store, row, directory, present)

    def _present(self, directory: str, name: str) -> str:
        """The name that a placement has instead of its own."""
        base = layout.base_name(name)
        with os.scandir(f"{self.root}/{directory}/cur") as entries:
            names = sorted(entry.name for entry in entries)
        return name if name in names else next(other for other in names if layout.base_name(other) == base)

    def _link(self, store: Store, row: PlacementRow, directory: str, present: str) -> None:
        name = _name(row)
        target = Path(self.root, directory, "cur", present)
        whole = present == name and target.exists() and _inode(target) not in self._replaced
        if whole and store.is_object(row.digest, target):
            return
        self._did(Step("link_placement", f"{directory}/cur/{present}"))
        if self.write:
            store.unplace(directory, present)
            store.place(row.digest, directory, name)

    # Modes

    def _modes(self) -> None:
        """Take the right to write from others, and from everybody where it is an object."""
        for finding in self.result.found:
            path = Path(self.root, finding.subject)
            if finding.kind not in _MENDS["set_mode"] or self._mended(finding) or not path.exists():
                continue
            self._did(Step("set_mode", finding.subject))
            if self.write:
                path.chmod(OBJECT_MODE if finding.kind == "object_mode" else path.stat().st_mode & 0o7777 & ~OTHERS_WRITE)

    def _did(self, step: Step) -> None:
        self.result.steps.append(step)


def _name(row: PlacementRow) -> str:
    return layout.placement_name(row.internaldate, row.digest, row.size, row.vsize, row.flags)


def _inode(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_dev, facts.st_ino


def _digest(subject: str) -> bytes:
    """Of the path of an object."""
    return bytes.fromhex(subject.rpartition("/")[2][:64])
