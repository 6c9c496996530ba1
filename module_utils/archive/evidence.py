# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says to the ledger: messages with the batch that commits them, the rest and the checkpoint at its end."""

from __future__ import annotations

import contextlib
import json
import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    evidence_checkpoint,
    evidence_log,
    evidence_note,
    layout,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import REPLACED, entry
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import EvidenceLog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, EvidenceError, StoreError

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import MessageRow, Position
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store, Written

PAGE = 10_000  # entries that waited, in memory at a time
_NAME = "ledger_name"
_ADOPTED = "it was in the archive when the ledger began"


def refuse_unfinished(store: Store, catalog: Catalog) -> None:
    """Raise StoreError when a rebuild of the ledger was cut short: its files may be of two ledgers, and are not to be cut."""
    if catalog.get_meta(REPLACED) is not None:
        cause = "a rebuild of the ledger did not come to its end"
        raise StoreError(f"{store.root}/{layout.EVIDENCE}", cause, "Run archive_rebuild (what: ledger) again")


class Evidence:
    """The ledger in a run. Raises StoreError when its files are not what the catalog committed."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self._run_id = 0
        self._log = EvidenceLog(store.root, catalog.evidence_position())
        self._began = self._log.position.entries
        self._lines: list[bytes] = []
        self._told = Ledger()
        self._name = ""
        self._problem = ""

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

    def say(self, event: str, **keys: t.Any) -> None:
        """Say something else with the next batch."""
        self._lines.append(entry(event, {"run": self._run_id, **keys}).encode("ascii"))

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

    def begin(self, run_id: int, ledger: Ledger) -> str:
        """Once the run is on record: note what is declared anew, and begin the ledger of an archive that is older than it.

        Return what is wrong with the ledger, "" when it continues all its checkpoints; then ``seal`` makes a new one.
        """
        self._run_id, self._told = run_id, ledger
        for event, declaration in ledger.declared.items():
            self._catalog.declared(event, run_id, ledger.owner, declaration)
        try:
            self._compare(ledger)
        except EvidenceError as error:
            self._problem = str(error)
        if self._log.position.entries == 0 and self._catalog.totals().objects:
            for objects in self._catalog.object_pages():
                found = [("adopted", {"digest": row.digest.hex(), "size": row.size, "why": _ADOPTED}) for row in objects]
                self._log.append([entry(*one).encode("ascii") for one in found])
            self._settle(0)  # once, so that a crash leaves none of them out
        return self._problem

    def _compare(self, ledger: Ledger) -> None:
        """Find the name of the ledger, and raise EvidenceError unless it continues what is known of it."""
        newest = evidence_checkpoint.newest(self._store.root)
        try:
            named = evidence_checkpoint.checkpoint_of(newest).origin if newest else ""
        except EvidenceError as error:
            remedy = "Put the last one that is kept elsewhere in its place, or remove it: the next run writes a new one"
            raise EvidenceError(f"{self._store.root}/{evidence_checkpoint.CHECKPOINT}", error.cause, remedy) from error
        elsewhere = [evidence_checkpoint.checkpoint_of(note).origin for note in ledger.elsewhere[-1:]]
        # The file in the archive is the least that is to be believed.
        known = (self._catalog.get_meta(_NAME), *elsewhere, named, evidence_note.name_of(ledger.origin))
        self._name = next(name for name in known if name)
        for note in (*ledger.elsewhere, *([newest] if newest else [])):
            self._log.continues(note, self._name)

    def seal(self) -> str:
        """Append what waited, and keep a checkpoint of all; return the newest one, "" when the ledger is not what it must be.

        A ledger without new entries stays as it is.
        """
        while waiting := self._catalog.evidence_waiting(PAGE):
            self._log.append([text.encode("ascii") for _number, text in waiting])
            self._settle(waiting[-1][0])
        if self._problem:
            return ""
        known = evidence_checkpoint.newest(self._store.root)
        signer = evidence_note.Signer(self._told.key, self._name) if self._told.key else None
        size = self._log.position.entries
        if size == evidence_checkpoint.entries_of(known) and (signer is None or _signed_by(known, signer)):
            return known
        if self._catalog.get_meta(_NAME) is None:
            self._catalog.set_meta(_NAME, self._name)
        text = evidence_note.Checkpoint(self._name, size, self._log.head()).text()
        checkpoint = signer.sign(text) if signer else evidence_note.unsigned(text)
        evidence_checkpoint.keep(self._store.root, checkpoint)
        return checkpoint

    def seal_after(self, error: ArchiveToolError) -> None:
        """The same after an error that ends the run: of what was committed. Nothing is said when that fails as well."""
        with contextlib.suppress(ArchiveToolError, OSError):
            self._log.close()
            self._lines = []
            position = self._catalog.evidence_position()
            evidence_log.cut(self._store.root, position)
            self._log = EvidenceLog(self._store.root, position)
            error.details["checkpoint"] = self.seal()

    def _settle(self, last: int) -> None:
        self._store.sync(self._log.written())
        self._catalog.evidence_arrived(last, self._log.position)

    @property
    def owner(self) -> str:
        """Who has the run done."""
        return self._told.owner

    @property
    def grown(self) -> bool:
        """Whether this run has added anything, or something waits to be added."""
        return self._log.position.entries > self._began or self._catalog.evidence_waits()


def _signed_by(note: str, signer: evidence_note.Signer) -> bool:
    try:
        evidence_note.verify(note, signer.verifier_key)
    except EvidenceError:
        return False
    return True
