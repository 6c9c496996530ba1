# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs out of the ledger: of messages, and of what was added since an older checkpoint. ``docs/evidence.md``."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_checkpoint, evidence_tree, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import Checkpoint
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_proof import ConsistencyProof, MessageProof
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_read import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

EVENTS = ("archived", "adopted")  # what says that a message came in
_BEGINNINGS = tuple(f'{{"event":"{event}",'.encode() for event in EVENTS)
_KEY = b'"digest":"'  # not in a name, where a quote has a backslash before it
_DIGITS = 64
_NAMED = 3
_NEXT_RUN = "Run archive_run: it signs a checkpoint at its end"


@dataclass(frozen=True)
class Proven:
    """One message: its first entry in the ledger, and the proof of it. ``digest`` is in hexadecimal digits."""

    digest: str
    entry: dict[str, t.Any]
    proof: MessageProof


class Prover:
    """Makes proofs for the newest checkpoint of a ledger; EvidenceError when it has none, or does not continue it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._subject = f"{ledger.log.root}/{layout.EVIDENCE}"
        if not ledger.checkpoint:
            raise EvidenceError(self._subject, "the ledger has no checkpoint that a proof could lead to", _NEXT_RUN)
        self.checkpoint: Checkpoint = evidence_checkpoint.checkpoint_of(ledger.checkpoint)
        ledger.log.continues(ledger.checkpoint)

    def messages(self, digests: t.Sequence[str]) -> list[Proven]:
        """A proof of each; EvidenceError when the ledger does not know one, or when its entry is newer than the checkpoint."""
        found = self._find(set(digests))
        unknown = [digest for digest in digests if digest not in found]
        if unknown:
            cause = f"it has no entry of {some(unknown, _NAMED)}: no message of exactly these bytes came into the archive"
            raise EvidenceError(self._subject, cause, "Give messages as they lie in the archive; mail programs change the bytes")
        newer = [digest for digest in digests if found[digest][0] >= self.checkpoint.size]
        if newer:
            cause = f"its checkpoint is of {self.checkpoint.size:,} entries, and that of {some(newer, _NAMED)} is newer"
            raise EvidenceError(self._subject, cause, _NEXT_RUN)
        return [self._prove(digest, *found[digest]) for digest in digests]

    def _find(self, wanted: set[str]) -> dict[str, tuple[int, bytes]]:
        """The first entry of each that there is one of, with its number; no more is read than needed."""
        found: dict[str, tuple[int, bytes]] = {}
        missing = {digest.encode() for digest in wanted}
        for index, line in enumerate(self._ledger.entries() if missing else ()):
            digest = line[(start := line.find(_KEY) + len(_KEY)) : start + _DIGITS]
            if digest in missing and line.startswith(_BEGINNINGS):
                found[digest.decode()] = (index, line)
                missing.remove(digest)
                if not missing:
                    break
        return found

    def _prove(self, digest: str, index: int, line: bytes) -> Proven:
        size, read = self.checkpoint.size, self._ledger.log.read
        path = tuple(evidence_tree.inclusion(index, size, read))
        if evidence_tree.root_from_inclusion(evidence_tree.leaf_hash(line), index, size, path) != self.checkpoint.root:
            cause = f"entry {index:,} is not the one that the checkpoint speaks of: it was changed"
            raise EvidenceError(self._subject, cause, "Have archive_rebuild (what: ledger) keep what is left of the ledger")
        return Proven(digest, json.loads(line), MessageProof(line, index, path, self._ledger.checkpoint))

    def since(self, text: str) -> ConsistencyProof:
        """That the ledger of an older checkpoint is the beginning of this one; EvidenceError when it is not."""
        older = evidence_checkpoint.completed(text)
        before = evidence_checkpoint.checkpoint_of(older)
        if before.origin != self.checkpoint.origin:
            cause = f"it is of the ledger {before.origin}, but that of this archive is {self.checkpoint.origin}"
            raise EvidenceError("since", cause, "Give a checkpoint of this archive")
        self._ledger.log.continues(older)
        if before.size > self.checkpoint.size:
            cause = f"it has {before.size:,} entries, but the newest checkpoint of the archive only {self.checkpoint.size:,}"
            raise EvidenceError("since", cause, _NEXT_RUN)
        path = evidence_tree.consistency(before.size, self.checkpoint.size, self._ledger.log.read)
        return ConsistencyProof(tuple(path), older, self._ledger.checkpoint)
