# SPDX-License-Identifier: GPL-3.0-or-later
"""One of the 256 directories of objects against what the catalog says of it; and the bytes against their names."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import ObjectRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import DamagedFrameError, Decompressor
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import OBJECT_MODE, checked_pieces
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import NO_FILE, Finding
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace

# Larger messages are read in pieces, so that memory stays bounded.
WHOLE = 8 << 20


@dataclass(frozen=True)
class Directory:
    """What is to be looked at. ``placements`` counts them by digest; ``archived``: digests that messages of servers have.

    ``read``: the digests of which the bytes are read too, None for all; at ``rate`` bytes of files per second (0: as fast as it
    goes). ``owners``: who may own files. ``only``: these digests alone, for a second look.
    """

    root: str
    number: int
    rows: t.Sequence[ObjectRow]
    placements: t.Mapping[bytes, int]
    archived: t.AbstractSet[bytes]
    read: t.AbstractSet[bytes] | None
    rate: int = 0
    owners: t.AbstractSet[int] = frozenset()
    only: frozenset[bytes] | None = None

    @property
    def path(self) -> str:
        """Relative to the archive root."""
        return layout.object_dir(self.number)


@dataclass
class Looked:
    """What was found. ``bytes`` are those of the messages, ``stored`` those of the files that were read."""

    number: int = 0
    objects: int = 0
    read: int = 0
    bytes: int = 0
    stored: int = 0
    findings: list[Finding] = field(default_factory=list)


def look(directory: Directory) -> Looked:
    """Look at a directory."""
    return _Look(directory).run()


class _Look:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._decompressor = Decompressor()
        self._pace = Pace(directory.rate) if directory.rate else None
        self._looked = Looked(directory.number)
        self._copies: dict[bytes, list[str]] = defaultdict(list)

    def run(self) -> Looked:
        directory = self._directory
        foreign = self._scan()
        rows: dict[bytes, ObjectRow] = {}
        for digest, count in Counter(row.digest for row in directory.rows).items():
            if count > 1:
                self._find("object_twice", layout.object_path(digest), str(count))
        for row in directory.rows:
            rows[row.digest] = row
        for name in foreign:
            self._find("foreign", f"{directory.path}/{name}")
        for digest in sorted(self._wanted({*rows, *self._copies})):
            self._object(digest, rows.get(digest))
        for kind, digests in (("placement_lost", directory.placements.keys()), ("message_lost", directory.archived)):
            for digest in sorted(self._wanted(digests) - rows.keys()):
                self._find(kind, layout.object_path(digest))
        return self._looked

    def _wanted(self, digests: t.Iterable[bytes]) -> set[bytes]:
        only = self._directory.only
        return {digest for digest in digests if only is None or digest in only}

    def _scan(self) -> list[str]:
        """Sort the names of the directory into objects, by digest, and others, which are returned."""
        foreign: list[str] = []
        try:
            names = sorted(path.name for path in Path(self._directory.root, self._directory.path).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []  # which is told with the skeleton
        for name in names:
            digest = layout.digest_of(name)
            if digest is None or digest[0] != self._directory.number:
                foreign.append(name)
            else:
                self._copies[digest].append(name)
        return foreign

    def _object(self, digest: bytes, row: ObjectRow | None) -> None:
        directory = self._directory
        names = self._copies.get(digest, [])
        if row is None:
            for name in names:
                self._find("object_unknown", f"{directory.path}/{name}")
            return
        self._looked.objects += 1
        if digest.hex() not in names:
            self._find("object_missing", layout.object_path(digest))
        links = 0
        for name in names:
            path = f"{directory.path}/{name}"
            try:
                facts = Path(directory.root, path).lstat()
            except FileNotFoundError:  # removed since the names were read
                self._find("object_missing", path)
                continue
            links += facts.st_nlink - 1
            self._file(path, facts, digest, row)
        placed = directory.placements.get(digest, 0)
        if names and links != placed:
            told = f"it has {links:,} links in the trees, but {placed:,} placements in the catalog"
            self._find("object_links" if links < placed else "object_linked", layout.object_path(digest), told)

    def _file(self, path: str, facts: os.stat_result, digest: bytes, row: ObjectRow) -> None:
        if not stat.S_ISREG(facts.st_mode):
            self._find("object_damaged", path, NO_FILE)
            return
        if stat.S_IMODE(facts.st_mode) != OBJECT_MODE:
            self._find("object_mode", path, f"{stat.S_IMODE(facts.st_mode):04o}")
        if facts.st_uid not in self._directory.owners:
            self._find("owner", path, f"user {facts.st_uid}")
        if facts.st_size != row.stored_size and path == layout.object_path(digest):
            told = f"the catalog says that its file has {row.stored_size:,} bytes, it has {facts.st_size:,}"
            self._find("object_size", path, told)
        if self._directory.read is None or digest in self._directory.read:
            self._read(path, facts, digest, row)

    def _read(self, path: str, facts: os.stat_result, digest: bytes, row: ObjectRow) -> None:
        full = Path(self._directory.root, path)
        # In pieces what stands behind the frame is seen as well; a file of the size that was written has nothing there.
        whole = facts.st_size == row.stored_size and row.size <= WHOLE
        try:
            size = self._whole(full, digest, row.size) if whole else self._pieces(full, digest)
        except StoreError as error:
            self._find("object_damaged", path, error.cause)
            return
        if size != row.size:
            self._find("object_size", path, f"the catalog says {row.size:,} bytes, the message has {size:,}")
        self._looked.read += 1
        self._looked.bytes += size
        self._looked.stored += facts.st_size
        if self._pace is not None:
            self._pace.took(facts.st_size)

    def _whole(self, path: Path, digest: bytes, size: int) -> int:
        """The size of the message; StoreError when it is not what its name says."""
        try:
            body = self._decompressor.decompress(path.read_bytes(), size)
        except OSError as error:
            raise os_failure(error, str(path)) from error
        except DamagedFrameError:
            return self._pieces(path, digest)  # which tells whether the catalog or the frame has a wrong size
        if hashlib.sha256(body).digest() != digest:
            raise StoreError(str(path), "the object is damaged (its content has another digest)", "Run archive_repair")
        return len(body)

    @staticmethod
    def _pieces(path: Path, digest: bytes) -> int:
        return sum(map(len, checked_pieces(lambda: path.open("rb"), str(path), digest)))

    def _find(self, kind: str, subject: str, detail: str = "") -> None:
        self._looked.findings.append(Finding(kind, subject, detail))
