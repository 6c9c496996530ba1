# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison with the servers asks the catalog: the rows of a folder page by page, so that a million need little room."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_classes import Row

PAGE = 20_000
_ROW = (
    "SELECT m.uidvalidity, m.uid, state, m.digest, m.size, vsize, reason, r.deleted IS NOT NULL"
    " FROM source_messages m LEFT JOIN receipts r USING(folder_id, uidvalidity, uid) WHERE m.folder_id = ?"
)


def need_little(catalog: Database) -> None:
    """Have the connection keep 4 MB of the file instead of 64: rows are read once, and there may be a hundred connections."""
    catalog.rows("PRAGMA cache_size = -4096")


def pages(catalog: Database, folder_id: int, uidvalidity: int) -> t.Iterator[list[Row]]:
    """The rows of a folder under one UIDVALIDITY by ascending UID; no read is longer than a page."""
    query = f"{_ROW} AND m.uidvalidity = ? AND m.uid > ? ORDER BY m.uid LIMIT ?"
    last = -1
    while page := [Row(*row) for row in catalog.rows(query, (folder_id, uidvalidity, last, PAGE))]:
        yield page
        last = page[-1].uid


def uidvalidities(catalog: Database, folder_id: int) -> list[int]:
    """Every UIDVALIDITY under which the folder has rows: each is a step in the index."""
    query = "SELECT min(uidvalidity) FROM source_messages WHERE folder_id = ? AND uidvalidity > ?"
    found: list[int] = []
    while (following := catalog.row(query, (folder_id, found[-1] if found else -1))[0]) is not None:
        found.append(following)
    return found


def declared_lost(catalog: Database) -> dict[bytes, str]:
    """The objects that were declared lost for good and not found since, with the reason that was given."""
    return dict(catalog.rows("SELECT digest, reason FROM lost WHERE found IS NULL"))
