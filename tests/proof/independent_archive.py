# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in an archive, read by docs/format-v1.md and without a line of the project: sqlite3, hashlib and zstandard only."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from tests.proof.independent_reader import Row

ARCHIVED, COPY = 1, 2
OBJECT_NAME = re.compile(r"([0-9a-f]{64})(\.[1-9][0-9]*)?")
OF_RUNS = tuple(f'INSERT INTO "{table}"' for table in ("runs", "mailbox_passes", "totals", "sqlite_sequence"))
SPECIAL = {"": "%", "cur": "%63ur", "new": "%6Eew", "tmp": "%74mp"}

SOURCES = (
    "SELECT f.server, f.mailbox, f.name, m.uidvalidity, m.uid, lower(hex(m.digest)), m.state FROM source_messages m"
    " JOIN source_folders f ON f.id = m.folder_id"
)
PLACEMENTS = (
    "SELECT u.tree, f.name, f.dir, lower(hex(p.digest)), p.internaldate, p.size, p.vsize, p.flags FROM placements p"
    " JOIN user_folders f ON f.id = p.folder_id JOIN users u ON u.id = f.user_id"
)


@dataclass
class StoredObject:
    """One message on disk; more than one inode only where hard links ran out."""

    size: int
    virtual_size: int
    stored_size: int
    inodes: set[int] = field(default_factory=set)


class Placement(NamedTuple):
    """A row of the catalog's placements: the tree, the true folder name, its directory, and what the file name says."""

    tree: str
    parts: tuple[str, ...]
    directory: str
    digest: str
    internaldate: int
    size: int
    virtual_size: int
    flags: str

    @property
    def path(self) -> str:
        """The documented path of its file, below the archive root."""
        date = max(0, self.internaldate)
        name = f"{date}.{self.digest}_0.a,S={self.size},W={self.virtual_size}:2,{''.join(sorted(self.flags))}"
        return "/".join(("mail", self.tree, *map(escaped, self.parts), "cur", name))


class Archive:
    """An archive at rest, read whole. `problems` is everything that contradicts the documented format."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        self.objects: dict[str, StoredObject] = {}
        self.sources = self.query(SOURCES)
        self.placements = [Placement(row[0], tuple(json.loads(row[1])), *row[2:]) for row in self.query(PLACEMENTS)]
        self._read_objects()
        self._check_catalogued_objects()
        self._check_placements()
        self._check_trees()

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.root / 'catalog.sqlite3'}?mode=ro", uri=True)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(self._open()) as database:
            return database.execute(statement).fetchall()

    def rows(self) -> list[Row]:
        """Every message of which the catalog says that its bytes are here."""
        return [Row(*source[:6]) for source in self.sources if source[6] in (ARCHIVED, COPY)]

    # -- objects ----------------------------------------------------------------------------------------------

    def _read_objects(self) -> None:
        decompressor = zstandard.ZstdDecompressor()
        for path in sorted((self.root / "objects").glob("*/*")):
            match = OBJECT_NAME.fullmatch(path.name)
            packed = path.read_bytes()
            raw = decompressor.decompress(packed)
            digest = hashlib.sha256(raw).hexdigest()
            self._check(match and match[1] == digest and path.parent.name == digest[:2], f"{path}: its bytes are {digest}")
            status = path.stat()
            self._check(stat.S_IMODE(status.st_mode) == 0o440, f"{path}: its mode is {stat.filemode(status.st_mode)}")
            bare = raw.count(b"\n") - raw.count(b"\r\n")
            known = self.objects.setdefault(digest, StoredObject(len(raw), len(raw) + bare, len(packed)))
            known.inodes.add(status.st_ino)

    def _check_catalogued_objects(self) -> None:
        listed = {row[0]: row[1:] for row in self.query("SELECT lower(hex(digest)), size, stored_size FROM objects")}
        on_disk = {digest: (known.size, known.stored_size) for digest, known in self.objects.items()}
        for digest in listed.keys() | on_disk.keys():
            self._check(
                listed.get(digest) == on_disk.get(digest),
                f"object {digest}: catalog {listed.get(digest)}, disk {on_disk.get(digest)}",
            )
        for row in self.rows():
            self._check(row.digest in self.objects, f"{row}: there is no such object")

    # -- trees ------------------------------------------------------------------------------------------------

    def _check_placements(self) -> None:
        for placement in self.placements:
            known = self.objects.get(placement.digest)
            path = self.root / placement.path
            if known is None or not path.is_file():
                self.problems.append(f"{placement.path}: object {known is not None}, file {path.is_file()}")
                continue
            self._check(path.stat().st_ino in known.inodes, f"{path}: it is no hard link of its object")
            self._check((known.size, known.virtual_size) == placement[5:7], f"{path}: its sizes are {known}")
            self._check(path.parent.parent == self.root / placement.directory, f"{path}: the catalog has {placement.directory}")

    def _check_trees(self) -> None:
        listed = {placement.path for placement in self.placements}
        trees = {f"mail/{row[0]}" for row in self.query("SELECT tree FROM users")}
        folders = trees | {f"{tree}/INBOX" for tree in trees} | {row[0] for row in self.query("SELECT dir FROM user_folders")}
        for place, _directories, files in os.walk(self.root / "mail"):
            here = Path(place).relative_to(self.root).as_posix()
            for name in files:
                self._check(f"{here}/{name}" in listed, f"{here}/{name}: the catalog does not know it")
            if here.endswith("/cur"):
                self._check(here.removesuffix("/cur") in folders, f"{here}: the catalog does not know the folder")

    def _check(self, holds: object, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    # -- what a second run may not touch ----------------------------------------------------------------------

    def fingerprint(self) -> dict[str, Any]:
        """Every row but those of runs and their counters, and of every object and placement its inode, size, times and mode."""
        with closing(self._open()) as database:
            rows = [line for line in database.iterdump() if not line.startswith(OF_RUNS)]
        found: dict[str, Any] = {"catalog": sorted(rows)}
        for top in ("objects", "mail"):
            for path in sorted((self.root / top).rglob("*")):
                status = path.stat()
                found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
        return found


def escaped(name: str) -> str:
    """Statements 21 to 23 of the format, written down once more."""
    if name in SPECIAL:
        return SPECIAL[name]
    kept = len(name.rstrip(" "))
    text = "".join(_percent(char) if _is_odd(char, position, kept) else char for position, char in enumerate(name))
    raw = text.encode()
    if len(raw) <= 200:
        return text
    cut = re.sub("%[0-9A-F]?\\Z", "", raw[:200].decode("utf-8", "ignore"))
    return f"{cut}%~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _is_odd(char: str, position: int, kept: int) -> bool:
    code = ord(char)
    control = code < 0x20 or 0x7F <= code <= 0x9F or code in (0x2028, 0x2029) or 0xD800 <= code <= 0xDFFF
    return control or char in "%/" or position >= kept or (position == 0 and char in ".~ ")


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
