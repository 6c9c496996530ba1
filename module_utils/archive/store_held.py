# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of an archive hold, whatever their names and the catalog say; and the files of an object."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import DamagedFrameError, Decompressor

# What ``open_regular`` says of what is no file, and of a link.
NO_FILE = {errno.EINVAL, errno.ELOOP}
# What a disk, or a file system with checksums, says of bytes that are gone.
_ROTTEN = {errno.EIO, errno.EUCLEAN, errno.EBADMSG}
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# So many inodes of an object may be missing in a row before no more are looked for.
_GAP = 4


class Held(t.NamedTuple):
    """The whole message that a file holds. ``stored_size`` is that of the file."""

    digest: bytes
    size: int
    stored_size: int
    inode: tuple[int, int]


def open_regular(path: Path) -> t.BinaryIO:
    """Open a file to read; OSError when it is a link or anything else but a file."""
    descriptor = os.open(path, _READ)
    # Before open() has it, which refuses a directory under the number of the descriptor, and leaves that open.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return t.cast("t.BinaryIO", open(descriptor, "rb", buffering=0))  # noqa: PTH123 - the caller closes it


def held(path: Path) -> Held | None:
    """What a file holds, in bounded memory; None when that is no whole message, for sure. OSError when it cannot be told."""
    total, size = hashlib.sha256(), 0
    try:
        with open_regular(path) as source:
            facts = os.fstat(source.fileno())
            for piece in Decompressor().pieces(source):
                total.update(piece)
                size += len(piece)
    except DamagedFrameError:
        return None
    except OSError as error:
        if error.errno in _ROTTEN:
            return None
        raise
    return Held(total.digest(), size, facts.st_size, (facts.st_dev, facts.st_ino))


def object_names(root: str, digest: bytes) -> list[str]:
    """The names of an object that are there, relative to the archive root: the first one first."""
    found: list[str] = []
    missing = 0
    for copy in itertools.count():
        path = layout.object_path(digest, copy)
        missing = 0 if os.path.lexists(f"{root}/{path}") else missing + 1
        if missing > _GAP:
            return found
        if not missing:
            found.append(path)
    return found


def inodes_of(root: str, digest: bytes) -> t.Iterator[int]:
    """The inodes of the files of an object, up to the first that is missing; none when that is the object's own."""
    for copy in itertools.count():
        try:
            yield os.lstat(f"{root}/{layout.object_path(digest, copy)}").st_ino
        except (FileNotFoundError, NotADirectoryError):
            return


def names_in(cur: str) -> dict[str, dict[str, int]]:
    """What a ``cur`` holds, placements or not: name without flags -> names with them -> inode. OSError when it cannot be told."""
    names: dict[str, dict[str, int]] = {}
    with os.scandir(cur) as entries:
        for entry in entries:
            names.setdefault(layout.base_name(entry.name), {})[entry.name] = entry.inode()
    return names
