# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest checkpoint of an archive, on its disk. All of them are kept where nobody on the archive host can change them."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import write_durably

CHECKPOINT = f"{layout.EVIDENCE}/checkpoint"
_LINES = 3  # origin, size, root


def newest(root: str, name: str = CHECKPOINT) -> str:
    """The newest checkpoint with its signatures, "" when there is none. Raises StoreError. A snapshot has it by another name."""
    path = Path(root, name)
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise os_failure(error, str(path)) from error


def entries_of(checkpoint: str) -> int:
    """Of how many entries a checkpoint speaks; 0 when it cannot be read, which a verification tells."""
    lines = checkpoint.split("\n")
    try:
        return evidence_note.number(lines[1]) if len(lines) >= _LINES else 0
    except ValueError:
        return 0


def checkpoint_of(note: str) -> evidence_note.Checkpoint:
    """The checkpoint in a note, its signatures unseen; EvidenceError when it is none."""
    return evidence_note.Checkpoint.parse(evidence_note.parse_note(note)[0])


def completed(text: str) -> str:
    """A checkpoint with the line ends that editors, YAML and lookups of Ansible take from its end or put there."""
    stripped = text.strip("\n")
    return f"{stripped}\n" if is_signed(stripped) else f"{stripped}\n\n"


def is_signed(checkpoint: str) -> bool:
    """Whether it has a signature, right or not."""
    return "\n\N{EM DASH} " in checkpoint


def keep(root: str, checkpoint: str) -> None:
    """Make it the newest one, durably. Raises StoreError."""
    path = f"{root}/{CHECKPOINT}"
    try:
        write_durably(path, checkpoint.encode())
    except OSError as error:
        raise os_failure(error, path) from error
