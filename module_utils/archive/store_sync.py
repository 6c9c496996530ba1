# SPDX-License-Identifier: GPL-3.0-or-later
"""Making files durable: one syncfs for everything, or an fsync of each file and directory when syncfs has to wait for others."""

from __future__ import annotations

import ctypes
import os
import re
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

SLOW_SECONDS = 0.1
SLOW_TIMES = 3
POOL_THREADS = 4


@dataclass
class Written:
    """What must become durable: paths relative to the archive root. Picklable."""

    files: list[str] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)

    def update(self, other: Written) -> None:
        """Add what ``other`` holds."""
        self.files.extend(other.files)
        self.directories.update(other.directories)


def reports_errors(kernel: str) -> bool:
    """Whether syncfs of this Linux says that something could not be written: before 5.8 it never does (syncfs(2))."""
    numbers = re.match(r"(\d+)\.(\d+)", kernel)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (5, 8)


class Syncer:
    """Makes what any process wrote below ``root`` durable.

    syncfs waits for all dirty pages of the file system, other programs' too: 0.35 s per GB of theirs. After it was slow three
    times (``slow_times``) the rest of the run syncs file by file. The descriptor stays open for the run, because the kernel
    reports a write-back error once per open descriptor.
    """

    def __init__(self, root: str, slow_times: float = SLOW_TIMES) -> None:
        self._root = root
        self._slow_times = slow_times
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        self._syncfs: t.Callable[[int], int] | None = (
            getattr(libc, "syncfs", None) if reports_errors(os.uname().release) else None
        )
        self._slow = 0
        self._pool: ThreadPoolExecutor | None = None
        self._clock = time.monotonic

    def close(self) -> None:
        """Release the descriptor and the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def sync(self, written: Written) -> None:
        """Return once ``written`` is durable; OSError when the kernel says that it is not."""
        if self._syncfs is None or self._slow >= self._slow_times:
            self._sync_each(written)
            return
        begin = self._clock()
        if self._syncfs(self._descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), self._root)
        if self._clock() - begin > SLOW_SECONDS:
            self._slow += 1

    def _sync_each(self, written: Written) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="fsync")
        # A name is durable with its directory, so the directories come after the files that they name.
        for paths in (dict.fromkeys(written.files), sorted(written.directories)):
            for _done in self._pool.map(self._sync_path, paths):
                pass

    def _sync_path(self, path: str) -> None:
        sync_path(f"{self._root}/{path}")


def sync_path(path: str) -> None:
    """fsync a file or a directory by its path."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """``os.write`` until everything is written."""
    written = os.write(descriptor, data)
    if written < len(data):
        view = memoryview(data)
        while written < len(view):
            written += os.write(descriptor, view[written:])


def write_durably(path: str, content: bytes, mode: int = 0o640) -> None:
    """Write a small file so that it holds either the old or the new content whatever happens.

    Not for two processes at once: the temporary name is always the same, so that what a crash leaves goes with the next write.
    """
    temporary = f"{path}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    Path(temporary).replace(path)
    sync_path(str(Path(path).parent))
