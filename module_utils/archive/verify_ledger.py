# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger against its hashes, against checkpoints that are kept elsewhere, and against what the catalog has."""

from __future__ import annotations

import itertools
import json
import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    evidence_checkpoint,
    evidence_log,
    evidence_note,
    evidence_tree,
    layout,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASH_BYTES, HASHES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, StoreError

CHUNK = 5_000  # entries that are hashed at a time
GROUP = 1_000_000  # digests that are in memory at a time
_MESSAGE = re.compile(rb'\{"event":"(?:archived|adopted)",.*"digest":"([0-9a-f]{64})"')
_DELETED = b'{"event":"deleted",'
_LOST = b'{"event":"lost",'


@dataclass(frozen=True)
class Known:
    """What is known elsewhere: checkpoints with their signatures, and the verifier keys that may have signed them."""

    checkpoints: t.Sequence[str] = ()
    keys: t.Sequence[str] = ()


@dataclass
class LedgerLook:
    """``run`` returns the findings. ``entries``: how many the ledger has. Raises StoreError and CatalogError."""

    root: str
    catalog: Catalog
    known: Known
    entries: int = 0
    _findings: list[Finding] = field(default_factory=list)

    def run(self) -> list[Finding]:
        """Look at everything, once."""
        # In this order: what a checkpoint speaks of was committed before, also by a run that goes on.
        newest = evidence_checkpoint.newest(self.root)
        position = self.catalog.evidence_position()
        self.entries = position.entries
        if self._whole(position):
            self._checkpoints(newest, position)
            self._rows(position)
        return self._findings

    def _find(self, kind: str, subject: str, detail: str = "") -> None:
        self._findings.append(Finding(kind, subject, detail))

    # The files

    def _whole(self, position: Position) -> bool:
        """Whether the files hold what is committed, entry by entry."""
        for name, end in evidence_log.ends(position):
            found = evidence_log.size_of(f"{self.root}/{name}")
            if found < end:
                self._find("ledger", name, f"it has {found:,} bytes, but {end:,} are committed")
                return False
            if found > end:
                self._find("ledger_tail", name, f"it has {found - end:,} bytes more than the catalog knows of")
        return self._hashed(position)

    def _hashed(self, position: Position) -> bool:
        if not position.entries:
            return True
        size = 0
        with Path(self.root, HASHES).open("rb") as hashes:
            for entries in self._chunks(position):
                at = evidence_tree.stored_count(size)
                wanted = evidence_tree.appended(size, entries, self._reader(hashes))
                hashes.seek(at * HASH_BYTES)
                if hashes.read(len(wanted)) != wanted:
                    self._find("ledger", ENTRIES, self._first_other(hashes, size, entries))
                    return False
                size += len(entries)
        if size != position.entries:
            self._find("ledger", ENTRIES, f"it has {size:,} entries in what is committed, the catalog says {position.entries:,}")
        return size == position.entries

    def _first_other(self, hashes: t.BinaryIO, size: int, entries: t.Sequence[bytes]) -> str:
        read = self._reader(hashes)
        for number, entry in enumerate(entries, size):
            if read(evidence_tree.stored_index(0, number)) != evidence_tree.leaf_hash(entry):
                return f"entry {number:,} is not the one that was written"
        return f"the hashes of entries from {size:,} on are not those of a tree"

    @staticmethod
    def _reader(hashes: t.BinaryIO) -> evidence_tree.Read:
        def read(index: int) -> bytes:
            hashes.seek(index * HASH_BYTES)
            return hashes.read(HASH_BYTES)

        return read

    def _chunks(self, position: Position) -> t.Iterator[list[bytes]]:
        entries: list[bytes] = []
        for line in self._lines(position):
            entries.append(line)
            if len(entries) == CHUNK:
                yield entries
                entries = []
        if entries:
            yield entries

    def _lines(self, position: Position) -> t.Iterator[bytes]:
        """The committed entries; the last one may lack a piece when somebody changed the file."""
        left = position.bytes
        with Path(self.root, ENTRIES).open("rb") as file:
            while left > 0 and (line := file.readline(left)):
                left -= len(line)
                yield line[:-1] if line.endswith(b"\n") else line

    # Checkpoints

    def _checkpoints(self, newest: str, position: Position) -> None:
        if newest:
            self._checkpoint(evidence_checkpoint.CHECKPOINT, newest, position)
        elif position.entries:
            self._find("ledger_tail", evidence_checkpoint.CHECKPOINT, "there is none")
        for number, note in enumerate(self.known.checkpoints, 1):
            self._checkpoint(f"the checkpoint {number} that is kept elsewhere", note, position)

    def _checkpoint(self, subject: str, note: str, position: Position) -> None:
        try:
            checkpoint = evidence_checkpoint.checkpoint_of(note)
            if self.known.keys:
                self._signed(note)
        except EvidenceError as error:
            self._find("ledger_forked", subject, error.cause)
            return
        if checkpoint.size > position.entries:
            told = f"it speaks of {checkpoint.size:,} entries, the ledger has {position.entries:,}: the archive was rolled back"
            self._find("ledger_forked", subject, told)
            return
        if not checkpoint.size:
            return
        with Path(self.root, HASHES).open("rb") as hashes:
            if evidence_tree.root(checkpoint.size, self._reader(hashes)) != checkpoint.root:
                told = f"the first {checkpoint.size:,} entries are not those that it speaks of"
                self._find("ledger_forked", subject, told)

    def _signed(self, note: str) -> None:
        """Raise EvidenceError unless one of the keys signed it."""
        errors = []
        for key in self.known.keys:
            try:
                evidence_note.verify(note, key)
            except EvidenceError as error:
                errors.append(error)
            else:
                return
        raise errors[0]

    # The catalog

    def _rows(self, position: Position) -> None:
        """Every message of the ledger has a row, and every row is in the ledger."""
        if not position.entries:
            return
        step = max(1, 256 // (1 + position.entries // GROUP))
        for first in range(0, 256, step):
            told = {digest for digest in self._digests(position) if first <= digest[0] < first + step}
            rows = {row.digest for row in self.catalog.objects_in(first, first + step)}
            for kind, digests in (("ledger_lost", told - rows), ("ledger_untold", rows - told)):
                for digest in sorted(digests):
                    self._find(kind, layout.object_path(digest))
        for line in self._lines(position):
            if line.startswith(_DELETED):
                self._receipt(json.loads(line))
            elif line.startswith(_LOST):
                self._declared(json.loads(line))

    def _digests(self, position: Position) -> t.Iterator[bytes]:
        """What came in, as the ledger says and what waits for it."""
        waiting = (entry.encode() for _, entry in self.catalog.evidence_waiting())
        for line in itertools.chain(self._lines(position), waiting):
            if (found := _MESSAGE.match(line)) is not None:
                yield bytes.fromhex(found[1].decode())

    def _receipt(self, entry: dict[str, t.Any]) -> None:
        place = (entry["server"], entry["mailbox"], entry["folder"])
        if not self.catalog.has_receipt(*place, entry["uidvalidity"], entry["uid"], bytes.fromhex(entry["digest"])):
            self._find("ledger_receipt", " ".join((*place, f"{entry['uidvalidity']} {entry['uid']}")), "deleted on the server")

    def _declared(self, entry: dict[str, t.Any]) -> None:
        if not self.catalog.was_declared_lost(bytes.fromhex(entry["digest"])):
            self._find("ledger_receipt", layout.object_path(bytes.fromhex(entry["digest"])), "declared lost")


def look_at(root: str, catalog: Catalog, known: Known) -> tuple[list[Finding], int]:
    """The findings, and how many entries the ledger has."""
    look = LedgerLook(root, catalog, known)
    try:
        return look.run(), look.entries
    except StoreError as error:
        return [Finding("ledger", layout.EVIDENCE, error.cause)], look.entries
    except OSError as error:
        return [Finding("ledger", layout.EVIDENCE, os_failure(error, layout.EVIDENCE).cause)], look.entries
