# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repair has to know before it plans: which files hold which messages, in the archive and in backups. It only reads."""

from __future__ import annotations

import os
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_repair import Placed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_heard import unheard
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_plan import ROWS, Facts, Source, Unreadable, wanted_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import Held, held, object_names
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding

_PLACEMENT_KINDS = {"placement_missing", "placement_other", "placement_name", "placement_unknown"}
_STRAYS = {"object_unknown", "foreign"}
Inode = tuple[int, int]


@dataclass
class Survey:
    """Looks, once. ``backups``: roots of copies of the archive, the best first."""

    root: str
    catalog: Catalog
    backups: t.Sequence[str]
    _held: dict[str, Held] = field(default_factory=dict)
    _by_inode: dict[Inode, Held | None] = field(default_factory=dict)
    _unreadable: dict[str, Unreadable] = field(default_factory=dict)

    def facts(self, findings: t.Sequence[Finding]) -> Facts:
        """What the findings call for."""
        lost = set(self.catalog.lost())
        wanted = wanted_of(findings, lost)
        rows_asked = _digests(findings, ROWS) - wanted.keys()
        linked = _digests(findings, {"object_linked"})
        self._read_all(findings, {*wanted, *rows_asked, *linked}, wanted)
        inside = {one.digest for one in self._held.values()}
        sources = self._sources({*wanted, *rows_asked}, findings)
        missing = {digest for digest in wanted if not sources[digest]}
        concerned = (wanted.keys() - missing) | (_digests(findings, _PLACEMENT_KINDS) - wanted.keys())
        placements = self.catalog.placements_of(concerned)
        return Facts(
            wanted=wanted,
            sources=sources,
            inodes={digest: self._inodes(digest, digest in wanted) for digest in concerned},
            rows=self.catalog.object_rows({*wanted, *rows_asked}),
            placements=placements,
            names=self._names(placements),
            on_servers=self.catalog.on_servers(missing),
            lost=lost,
            kept=self._kept(wanted),
            unheard=unheard(self.root, self.catalog, inside),
            twins=self._twins(linked - wanted.keys()),
            taken={one.subject for one in findings if one.kind == "format" and os.path.lexists(f"{self.root}/{one.subject}")},
            unreadable=[one for one in self._unreadable.values() if missing & {one.digest} or (missing and one.digest is None)],
        )

    # Files of the archive

    def _read_all(self, findings: t.Sequence[Finding], digests: t.Iterable[bytes], wanted: t.Collection[bytes]) -> None:
        for digest in digests:
            self._read(*_object_names(self.root, digest))
        self._read(*(one.subject for one in findings if one.kind in _PLACEMENT_KINDS or one.subject.startswith(layout.STAGING)))
        self._read(*self._named(wanted))
        # What came to light under another name has an object of its own, or has none.
        self._read(*(name for inside in list(self._held.values()) for name in object_names(self.root, inside.digest)))

    def _named(self, digests: t.Collection[bytes]) -> list[str]:
        """The files of all trees that are called after one of the digests, whatever the catalog knows of them."""
        found: list[str] = []
        for folder, _folders, files in os.walk(Path(self.root, layout.MAIL), onerror=self._note) if digests else ():
            relative = os.path.relpath(folder, self.root)
            parsed = ((name, layout.parse_placement_name(name)) for name in files)
            found += [f"{relative}/{name}" for name, parts in parsed if parts is not None and parts.digest in digests]
        return found

    def _read(self, *paths: str) -> None:
        for path in paths:
            if path not in self._held and (inside := self._once(path)) is not None:
                self._held[path] = inside

    def _once(self, name: str) -> Held | None:
        """Read an inode once, under however many names it goes."""
        path = Path(self.root, name)
        try:
            facts = path.lstat()
            inode = (facts.st_dev, facts.st_ino)
            if inode not in self._by_inode:
                self._by_inode[inode] = held(path)
        except OSError as error:
            self._note(error, path, Finding("", name).digest)
            return None
        return self._by_inode[inode]

    def _note(self, error: OSError, path: Path | None = None, digest: bytes | None = None) -> None:
        """What is not there holds nothing; of what cannot be read that cannot be told."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            name = str(path or error.filename)
            self._unreadable[name] = Unreadable(digest, name, error.strerror or str(error))

    def _sources(self, digests: t.Iterable[bytes], findings: t.Sequence[Finding]) -> dict[bytes, list[Source]]:
        """Whole files: of the archive, and for what it has nowhere under its name, under others, or in a backup."""
        sources = {digest: self._own(digest) for digest in digests}
        missing = [digest for digest, own in sources.items() if not own]
        strays = self._strays(findings) if missing else {}
        for digest in missing:
            sources[digest] = strays.get(digest) or self._in_backups(digest)
        return sources

    def _own(self, digest: bytes) -> list[Source]:
        """Objects first, then placements, then what lies elsewhere."""
        holds = [path for path, inside in self._held.items() if inside.digest == digest]
        own = [_source(path, self._held[path], foreign=_is_foreign(path)) for path in holds]
        named = set(object_names(self.root, digest))
        own.sort(key=lambda one: (one.path not in named, not one.path.startswith(f"{layout.OBJECTS}/"), one.path))
        return own

    def _strays(self, findings: t.Iterable[Finding]) -> dict[bytes, list[Source]]:
        """What lies below objects without belonging there."""
        strays: dict[bytes, list[Source]] = defaultdict(list)
        for finding in findings:
            if finding.kind in _STRAYS and finding.subject.startswith(f"{layout.OBJECTS}/"):
                for name in self._below(finding.subject):
                    if (inside := self._once(name)) is not None:
                        strays[inside.digest].append(_source(name, inside, foreign=True))
        return strays

    def _below(self, subject: str) -> t.Iterator[str]:
        """The files of a directory, or the file."""
        top = Path(self.root, subject)
        if top.is_symlink() or not top.is_dir():
            yield subject
            return
        for folder, _folders, files in os.walk(top, onerror=self._note):
            yield from (os.path.relpath(f"{folder}/{name}", self.root) for name in sorted(files))

    def _in_backups(self, digest: bytes) -> list[Source]:
        for backup in self.backups:
            for name in _object_names(backup, digest):
                path = Path(backup, name)
                try:
                    inside = held(path)
                except OSError as error:
                    self._note(error, path, digest)
                    continue
                if inside is not None and inside.digest == digest:
                    return [_source(str(path.absolute()), inside, foreign=True)]
        return []

    def _kept(self, wanted: t.Container[bytes]) -> set[str]:
        """Files in staging that hold what is nowhere else."""
        staged = {path: one.digest for path, one in self._held.items() if path.startswith(f"{layout.STAGING}/")}
        elsewhere = {one.digest for path, one in self._held.items() if path not in staged}
        return {path for path, digest in staged.items() if digest not in elsewhere and digest not in wanted}

    def _whole(self, digest: bytes) -> list[str]:
        """The names under which an object is whole, of one whose names were read."""
        names = object_names(self.root, digest)
        return [name for name in names if name in self._held and self._held[name].digest == digest]

    def _twins(self, digests: t.Iterable[bytes]) -> list[str]:
        """Second names of an inode that is an object's already."""
        found: list[str] = []
        for digest in sorted(digests):
            seen: set[Inode] = set()
            for name in self._whole(digest):
                inode = self._held[name].inode
                found += [name] if inode in seen else []
                seen.add(inode)
        return found

    def _inodes(self, digest: bytes, read: bool) -> set[Inode]:
        """The inodes of an object; of one that was not found whole by others (``read``) those that are."""
        if read:
            return {self._held[name].inode for name in self._whole(digest)}
        names = object_names(self.root, digest)
        return {inode for name in names if (inode := _inode(Path(self.root, name))) is not None}

    # Placements

    def _names(self, placements: t.Iterable[Placed]) -> dict[str, dict[str, Inode]]:
        """Under which names placements are there. A folder that is not there has none."""
        by_folder: dict[str, list[Placed]] = defaultdict(list)
        for row in placements:
            by_folder[row.directory].append(row)
        found: dict[str, dict[str, Inode]] = {}
        for directory, rows in by_folder.items():
            bases: dict[str, dict[str, Inode]] = {layout.base_name(row.name): {} for row in rows}
            for name, inode in _entries(Path(self.root, directory, "cur")):
                if (base := layout.base_name(name)) in bases:
                    bases[base][name] = inode
            found.update((row.path, bases[layout.base_name(row.name)]) for row in rows)
        return found


def _digests(findings: t.Iterable[Finding], kinds: t.AbstractSet[str]) -> set[bytes]:
    found = (finding.digest for finding in findings if finding.kind in kinds)
    return {digest for digest in found if digest is not None}


def _object_names(root: str, digest: bytes) -> list[str]:
    """The first one in any case: one that may not be seen does not seem to be there."""
    return object_names(root, digest) or [layout.object_path(digest)]


def _is_foreign(path: str) -> bool:
    """Whether it lies in staging and nothing of the archive put it there, so that it stays."""
    return path.startswith(f"{layout.STAGING}/") and not layout.is_staged(path)


def _source(path: str, inside: Held, *, foreign: bool = False) -> Source:
    return Source(path, inside.size, inside.stored_size, inside.inode, foreign)


def _entries(folder: Path) -> t.Iterator[tuple[str, Inode]]:
    try:
        with os.scandir(folder) as listed:
            device = folder.stat().st_dev
            for entry in listed:
                yield entry.name, (device, entry.inode())
    except (FileNotFoundError, NotADirectoryError):
        return


def _inode(path: Path) -> Inode | None:
    try:
        facts = path.lstat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
