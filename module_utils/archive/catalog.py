# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog of an archive: placements, runs, and the one transaction that publishes a batch."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import RESTORE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import EvidenceTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_mailboxes import MailboxPasses, MailboxTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_passes import PassTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_receipts import ReceiptTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_repair import INSERT_OBJECT
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    PLACEMENT_COLUMNS,
    Batch,
    PlacementRow,
    Position,
    Refused,
    Run,
    Totals,
    UserFolder,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_sources import SourceTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_users import UserTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_verify import VerifyTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError, StoreError

# Not "OR IGNORE", which would swallow a NULL as well.
_INSERT_PLACEMENT = (
    f"INSERT INTO placements({PLACEMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(folder_id, digest) DO NOTHING"
)
# What was once fetched stays known when the message is seen as vanished or deleted later.
STAYS_KNOWN = (
    " digest = coalesce(excluded.digest, digest), size = coalesce(excluded.size, size), vsize = coalesce(excluded.vsize, vsize),"
    " internaldate = coalesce(excluded.internaldate, internaldate),"
    # Another digest under the same UID is another message: its age begins anew.
    " archived = CASE WHEN excluded.digest IS NULL OR excluded.digest IS digest"
    " THEN coalesce(archived, excluded.archived) ELSE excluded.archived END"
)
_PUT_MESSAGE = (
    "INSERT INTO source_messages"
    "(folder_id, uidvalidity, run_id, uid, state, digest, size, vsize, internaldate, flags, reason, attempts, archived)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, iif(?6 IS NULL, NULL, ?13))"
    f" ON CONFLICT(folder_id, uidvalidity, uid) DO UPDATE SET state = excluded.state, run_id = excluded.run_id,{STAYS_KNOWN},"
    " flags = CASE WHEN excluded.digest IS NULL THEN flags ELSE excluded.flags END,"
    # Why a message was left stays known when it is gone.
    f" reason = iif(excluded.state = {int(State.VANISHED)} AND excluded.reason = '', reason, excluded.reason),"
    " attempts = excluded.attempts"
)
_STORED = "json_extract(summary, '$.stored_bytes') > 0"
_REMOVE_PLACEMENT = "DELETE FROM placements WHERE folder_id = ? AND digest = ?"
# Another route has not seen what this one files; its own next pass files that from the store.
_STALE_ROUTES = "UPDATE folder_routes SET complete = 0 WHERE folder_id = ? AND route <> ? AND complete"
_PUT_ROUTE = (
    "INSERT INTO folder_routes(folder_id, route, run_id, rules, reconciled, due) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT(folder_id, route) DO UPDATE SET run_id = excluded.run_id, complete = 1, rules = excluded.rules,"
    " reconciled = excluded.reconciled, due = excluded.due"
)
# The rules stand with the route; here they tell people under which the folder was last read.
_PUT_CURSOR = (
    "UPDATE source_folders SET uidvalidity = ?, uidnext = ?, messages = ?, highestmodseq = ?, rules = ?, complete = ?,"
    " last_run = ? WHERE id = ?"
)
_COUNT = (
    "UPDATE totals SET objects = objects + ?, bytes = bytes + ?, stored_bytes = stored_bytes + ?,"
    " placements = placements + ?, commits = commits + 1, last_commit = ?,"
    " clock_stepped = max(clock_stepped, coalesce(? + 60 < last_commit, 0))"
)


