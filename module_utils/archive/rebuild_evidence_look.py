# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a ledger are worth that somebody or a disk has changed: which entries are as they were written."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_checkpoint, evidence_log, evidence_tree
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASH_BYTES, HASHES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import Checkpoint
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError

CHUNK = 5_000  # entries in memory at a time
NOTHING = Position(0, 0)
WHOLE, UNHASHED, DAMAGED = "whole", "unhashed", "damaged"


def chunks(root: str, until: int, stop: int = 0) -> t.Iterator[list[bytes]]:
    """The complete entries of the first ``until`` bytes, some thousand at a time; one chunk ends with the entry ``stop``."""
    path = Path(root, ENTRIES)
    chunk: list[bytes] = []
    count = 0
    try:
        with Path(path if path.exists() else os.devnull).open("rb") as file:
            while until > 0 and (line := file.readline(until)).endswith(b"\n"):
                until, count = until - len(line), count + 1
                chunk.append(line[:-1])
                if len(chunk) == CHUNK or count == stop:
                    yield chunk
                    chunk = []
    except OSError as error:
        raise os_failure(error, str(path)) from error
    if chunk:
        yield chunk


@dataclass
class Growing:
    """The tree of entries that come one after the other: of its hashes, only those that the next ones need are in memory."""

    size: int = 0
    _needed: dict[int, bytes] = field(default_factory=dict)

    def add(self, entries: t.Sequence[bytes]) -> bytes:
        """The stored hashes that these entries add."""
        first = evidence_tree.stored_count(self.size)
        added = evidence_tree.appended(self.size, entries, self._needed.__getitem__)
        self.size += len(entries)
        needed: dict[int, bytes] = {}

        def read(index: int) -> bytes:
            at = (index - first) * HASH_BYTES
            needed[index] = self._needed[index] if index < first else added[at : at + HASH_BYTES]
            return needed[index]

        evidence_tree.root(self.size, read)  # which reads what the next ones need
        self._needed = needed
        return added

    def root(self) -> bytes:
        """The root of all entries so far."""
        return evidence_tree.root(self.size, self._needed.__getitem__)


@dataclass
class Look:
    """Entries compared with their hashes. ``lines``: how far they are complete. ``vouched``: a checkpoint fits them.

    ``wrong``: an entry for which no checkpoint vouches has another hash. ``hashed``: all hashes are there and right.
    """

    lines: Position = NOTHING
    vouched: bool = False
    wrong: bool = False
    hashed: bool = True
    _unproved: Position | None = None

    @property
    def kept(self) -> Position:
        """The entries before the first one that nothing proves."""
        return self.lines if self._unproved is None else self._unproved

    def take(self, entries: t.Sequence[bytes], wanted: bytes, stored: bytes, *, hashes_gone: bool) -> None:
        """Compare the next entries, whose hashes are ``wanted``, with what is ``stored`` of them."""
        before = self.lines
        self.lines = Position(before.entries + len(entries), before.bytes + sum(map(len, entries)) + len(entries))
        if wanted == stored:
            return
        self.hashed = False
        first, end = evidence_tree.stored_count(before.entries), before.bytes
        for number, entry in enumerate(entries, before.entries):
            at = (evidence_tree.stored_index(0, number) - first) * HASH_BYTES
            leaf = stored[at : at + HASH_BYTES]
            if leaf != wanted[at : at + HASH_BYTES]:
                self.wrong = self.wrong or len(leaf) == HASH_BYTES
                if self._unproved is None and not hashes_gone:
                    self._unproved = Position(number, end)
            end += len(entry) + 1

    def vouch(self) -> None:
        """A checkpoint has the root of all lines so far: if a hash of them is another one, the hash was changed."""
        self.vouched, self.wrong, self._unproved = True, False, None


def look(root: str, until: int, checkpoint: Checkpoint | None) -> Look:
    """Look at the first ``until`` bytes of the entries. Raises StoreError."""
    path = Path(root, HASHES)
    gone = evidence_log.size_of(str(path)) < HASH_BYTES
    tree, found = Growing(), Look()
    if checkpoint is not None and not checkpoint.size:
        found.vouched = checkpoint.root == evidence_tree.EMPTY_ROOT
    try:
        with Path(os.devnull if gone else path).open("rb") as hashes:
            for entries in chunks(root, until, checkpoint.size if checkpoint else 0):
                wanted = tree.add(entries)
                found.take(entries, wanted, hashes.read(len(wanted)), hashes_gone=gone)
                if checkpoint is not None and tree.size == checkpoint.size and tree.root() == checkpoint.root:
                    found.vouch()
    except OSError as error:
        raise os_failure(error, str(path)) from error
    return found


@dataclass(frozen=True)
class Judged:
    """``state``: WHOLE; UNHASHED, the entries are whole and their hashes are not; DAMAGED. ``fits``: so does the checkpoint.

    ``ahead``: the checkpoint speaks of more entries than the catalog knows of.
    """

    state: str
    look: Look
    fits: bool
    ahead: bool


def judge(root: str, position: Position) -> Judged:
    """Compare the files with the checkpoint and with what is committed."""
    note = evidence_checkpoint.newest(root)
    checkpoint = _readable(note)
    found = look(root, position.bytes, checkpoint)
    whole = found.lines == position and not found.wrong
    ahead = checkpoint is not None and checkpoint.size > position.entries
    if whole and ahead:
        further = look(root, evidence_log.size_of(f"{root}/{ENTRIES}"), checkpoint)
        found = further if further.vouched else found
    fits = not note or found.vouched
    if whole and fits:
        return Judged(WHOLE if found.hashed else UNHASHED, found, fits, ahead)
    return Judged(DAMAGED, found, fits, ahead)


def _readable(note: str) -> Checkpoint | None:
    try:
        return evidence_checkpoint.checkpoint_of(note)
    except EvidenceError:
        return None
