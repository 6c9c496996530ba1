# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pass over a folder asks the catalog: figures that prove its rows, and folders that are gone."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State, Tally

_GONE = f"({State.DELETED:d}, {State.VANISHED:d})"


class Sighting(t.NamedTuple):
    """A row of a message in a folder."""

    digest: bytes
    folder_id: int
    uidvalidity: int
    state: State
    reason: str


class PassTables(Database):
    """Source messages, many at a time."""

    def tallies(self, folder_id: int, uidvalidity: int) -> dict[State, Tally]:
        """The rows of a folder by state."""
        query = "SELECT state, count(*), sum(uid) FROM source_messages WHERE folder_id = ? AND uidvalidity = ? GROUP BY state"
        return {State(state): Tally(rows, uids) for state, rows, uids in self.rows(query, (folder_id, uidvalidity))}

    def states_of(self, folder_id: int, uidvalidity: int, uids: t.Collection[int]) -> dict[int, State]:
        """UID -> state of some messages; a UID without a row is absent."""
        query = "SELECT uid, state FROM source_messages WHERE folder_id = ? AND uidvalidity = ? AND uid IN ({})"
        return {uid: State(state) for uid, state in self.rows_among(query, sorted(uids), (folder_id, uidvalidity))}

    def lose_folder(self, folder_id: int, run_id: int) -> None:
        """The folder and its messages are not on the server any more (``SourceFolder.gone``); back again, it is read anew."""
        vanish = f"UPDATE source_messages SET state = {State.VANISHED:d}, reason = '', attempts = 0, run_id = ?"
        forget = "UPDATE source_folders SET uidvalidity = 0, uidnext = 0, messages = -1, highestmodseq = NULL, complete = 0"
        with self.transaction():
            self._db.execute(f"{vanish} WHERE folder_id = ? AND state NOT IN {_GONE}", (run_id, folder_id))
            self._db.execute(f"{forget}, last_run = ? WHERE id = ?", (run_id, folder_id))

    def sightings(self, folder_ids: t.Iterable[int], digests: t.Collection[bytes]) -> list[Sighting]:
        """The rows of some messages in some folders. Scans the folders: for the few messages that may have moved."""
        found: list[Sighting] = []
        with self._errors():
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS moved(digest BLOB PRIMARY KEY) WITHOUT ROWID")
            self._db.execute("DELETE FROM moved")
            self._db.executemany("INSERT INTO moved VALUES (?)", [(digest,) for digest in digests])
        query = (
            "SELECT digest, folder_id, uidvalidity, state, reason FROM source_messages"
            " WHERE folder_id = ? AND digest IN (SELECT digest FROM moved)"
        )
        for folder_id in folder_ids:
            rows = self.rows(query, (folder_id,))
            found += [Sighting(row[0], row[1], row[2], State(row[3]), row[4]) for row in rows]
        return found

    def unfiled(self, folder_id: int, uidvalidity: int) -> list[bytes]:
        """The digests of messages that are not filed from this folder because others stand for them."""
        query = f"SELECT DISTINCT digest FROM source_messages WHERE folder_id = ? AND uidvalidity = ? AND state = {State.COPY:d}"
        return [row[0] for row in self.rows(query, (folder_id, uidvalidity)) if row[0] is not None]

    def folder_parts(self, user_folder: int) -> tuple[str, ...]:
        """The true name of a folder of a user."""
        return tuple(json.loads(self.row("SELECT name FROM user_folders WHERE id = ?", (user_folder,))[0]))
