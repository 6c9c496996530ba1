# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects and placements on disk."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field


class Stored(t.NamedTuple):
    """One object. ``created``: this call wrote the file, so the batch must carry an ``ObjectRow`` for it (also when the message
    fails later). ``stored_size`` is the compressed size, ``vsize`` the size with every line end as CRLF."""

    digest: bytes
    size: int
    vsize: int
    stored_size: int
    created: bool
    copy_key: bytes


@dataclass
class Written:
    """What must become durable: paths relative to the archive root. Picklable; ``update`` merges."""

    files: list[str] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)

    def update(self, other: Written) -> None:
        """Add what ``other`` holds."""
        self.files.extend(other.files)
        self.directories.update(other.directories)


class Store:
    """An open archive root. One per process; descriptors must not be used across fork, so open it after."""

    root: str
    damaged: list[str]  # object paths that were found damaged and replaced

    @classmethod
    def create(cls, root: str, *, owner: int = -1, group: int = -1, mode: int = 0o2750) -> Store:
        """Make the archive root (or complete it) and open it without the lock."""
        raise NotImplementedError

    @classmethod
    def open(cls, root: str, *, lock: str | None = None, reserve: int = 0) -> Store:
        """Open an existing root. ``lock``: what the holder is doing ("archive_run"); None: no lock. Raises BusyError.

        ``reserve``: bytes that must stay free. Raises StoreError."""
        raise NotImplementedError

    def close(self) -> None:
        """Release descriptors and the lock."""
        raise NotImplementedError

    def begin(self, run: str) -> None:
        """Write the dirty marker (durable). After ``store_sweep.recover``, before the first put."""
        raise NotImplementedError

    def end(self) -> None:
        """Remove the dirty marker: everything is committed. Only at a clean end."""
        raise NotImplementedError

    def put(self, body: bytes | bytearray | memoryview, internaldate: int) -> Stored:
        """Store the exact bytes; not durable before ``sync``."""
        raise NotImplementedError

    def put_stream(self, chunks: t.Iterable[bytes | memoryview], size: int, internaldate: int) -> Stored:
        """Like ``put`` for what does not fit memory; ``chunks`` must add up to ``size``, else StoreError and nothing stays."""
        raise NotImplementedError

    def place(self, digest: bytes, directory: str, name: str) -> bool:
        """Link the object as ``<directory>/cur/<name>``; ``directory`` is ``UserFolder.dir`` (made when absent).

        Return False when that name exists and is the same content. Decide placements in ONE process (the committer), against the
        catalog: two processes that file the same digest with other dates make two names."""
        raise NotImplementedError

    def unplace(self, directory: str, name: str) -> bool:
        """Remove a link that is not committed (a copy, a duplicate); False when it is not there."""
        raise NotImplementedError

    def take_written(self) -> Written:
        """What this Store wrote since the last call; workers hand it to the committer with the batch."""
        raise NotImplementedError

    def sync(self, written: Written) -> None:
        """Make ``written`` and what this Store itself wrote durable; raises StoreError, and then nothing may be committed."""
        raise NotImplementedError

    def read(self, digest: bytes) -> bytes:
        """The message's bytes, digest checked; StoreError when the object is absent or damaged."""
        raise NotImplementedError

    def read_chunks(self, digest: bytes) -> t.Iterator[bytes]:
        """Like ``read``, bounded in memory; raises at the end when the digest does not match."""
        raise NotImplementedError

    def has(self, digest: bytes) -> bool:
        """Whether the object's file is there (its content is not checked)."""
        raise NotImplementedError
