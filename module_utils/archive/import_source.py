# SPDX-License-Identifier: GPL-3.0-or-later
"""The other archive: its catalog as it is at one instant, the bytes of its messages, its ledger. Only read, without a lock."""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    evidence_checkpoint,
    evidence_log,
    filesystem,
    layout,
    snapshot,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_import import HeldCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import encoded
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store, Stored
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import object_names, open_regular
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import checked_pieces, kept
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, InputError, StoreError

IN_MEMORY = 4 << 20  # bytes; a larger message is read twice
_REPAIR = "Repair the other archive (archive_repair) or take another copy of it, then import again: the rest is here"


class UnreadableError(StoreError):
    """A message of the other archive cannot be had, whatever else can."""


@dataclass(frozen=True)
class Head:
    """The ledger of the other archive: what it calls itself, how many entries it has, and the root of their tree (base64)."""

    origin: str
    entries: int
    root: str

    @property
    def text(self) -> str:
        """As entries of our ledger name it."""
        return f"{self.origin}, {self.entries} entries, root {self.root}"


@dataclass(frozen=True)
class Body:
    """A message that was read whole and compared with its digest. ``content`` is None for one that is read again."""

    path: Path
    digest: bytes
    size: int
    date: int
    content: bytes | None

    def put(self, store: Store) -> Stored:
        """Store it with the date of its file; raises UnreadableError when it changed meanwhile."""
        if self.content is not None:
            return store.put(self.content, self.date)
        return store.put_stream(_pieces(self.path, self.digest), self.size, self.date)


class OtherArchive:
    """Open; context manager. ``unfinished``: a run goes on there, or did not end cleanly."""

    def __init__(self, root: str) -> None:
        if not Path(root, layout.FORMAT_FILE).is_file() or not filesystem.check_format(root):
            raise InputError(f"source: {root}", "it holds no archive", "Mount it, or name the folder that holds the file format")
        self.root = root
        path, self._checkpoint = _catalog_of(root)
        self.catalog = HeldCatalog.open(path, readonly=True)
        try:
            self.catalog.hold()
            self.unfinished = Path(root, layout.DIRTY_FILE).exists()
            if not self.unfinished:
                # What the ledger speaks of and the catalog does not know would be left behind.
                evidence_log.refuse_behind(root, self.catalog.evidence_position())
        except BaseException:
            self.catalog.close()
            raise

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; nothing of it was written."""
        self.catalog.close()

    def head(self) -> Head:
        """Of the ledger as far as the catalog knows it; raises StoreError when it is damaged."""
        position = self.catalog.evidence_position()
        with contextlib.closing(EvidenceLog(self.root, position, readonly=True)) as log:
            root = encoded(log.head()) if position.entries else ""
        origin = self.root
        with contextlib.suppress(EvidenceError):
            origin = evidence_checkpoint.checkpoint_of(evidence_checkpoint.newest(self.root, self._checkpoint)).origin
        return Head(origin, position.entries, root)

    @functools.cached_property
    def origins(self) -> dict[str, Counter[int]]:
        """What filed the placements: how many of which user. It takes a look at all of them."""
        return self.catalog.origins()

    # Bytes

    def _files(self, digest: bytes, placed: str) -> list[Path]:
        names = [*object_names(self.root, digest), *([placed] if placed else [])]
        return [Path(self.root, name) for name in names]

    def has(self, digest: bytes, placed: str = "") -> bool:
        """Whether there is a file of the message; ``placed``: a placement of it, relative to the root. It is not read."""
        return any(map(os.path.lexists, self._files(digest, placed)))

    def read(self, digest: bytes, placed: str = "") -> Body:
        """The message, out of the first of its files that is whole; UnreadableError when none is."""
        failed: StoreError | None = None
        for path in self._files(digest, placed):
            try:
                return _body(path, digest)
            except StoreError as error:
                failed = failed or error
        path = Path(self.root, layout.object_path(digest))
        cause = failed.cause if failed else "the object is not there"
        raise UnreadableError(str(path), cause, _REPAIR)

    def pieces(self, digest: bytes) -> t.Iterator[bytes]:
        """The message in pieces; raises UnreadableError, for another digest at the end."""
        return _pieces(Path(self.root, layout.object_path(digest)), digest)


def _catalog_of(root: str) -> tuple[str, str]:
    """The catalog, and the name of the checkpoint that fits it; a copy by a backup has those of its snapshot."""
    for catalog, checkpoint in snapshot.CATALOGS:
        # SQLite cannot read what was not written back to the file where it may not write beside it.
        if Path(root, catalog).is_file() and (os.access(root, os.W_OK) or not Path(root, f"{catalog}-wal").exists()):
            return f"{root}/{catalog}", checkpoint
    remedy = "Run backup.yml on its host before you copy it or take a snapshot of it"
    raise StoreError(f"{root}/{layout.CATALOG_FILE}", "the other archive has no catalog that can be read as it is", remedy)


def _body(path: Path, digest: bytes) -> Body:
    size, held = kept(_pieces(path, digest), IN_MEMORY)
    try:
        date = int(path.stat().st_mtime)
    except OSError as error:
        raise filesystem.os_failure(error, str(path)) from error
    return Body(path, digest, size, date, None if held is None else b"".join(held))


def _pieces(path: Path, digest: bytes) -> t.Iterator[bytes]:
    try:
        yield from checked_pieces(lambda: open_regular(path), str(path), digest)
    except StoreError as error:
        raise UnreadableError(error.subject, error.cause, _REPAIR) from error
