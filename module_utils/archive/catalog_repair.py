# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repair asks the catalog and writes to it. There is no index on the digest alone, so that each question is one scan."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, schema
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import in_parts, marks
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import EvidenceTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import ObjectRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State

INSERT_OBJECT = "INSERT INTO objects(digest, size, stored_size) VALUES (?, ?, ?)"
PUT_LOST = (
    "INSERT INTO lost(digest, size, declared, declared_by, reason) VALUES (?, ?, ?, ?, ?) ON CONFLICT(digest) DO UPDATE SET"
    " size = excluded.size, declared = excluded.declared, declared_by = excluded.declared_by, reason = excluded.reason,"
    " found = NULL"
)
_SUMS = "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(stored_size), 0) FROM objects"
_AGREED = f"SELECT 1 FROM totals WHERE (objects, bytes, stored_bytes) = ({_SUMS})"
_COUNT_AGAIN = f"UPDATE totals SET (objects, bytes, stored_bytes) = ({_SUMS})"


class Placed(t.NamedTuple):
    """A placement as it must be: ``directory`` is relative to the archive root, ``name`` that of the file in its ``cur``."""

    digest: bytes
    directory: str
    name: str

    @property
    def path(self) -> str:
        """Relative to the archive root."""
        return f"{self.directory}/cur/{self.name}"


class Asked(t.NamedTuple):
    """A message that is on a server as far as is known, under a digest. ``waits``: the next run reads it again anyway."""

    digest: bytes
    folder_id: int
    uidvalidity: int
    uid: int
    run_id: int
    size: int
    place: str
    waits: int


class RepairTables(EvidenceTables):
    """Rows of some objects, and what is declared lost."""

    def object_rows(self, digests: t.Iterable[bytes]) -> dict[bytes, list[ObjectRow]]:
        """The rows of objects, all of them where there are too many."""
        found: dict[bytes, list[ObjectRow]] = {}
        for row in self.rows_among("SELECT digest, size, stored_size FROM objects WHERE digest IN ({})", digests):
            found.setdefault(row[0], []).append(ObjectRow(*row))
        return found

    def placements_of(self, digests: t.Iterable[bytes]) -> list[Placed]:
        """All placements of objects, by folder."""
        query = (
            "SELECT dir, internaldate, digest, size, vsize, flags FROM placements"
            " JOIN user_folders ON user_folders.id = folder_id WHERE digest IN ({})"
        )
        found = [Placed(row[2], row[0], layout.placement_name(*row[1:])) for row in self.rows_among(query, digests)]
        return sorted(found, key=lambda one: (one.directory, one.digest))

    def on_servers(self, digests: t.Iterable[bytes]) -> list[Asked]:
        """The messages under these digests that were on a server when it was last looked at."""
        waiting = f"{State.FAILED:d}, {State.QUARANTINED:d}"
        query = (
            "SELECT digest, m.folder_id, m.uidvalidity, uid, run_id, coalesce(size, 0), server || '/' || mailbox || '/' || name,"
            f" state IN ({waiting})"
            " FROM source_messages AS m JOIN source_folders AS f ON f.id = m.folder_id AND f.uidvalidity = m.uidvalidity"
            f" WHERE f.messages >= 0 AND state IN ({State.ARCHIVED:d}, {State.COPY:d}, {waiting}) AND digest IN ({{}})"
        )
        found = (Asked(*row) for row in self.rows_among(query, digests))
        return sorted(found, key=lambda one: (one.digest, one.place, one.uid))

    def returning(self) -> set[bytes]:
        """The digests of failed messages that have the row of an object: when they come, it is there again and not new."""
        states = f"{schema.OPEN_ROWS} AND state IN ({State.FAILED:d}, {State.QUARANTINED:d})"
        asked = {row[0] for row in self.rows(f"SELECT digest FROM source_messages WHERE {states} AND digest IS NOT NULL")}
        return set(self.object_rows(asked))

    # Writing

    def put_objects(self, rows: t.Sequence[ObjectRow], notes: t.Sequence[tuple[str, dict[str, t.Any]]] = ()) -> None:
        """Have exactly these rows for their objects, and ``notes`` for the ledger. Their files are durable.

        The totals are counted again, but not where they contradict the rows already: that they do is a witness.
        """
        with self.transaction():
            agreed = bool(rows) and self.row(_AGREED) is not None
            for some in in_parts(row.digest for row in rows):
                self._db.execute(f"DELETE FROM objects WHERE digest IN ({marks(some)})", some)
            self._db.executemany(INSERT_OBJECT, rows)
            if agreed:
                self._db.execute(_COUNT_AGAIN)
            for event, keys in notes:
                self.note(event, **keys)

    def adopt_object(self, row: ObjectRow, why: str) -> None:
        """Give an object its first row. Its file is durable."""
        with self.transaction():
            self._db.execute(INSERT_OBJECT, row)
            counted = "objects = objects + 1, bytes = bytes + ?, stored_bytes = stored_bytes + ?"
            self._db.execute(f"UPDATE totals SET {counted}", (row.size, row.stored_size))
            self.note("adopted", digest=row.digest.hex(), size=row.size, why=why)

    def lost(self) -> dict[bytes, int]:
        """What is declared lost and was not found since: digest -> size."""
        return dict(self.rows("SELECT digest, size FROM lost WHERE found IS NULL"))

    def declare_lost(self, sizes: t.Mapping[bytes, int], by: str, reason: str) -> None:
        """Declare objects (digest -> size) lost."""
        now = int(time.time())
        with self.transaction():
            for digest, size in sizes.items():
                self._db.execute(PUT_LOST, (digest, size, now, by, reason))
                self.note("lost", by=by, digest=digest.hex(), size=size, reason=reason)

    def found_again(self, sizes: t.Mapping[bytes, int], by: str) -> None:
        """Say that the bytes of objects that were declared lost are there again, durably."""
        with self.transaction():
            self.put_found(sizes, by)

    def put_found(self, sizes: t.Mapping[bytes, int], by: str) -> None:
        """The same, but only within a transaction."""
        now = int(time.time())
        for digest, size in sizes.items():
            self._db.execute("UPDATE lost SET found = ? WHERE digest = ?", (now, digest))
            self.note("found", by=by, digest=digest.hex(), size=size)
