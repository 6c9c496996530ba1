# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of an archive, read beside a run, or where nothing can be written: a backup that is mounted read-only."""

from __future__ import annotations

import contextlib
import itertools
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    evidence_checkpoint,
    evidence_tree,
    filesystem,
    layout,
    snapshot,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, InputError, StoreError

CHUNK_ENTRIES = 1000
_CHANGED = "Find out who changed it, then: archive_rebuild (what: ledger), which keeps what is as it was written"


@dataclass(frozen=True)
class Ledger:
    """An open ledger. ``checkpoint``: its newest one, "" when it has none."""

    log: EvidenceLog
    checkpoint: str

    def entries(self) -> t.Iterator[bytes]:
        """The committed entries in order, each without its line end. Raises EvidenceError when there are more or fewer."""
        path = Path(self.log.root, ENTRIES)
        size, left = self.log.position
        if not left:
            return  # before the first run there is no file
        count = 0
        try:
            with path.open("rb") as lines:
                for line in lines:
                    left -= len(line)
                    if left < 0 or not line.endswith(b"\n"):
                        raise _changed(self.log.root, count, "does not end where the catalog says")
                    yield line[:-1]
                    count += 1
                    if not left:
                        break
        except OSError as error:
            raise filesystem.os_failure(error, str(path)) from error
        if left or count != size:
            raise _changed(self.log.root, count, f"is the last one, but {size:,} are committed")

    def checked(self) -> t.Iterator[bytes]:
        """Like ``entries``, each compared with the hashes that are stored of it; EvidenceError for one that was changed."""
        entries = self.entries()
        size = 0
        while chunk := list(itertools.islice(entries, CHUNK_ENTRIES)):
            self._check(size, chunk)
            size += len(chunk)
            yield from chunk

    def _check(self, size: int, chunk: t.Sequence[bytes]) -> None:
        first, end = evidence_tree.stored_count(size), evidence_tree.stored_count(size + len(chunk))
        if evidence_tree.appended(size, chunk, self.log.read) == self.log.read(first, end - first):
            return
        for index, entry in enumerate(chunk, size):
            if evidence_tree.leaf_hash(entry) != self.log.read(evidence_tree.stored_index(0, index)):
                raise _changed(self.log.root, index, "is not the one that was hashed when it was written")
        raise _changed(self.log.root, size, "or one behind it has another place in the tree")


def _changed(root: str, index: int, what: str) -> EvidenceError:
    return EvidenceError(f"{root}/{ENTRIES}", f"entry {index:,} {what}: the ledger was changed", _CHANGED)


@contextlib.contextmanager
def opened(root: str) -> t.Iterator[Ledger]:
    """The ledger of the archive, or of the copy that a backup made of one. No lock. Raises StoreError, CatalogError."""
    try:
        catalog, name = _sources(root)
        # In this order: what a checkpoint speaks of was committed before.
        checkpoint = evidence_checkpoint.newest(root, name)
        with Catalog.open(catalog, readonly=True) as opened_catalog:
            position = opened_catalog.evidence_position()
        log = EvidenceLog(root, position, readonly=True)
    except OSError as error:
        raise filesystem.os_failure(error, error.filename or root) from error
    with contextlib.closing(log):
        yield Ledger(log, checkpoint)


def _sources(root: str) -> tuple[str, str]:
    """The catalog, and the name of the checkpoint that fits it; a copy has those of its snapshot."""
    if not root.startswith("/"):
        raise InputError("root", f"{root!r} is not an absolute path", "Give the archive root as an absolute path")
    if not Path(root, layout.FORMAT_FILE).exists() or not filesystem.check_format(root):
        raise StoreError(root, "it holds no archive", "Give the root of an archive, or mount its disk")
    for catalog, checkpoint in snapshot.CATALOGS:
        if Path(root, catalog).exists():
            return f"{root}/{catalog}", checkpoint
    raise StoreError(f"{root}/{layout.CATALOG_FILE}", "the archive has no catalog", "Restore the catalog from a backup")
