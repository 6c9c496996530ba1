# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rebuild writes into a catalog: rows of what lies on the disk, and of what the ledger tells."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import schema
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_repair import PUT_LOST
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    Batch,
    ObjectRow,
    PlacementRow,
    Position,
    UserValues,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import MAILBOX, MULTIDROP
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError

# What filed a placement is not known: as if multidrop had, so that no other way files the message once more (``counts_as_copy``).
UNKNOWN_ORIGIN = f"{MULTIDROP}:"
_GONE = "its object is gone; the message is archived again"
_PUT_ARCHIVED = (
    "INSERT INTO source_messages"
    "(folder_id, uidvalidity, uid, state, digest, size, vsize, internaldate, run_id, archived)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT(folder_id, uidvalidity, uid) DO UPDATE SET state = excluded.state, digest = excluded.digest,"
    " size = excluded.size, vsize = excluded.vsize, internaldate = excluded.internaldate, run_id = excluded.run_id,"
    " archived = iif(digest IS excluded.digest, coalesce(archived, excluded.archived), excluded.archived),"
    " reason = '', attempts = 0"
)
_PUT_QUARANTINED = (
    "INSERT INTO source_messages(folder_id, uidvalidity, uid, state, reason, attempts, run_id)"
    f" VALUES (?, ?, ?, {State.QUARANTINED:d}, ?, ?, ?)"
    " ON CONFLICT(folder_id, uidvalidity, uid) DO UPDATE SET state = excluded.state, reason = excluded.reason,"
    " attempts = excluded.attempts, run_id = excluded.run_id"
)
_PUT_DELETED = (
    "INSERT INTO source_messages(folder_id, uidvalidity, uid, state, digest, size, run_id)"
    f" VALUES (?, ?, ?, {State.DELETED:d}, ?, ?, ?)"
    " ON CONFLICT(folder_id, uidvalidity, uid) DO UPDATE SET state = excluded.state, reason = '', run_id = excluded.run_id"
)
_PUT_RECEIPT = (
    "INSERT OR REPLACE INTO receipts(folder_id, uidvalidity, uid, digest, size, planned, deleted, run_id, proof)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_RUN = (
    "INSERT INTO runs(id, started, finished, outcome, summary) VALUES (?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET"
    " finished = excluded.finished, outcome = excluded.outcome, summary = excluded.summary"
    " WHERE finished IS NULL AND excluded.finished IS NOT NULL"
)
STATEMENTS = {
    "archived": _PUT_ARCHIVED,
    "quarantined": _PUT_QUARANTINED,
    "deleted": _PUT_DELETED,
    "receipt": _PUT_RECEIPT,
    "run": _PUT_RUN,
    "lost": PUT_LOST,
    "found": "UPDATE lost SET found = ? WHERE digest = ?",
    "told": "INSERT OR IGNORE INTO told VALUES (?)",
}
Rows = t.Sequence[tuple[str, tuple[t.Any, ...]]]


def condition(path: str) -> str:
    """What is to be said of a catalog: "absent", "intact", or "unreadable: <why>". CatalogError when it cannot be asked."""
    if not Path(path).exists():
        return "absent"
    if not Path(path).stat().st_size:
        return "unreadable: it is empty"  # not opened: SQLite would remove its WAL
    try:
        with Catalog(path, readonly=True, create=False) as catalog:
            wrong = catalog.integrity()
            catalog.totals()
    except CatalogError as error:
        if error.details.get("code") in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_FULL,
        ):
            raise
        return "intact" if _of_another_release(path) else f"unreadable: {error.cause}"
    return f"unreadable: {wrong[0]}" if wrong else "intact"


