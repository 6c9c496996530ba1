# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the ledger: entries and hashes, appended to and cut back to what the catalog committed. ``docs/evidence.md``."""

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_checkpoint, evidence_tree, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, StoreError

ENTRIES = f"{layout.EVIDENCE}/entries"
HASHES = f"{layout.EVIDENCE}/hashes"
FILE_MODE = 0o640
HASH_BYTES = 32
_BROKEN = "Have archive_rebuild (what: ledger) keep what is left of it, and tell the rest anew"
_ROLLED_BACK = (
    "Find out who put older files in its place; if it was restored from a backup on purpose: archive_rebuild (what: orphans,"
    " orphans: adopt), then begin a new list of ledger_checkpoints"
)
# Restored, and grown since beyond the checkpoint, it looks the same as one that was changed.
_OTHER_ENTRIES = (
    "Keep the list of ledger_checkpoints and begin a new one, if it was restored from a backup that is older than the checkpoint;"
    " if not, run archive_verify, and have archive_rebuild (what: ledger) keep what is left of it, and tell the rest anew"
)
_OLD_CATALOG = (
    "Restore the newest catalog, or bring this one forward with archive_rebuild (what: orphans, orphans: adopt); if that changes"
    " nothing, have it keep what is left of the ledger (what: ledger)"
)


class EvidenceLog:
    """The ledger of an archive, open to be appended to. Not durable before ``Store.sync`` of ``files``; errors are StoreError."""

    files = (ENTRIES, HASHES)

    def __init__(self, root: str, position: Position, *, readonly: bool = False) -> None:
        """Open it at what the catalog committed; raises StoreError when the files hold less, or more.

        What a run that did not end cleanly appended was cut off before, see ``cut``. ``readonly``: nothing is made or
        written, and the files may hold more, which a run that goes on has not committed.
        """
        self.root = root
        self.position = position
        self._descriptors: list[int] = []
        try:
            if not Path(root, layout.EVIDENCE).is_dir():
                remedy = (
                    "Run archive_store, which makes it in an archive of an older release; else run archive_rebuild (what: ledger)"
                )
                raise StoreError(f"{root}/{layout.EVIDENCE}", "the directory of the ledger is not there", remedy)
            with self._errors():
                for name in self.files:
                    self._descriptors.append(_open_readonly(f"{root}/{name}") if readonly else _open(f"{root}/{name}"))
            self._entries, self._hashes = self._descriptors
            check(root, position, growing=readonly)
        except StoreError:
            self.close()
            raise

    @contextlib.contextmanager
    def _errors(self) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            raise os_failure(error, error.filename or f"{self.root}/{layout.EVIDENCE}") from error

    def append(self, entries: t.Sequence[bytes]) -> Position:
        """Append entries, each without its line end; return the position behind them, which is to be committed."""
        size, end = self.position
        hashes = evidence_tree.appended(size, entries, self.read)
        text = b"\n".join(entries) + b"\n" if entries else b""
        with self._errors():
            _write_at(self._entries, text, end)
            _write_at(self._hashes, hashes, evidence_tree.stored_count(size) * HASH_BYTES)
        self.position = Position(size + len(entries), end + len(text))
        return self.position

    def read(self, index: int, count: int = 1) -> bytes:
        """The stored hash of that index, or so many from there on."""
        with self._errors():
            found = os.pread(self._hashes, count * HASH_BYTES, index * HASH_BYTES)
        if len(found) < count * HASH_BYTES:
            raise StoreError(f"{self.root}/{HASHES}", f"it has no hash {index:,}", _BROKEN)
        return found

    def head(self) -> bytes:
        """The root of the tree of all entries."""
        return evidence_tree.root(self.position.entries, self.read)

    def continues(self, note: str, origin: str = "") -> None:
        """Raise EvidenceError when the tree does not begin with that of a checkpoint, or that is not of ``origin``, if given."""
        checkpoint = evidence_checkpoint.checkpoint_of(note)
        subject = f"{self.root}/{layout.EVIDENCE}"
        if origin and checkpoint.origin != origin:
            cause = f"it is the ledger {origin}, a checkpoint is of {checkpoint.origin}"
            raise EvidenceError(subject, cause, "Give each archive its own checkpoints, and find out who changed the one in it")
        if checkpoint.size > self.position.entries:
            cause = f"it has {self.position.entries:,} entries, but a checkpoint {checkpoint.size:,}: the ledger was rolled back"
            raise EvidenceError(subject, cause, _ROLLED_BACK)
        if evidence_tree.root(checkpoint.size, self.read) != checkpoint.root:
            cause = f"its first {checkpoint.size:,} entries are not those that a checkpoint speaks of: they were changed"
            raise EvidenceError(subject, cause, _OTHER_ENTRIES)

    def written(self) -> Written:
        """What is to be synced after ``append``."""
        return Written(list(self.files), {layout.EVIDENCE})

    def close(self) -> None:
        """Close the files; once is enough, twice does no harm."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


def _open_readonly(path: str) -> int:
    # Before the first run there are no files; ``check`` tells when one is gone.
    return os.open(path if Path(path).exists() else os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)


def ends(position: Position) -> tuple[tuple[str, int], ...]:
    """The files of the ledger, and how many bytes of each are committed."""
    return (ENTRIES, position.bytes), (HASHES, evidence_tree.stored_count(position.entries) * HASH_BYTES)


def check(root: str, position: Position, *, growing: bool = False) -> None:
    """Raise StoreError when the files do not end where the catalog says; ``growing``: they may end behind that."""
    for name, end in ends(position):
        path = f"{root}/{name}"
        found = size_of(path)
        if found < end:
            raise StoreError(path, f"it has {found:,} bytes, but {end:,} are committed", _BROKEN)
    if not growing:
        refuse_behind(root, position)


def refuse_behind(root: str, position: Position) -> None:
    """Raise StoreError when the files go on behind what is committed though no run goes on: then the catalog is an older one."""
    for name, end in ends(position):
        path = f"{root}/{name}"
        found = size_of(path)
        if found > end:
            told = f"it has {found:,} bytes, but the catalog knows of {end:,}: the catalog is older than the ledger"
            raise StoreError(path, told, _OLD_CATALOG)


def refuse_older(root: str, position: Position) -> None:
    """Raise StoreError when the newest checkpoint speaks of more than is committed: then the catalog is an older one.

    To be asked before anything is swept or cut by what the catalog says.
    """
    signed = evidence_checkpoint.entries_of(evidence_checkpoint.newest(root))
    if signed > position.entries:
        cause = f"it speaks of {signed:,} entries, but the catalog knows of {position.entries:,}: the catalog is older"
        raise StoreError(f"{root}/{evidence_checkpoint.CHECKPOINT}", cause, _OLD_CATALOG)


def cut(root: str, position: Position) -> list[str]:
    """Cut off what was appended and not committed; return the files that are to be synced. Raises StoreError and OSError.

    Only after an unclean end or a failed commit, and after ``refuse_older``.
    """
    touched = []
    for name, end in ends(position):
        path = f"{root}/{name}"
        if size_of(path) > end:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(descriptor, end)
            finally:
                os.close(descriptor)
            touched.append(name)
    return touched


def size_of(path: str) -> int:
    """Bytes of a file, 0 when it is not there."""
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise os_failure(error, path) from error