class Catalog(UserTables, SourceTables, ReceiptTables, PassTables, MailboxTables, VerifyTables, EvidenceTables):
    """The open catalog. One connection per process and thread: open it after fork. Context manager."""

    @classmethod
    def open(cls, path: str, *, readonly: bool = False) -> t.Self:
        """Open ``<root>/catalog.sqlite3``, create tables in a new file; CatalogError for another format."""
        return cls(path, readonly=readonly)

    @classmethod
    def of(cls, root: str, *, readonly: bool = False) -> t.Self:
        """Open the catalog of an archive that is in use; StoreError when it is gone.

        An empty one in its place would know nobody and nothing, and the next crash would have the archive swept by it.
        """
        path = f"{root}/{layout.CATALOG_FILE}"
        if not Path(path).exists():
            raise StoreError(path, "the archive has no catalog", RESTORE)
        return cls(path, readonly=readonly, create=False)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # User folders and placements

    def user_folder(self, user_id: int, parts: t.Sequence[str]) -> UserFolder:
        """Get or create; no directory is made. ``parts`` may be empty (the user's top folder)."""
        # ASCII with surrogates escaped: a name may hold half a UTF-16 pair, which SQLite's UTF-8 cannot.
        name = json.dumps(list(parts))
        query = "SELECT id, dir FROM user_folders WHERE user_id = ? AND name = ?"
        row = self.row(query, (user_id, name))
        if row is None:
            with self.transaction(durable=False):
                tree = self._db.execute("SELECT tree FROM users WHERE id = ?", (user_id,)).fetchone()
                if tree is None:
                    raise CatalogError(self.path, f"there is no user {user_id}", "Synchronise the users first")
                directory = "/".join((layout.MAIL, tree[0], *map(layout.escape, parts)))
                insert = "INSERT OR IGNORE INTO user_folders(user_id, name, dir) VALUES (?, ?, ?)"
                self._db.execute(insert, (user_id, name, directory))
                # A rebuilt catalog may have it by a name that was cut; a directory has only one true name.
                self._db.execute("UPDATE user_folders SET name = ? WHERE dir = ? AND user_id = ?", (name, directory, user_id))
            row = self.row(query, (user_id, name))
            if row is None:  # a tree has one owner for ever, so somebody changed the catalog
                raise CatalogError(self.path, f"it gives the directory {directory} to another user", RESTORE)
        return UserFolder(row[0], user_id, tuple(parts), row[1])

    def user_folders(self, user_id: int) -> list[UserFolder]:
        """All folders of one user."""
        rows = self.rows("SELECT id, name, dir FROM user_folders WHERE user_id = ? ORDER BY dir", (user_id,))
        return [UserFolder(row[0], user_id, tuple(json.loads(row[1])), row[2]) for row in rows]

    def placement(self, folder_id: int, digest: bytes) -> PlacementRow | None:
        """The placement of that object in that folder."""
        row = self.row(f"SELECT {PLACEMENT_COLUMNS} FROM placements WHERE folder_id = ? AND digest = ?", (folder_id, digest))
        return None if row is None else PlacementRow(*row)

    def placed_among(self, folder_id: int, digests: t.Sequence[bytes]) -> set[bytes]:
        """Those of ``digests`` that the folder has."""
        query = "SELECT digest FROM placements WHERE folder_id = ? AND digest IN ({})"
        return {row[0] for row in self.rows_among(query, digests, (folder_id,))}

    def copies(self, user_id: int, copy_key: bytes) -> list[PlacementRow]:
        """Candidates anywhere in the user's tree; prove with ``Store.same_message`` on the re-read objects."""
        return self.copies_among(user_id, (copy_key,))

    def copies_among(self, user_id: int, copy_keys: t.Sequence[bytes]) -> list[PlacementRow]:
        """``copies`` of many keys."""
        query = f"SELECT {PLACEMENT_COLUMNS} FROM placements WHERE user_id = ? AND copy_key IN ({{}})"
        return [PlacementRow(*row) for row in self.rows_among(query, copy_keys, (user_id,))]

    # Writing

    def commit(
        self,
        batches: t.Sequence[Batch],
        evidence: Position | None = None,
        found: t.Mapping[bytes, int] | None = None,
        by: str = "",
    ) -> list[Refused]:
        """ONE transaction for all of ``batches``; returns the placements whose folder had that object already.

        ``evidence``: how far the ledger goes with what was appended for them. ``found``: sizes of objects that were declared lost
        and came with them, for the ledger on behalf of ``by``. Call it only after ``Store.sync`` returned for everything that the
        batches speak of.
        """
        refused: list[Refused] = []
        with self.transaction():
            for batch in batches:
                refused += self._commit_batch(batch)
            if evidence is not None:
                self.put_evidence_position(evidence)
            self.put_found(found or {}, by)
        return refused

    def _commit_batch(self, batch: Batch) -> list[Refused]:
        self._db.executemany(INSERT_OBJECT, batch.objects)
        before = self._db.total_changes
        self._db.executemany(_INSERT_PLACEMENT, batch.placements)
        placed = self._db.total_changes - before
        refused = [] if placed == len(batch.placements) else self._refused(batch)
        self._db.executemany(_REMOVE_PLACEMENT, [(row.folder_id, row.digest) for row in batch.removed])
        placed -= len(batch.removed)
        now = int(time.time())
        head = (batch.folder_id, batch.uidvalidity, batch.run_id)
        self._db.executemany(_PUT_MESSAGE, [(*head, *message, now) for message in batch.messages])
        if batch.messages and batch.filed_by:
            self._db.execute(_STALE_ROUTES, (batch.folder_id, batch.filed_by))
        if batch.cursor is not None:
            figures, known = batch.cursor[:6], (batch.cursor.rules, batch.cursor.reconciled, batch.cursor.due)
            self._db.execute(_PUT_CURSOR, (*figures, batch.run_id, batch.folder_id))
            self._db.executemany(_PUT_ROUTE, [(batch.folder_id, route, batch.run_id, *known) for route in batch.routes])
        size, stored = sum(row.size for row in batch.objects), sum(row.stored_size for row in batch.objects)
        self._db.execute(_COUNT, (len(batch.objects), size, stored, placed, now, now))
        return refused

    def _refused(self, batch: Batch) -> list[Refused]:
        """The placements that the transaction found in their folder already, under whatever name."""
        found: list[Refused] = []
        seen: set[tuple[int, bytes]] = set()
        for row in batch.placements:
            key = (row.folder_id, row.digest)
            existing = self.placement(*key)
            if existing is not None and (existing != row or key in seen):
                found.append(Refused(row, existing))
            seen.add(key)
        return found

    def begin_run(self, about: dict[str, t.Any]) -> int:
        """A new run's id."""
        with self.transaction():
            statement = "INSERT INTO runs(started, summary) VALUES (?, ?)"
            return int(self._db.execute(statement, (int(time.time()), json.dumps(about))).lastrowid or 0)

    def end_run(
        self,
        run_id: int,
        outcome: str,
        summary: dict[str, t.Any],
        noted: dict[str, t.Any] | None = None,
        mailboxes: MailboxPasses | None = None,
    ) -> None:
        """Write how the run ended; ``noted``: what the ledger is to say of it, None when that is not worth an entry."""
        with self.transaction():
            if mailboxes is not None:
                self.put_mailbox_passes(mailboxes)
            if noted is not None:
                self.note("run", run=run_id, outcome=outcome, **noted)
            statement = "UPDATE runs SET finished = ?, outcome = ?, summary = ? WHERE id = ?"
            self._db.execute(statement, (int(time.time()), outcome, json.dumps(summary), run_id))

    def last_runs(self, count: int) -> list[Run]:
        """The newest first."""
        rows = self.rows("SELECT id, started, finished, outcome, summary FROM runs ORDER BY id DESC LIMIT ?", (count,))
        return [Run(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in rows]

    def grown_since(self, since: int) -> list[tuple[int, int, int]]:
        """(when it ended, objects, stored bytes) of runs that ended from ``since`` on and stored anything, failed ones too."""
        figures = "finished, json_extract(summary, '$.objects'), json_extract(summary, '$.stored_bytes')"
        return [tuple(row) for row in self.rows(f"SELECT {figures} FROM runs WHERE finished >= ? AND {_STORED}", (since,))]

    def first_grown(self) -> int | None:
        """When the first run ended that stored anything."""
        found: int | None = self.row(f"SELECT min(finished) FROM runs WHERE {_STORED}")[0]
        return found

    def totals(self) -> Totals:
        """Figures of the whole archive."""
        return Totals(*self.row("SELECT objects, bytes, stored_bytes, placements FROM totals"))

    def totals_data(self) -> dict[str, int]:
        """The same as plain data, with the number of archive users."""
        return {**dataclasses.asdict(self.totals()), "users": len(self.users())}

    # For the repair after an unclean end

    def commits(self) -> int:
        """How many batches were ever committed."""
        return int(self.row("SELECT commits FROM totals")[0])

    def last_commit(self) -> int | None:
        """When the last batch was committed; None before the first one."""
        found = self.row("SELECT last_commit FROM totals")[0]
        return None if found is None else int(found)

    def clock_stepped(self) -> bool:
        """Whether the clock went backwards between two commits, so that times of files prove nothing."""
        return bool(self.row("SELECT clock_stepped FROM totals")[0])

    def trust_clock(self) -> None:
        """Forget that the clock went backwards: everything was looked at. Durable, and with it all earlier commits."""
        with self.transaction():
            self._db.execute("UPDATE totals SET clock_stepped = 0")

    def known_digests(self, digests: t.Collection[bytes]) -> set[bytes]:
        """Those of ``digests`` that the catalog speaks of anywhere. Scans whole tables: for the repair alone."""
        known: set[bytes] = set()
        with self._errors():
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS candidate(digest BLOB PRIMARY KEY) WITHOUT ROWID")
            self._db.execute("DELETE FROM candidate")
            self._db.executemany("INSERT OR IGNORE INTO candidate VALUES (?)", [(digest,) for digest in digests])
            for table in ("objects", "source_messages", "placements"):
                query = f"SELECT DISTINCT digest FROM {table} WHERE digest IN (SELECT digest FROM candidate)"
                known.update(row[0] for row in self._db.execute(query))
        return known

    def known_names(self, directory: str, digests: t.Iterable[bytes]) -> dict[bytes, str]:
        """For those of ``digests`` that are placed in ``directory``: the name of the placement."""
        folder = self.row("SELECT id FROM user_folders WHERE dir = ?", (directory,))
        if folder is None:
            return {}
        found = (self.placement(folder[0], digest) for digest in digests)
        return {row.digest: row.file_name for row in found if row is not None}