def _of_another_release(path: str) -> bool:
    """Whether it is a catalog that another release can read."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)) as found,
    ):
        (application,), (version,) = (
            found.execute("PRAGMA application_id").fetchone(),
            found.execute("PRAGMA user_version").fetchone(),
        )
        return bool(application == schema.APPLICATION_ID and version != schema.USER_VERSION)
    return False


class RebuiltCatalog(Catalog):
    """A catalog that takes what the disk and the ledger tell."""

    def write(self, rows: Rows) -> None:
        """Write rows of the ledger in their order, in one transaction; a row is the key of its statement and its values."""
        with self.transaction():
            for name, values in rows:
                self._db.execute(STATEMENTS[name], values)

    def begin_telling(self) -> None:
        """Make room for the digests that the ledger speaks of, of this connection alone."""
        with self._errors():
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS told(digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def waiting_texts(self) -> dict[str, int]:
        """The entries that wait to be appended to the ledger, and their numbers."""
        return {text: number for number, text in self.evidence_waiting()}

    def forget_waiting(self, numbers: t.Iterable[int]) -> None:
        """They are in the ledger already."""
        with self.transaction():
            self._db.executemany("DELETE FROM evidence_waiting WHERE id = ?", [(number,) for number in numbers])

    def adopt(
        self, objects: t.Sequence[ObjectRow], placements: t.Sequence[PlacementRow], why: str = "", *, durable: bool = True
    ) -> None:
        """Take what lies durably on the disk, in one transaction; ``why``: note the objects in the ledger."""
        with self.transaction(durable=durable):
            self._commit_batch(Batch(0, 0, 0, list(objects), list(placements)))
            for row in objects if why else ():
                self.note("adopted", digest=row.digest.hex(), size=row.size, why=why)

    def put_user(self, values: UserValues, tree: str, deleted: int | None) -> int:
        """A user with this very tree; what another user has (a name, an address, an id of Kerio's) stays with that one."""
        now = int(time.time())
        with self.transaction(durable=False):
            if self._db.execute("SELECT 1 FROM users WHERE name = ?", (values.name,)).fetchone():
                values = UserValues(f"{values.name} ({tree})", values.origin, values.full_name)
            key = (values.server, values.kerio_id)
            known = values.kerio_id and self._db.execute("SELECT 1 FROM users WHERE server = ? AND kerio_id = ?", key).fetchone()
            statement = "INSERT INTO users(name, tree, origin, created, changed, deleted) VALUES (?, ?, ?, ?, ?, ?)"
            row = (values.name, tree, values.origin, now, now, deleted)
            user_id = int(self._db.execute(statement, row).lastrowid or 0)
            rest = (values.full_name, values.server, "" if known else values.kerio_id, values.authentication)
            lists = (json.dumps(values.privileges), int(values.enabled), json.dumps(values.groups), values.kerio_login, user_id)
            self._db.execute(
                "UPDATE users SET full_name = ?, server = ?, kerio_id = ?, authentication = ?, privileges = ?, enabled = ?,"
                " groups = ?, kerio_login = ? WHERE id = ?",
                (*rest, *lists),
            )
            addresses = [(address.lower(), user_id, position) for position, address in enumerate(values.addresses)]
            self._db.executemany("INSERT OR IGNORE INTO user_addresses VALUES (?, ?, ?)", addresses if deleted is None else ())
        return user_id

    def put_grants(self, reader_id: int, trees: t.Iterable[str]) -> None:
        """The user may read the archives in these trees, as far as they are somebody's."""
        with self.transaction(durable=False):
            rows = [(reader_id, tree) for tree in trees]
            self._db.executemany("INSERT OR IGNORE INTO grants SELECT ?, id FROM users WHERE tree = ?", rows)

    def put_folder(self, user_id: int, parts: t.Sequence[str], directory: str) -> int:
        """A folder with this very directory."""
        with self.transaction(durable=False):
            row = (user_id, json.dumps(list(parts)), directory)
            self._db.execute("INSERT OR IGNORE INTO user_folders(user_id, name, dir) VALUES (?, ?, ?)", row)
        return int(self.row("SELECT id FROM user_folders WHERE dir = ?", (directory,))[0])

    def begin_origins(self, digests: t.Iterable[bytes] | None = None) -> None:
        """Prepare ``origins``: copy from the source messages what is asked there, of some digests or of all."""
        with self._errors():
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted(digest BLOB PRIMARY KEY) WITHOUT ROWID")
            self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((digest,) for digest in digests or ()))
            some = "" if digests is None else " WHERE digest IN (SELECT digest FROM wanted)"
            self._db.execute("DROP TABLE IF EXISTS temp.sighted")
            self._db.execute(
                f"CREATE TEMP TABLE sighted AS SELECT digest, folder_id, archived, run_id FROM source_messages{some}"
            )
            self._db.execute("CREATE INDEX temp.sighted_digest ON sighted(digest)")

    def origins(self, parts: t.Sequence[str], digests: t.Sequence[bytes]) -> dict[bytes, str]:
        """What filed these messages in the folder: the mailbox of that name, else whatever mailbox had the message first."""
        found: dict[bytes, str] = {}
        path = "/".join(parts)
        query = (
            "SELECT digest, server, mailbox, name FROM temp.sighted JOIN source_folders ON id = folder_id"
            " WHERE digest IN ({}) ORDER BY archived, run_id"
        )
        for digest, server, mailbox, name in self.rows_among(query, digests):
            if f"{mailbox}/{name}" == path:
                found[digest] = f"{MAILBOX}:{server}/{mailbox}"
            else:
                found.setdefault(digest, f"{MULTIDROP}:{server}/{mailbox}")
        return found

    def settle_messages(self) -> tuple[int, int]:
        """Of the messages that the ledger told: those without an object are due again, those that are not filed are copies.

        Filed is what lies in the folder of its name, or wherever multidrop filed it from there. A backup may have an
        object without its placement, so the next run files the folders of such copies once more. Return the numbers of both.
        """
        told = "digest IN (SELECT digest FROM temp.told) AND state IN (1, 2)"
        gone = f"UPDATE source_messages SET state = {State.FAILED:d}, digest = NULL, archived = NULL, reason = ?"
        copies = f"UPDATE source_messages SET state = {State.COPY:d}"
        here = (
            "SELECT 1 FROM temp.filed f JOIN source_folders s ON s.id = folder_id WHERE f.digest = source_messages.digest AND"
            f" (f.origin = '{MULTIDROP}:' || s.server || '/' || s.mailbox OR f.path = s.mailbox || '/' || s.name)"
        )
        with self._errors():
            self._db.create_function("path_of", 1, lambda name: "/".join(json.loads(name)), deterministic=True)
            self._db.execute("DROP TABLE IF EXISTS temp.filed")
            self._db.execute(
                "CREATE TEMP TABLE filed AS SELECT digest, origin, path_of(name) AS path FROM placements"
                " JOIN user_folders ON id = folder_id WHERE digest IN (SELECT digest FROM temp.told)"
            )
            self._db.execute("CREATE INDEX temp.filed_digest ON filed(digest)")
        with self.transaction():
            lost = self._db.execute(f"{gone} WHERE {told} AND digest NOT IN (SELECT digest FROM objects)", (_GONE,)).rowcount
            some = f"SELECT folder_id FROM source_messages WHERE {told} AND NOT EXISTS ({here})"
            self._db.execute(f"DELETE FROM folder_routes WHERE folder_id IN ({some})")
            unfiled = self._db.execute(f"{copies} WHERE {told} AND NOT EXISTS ({here})").rowcount
        return lost, unfiled

    def filed_nowhere(self) -> list[tuple[bytes, str, str, str]]:
        """Objects that the ledger tells of and that are filed nowhere: digest, server, mailbox, folder."""
        query = (
            "SELECT m.digest, server, mailbox, name FROM source_messages m JOIN source_folders s ON s.id = folder_id"
            " WHERE m.digest IN (SELECT digest FROM temp.told) AND state IN (1, 2, 7)"
            " AND m.digest IN (SELECT digest FROM objects) AND m.digest NOT IN (SELECT digest FROM placements)"
            " GROUP BY m.digest ORDER BY m.folder_id, uid"
        )
        return [(digest, *place) for digest, *place in self.rows(query)]

    def copy_keys(self) -> set[bytes]:
        """Those of all placements."""
        return {key for (key,) in self.rows("SELECT DISTINCT copy_key FROM placements")}

    def note_untold(self, why: str) -> int:
        """Note in the ledger the objects that it does not speak of; return how many."""
        query = "SELECT digest, size FROM objects WHERE digest NOT IN (SELECT digest FROM temp.told) ORDER BY id"
        with self.transaction():
            rows = self._db.execute(query).fetchall()
            for digest, size in rows:
                self.note("adopted", digest=digest.hex(), size=size, why=why)
        return len(rows)

    def remember_validities(self, validities: t.Mapping[int, int]) -> None:
        """Under which UIDVALIDITY folders were last read, where the catalog does not say it."""
        rows = [(validity, folder_id) for folder_id, validity in validities.items()]
        with self.transaction():
            self._db.executemany("UPDATE source_folders SET uidvalidity = ? WHERE id = ? AND uidvalidity = 0", rows)

    def note_rebuilt(self, what: str, owner: str, figures: t.Mapping[str, int]) -> None:
        """Note in the ledger what was done."""
        with self.transaction():
            self.note("rebuilt", by=owner, what=what, **figures)

    def reach(self, commits: int, position: Position) -> None:
        """The last step: it counts at least so many commits, and knows this much of the ledger.

        Not before: who is cut short begins again with the same entries, and no run goes on from a half of them.
        """
        with self.transaction():
            self.put_evidence_position(position)
            self._db.execute(
                "UPDATE totals SET commits = max(commits + 1, ?), last_commit = ?, clock_stepped = 0", (commits, int(time.time()))
            )

    def copy_to(self, path: str) -> None:
        """Copy all of it into a new file."""
        with self._errors(), contextlib.closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    def fold(self) -> None:
        """Write the WAL into the file itself, so that the file is all there is once it is closed."""
        with self._errors():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
