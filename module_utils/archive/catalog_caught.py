# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalog knows of mail that waits for its user: caught by ``@catchall``, or left on the server and gone since."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PLACEMENT_COLUMNS, PlacementRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State

_PAGE = 500


def folders_under_other_rules(catalog: Database, server: str, mailbox: str, rules: str) -> list[int]:
    """The source folders of a mailbox that were last read under other rules."""
    query = "SELECT id FROM source_folders WHERE server = ? AND mailbox = ? AND rules NOT IN ('', ?)"
    return [int(row[0]) for row in catalog.rows(query, (server, mailbox, rules))]


def placements_of(catalog: Database, user: str, origin: str) -> t.Iterator[list[PlacementRow]]:
    """What a user has by this origin, page by page, so that the caller may commit in between."""
    query = (
        f"SELECT {PLACEMENT_COLUMNS} FROM placements WHERE user_id = (SELECT id FROM users WHERE name = ?)"
        " AND origin = ? AND (folder_id, digest) > (?, ?) ORDER BY folder_id, digest LIMIT ?"
    )
    last = (0, b"")
    while page := [PlacementRow(*row) for row in catalog.rows(query, (user, origin, *last, _PAGE))]:
        yield page
        last = (page[-1].folder_id, page[-1].digest)


def gone_unread(catalog: Database, folder_id: int) -> list[tuple[int, int, str]]:
    """(UIDVALIDITY, UID, reason) of messages that were never archived for that reason and are no longer on the server."""
    query = (
        "SELECT uidvalidity, uid, reason FROM source_messages"
        " WHERE folder_id = ? AND state = ? AND digest IS NULL AND reason <> ''"
    )
    return [(row[0], row[1], row[2]) for row in catalog.rows(query, (folder_id, int(State.VANISHED)))]
