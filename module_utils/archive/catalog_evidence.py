# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog's side of the ledger: how much of it is committed, and what waits to be appended to it."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import ObjectRow, Position

REPLACED = "ledger_rebuild"  # in the table meta while a rebuild replaces files of the ledger
_PAGE = 10_000


def entry(event: str, keys: t.Mapping[str, t.Any]) -> str:
    """An entry of the ledger as it is written: one line of ASCII, the event first. ``at`` is now unless it is among the keys."""
    return json.dumps({"event": event, "at": int(time.time()), **keys}, separators=(",", ":"))


class EvidenceTables(Database):
    """What is known of the ledger."""

    def note(self, event: str, **keys: t.Any) -> None:
        """Have an entry appended to the ledger by the next run. Only within a transaction: it stands and falls with it."""
        self._db.execute("INSERT INTO evidence_waiting(entry) VALUES (?)", (entry(event, keys),))

    def evidence_position(self) -> Position:
        """How much of the ledger is committed."""
        return Position(*self.row("SELECT entries, bytes FROM evidence"))

    def put_evidence_position(self, position: Position) -> None:
        """Commit what was appended. Only within a transaction, and after it is durable."""
        self._db.execute("UPDATE evidence SET entries = ?, bytes = ?", position)

    def evidence_waiting(self, most: int = -1) -> list[tuple[int, str]]:
        """(number, entry) of what waits, in order; the first ``most`` of it."""
        return [(row[0], row[1]) for row in self.rows("SELECT id, entry FROM evidence_waiting ORDER BY id LIMIT ?", (most,))]

    def evidence_waits(self) -> bool:
        """Whether anything waits."""
        return self.row("SELECT 1 FROM evidence_waiting LIMIT 1") is not None

    def evidence_arrived(self, last: int, position: Position) -> None:
        """Forget what waited up to the number ``last``: it is in the ledger, durably."""
        with self.transaction():
            self._db.execute("DELETE FROM evidence_waiting WHERE id <= ?", (last,))
            self.put_evidence_position(position)

    def place_of(self, folder_id: int) -> dict[str, str]:
        """A source folder as the ledger names it."""
        row = self.row("SELECT server, mailbox, name FROM source_folders WHERE id = ?", (folder_id,))
        return dict(zip(("server", "mailbox", "folder"), row, strict=True))

    def object_pages(self) -> t.Iterator[list[ObjectRow]]:
        """All rows of objects, some thousand at a time, so that the caller may commit in between."""
        query = f"SELECT id, digest, size, stored_size FROM objects WHERE id > ? ORDER BY id LIMIT {_PAGE}"
        last = 0
        while page := self.rows(query, (last,)):
            yield [ObjectRow(*row[1:]) for row in page]
            last = page[-1][0]

    def has_receipt(self, server: str, mailbox: str, folder: str, uidvalidity: int, uid: int, digest: bytes) -> bool:
        """Whether a message that the ledger calls deleted has its receipt; one that came back has it within a newer one."""
        query = (
            "SELECT 1 FROM receipts WHERE uidvalidity = ? AND uid = ? AND folder_id ="
            " (SELECT id FROM source_folders WHERE server = ? AND mailbox = ? AND name = ?)"
            " AND (digest = ? AND deleted IS NOT NULL OR json_extract(proof, '$.earlier') IS NOT NULL)"
        )
        return self.row(query, (uidvalidity, uid, server, mailbox, folder, digest)) is not None

    def was_declared_lost(self, digest: bytes) -> bool:
        """Whether a message that the ledger calls lost is that for the catalog too, found again or not."""
        return self.row("SELECT 1 FROM lost WHERE digest = ?", (digest,)) is not None

    def declared(self, event: str, run_id: int, owner: str, declaration: t.Any) -> None:
        """Note a declaration of the operator when it is not what the last run was given."""
        key, text = f"declared:{event}", json.dumps(declaration, sort_keys=True)
        if self.get_meta(key) != text:
            with self.transaction():
                self.put_meta(key, text)
                self.note(event, run=run_id, by=owner, declared=declaration)
