# SPDX-License-Identifier: GPL-3.0-or-later
"""What an export asks the catalog, and what it notes for its own use: temporary tables, which lie in a file and go with the
connection, so that the size of an export does not matter for memory.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError

PAGE = 1000
# A message to be written, and one whose file has other rights than it should.
WRITE, AMEND = 1, 2
# The least that a file takes of a disk, and what a line of the manifest takes.
_BLOCK = 4096
_LINE = 512

# key: the number of a folder in this export. twin: whether the beginning of the digest is not enough for a name of its own.
# label: the mailbox that a placement came from. line: of the manifest; NULL for what stands in the journal of a part.
_TABLES = (
    "PRAGMA temp_store = FILE",
    "CREATE TEMP TABLE chosen(folder_id INTEGER PRIMARY KEY, key INTEGER NOT NULL)",
    "CREATE TEMP TABLE item(id INTEGER PRIMARY KEY, key INTEGER NOT NULL, digest BLOB NOT NULL, size INTEGER NOT NULL,"
    " date INTEGER NOT NULL, flags TEXT NOT NULL, label TEXT NOT NULL, twin INTEGER NOT NULL, todo INTEGER NOT NULL DEFAULT 0)",
    "CREATE TEMP TABLE place(folder_id INTEGER PRIMARY KEY, label TEXT NOT NULL)",
    "CREATE TEMP TABLE source(label TEXT, digest BLOB, folder_id INTEGER, uidvalidity INTEGER, uid INTEGER,"
    " PRIMARY KEY(label, digest, folder_id, uidvalidity, uid)) WITHOUT ROWID",
    "CREATE TEMP TABLE have(key INTEGER, digest BLOB, line INTEGER, file TEXT NOT NULL, size INTEGER NOT NULL, end INTEGER,"
    " PRIMARY KEY(key, digest)) WITHOUT ROWID",
)
_CHOOSE = (
    "INSERT INTO item(key, digest, size, date, flags, label, twin)"
    " SELECT key, digest, size, internaldate, flags, substr(origin, instr(origin, ':') + 1),"
    " count(*) OVER (PARTITION BY key, max(0, internaldate), substr(digest, 1, 8)) > 1"
    " FROM chosen CROSS JOIN placements ON placements.folder_id = chosen.folder_id"
    " WHERE internaldate >= ? AND internaldate < ? ORDER BY key, internaldate, digest"
)
_FORGET_LOST = "DELETE FROM item WHERE digest IN (SELECT digest FROM main.lost WHERE found IS NULL)"
_SOURCES = (
    "CREATE INDEX temp.item_digest ON item(digest)",
    "INSERT INTO place SELECT id, server || '/' || mailbox FROM source_folders"
    " WHERE server || '/' || mailbox IN (SELECT DISTINCT label FROM item)",
    "INSERT INTO source SELECT label, m.digest, m.folder_id, uidvalidity, uid"
    " FROM place CROSS JOIN source_messages AS m ON m.folder_id = place.folder_id"
    " WHERE EXISTS (SELECT 1 FROM item WHERE item.digest = m.digest AND item.label = place.label)",
)
_FROM = (
    "SELECT item.id, server, mailbox, name, source.uidvalidity, uid FROM item"
    " JOIN source ON source.label = item.label AND source.digest = item.digest JOIN source_folders AS f ON f.id = folder_id"
    " WHERE item.id BETWEEN ? AND ?"
)
_ITEM = "item.id, item.key, item.digest, item.size, date, flags, label, twin, have.file, have.size, todo"
_FAR = 1 << 62


Source = tuple[str, str, str, int, int]


class Item(t.NamedTuple):
    """One message in one folder. ``file`` and ``written`` (bytes) are those of the manifest, None when it has not got it.

    ``sources``: server, mailbox, folder, UIDVALIDITY and UID of it in the mailbox that it was filed from.
    """

    id: int
    key: int
    digest: bytes
    size: int
    date: int
    flags: str
    label: str
    twin: int
    file: str | None
    written: int | None
    todo: int
    sources: t.Sequence[Source] = ()


class ManifestLine(t.NamedTuple):
    """A line of the manifest: the message of ``digest`` in a folder is in ``file``; ``end``: where it ends there, in an mbox."""

    key: int
    digest: bytes
    line: int | None
    file: str
    size: int
    end: int | None


@dataclass(frozen=True)
class Share:
    """Of one folder, or of all: messages and bytes that are selected, and those of them that are to be written."""

    messages: int
    bytes: int
    new: int
    new_bytes: int


class ExportCatalog(Catalog):
    """The catalog of one export. Only ``told`` writes to the catalog itself."""

    def prepare(self) -> None:
        """Make the tables. Nothing may be asked by ``rows`` from now on where the catalog is open to be read only."""
        with self._errors():
            for statement in _TABLES:
                self._db.execute(statement)

    def choose(self, folders: t.Iterable[tuple[int, int]], since: int | None, before: int | None, *, sources: bool) -> int:
        """Take the messages of some (folder id, key), all as of one instant; return how many are left out, declared lost."""
        limits = (-_FAR if since is None else since, _FAR if before is None else before)
        with self._errors():
            self._db.executemany("INSERT INTO chosen VALUES (?, ?)", folders)
            self._db.execute("BEGIN")
            try:
                self._db.execute(_CHOOSE, limits)
                lost = self._db.execute(_FORGET_LOST).rowcount
                for statement in _SOURCES if sources else ():
                    self._db.execute(statement)
            finally:
                self._db.execute("COMMIT")
        if not self._as_opened():
            raise CatalogError(self.path, "somebody wrote to it while it was read", "Run this again")
        return int(lost)

    def items(self) -> t.Iterator[Item]:
        """The selected messages by folder and date, without their sources."""
        for page in self._pages(""):
            yield from page

    def work(self) -> t.Iterator[Item]:
        """Those for which something is to be done."""
        for page in self._pages("AND todo"):
            sources: dict[int, list[Source]] = {}
            for item_id, *source in self._own(_FROM, (page[0].id, page[-1].id)):
                sources.setdefault(item_id, []).append(t.cast("Source", tuple(source)))
            yield from (item._replace(sources=sources.get(item.id, ())) for item in page)

    def _pages(self, where: str) -> t.Iterator[list[Item]]:
        query = (
            f"SELECT {_ITEM} FROM item LEFT JOIN have ON have.key = item.key AND have.digest = item.digest"
            f" WHERE item.id > ? {where} ORDER BY item.id LIMIT {PAGE}"
        )
        last = 0
        while page := self._own(query, (last,)):
            yield [Item(*row) for row in page]
            last = page[-1][0]

    def set_todo(self, changes: t.Iterable[tuple[int, int]]) -> None:
        """(what is to be done, id of the item)."""
        with self._errors():
            self._db.execute("BEGIN")
            self._db.executemany("UPDATE item SET todo = ? WHERE id = ?", changes)
            self._db.execute("COMMIT")

    def shares(self) -> dict[int, Share]:
        """By folder."""
        query = f"SELECT key, count(*), sum(size), sum(todo = {WRITE}), sum(size * (todo = {WRITE})) FROM item GROUP BY key"
        return {row[0]: Share(*row[1:]) for row in self._own(query)}

    def needed(self, *, files: bool) -> int:
        """Bytes of a disk that what is to be written takes with its lines in the manifest; ``files``: a file each."""
        block = _BLOCK if files else 1
        query = f"SELECT coalesce(sum((size + {block - 1}) / {block} * {block} + {_LINE}), 0) FROM item WHERE todo = {WRITE}"
        return int(self._own(query)[0][0])

    # What dest has

    def know(self, known: t.Sequence[ManifestLine]) -> int:
        """Note what is there; return how many of it were not known before."""
        with self._errors():
            before = self._db.total_changes
            self._db.executemany("INSERT OR IGNORE INTO have VALUES (?, ?, ?, ?, ?, ?)", known)
            return self._db.total_changes - before

    def forget(self, key: int) -> None:
        """The file of a folder is not there, or not what it was."""
        with self._errors():
            self._db.execute("DELETE FROM have WHERE key = ?", (key,))

    def ends(self) -> dict[int, tuple[str, int]]:
        """By folder: the file and the end of the last message in it, where that is known."""
        query = "SELECT key, file, max(end) FROM have WHERE end IS NOT NULL AND line IS NOT NULL GROUP BY key"
        return {row[0]: (row[1], row[2]) for row in self._own(query)}

    def lines(self) -> t.Iterator[int]:
        """The numbers of the lines of the manifest that are right, in order."""
        with self._errors():
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS good(line INTEGER PRIMARY KEY)")
            self._db.execute("DELETE FROM good")
            self._db.execute("INSERT INTO good SELECT line FROM have WHERE line IS NOT NULL")
        last = -1
        while page := self._own(f"SELECT line FROM good WHERE line > ? ORDER BY line LIMIT {PAGE}", (last,)):
            yield from (row[0] for row in page)
            last = page[-1][0]

    # The ledger

    def told(self, **keys: t.Any) -> None:
        """Have the ledger say what was exported. A run that goes on is not waited for."""
        with self.transaction():
            self.note("exported", **keys)

    def _own(self, statement: str, values: t.Sequence[t.Any] = ()) -> list[t.Any]:
        """Rows of the own tables. ``rows`` might open the catalog anew, and they would be gone."""
        with self._errors():
            return self._db.execute(statement, values).fetchall()
