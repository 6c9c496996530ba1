# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a file of the archive from the disk itself, not from what the kernel remembers of it."""

from __future__ import annotations

import errno
import io
import mmap
import os
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import checked_pieces

DIRECT = "O_DIRECT"
DROPPED = "posix_fadvise(DONTNEED)"
# O_DIRECT wants memory, offsets and lengths in multiples of the device's block; the largest in use is 4096 bytes.
PIECE = 1 << 20


class Rereader:
    """Reads files below a root past the page cache. One per process: it has one buffer. ``method`` is how the last read went."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._memory = mmap.mmap(-1, PIECE)
        self.method = ""

    def pieces(self, path: str, digest: bytes) -> t.Iterator[bytes]:
        """The message in the file at ``path`` (relative to the root) in pieces; StoreError at the end for another digest.

        Read one to its end before the next is begun, except by two Rereaders.
        """
        full = f"{self._root}/{path}"
        return checked_pieces(lambda: self._open(full), full, digest)

    def _open(self, path: str) -> t.BinaryIO:
        try:
            source = _DiskFile(path, os.O_DIRECT, self._memory)
            self.method = DIRECT
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            source = _DiskFile(path, 0, self._memory)
            self.method = DROPPED
        return t.cast("t.BinaryIO", source)

    def close(self) -> None:
        """Give the buffer back."""
        self._memory.close()


class _DiskFile(io.RawIOBase):
    """A file read piece by piece into aligned memory. ``direct`` 0: the cached pages, made clean before, are dropped first."""

    def __init__(self, path: str, direct: int, memory: mmap.mmap) -> None:
        self._descriptor = -1  # the interpreter closes also what could not be opened
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | direct)
        self._memory = memory
        self._at = 0
        try:
            if not direct:
                os.fsync(self._descriptor)
                os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            self._fill(0)
        except BaseException:
            self.close()
            raise

    def _fill(self, start: int) -> None:
        self._start = start
        self._held = os.preadv(self._descriptor, [self._memory], start)

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """From the start alone, which is what the decoder of objects does."""
        if whence != os.SEEK_SET:
            raise io.UnsupportedOperation("only from the start")
        self._at = offset
        return offset

    def readinto(self, target: t.Any, /) -> int:
        within = self._at - self._start
        ended = self._held < PIECE and within >= self._held  # a piece that is not full is the last one
        if not ended and not 0 <= within < self._held:
            self._fill(self._at - self._at % PIECE)
            within = self._at - self._start
        count = max(0, min(len(target), self._held - within))
        target[:count] = self._memory[within : within + count]
        self._at += count
        return count

    def close(self) -> None:
        if not self.closed and self._descriptor >= 0:
            os.close(self._descriptor)
        super().close()
