# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says to the ledger: messages with the batch that commits them, the rest and the checkpoint at its end."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_checkpoint, evidence_note
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import entry
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import MessageRow, Position
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store, Written

_ADOPTED = "it was in the archive when the ledger began"


class Evidence:
    """The ledger in a run. Raises StoreError when its files are not what the catalog committed."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self._run_id = 0
        self._log = EvidenceLog(store.root, catalog.evidence_position())
        self._began = self._log.position.entries
        self._lines: list[bytes] = []

    def close(self) -> None:
        """Close its files."""
        self._log.close()

    # Messages

    def messages(self, folder_id: int, uidvalidity: int, rows: t.Iterable[MessageRow]) -> None:
        """Say with the next batch which of these rows of one folder came into the archive, or into quarantine."""
        common = ""
        for row in rows:
            if row.digest is not None:
                common = common or self._common(folder_id, uidvalidity)
                # Put together by hand: this is done for every message of a first import.
                rest = f'"uid":{row.uid},"digest":"{row.digest.hex()}","size":{row.size},"date":{row.internaldate or 0}}}'
                self._lines.append(f'{{"event":"archived",{common}{rest}'.encode("ascii"))
            elif row.state is State.QUARANTINED:
                common = common or self._common(folder_id, uidvalidity)
                rest = f'"uid":{row.uid},"reason":{json.dumps(row.reason)}}}'
                self._lines.append(f'{{"event":"quarantined",{common}{rest}'.encode("ascii"))

    def _common(self, folder_id: int, uidvalidity: int) -> str:
        keys = {"at": int(time.time()), "run": self._run_id, **self._catalog.place_of(folder_id), "uidvalidity": uidvalidity}
        return json.dumps(keys, separators=(",", ":"))[1:-1] + ","

    def write(self, written: Written) -> Position | None:
        """Append what was said, before the sync of a batch; return what is to be committed with it, None when nothing was."""
        if not self._lines:
            return None
        position = self._log.append(self._lines)
        written.update(self._log.written())
        self._lines = []
        return position

    # The beginning and the end of a run

    def begin(self, run_id: int, owner: str, declared: t.Mapping[str, t.Any]) -> None:
        """Once the run is on record: begin the ledger of an archive that is older than it, and note what is declared anew."""
        self._run_id = run_id
        for event, declaration in declared.items():
            self._catalog.declared(event, run_id, owner, declaration)
        if self._log.position.entries == 0:
            for objects in self._catalog.object_pages():
                found = [("adopted", {"digest": row.digest.hex(), "size": row.size, "why": _ADOPTED}) for row in objects]
                self._log.append([entry(*one).encode("ascii") for one in found])
            self._settle(0)  # once, so that a crash leaves none of them out

    def seal(self, origin: str, key: str, elsewhere: t.Iterable[str] = ()) -> str:
        """Append what waited, and keep a checkpoint of all; return the newest one. A ledger without new entries stays as it is.

        ``origin``: what a new ledger is called. ``key``: PEM to sign with, "" for none. ``elsewhere``: checkpoints that are kept
        where nobody here can change them. Raises EvidenceError when the ledger does not continue one of them, or the newest one.
        """
        waiting = self._catalog.evidence_waiting()
        if waiting:
            self._log.append([text.encode("ascii") for _number, text in waiting])
            self._settle(waiting[-1][0])
        known = evidence_checkpoint.newest(self._store.root)
        for note in (*elsewhere, *([known] if known else [])):
            self._log.continues(note)
        size = self._log.position.entries
        if size == evidence_checkpoint.size_of(known) and (key == "" or evidence_checkpoint.is_signed(known)):
            return known
        named = evidence_checkpoint.origin_of(known) or evidence_note.name_of(origin)
        text = evidence_note.Checkpoint(named, size, self._log.head()).text()
        checkpoint = evidence_note.Signer(key, named).sign(text) if key else evidence_note.unsigned(text)
        evidence_checkpoint.keep(self._store.root, checkpoint)
        return checkpoint

    def _settle(self, last: int) -> None:
        self._store.sync(self._log.written())
        self._catalog.evidence_arrived(last, self._log.position)

    @property
    def grown(self) -> bool:
        """Whether this run has added anything, or something waits to be added."""
        return self._log.position.entries > self._began or bool(self._catalog.evidence_waiting())
