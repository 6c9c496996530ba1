# SPDX-License-Identifier: GPL-3.0-or-later
"""What a catalog has and a ledger does not tell of, compared in tables of the connection alone; all of it page by page."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import rebuild_ledger
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import REPLACED, entry
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rebuild import RebuiltCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Position

PAGE = 10_000
_WHY = "the ledger was damaged"
_TABLES = (
    "CREATE TEMP TABLE heard(digest TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TEMP TABLE heard_deleted(server, mailbox, folder, uidvalidity, uid, digest,"
    " PRIMARY KEY(server, mailbox, folder, uidvalidity, uid, digest)) WITHOUT ROWID",
    "CREATE TEMP TABLE heard_lost(digest TEXT PRIMARY KEY, found INTEGER NOT NULL) WITHOUT ROWID",
)
_HEARD_LOST = "INSERT INTO heard_lost VALUES (?, {}) ON CONFLICT(digest) DO UPDATE SET found = excluded.found"
_DELETED = ("server", "mailbox", "folder", "uidvalidity", "uid", "digest")
# event -> the keys of its entry that are kept, and where
_HEARD = {
    "archived": (("digest",), "INSERT OR IGNORE INTO heard VALUES (?)"),
    "adopted": (("digest",), "INSERT OR IGNORE INTO heard VALUES (?)"),
    "deleted": (_DELETED, "INSERT OR IGNORE INTO heard_deleted VALUES (?, ?, ?, ?, ?, ?)"),
    "lost": (("digest",), _HEARD_LOST.format(0)),
    "found": (("digest",), _HEARD_LOST.format(1)),
}
_OBJECTS = (
    "SELECT id, lower(hex(digest)), size FROM objects WHERE id > ?"
    " AND NOT EXISTS (SELECT 1 FROM temp.heard h WHERE h.digest = lower(hex(objects.digest)))"
    f" ORDER BY id LIMIT {PAGE}"
)
_RECEIPTS = (
    "SELECT folder_id, r.uidvalidity, r.uid, deleted, run_id, server, mailbox, name, lower(hex(digest)), size"
    " FROM receipts AS r JOIN source_folders AS f ON f.id = folder_id"
    " WHERE deleted IS NOT NULL AND (folder_id, r.uidvalidity, r.uid) > (?, ?, ?)"
    " AND NOT EXISTS (SELECT 1 FROM temp.heard_deleted h WHERE h.server = f.server AND h.mailbox = f.mailbox"
    " AND h.folder = f.name AND h.uidvalidity = r.uidvalidity AND h.uid = r.uid AND h.digest = lower(hex(r.digest)))"
    f" ORDER BY folder_id, r.uidvalidity, r.uid LIMIT {PAGE}"
)
_LOST = (
    "SELECT l.digest, lower(hex(l.digest)), size, declared, declared_by, reason, l.found, h.found FROM lost AS l"
    " LEFT JOIN temp.heard_lost AS h ON h.digest = lower(hex(l.digest))"
    " WHERE l.digest > ? AND (h.found IS NULL OR h.found <> (l.found IS NOT NULL))"
    f" ORDER BY l.digest LIMIT {PAGE}"
)
Entries = list[bytes]


class UntoldCatalog(RebuiltCatalog):
    """A catalog, and what it has heard of a ledger."""

    def begin_hearing(self) -> None:
        """Make room, and hear what waits to be appended: the next run tells that."""
        with self.transaction():
            for table in _TABLES:
                self._db.execute(table)
            for (text,) in self._db.execute("SELECT entry FROM evidence_waiting ORDER BY id"):
                self._hear(text.encode())

    def hear(self, entries: t.Iterable[bytes]) -> None:
        """Remember what these entries tell."""
        with self.transaction():
            for line in entries:
                self._hear(line)

    def _hear(self, line: bytes) -> None:
        told = rebuild_ledger.parsed(line)
        keys, statement = _HEARD.get(str(told.get("event")), ((), ""))
        values = [told.get(key) for key in keys]
        if statement and all(isinstance(value, (str, int)) for value in values):
            self._db.execute(statement, values)

    def untold_objects(self) -> t.Iterator[Entries]:
        """An entry for each object with a row of which nothing was heard."""
        for page in self._pages(_OBJECTS, (0,)):
            yield [_line("adopted", {"digest": digest, "size": size, "why": _WHY}) for _rowid, digest, size in page]

    def untold_deletions(self) -> t.Iterator[Entries]:
        """An entry for each receipt of which nothing was heard, with the time of the deletion."""
        names = ("at", "run", "server", "mailbox", "folder", "uidvalidity", "uid", "digest", "size")
        for page in self._pages(_RECEIPTS, (0, 0, 0)):
            # The key of the receipt stands before the rest; two parts of it are in the entry.
            rows = [(*row[3:8], *row[1:3], *row[8:]) for row in page]
            yield [_line("deleted", dict(zip(names, row, strict=True))) for row in rows]

    def untold_losses(self) -> t.Iterator[Entries]:
        """The entries about objects that were declared lost, or found again, of which nothing was heard."""
        for page in self._pages(_LOST, (b"",)):
            yield [line for row in page for line in _loss(*row[1:])]

    def _pages(self, query: str, first: tuple[t.Any, ...]) -> t.Iterator[list[t.Any]]:
        last = first
        while page := self.rows(query, last):
            yield page
            last = page[-1][: len(first)]

    # The files

    def replaces_ledger(self) -> bool:
        """Whether a rebuild began to replace files of the ledger and was cut short."""
        return self.get_meta(REPLACED) is not None

    def begin_replacing(self) -> None:
        """Say so, durably."""
        self.set_meta(REPLACED, "1")

    def take_ledger(self, position: Position) -> None:
        """The files are replaced, durably: commit what they hold."""
        with self.transaction():
            self.put_evidence_position(position)
            self._db.execute("DELETE FROM meta WHERE key = ?", (REPLACED,))


def _line(event: str, keys: t.Mapping[str, t.Any]) -> bytes:
    return entry(event, keys).encode("ascii")


def _loss(
    digest: str, size: int, declared: int, by: str, reason: str, found: int | None, heard_found: int | None
) -> t.Iterator[bytes]:
    """Who found it the catalog does not know."""
    common = {"digest": digest, "size": size}
    if heard_found is None or found is None:
        yield _line("lost", {"at": declared, "by": by, **common, "reason": reason})
    if found is not None:
        yield _line("found", {"at": found, "by": "", **common})
