# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog's side of deletion: which source messages are old enough, where they are filed, and the receipts."""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import schema
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import EvidenceTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State

_OLD = (
    f"FROM source_messages WHERE folder_id = ? AND {schema.SETTLED_ROWS} AND archived <= ?"
    " AND uidvalidity = ? AND coalesce(internaldate, 0) <= ? AND digest IS NOT NULL"
)
_PLAN = (
    "INSERT INTO receipts(folder_id, uidvalidity, uid, digest, size, planned, deleted, run_id, proof)"
    " VALUES (?, ?, ?, ?, ?, ?, NULL, ?, ?)"
    " ON CONFLICT(folder_id, uidvalidity, uid) DO UPDATE SET digest = excluded.digest, size = excluded.size,"
    " planned = excluded.planned, deleted = NULL, run_id = excluded.run_id, proof = excluded.proof"
)
_RECEIPTS = "SELECT folder_id, uidvalidity, uid, digest, size, planned, deleted, run_id, proof FROM receipts WHERE folder_id = ?"
_IN_ORDER = "ORDER BY uidvalidity, uid"
_KEY = "folder_id = ? AND uidvalidity = ? AND uid = ?"
Proof = dict[str, t.Any]


@dataclass(frozen=True)
class StoredReceipt:
    """One receipt. ``deleted`` is None while it is only planned: whether the message went is not known then."""

    folder_id: int
    uidvalidity: int
    uid: int
    digest: bytes
    size: int
    planned: int
    deleted: int | None
    run_id: int
    proof: Proof


