# SPDX-License-Identifier: GPL-3.0-or-later
"""The two catalogs of an import: that of the other archive as it was at one instant, and ours, which takes its rows."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import STAYS_KNOWN, Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import marks
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_receipts import StoredReceipt
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    MESSAGE_COLUMNS,
    Batch,
    ObjectRow,
    PlacementRow,
    Position,
    StoredMessage,
    UserStep,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError

_FIGURES = "uidvalidity, uidnext, messages, highestmodseq, rules, complete"
_PUT_MESSAGE = (
    f"INSERT INTO source_messages(folder_id, {MESSAGE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT(folder_id, uidvalidity, uid) DO UPDATE SET state = excluded.state, run_id = excluded.run_id,{STAYS_KNOWN},"
    " flags = excluded.flags, reason = excluded.reason, attempts = excluded.attempts"
)
_LOOK_AGAIN = "UPDATE folder_routes SET complete = 0 WHERE folder_id = ? AND complete"
_PUT_RECEIPT = (
    "INSERT INTO receipts(folder_id, uidvalidity, uid, digest, size, planned, deleted, run_id, proof)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(folder_id, uidvalidity, uid) DO NOTHING"
)


@dataclass(frozen=True)
class Route:
    """How far a way of filing has come in a folder. Those that are not complete look at all that is stored there."""

    name: str
    complete: bool
    rules: str
    reconciled: int
    due: int


class HeldCatalog(Catalog):
    """A catalog that is only read, and all of it as it is at the first question, whoever writes meanwhile."""

    def hold(self) -> None:
        """Begin; it ends with the connection."""
        with self._errors():
            self._db.execute("BEGIN")
            self._db.execute("SELECT count(*) FROM users").fetchone()

    def _refresh(self) -> None:
        # As a file that nobody writes it has no view of an instant.
        if not self._as_opened():
            cause = "somebody wrote to it while it was read"
            raise CatalogError(self.path, cause, "End the runs of this archive, then import again: what was taken stays")

    def origins(self) -> dict[str, Counter[int]]:
        """What filed the placements: how many of which user."""
        found: dict[str, Counter[int]] = {}
        for origin, user_id, count in self.rows("SELECT origin, user_id, count(*) FROM placements GROUP BY origin, user_id"):
            found.setdefault(origin, Counter())[user_id] = count
        return found

    def digests_of(self, users: t.Iterable[int], origins: t.Sequence[str]) -> set[bytes]:
        """What these users have from there."""
        query = f"SELECT DISTINCT digest FROM placements WHERE user_id = ? AND origin IN ({marks(origins)})"
        return {row[0] for user in users for row in self.rows(query, (user, *origins))}

    def all_messages(self, folder_id: int, most: int) -> t.Iterator[list[StoredMessage]]:
        """The rows of a source folder in all states, ``most`` at a time."""
        query = (
            f"SELECT {MESSAGE_COLUMNS} FROM source_messages WHERE folder_id = ? AND (uidvalidity, uid) > (?, ?)"
            f" ORDER BY uidvalidity, uid LIMIT {most}"
        )
        position = (-1, -1)
        while page := self.rows(query, (folder_id, *position)):
            yield [StoredMessage(row[0], row[1], State(row[2]), *row[3:]) for row in page]
            position = (page[-1][0], page[-1][1])

    def route_rows(self, folder_id: int) -> list[Route]:
        """By which ways a source folder was filed."""
        query = "SELECT route, complete, rules, reconciled, due FROM folder_routes WHERE folder_id = ? ORDER BY route"
        return [Route(row[0], bool(row[1]), *row[2:]) for row in self.rows(query, (folder_id,))]

    def figures(self, folder_id: int) -> tuple[t.Any, ...]:
        """What was last seen of a source folder on its server, as ``Taking.folder`` takes it."""
        return tuple(self.row(f"SELECT {_FIGURES} FROM source_folders WHERE id = ?", (folder_id,)))


@dataclass
class Taking:
    """What one transaction takes. ``objects`` and placements are durable; ``position`` is behind the entries about them."""

    objects: list[ObjectRow] = field(default_factory=list)
    placements: list[PlacementRow] = field(default_factory=list)
    folder_id: int = 0
    messages: list[StoredMessage] = field(default_factory=list)
    receipts: list[StoredReceipt] = field(default_factory=list)
    folder: tuple[t.Any, ...] = ()
    routes: list[Route] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.objects or self.placements or self.messages or self.receipts or self.folder)


class ImportCatalog(HeldCatalog):
    """That of the archive that takes. What it has stays, but for rows of which the other one knows more. Held in check mode."""

    def know_objects(self) -> None:
        """Prepare ``without``; for this connection alone. One scan: there is no index on the digest."""
        with self._errors():
            self._db.execute("DROP TABLE IF EXISTS temp.had")
            self._db.execute("CREATE TEMP TABLE had(digest BLOB PRIMARY KEY) WITHOUT ROWID")
            self._db.execute("INSERT OR IGNORE INTO had SELECT digest FROM objects")

    def without(self, digests: t.Iterable[bytes]) -> set[bytes]:
        """Those of ``digests`` that have no object yet, nor were counted."""
        wanted = set(digests)
        return wanted - {row[0] for row in self.rows_among("SELECT digest FROM temp.had WHERE digest IN ({})", wanted)}

    def count_with(self, digests: t.Iterable[bytes]) -> None:
        """Take them for objects that are there from now on."""
        with self._errors():
            self._db.executemany("INSERT OR IGNORE INTO temp.had VALUES (?)", [(digest,) for digest in digests])

    def known_source(self, server: str, mailbox: str, name: str) -> int:
        """The number of a source folder, 0 when there is none; unlike ``source_folder`` it makes none."""
        query = "SELECT id FROM source_folders WHERE server = ? AND mailbox = ? AND name = ?"
        row = self.row(query, (server, mailbox, name))
        return 0 if row is None else int(row[0])

    def was_read(self, folder_id: int) -> bool:
        """Whether the folder's figures are known here."""
        return self.row("SELECT 1 FROM source_folders WHERE id = ? AND last_run IS NOT NULL", (folder_id,)) is not None

    def receipt_uids(self, folder_id: int) -> set[tuple[int, int]]:
        """UIDVALIDITY and UID of every receipt of a folder."""
        return set(self.rows("SELECT uidvalidity, uid FROM receipts WHERE folder_id = ?", (folder_id,)))

    def make_users(self, made: t.Sequence[UserStep], left: t.Sequence[UserStep], owner: str) -> None:
        """Make users, some of whom left, in one transaction."""
        with self.transaction():
            self._apply(made, owner)
            numbers = dict(self._db.execute("SELECT name, id FROM users"))
            self._apply([dataclasses.replace(step, user_id=numbers[step.values.name]) for step in left], owner)

    def take(self, taking: Taking, run_id: int, position: Position | None, from_: str) -> None:
        """ONE transaction. ``from_``: which archive it is from; receipts keep that with the number of their run there."""
        with self.transaction():
            self._commit_batch(Batch(0, 0, 0, taking.objects, taking.placements))
            rows = [(taking.folder_id, *row[:10], run_id, row.archived) for row in taking.messages]
            self._db.executemany(_PUT_MESSAGE, rows)
            if rows:
                # What the other archive has filed, or left, was so for its users; here there may be others.
                self._db.execute(_LOOK_AGAIN, (taking.folder_id,))
            receipts = [(taking.folder_id, *self._receipt(one, run_id, from_)) for one in taking.receipts]
            self._db.executemany(_PUT_RECEIPT, receipts)
            if taking.folder:
                self._take_folder(taking, run_id)
            if position is not None:
                self.put_evidence_position(position)

    @staticmethod
    def _receipt(one: StoredReceipt, run_id: int, from_: str) -> tuple[t.Any, ...]:
        proof = json.dumps({**one.proof, "imported": {"from": from_, "run": one.run_id}})
        return one.uidvalidity, one.uid, one.digest, one.size, one.planned, one.deleted, run_id, proof

    def _take_folder(self, taking: Taking, run_id: int) -> None:
        names = ", ".join(f"{name} = ?" for name in _FIGURES.split(", "))
        statement = f"UPDATE source_folders SET {names}, last_run = ? WHERE id = ? AND last_run IS NULL"
        self._db.execute(statement, (*taking.folder, run_id, taking.folder_id))
        routes = [
            (taking.folder_id, one.name, run_id if one.complete else 0, one.complete, one.rules, one.reconciled, one.due)
            for one in taking.routes
        ]
        put = "INSERT OR IGNORE INTO folder_routes(folder_id, route, run_id, complete, rules, reconciled, due)"
        self._db.executemany(f"{put} VALUES (?, ?, ?, ?, ?, ?, ?)", routes)
