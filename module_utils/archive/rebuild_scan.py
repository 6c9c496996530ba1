# SPDX-License-Identifier: GPL-3.0-or-later
"""What one of the 256 directories of objects holds: every file read whole and compared with the digest that names it."""

from __future__ import annotations

import errno
import stat
import struct
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import ObjectRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import CopyKeyStream
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Problem
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import virtual_size
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import checked_pieces
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

_PACKED = struct.Struct(">QQQ16s")


class Scanned(t.NamedTuple):
    """An object that is what its name says. ``inode`` is that of its first file."""

    digest: bytes
    size: int
    vsize: int
    stored_size: int
    inode: int
    copy_key: bytes

    def row(self) -> ObjectRow:
        """Its row in the catalog."""
        return ObjectRow(self.digest, self.size, self.stored_size)


class Facts(t.NamedTuple):
    """What placements need to know of an object."""

    size: int
    vsize: int
    inode: int
    copy_key: bytes


class Intact:
    """The facts of a million objects in a quarter of a gigabyte."""

    def __init__(self) -> None:
        self._packed: dict[bytes, bytes] = {}

    def add(self, objects: t.Iterable[Scanned]) -> None:
        """Take what a scan found."""
        for one in objects:
            self._packed[one.digest] = _PACKED.pack(one.size, one.vsize, one.inode, one.copy_key)

    def get(self, digest: bytes) -> Facts | None:
        """The facts of an object, None when it is not there or damaged."""
        packed = self._packed.get(digest)
        return None if packed is None else Facts(*_PACKED.unpack(packed))

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._packed

    def __len__(self) -> int:
        return len(self._packed)


@dataclass(frozen=True)
class Bucket:
    """A directory of objects. ``only``: the digests to read, None for all; ``but``: those not to read."""

    root: str
    number: int
    only: t.AbstractSet[bytes] | None = None
    but: t.AbstractSet[bytes] = frozenset()

    @property
    def path(self) -> str:
        """Relative to the archive root."""
        return layout.object_dir(self.number)

    def wants(self, digest: bytes) -> bool:
        """Whether the object is to be read."""
        return digest not in self.but and (self.only is None or digest in self.only)


@dataclass
class Found:
    """What a directory holds. Paths are relative to the archive root.

    ``files``: those of the intact objects, further inodes included; ``damaged``: files that were read and are no message;
    ``unread``: what cannot be read as a file.
    """

    number: int
    objects: list[Scanned] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def scan(bucket: Bucket) -> Found:
    """Read a directory; one that is not there holds nothing. StoreError when the operating system refuses to read any of it."""
    found = Found(bucket.number)
    for name in _names(bucket.root, bucket.path):
        digest = layout.digest_of(name)
        if digest is None or digest[0] != bucket.number:
            if bucket.only is None:
                found.problems.append(Problem("foreign", f"{bucket.path}/{name}"))
        elif bucket.wants(digest):
            _take(found, bucket.root, f"{bucket.path}/{name}", digest)
    return found


def headless(root: str) -> t.Iterator[tuple[bytes, str]]:
    """The further files of objects whose own file is not there, the last one first: digest, and path relative to the root."""
    for number in range(layout.DIRECTORIES):
        directory = layout.object_dir(number)
        names = set(_names(root, directory))
        for name in sorted(names, reverse=True):
            if (digest := layout.digest_of(name)) is not None and digest.hex() not in names:
                yield digest, f"{directory}/{name}"


def _names(root: str, directory: str) -> list[str]:
    try:
        return sorted(path.name for path in Path(root, directory).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise os_failure(error, directory) from error


def _take(found: Found, root: str, path: str, digest: bytes) -> None:
    try:
        one = read(root, path, digest)
    except StoreError as error:
        code = error.details.get("errno")
        if code not in (None, errno.EIO):
            raise  # a right that is missing is no damage
        found.problems.append(Problem("object_damaged", path, error.cause))
        (found.damaged if code is None and "no_file" not in error.details else found.unread).append(path)
        return
    found.files.append(path)
    if path == layout.object_path(digest):
        found.objects.append(one)
    elif not found.objects or found.objects[-1].digest != digest:
        found.problems.append(Problem("object_alone", path))


def read(root: str, path: str, digest: bytes) -> Scanned:
    """The facts of the message in a file; StoreError when it is not that of the digest. Bounded in memory."""
    full = Path(root, path)
    try:
        facts = full.lstat()
    except OSError as error:
        raise os_failure(error, path) from error
    if not stat.S_ISREG(facts.st_mode):
        raise StoreError(path, "it is no file", "Find out who made it", no_file=True)
    key, size, vsize, before = CopyKeyStream(), 0, 0, b""
    for piece in checked_pieces(lambda: full.open("rb"), str(full), digest):
        key.update(piece)
        size += len(piece)
        # A CRLF that two pieces share looks like a line end of one byte in the second.
        vsize += virtual_size(piece) - (before == b"\r" and piece[:1] == b"\n")
        before = piece[-1:]
    return Scanned(digest, size, vsize, facts.st_size, facts.st_ino, key.digest())
