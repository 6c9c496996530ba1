# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification asks the catalog: everything that it says of the disk, in shares by the first byte of the digest."""

from __future__ import annotations

import math
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_repair import RepairTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PLACEMENT_COLUMNS, ObjectRow, PlacementRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import DIRECTORIES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import KEPT

_KEPT = f"({', '.join(f'{state:d}' for state in sorted(KEPT))})"
_PAGE = 20_000


class FolderRow(t.NamedTuple):
    """A folder of a user: its directory relative to the archive root."""

    id: int
    user_id: int
    dir: str


class VerifyTables(RepairTables):
    """Scans of whole tables. None of them holds a transaction for longer than one query."""

    def integrity(self) -> list[str]:
        """What SQLite finds wrong with the file, the indexes and the references; nothing when all is well."""
        told = [str(row[0]) for row in self.rows("PRAGMA integrity_check")]
        broken = self.rows("PRAGMA foreign_key_check")
        wrong = [line for line in told if line != "ok"]
        return wrong + [f"a row of {row[0]} refers to a row of {row[2]} that is not there" for row in broken]

    def tally_differences(self) -> list[str]:
        """Where the totals are not the sums of the rows."""
        row = self.row(
            "SELECT totals.objects, o.n, totals.bytes, o.bytes, totals.stored_bytes, o.stored, totals.placements, p.n"
            " FROM totals,"
            " (SELECT count(*) AS n, coalesce(sum(size), 0) AS bytes, coalesce(sum(stored_size), 0) AS stored FROM objects) AS o,"
            " (SELECT count(*) AS n FROM placements) AS p"
        )
        names = ("objects", "bytes", "stored bytes", "placements")
        if row is None:
            return ["it has no totals"]
        pairs = zip(names, row[::2], row[1::2], strict=True)
        return [f"it counts {total:,} {name}, but has rows of {found:,}" for name, total, found in pairs if total != found]

    def blank_messages(self) -> int:
        """How many messages are said to be in the archive under no digest."""
        return int(self.row(f"SELECT count(*) FROM source_messages WHERE state IN {_KEPT} AND digest IS NULL")[0])

    def objects_in(self, first: int, end: int) -> list[ObjectRow]:
        """The objects whose first byte is from ``first`` to before ``end``."""
        where, values = _between(first, end)
        return [ObjectRow(*row) for row in self.rows(f"SELECT digest, size, stored_size FROM objects WHERE {where}", values)]

    def placements_in(self, first: int, end: int) -> dict[bytes, int]:
        """How many placements the objects of these first bytes have."""
        where, values = _between(first, end)
        return dict(self.rows(f"SELECT digest, count(*) FROM placements WHERE {where} GROUP BY digest", values))

    def archived_in(self, first: int, end: int) -> set[bytes]:
        """The digests of these first bytes under which messages of servers were archived; objects stay when those are gone."""
        where, values = _between(first, end)
        query = f"SELECT DISTINCT digest FROM source_messages WHERE {where}"
        return {row[0] for row in self.rows(query, values)}

    def object_groups(self, most: int) -> t.Iterator[tuple[int, int]]:
        """Ranges of first bytes (to before the second number), each of which has about so many objects at the most."""
        step = max(1, DIRECTORIES // max(1, math.ceil(self.count_objects() / most)))
        return ((first, min(first + step, DIRECTORIES)) for first in range(0, DIRECTORIES, step))

    def count_objects(self) -> int:
        """How many rows of objects there are."""
        return int(self.row("SELECT count(*) FROM objects")[0])

    def last_object(self) -> int:
        """The highest number of an object, 0 when there is none."""
        return int(self.row("SELECT max(id) FROM objects")[0] or 0)

    def objects_numbered(self, numbers: t.Iterable[int]) -> list[ObjectRow]:
        """The objects of these numbers, those that there are, in their order."""
        query = "SELECT digest, size, stored_size FROM objects WHERE id IN ({}) ORDER BY id"
        return [ObjectRow(*row) for row in self.rows_among(query, sorted(numbers))]

    def placed(self) -> tuple[int, int]:
        """How many placements there are, and of how many bytes."""
        count, size = self.row("SELECT count(*), coalesce(sum(size), 0) FROM placements")
        return int(count), int(size)

    def folders(self) -> list[FolderRow]:
        """The folders of all users, leavers included."""
        return [FolderRow(*row) for row in self.rows("SELECT id, user_id, dir FROM user_folders ORDER BY dir")]

    def trees(self) -> set[str]:
        """The names of all users' directories, leavers included."""
        return {str(row[0]) for row in self.rows("SELECT tree FROM users")}

    def folder_placements(self, folder_id: int) -> t.Iterator[PlacementRow]:
        """The placements of a folder, page by page."""
        query = f"SELECT {PLACEMENT_COLUMNS} FROM placements WHERE folder_id = ? AND digest > ? ORDER BY digest LIMIT {_PAGE}"
        last = b""
        while page := self.rows(query, (folder_id, last)):
            for row in page:
                yield PlacementRow(*row)
            last = page[-1][1]


def _between(first: int, end: int) -> tuple[str, tuple[bytes, ...]]:
    """A condition on ``digest`` and its values. There is no index for it: SQLite scans, and gives only these."""
    if end >= DIRECTORIES:
        return "digest >= ?", (bytes([first]),)
    return "digest >= ? AND digest < ?", (bytes([first]), bytes([end]))
