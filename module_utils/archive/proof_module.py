# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_proof`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    evidence_checkpoint,
    evidence_read,
    layout,
    proof_files,
    store_codec,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_note import Checkpoint
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_proof import ConsistencyProof
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.proof import Proven, Prover
from ansible_collections.mailops.kerio.plugins.module_utils.archive.proof_files import Handout, text_file
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import checked_pieces, open_object
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, StoreError

MESSAGE, PROOF, CONSISTENCY = ".eml", ".tlog-proof", "consistency.proof"
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
_ZSTD = b"\x28\xb5\x2f\xfd"  # the magic number of a frame
_UNSIGNED = (
    "The checkpoint is not signed: a proof that ends in it is worth as much as the place where the checkpoint was kept. "
    "Give archive_run a ledger_key (vault_archive_ledger_key in the inventory)"
)

Data = dict[str, t.Any]


def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    root, dest = params["root"], params["dest"]
    if not params["messages"] and params["since"] is None:
        raise InputError("messages", "there is nothing to prove", "Name messages, or give an older checkpoint as since")
    if dest:
        _check_dest(root, dest)
    given = {message: _digest_of(message) for message in params["messages"]}
    with evidence_read.opened(root) as ledger:
        prover = Prover(ledger)
        proven = prover.messages(list(dict.fromkeys(given.values())))
        grown = None if params["since"] is None else prover.since(params["since"])
    text = "" if grown is None else grown.text()
    files = [file for one in proven for file in _files(root, one)] + ([text_file(CONSISTENCY, text)] if text else [])
    settled = proof_files.settle(dest, files, check_mode=check_mode) if dest else None
    told = [_sentence(prover.checkpoint, len(proven), grown), *([settled.sentence("proofs", check_mode)] if settled else [])]
    return {
        "changed": settled is not None and settled.changed,
        "msg": "; ".join(told),
        "diff": settled.diff() if settled else None,
        "warnings": [] if evidence_checkpoint.is_signed(ledger.checkpoint) else [_UNSIGNED],
        "data": {
            "proofs": [_as_data(one, [message for message in given if given[message] == one.digest]) for one in proven],
            "tree_size": prover.checkpoint.size,
            "checkpoint": ledger.checkpoint,
            "consistency": text,
        },
    }


def _sentence(checkpoint: Checkpoint, messages: int, grown: ConsistencyProof | None) -> str:
    known = f"The ledger {checkpoint.origin} of {checkpoint.size:,} entries proves {messages:,} of the messages asked for"
    if grown is None:
        return known
    return f"{known}, and that it begins with the {evidence_checkpoint.entries_of(grown.older):,} of the older checkpoint"


def _check_dest(root: str, dest: str) -> None:
    if not dest.startswith("/"):
        raise InputError("dest", f"{dest!r} is not an absolute path", "Give a directory on the archive host")
    if Path(dest).resolve().is_relative_to(Path(root).resolve()):
        raise InputError("dest", f"{dest} lies in the archive, where nothing is written", "Give a directory elsewhere")


def _digest_of(message: str) -> str:
    """The digest that a message is known by: given, named by a file of the archive, or computed of a file of other name."""
    name = Path(message).name
    placement = layout.parse_placement_name(name)
    if placement is not None:
        return placement.digest.hex()
    if _DIGEST.fullmatch(name):
        return name.lower()
    if not message.startswith("/"):
        remedy = "Give 64 hexadecimal digits, the name of a placement, or the absolute path of a file on the archive host"
        raise InputError("messages", f"{message[:100]!r} names no message", remedy)
    try:
        return proof_files.sha256_of(_message_of(Path(message)))
    except OSError as error:
        raise os_failure(error, message) from error
    except store_codec.DamagedFrameError as error:
        raise StoreError(message, f"it cannot be decompressed ({error})", "Give an intact file") from error


def _message_of(path: Path) -> t.Iterator[bytes]:
    """The message in a file, which may be compressed as files of the archive are."""
    with path.open("rb") as file:
        compressed = file.read(len(_ZSTD)) == _ZSTD
        file.seek(0)
        yield from store_codec.Decompressor().pieces(file) if compressed else iter(lambda: file.read(proof_files.CHUNK), b"")


def _files(root: str, one: Proven) -> tuple[Handout, Handout]:
    digest = bytes.fromhex(one.digest)
    path = Path(root, layout.object_path(digest))
    message = Handout(one.digest + MESSAGE, one.digest, lambda: checked_pieces(lambda: open_object(path), str(path), digest))
    return message, text_file(one.digest + PROOF, one.proof.text())


def _as_data(one: Proven, given: list[str]) -> Data:
    return {"messages": given, "digest": one.digest, "index": one.proof.index, "entry": one.entry, "proof": one.proof.text()}
