# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog's view of the Kerio servers: source folders, routes, source messages."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import schema
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    MESSAGE_COLUMNS,
    LeftReason,
    SourceFolder,
    StoredMessage,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State

_FOLDER = (
    "SELECT id, server, mailbox, name, uidvalidity, uidnext, messages, highestmodseq, f.complete, last_run,"
    " coalesce(r.complete, 0), coalesce(r.run_id, 0), coalesce(r.rules, ''), coalesce(r.reconciled, 0), coalesce(r.due, 0)"
    " FROM source_folders f LEFT JOIN folder_routes r ON r.folder_id = id AND r.route = ?"
)
_PAGE = 1000


def _folder(row: t.Sequence[t.Any]) -> SourceFolder:
    return SourceFolder(*(*row[:8], bool(row[8]), row[9], bool(row[10]), *row[11:]))


def _message(row: t.Sequence[t.Any]) -> StoredMessage:
    return StoredMessage(row[0], row[1], State(row[2]), *row[3:])


class SourceTables(Database):
    """Source folders and messages."""

    def source_folder(self, server: str, mailbox: str, name: str, route: str = "") -> SourceFolder:
        """Get or create, as ``route`` knows it."""
        query = f"{_FOLDER} WHERE server = ? AND mailbox = ? AND name = ?"
        key = (server, mailbox, name)
        row = self.row(query, (route, *key))
        if row is None:
            with self.transaction(durable=False):
                self._db.execute("INSERT OR IGNORE INTO source_folders(server, mailbox, name) VALUES (?, ?, ?)", key)
            row = self.row(query, (route, *key))
        return _folder(row)

    def mailbox_folders(self, server: str, mailbox: str, route: str = "") -> dict[str, SourceFolder]:
        """Known folders of a mailbox by name, as ``route`` knows them."""
        rows = self.rows(f"{_FOLDER} WHERE server = ? AND mailbox = ?", (route, server, mailbox))
        return {folder.name: folder for folder in map(_folder, rows)}

    def source_folders(self) -> list[SourceFolder]:
        """All known source folders."""
        return [_folder(row) for row in self.rows(f"{_FOLDER} ORDER BY server, mailbox, name", ("",))]

    def routes(self, folder_id: int) -> frozenset[str]:
        """By which ways mail of this source folder was ever filed."""
        query = "SELECT route FROM folder_routes WHERE folder_id = ?"
        return frozenset(row[0] for row in self.rows(query, (folder_id,)))

    def states(self, folder_id: int, uidvalidity: int) -> dict[int, State]:
        """UID -> state."""
        states = {int(state): state for state in State}
        query = "SELECT uid, state FROM source_messages WHERE folder_id = ? AND uidvalidity = ?"
        return {uid: states[state] for uid, state in self.rows(query, (folder_id, uidvalidity))}

    def messages(self, folder_id: int, uidvalidity: int, uids: t.Iterable[int]) -> dict[int, StoredMessage]:
        """Rows of some UIDs; a UID without a row is absent."""
        query = f"SELECT {MESSAGE_COLUMNS} FROM source_messages WHERE folder_id = ? AND uidvalidity = ? AND uid = ?"
        found = (self.row(query, (folder_id, uidvalidity, uid)) for uid in uids)
        return {message.uid: message for message in (_message(row) for row in found if row is not None)}

    def open_messages(self, folder_id: int) -> list[StoredMessage]:
        """Rows in the states excluded, left, failed, quarantined: cheap, has its own index."""
        query = (
            f"SELECT {MESSAGE_COLUMNS} FROM source_messages WHERE folder_id = ? AND {schema.OPEN_ROWS} ORDER BY uidvalidity, uid"
        )
        return [_message(row) for row in self.rows(query, (folder_id,))]

    def open_folders(self) -> dict[int, dict[State, int]]:
        """folder_id -> number of open rows by state, for all folders at once: what may be due."""
        folders: dict[int, dict[State, int]] = {}
        query = f"SELECT folder_id, state, count(*) FROM source_messages WHERE {schema.OPEN_ROWS} GROUP BY folder_id, state"
        for folder_id, state, count in self.rows(query):
            folders.setdefault(folder_id, {})[State(state)] = count
        return folders

    def stored_messages(self, folder_id: int) -> t.Iterator[StoredMessage]:
        """Rows with a digest, in UID order: for filing a known folder by a new route from the store.

        Reads page by page, so that the caller may commit in between and no long read holds the WAL.
        """
        query = (
            f"SELECT {MESSAGE_COLUMNS} FROM source_messages"
            " WHERE folder_id = ? AND (uidvalidity, uid) > (?, ?) AND digest IS NOT NULL ORDER BY uidvalidity, uid LIMIT ?"
        )
        position = (-1, -1)
        while page := self.rows(query, (folder_id, *position, _PAGE)):
            for row in page:
                yield _message(row)
            position = (page[-1][0], page[-1][1])

    def left_reasons(self) -> list[LeftReason]:
        """Open rows counted by folder, state and reason, the most frequent first."""
        query = (
            f"SELECT folder_id, state, reason, count(*) FROM source_messages WHERE {schema.OPEN_ROWS}"
            " GROUP BY folder_id, state, reason ORDER BY 4 DESC, folder_id, state, reason"
        )
        return [LeftReason(row[0], State(row[1]), row[2], row[3]) for row in self.rows(query)]
