# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger against its hashes, against checkpoints that are kept elsewhere, and against what the catalog has."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import typing as t
from collections import deque
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    evidence_checkpoint,
    evidence_log,
    evidence_note,
    layout,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_read import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, StoreError

GROUP = 1_000_000  # digests that are in memory at a time
_MESSAGE = re.compile(rb'\{"event":"(?:archived|adopted)",.*"digest":"([0-9a-f]{64})"')
_DELETED = b'{"event":"deleted",'
_LOST = b'{"event":"lost",'


@dataclass(frozen=True)
class KnownElsewhere:
    """What is known elsewhere: checkpoints with their signatures, and the verifier keys that may have signed them."""

    checkpoints: t.Sequence[str] = ()
    keys: t.Sequence[str] = ()


@dataclass
class LedgerLook:
    """``run`` returns the findings. ``entries``: how many the ledger has. Raises StoreError and CatalogError."""

    root: str
    catalog: Catalog
    known: KnownElsewhere
    entries: int = 0
    _findings: list[Finding] = field(default_factory=list)

    def run(self) -> list[Finding]:
        """Look at everything, once."""
        # In this order: what a checkpoint speaks of was committed before, also by a run that goes on.
        newest = evidence_checkpoint.newest(self.root)
        position = self.catalog.evidence_position()
        self.entries = position.entries
        for name, end in evidence_log.ends(position):
            more = evidence_log.size_of(f"{self.root}/{name}") - end
            if more > 0:
                self._find("ledger_tail", name, f"it has {more:,} bytes more than the catalog knows of")
        try:
            with contextlib.closing(EvidenceLog(self.root, position, readonly=True)) as log:
                ledger = Ledger(log, newest)
                deque(ledger.checked(), maxlen=0)
                self._checkpoints(ledger)
                self._rows(ledger)
        except (EvidenceError, StoreError) as error:
            self._find("ledger", error.subject.removeprefix(f"{self.root}/"), error.cause)
        return self._findings

    def _find(self, kind: str, subject: str, detail: str = "") -> None:
        self._findings.append(Finding(kind, subject, detail))

    # Checkpoints

    def _checkpoints(self, ledger: Ledger) -> None:
        if ledger.checkpoint:
            self._checkpoint(evidence_checkpoint.CHECKPOINT, ledger.checkpoint, ledger.log)
        elif self.entries:
            self._find("ledger_tail", evidence_checkpoint.CHECKPOINT, "there is none")
        for number, note in enumerate(self.known.checkpoints, 1):
            self._checkpoint(f"the checkpoint {number} that is kept elsewhere", note, ledger.log)

    def _checkpoint(self, subject: str, note: str, log: EvidenceLog) -> None:
        try:
            if self.known.keys:
                self._signed(note)
            log.continues(note)
        except EvidenceError as error:
            self._find("ledger_forked", subject, error.cause)

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

    def _rows(self, ledger: Ledger) -> None:
        """Every message of the ledger has a row, and every row is in the ledger."""
        if not self.entries:
            return
        step = max(1, layout.DIRECTORIES // (1 + self.entries // GROUP))
        for first in range(0, layout.DIRECTORIES, step):
            told = {digest for digest in self._digests(ledger) if first <= digest[0] < first + step}
            rows = {row.digest for row in self.catalog.objects_in(first, first + step)}
            for kind, digests in (("ledger_lost", told - rows), ("ledger_untold", rows - told)):
                for digest in sorted(digests):
                    self._find(kind, layout.object_path(digest))
        for line in ledger.entries():
            if line.startswith(_DELETED):
                self._receipt(json.loads(line))
            elif line.startswith(_LOST):
                self._declared(json.loads(line))

    def _digests(self, ledger: Ledger) -> t.Iterator[bytes]:
        """What came in, as the ledger says and what waits for it."""
        waiting = (entry.encode() for _number, entry in self.catalog.evidence_waiting())
        for line in itertools.chain(ledger.entries(), waiting):
            if (found := _MESSAGE.match(line)) is not None:
                yield bytes.fromhex(found[1].decode())

    def _receipt(self, entry: dict[str, t.Any]) -> None:
        place = (entry["server"], entry["mailbox"], entry["folder"])
        if not self.catalog.has_receipt(*place, entry["uidvalidity"], entry["uid"], bytes.fromhex(entry["digest"])):
            self._find("ledger_receipt", " ".join((*place, f"{entry['uidvalidity']} {entry['uid']}")), "deleted on the server")

    def _declared(self, entry: dict[str, t.Any]) -> None:
        if not self.catalog.was_declared_lost(bytes.fromhex(entry["digest"])):
            self._find("ledger_receipt", layout.object_path(bytes.fromhex(entry["digest"])), "declared lost")


def look_at(root: str, catalog: Catalog, known: KnownElsewhere) -> tuple[list[Finding], int]:
    """The findings, and how many entries the ledger has."""
    look = LedgerLook(root, catalog, known)
    return look.run(), look.entries
