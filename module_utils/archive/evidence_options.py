# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules that write the ledger of an archive (fragment ``ledger``)."""

from __future__ import annotations

import socket
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_checkpoint, evidence_note
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.errors import EvidenceError, InputError

Data = t.Mapping[str, t.Any]

# For a module that reads the ledger alone.
CHECKPOINTS: dict[str, t.Any] = {"ledger_checkpoints": {"type": "list", "elements": "str", "default": []}}
ARGUMENTS: dict[str, t.Any] = {
    "ledger_key": {"type": "str", "no_log": True},
    "ledger_origin": {"type": "str"},
    **CHECKPOINTS,
}


def secrets_of(params: Data) -> list[str]:
    """The key, and its lines: they are shown one by one when a text with line ends is quoted."""
    key = params["ledger_key"] or ""
    return [key, *(line for line in key.splitlines() if line and not line.startswith("-"))] if key else []


def ledger_of(params: Data, owner: str, declared: t.Mapping[str, t.Any] | None = None) -> Ledger:
    """What concerns the ledger; raises ``InputError`` for a key or a checkpoint that cannot be used."""
    origin = evidence_note.name_of(params["ledger_origin"] or f"{socket.gethostname()}{params['root']}")
    key = params["ledger_key"] or ""
    if key:
        evidence_note.Signer(key, origin)
    elsewhere = [evidence_checkpoint.completed(note) for note in params["ledger_checkpoints"]]
    for number, note in enumerate(elsewhere, 1):
        try:
            evidence_checkpoint.checkpoint_of(note)
        except EvidenceError as error:
            remedy = "Give checkpoints as archive_run returned them"
            raise InputError(f"ledger_checkpoints, entry {number}", error.cause, remedy) from error
    return Ledger(origin, key, owner, declared or {}, elsewhere)