class ReceiptTables(EvidenceTables):
    """Receipts, and the queries of the deletion phase."""

    def old_messages(
        self, folder_id: int, uidvalidity: int, before: int, after: tuple[int, int] = (-1, -1), limit: int = 1000
    ) -> list[Candidate]:
        """Archived messages that were received and archived at ``before`` at the latest, in the order of archiving.

        ``after``: (archived, uid) of the last one of the page before.
        """
        query = (
            f"SELECT uid, digest, size, coalesce(internaldate, 0), archived, state {_OLD}"
            " AND (archived, uidvalidity, uid) > (?, ?, ?) ORDER BY archived, uidvalidity, uid LIMIT ?"
        )
        position = (after[0], uidvalidity, after[1])
        rows = self.rows(query, (folder_id, before, uidvalidity, before, *position, limit))
        return [Candidate(*(*row[:5], State(row[5]))) for row in rows]

    def count_old(self, folder_id: int, uidvalidity: int, before: int) -> int:
        """How many ``old_messages`` there are."""
        return int(self.row(f"SELECT count(*) {_OLD}", (folder_id, before, uidvalidity, before))[0])

    def known_folder(self, user_id: int, parts: t.Sequence[str]) -> UserFolder | None:
        """The folder of a user's tree, None when nothing was ever filed there; unlike ``user_folder`` it makes none."""
        row = self.row("SELECT id, dir FROM user_folders WHERE user_id = ? AND name = ?", (user_id, json.dumps(list(parts))))
        return None if row is None else UserFolder(row[0], user_id, tuple(parts), row[1])

    def folder_dir(self, folder_id: int) -> str:
        """The directory of a user's folder, relative to the archive root."""
        return str(self.row("SELECT dir FROM user_folders WHERE id = ?", (folder_id,))[0])

    # Receipts

    def planned(self, folder_id: int) -> list[StoredReceipt]:
        """Receipts of messages of which nobody knows yet whether they are gone: those that a run left that was cut short."""
        return self._receipts(f"{_RECEIPTS} AND deleted IS NULL {_IN_ORDER}", folder_id)

    def receipts(self, folder_id: int) -> list[StoredReceipt]:
        """All receipts of a folder."""
        return self._receipts(f"{_RECEIPTS} {_IN_ORDER}", folder_id)

    def _receipts(self, query: str, folder_id: int) -> list[StoredReceipt]:
        return [StoredReceipt(*(*row[:8], json.loads(row[8]))) for row in self.rows(query, (folder_id,))]

    def folders_with_plans(self) -> frozenset[int]:
        """The source folders that ``planned`` has something of."""
        return frozenset(row[0] for row in self.rows("SELECT DISTINCT folder_id FROM receipts WHERE deleted IS NULL"))

    def unsettled(self) -> list[tuple[str, str, str, int]]:
        """(server, mailbox, folder, messages) of ``planned`` under the UIDVALIDITY that the folder has, if it is there."""
        query = (
            "SELECT server, mailbox, name, count(*) FROM receipts JOIN source_folders ON id = folder_id"
            " WHERE deleted IS NULL AND receipts.uidvalidity = source_folders.uidvalidity AND messages >= 0"
            " GROUP BY id ORDER BY 1, 2, 3"
        )
        return [(row[0], row[1], row[2], int(row[3])) for row in self.rows(query)]

    def count_receipts(self) -> dict[str, int]:
        """How many messages were deleted, and of how many that is not known."""
        deleted, every = self.row("SELECT count(deleted), count(*) FROM receipts")
        return {"deleted": deleted, "planned": every - deleted}

    def plan_receipts(self, folder_id: int, uidvalidity: int, run_id: int, receipts: t.Sequence[tuple[Candidate, Proof]]) -> None:
        """Write the receipts before anything is deleted; durable when this returns.

        A UID that was deleted once and came back keeps its former receipt within the new one.
        """
        now = int(time.time())
        with self.transaction():
            for candidate, proof in receipts:
                key = (folder_id, uidvalidity, candidate.uid)
                query = f"SELECT deleted, proof FROM receipts WHERE {_KEY} AND deleted IS NOT NULL"
                before = self._db.execute(query, key).fetchone()
                if before is not None:
                    proof = {**proof, "earlier": {"deleted": before[0], **json.loads(before[1])}}
                values = (candidate.digest, candidate.size, now, run_id, json.dumps(proof))
                self._db.execute(_PLAN, (*key, *values))

    def complete_receipts(self, folder_id: int, uidvalidity: int, run_id: int, uids: t.Iterable[int], proof: Proof) -> None:
        """Say of planned receipts that their messages are gone, and of the messages that they are deleted: one transaction.

        The folder's figures stay those of its last comparison; see ``expect_fewer``.
        """
        now = int(time.time())
        added = json.dumps(proof)
        place = {"run": run_id, **self.place_of(folder_id), "uidvalidity": uidvalidity}
        with self.transaction():
            for uid in uids:
                key = (folder_id, uidvalidity, uid)
                query = f"SELECT lower(hex(digest)), size FROM receipts WHERE {_KEY} AND deleted IS NULL"
                for digest, size in self._db.execute(query, key).fetchall():
                    self.note("deleted", **place, uid=uid, digest=digest, size=size)
                self._db.execute(
                    f"UPDATE receipts SET deleted = ?, proof = json_patch(proof, ?) WHERE {_KEY} AND deleted IS NULL",
                    (now, added, *key),
                )
                self._set_state(key, run_id, State.DELETED)

    def drop_receipts(
        self, folder_id: int, uidvalidity: int, run_id: int, kept: t.Iterable[int], vanished: t.Iterable[int] = ()
    ) -> None:
        """Forget plans that were not carried out. ``vanished``: gone from the folder, but not deleted."""
        with self.transaction():
            for uid in kept:
                self._drop((folder_id, uidvalidity, uid))
            for uid in vanished:
                self._drop((folder_id, uidvalidity, uid))
                self._set_state((folder_id, uidvalidity, uid), run_id, State.VANISHED)

    def expect_fewer(self, folder_id: int, uidvalidity: int, messages: int) -> None:
        """Take what just went off the figures of the folder's last comparison.

        So a folder that changed by this alone need not be opened again, and one that a restore fills again must be.
        """
        with self.transaction(durable=False):
            statement = "UPDATE source_folders SET messages = messages - ? WHERE id = ? AND uidvalidity = ?"
            self._db.execute(statement, (messages, folder_id, uidvalidity))

    def read_again(self, folder_id: int, uidvalidity: int, run_id: int, reasons: t.Mapping[int, str]) -> None:
        """Make messages (UID -> reason) failed ones, which the next run fetches: their objects are damaged."""
        statement = f"UPDATE source_messages SET state = ?, reason = ?, attempts = attempts + 1, run_id = ? WHERE {_KEY}"
        with self.transaction():
            for uid, reason in reasons.items():
                self._db.execute(statement, (State.FAILED, reason, run_id, folder_id, uidvalidity, uid))

    def _drop(self, key: tuple[int, int, int]) -> None:
        row = self._db.execute(f"SELECT proof FROM receipts WHERE {_KEY} AND deleted IS NULL", key).fetchone()
        earlier = json.loads(row[0]).get("earlier") if row else None
        if earlier is None:
            self._db.execute(f"DELETE FROM receipts WHERE {_KEY} AND deleted IS NULL", key)
        else:
            values = (earlier.pop("deleted"), bytes.fromhex(earlier["digest"]), earlier["size"], json.dumps(earlier))
            self._db.execute(f"UPDATE receipts SET deleted = ?, digest = ?, size = ?, proof = ? WHERE {_KEY}", (*values, *key))

    def _set_state(self, key: tuple[int, int, int], run_id: int, state: State) -> None:
        self._db.execute(f"UPDATE source_messages SET state = ?, reason = '', run_id = ? WHERE {_KEY}", (state, run_id, *key))
