# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that prove: of one message that it was archived (C2SP tlog-proof), of two checkpoints that one continues the other.

Only their form is read here, signatures are not verified and nothing is computed. ``docs/evidence.md``.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError

MESSAGE = "c2sp.org/tlog-proof@v1"
CONSISTENCY = "kerio-archive consistency 1"
_EXTRA = "extra "
_INDEX = "index "
# A checkpoint, which has no empty line but that before its signatures, an empty line, and another checkpoint.
_TWO = re.compile(r"((?:[^\n]+\n)+\n(?:[^\n]+\n)*)\n([^\n].*)", re.DOTALL)
_Value = t.TypeVar("_Value")


@dataclass(frozen=True)
class MessageProof:
    """The entry ``index`` of the ledger that the checkpoint is of."""

    entry: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: str  # with its signatures

    def text(self) -> str:
        """The file."""
        return _text((MESSAGE, _EXTRA + evidence_note.encoded(self.entry), f"{_INDEX}{self.index}"), self.path, self.checkpoint)

    @classmethod
    def parse(cls, text: str) -> MessageProof:
        """Read what ``text`` writes; EvidenceError for anything else."""
        lines, checkpoint = _parts(text, MESSAGE)
        entry = _value(lines[:1], _EXTRA, evidence_note.decoded, "the entry in base64")
        index = _value(lines[1:2], _INDEX, evidence_note.number, "the number of the entry")
        return cls(entry, index, _path(lines[2:]), _checkpoint(checkpoint))


@dataclass(frozen=True)
class ConsistencyProof:
    """The ledger of the older checkpoint is the beginning of that of the newer one."""

    path: tuple[bytes, ...]
    older: str  # both with their signatures
    newer: str

    def text(self) -> str:
        """The file."""
        return _text((CONSISTENCY,), self.path, f"{self.older}\n{self.newer}")

    @classmethod
    def parse(cls, text: str) -> ConsistencyProof:
        """Read what ``text`` writes; EvidenceError for anything else."""
        lines, checkpoints = _parts(text, CONSISTENCY)
        two = _TWO.fullmatch(checkpoints)
        if two is None:
            raise _malformed("it does not hold two checkpoints with an empty line between them")
        return cls(_path(lines), _checkpoint(two[1]), _checkpoint(two[2]))


def _malformed(cause: str) -> EvidenceError:
    return EvidenceError("proof", cause, "Take an unchanged copy of it, or have it made again")


def _text(head: t.Sequence[str], path: t.Sequence[bytes], checkpoints: str) -> str:
    return "\n".join((*head, *map(evidence_note.encoded, path), "", checkpoints))


def _parts(text: str, title: str) -> tuple[list[str], str]:
    """The lines of a proof between its title and the first empty line, and all behind that."""
    head, _blank, checkpoints = text.partition("\n\n")
    found, *lines = head.split("\n")
    if found != title:
        raise _malformed(f"its first line is not {title!r}")
    return lines, checkpoints


def _value(lines: t.Sequence[str], keyword: str, read: t.Callable[[str], _Value], what: str) -> _Value:
    """What stands behind the keyword in the only one of these lines."""
    try:
        (line,) = lines
        if not line.startswith(keyword):
            raise ValueError
        return read(line.removeprefix(keyword))
    except ValueError:
        raise _malformed(f"it has no line {keyword.strip()!r} with {what} in its place") from None


def _path(lines: t.Sequence[str]) -> tuple[bytes, ...]:
    try:
        return tuple(evidence_note.decoded(line, evidence_note.HASH_BYTES) for line in lines)
    except ValueError:
        raise _malformed(f"its path holds a line that is not the base64 of {evidence_note.HASH_BYTES} bytes") from None


def _checkpoint(note: str) -> str:
    text, _signatures = evidence_note.parse_note(note)
    evidence_note.Checkpoint.parse(text)
    return note
