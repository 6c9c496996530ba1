# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs found in each mailbox of each profile, for who watches them. Nothing else relies on these rows."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import schema
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State

# What only adds up is added; figures of a look that failed say nothing, so those of the last one stay.
_PUT = (
    "INSERT INTO mailbox_passes(profile, server, mailbox, method, tried, succeeded, archived, bytes, figures)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(profile, server, mailbox) DO UPDATE SET"
    " method = excluded.method, tried = excluded.tried, succeeded = coalesce(excluded.succeeded, succeeded),"
    " archived = archived + excluded.archived, bytes = bytes + excluded.bytes,"
    " figures = iif(excluded.figures = '{}', figures, excluded.figures)"
)
_KEY = "profile = ? AND server = ? AND mailbox = ?"
_ALL = "SELECT profile, server, mailbox, method, tried, succeeded, archived, bytes, figures FROM mailbox_passes"
_HELD = (
    "SELECT coalesce(sum(m.size), 0) FROM source_messages m JOIN source_folders f ON f.id = m.folder_id AND"
    " f.uidvalidity = m.uidvalidity WHERE f.server = ? AND f.mailbox = ?"
    f" AND m.state NOT IN ({State.DELETED:d}, {State.VANISHED:d})"
)

_STUCK = (
    "SELECT f.server, f.mailbox, f.name, m.uidvalidity, m.uid, m.state, m.attempts, m.reason FROM source_messages m"
    f" JOIN source_folders f ON f.id = m.folder_id WHERE m.{schema.OPEN_ROWS}"
    f" AND m.state IN ({State.FAILED:d}, {State.QUARANTINED:d})"
    " ORDER BY m.state DESC, f.server, f.mailbox, f.name, m.uidvalidity, m.uid LIMIT ?"
)
_HAVE_FOLDERS = "SELECT DISTINCT server, mailbox FROM source_folders WHERE messages >= 0 ORDER BY server, mailbox"


class StuckMessage(t.NamedTuple):
    """A message that could not be archived, and why; ``state`` is failed or quarantined."""

    server: str
    mailbox: str
    folder: str
    uidvalidity: int
    uid: int
    state: State
    attempts: int
    reason: str


class MailboxPass(t.NamedTuple):
    """One mailbox of one profile in one run, or the sum of all runs. Times are seconds since the epoch.

    ``succeeded``: when it was last gone through to its end, None for never (or, of one run, for not in it). ``archived``
    messages and ``bytes`` that were fetched only grow. ``figures`` are those of the last look that worked.
    """

    profile: str
    server: str
    mailbox: str
    method: str
    tried: int
    succeeded: int | None
    archived: int
    bytes: int
    figures: dict[str, int | None]

    def as_data(self) -> dict[str, t.Any]:
        """The plain data of the result."""
        data = self._asdict()
        return {**data, **data.pop("figures")}


class MailboxPasses(t.NamedTuple):
    """What a run has to say of its mailboxes; ``whole``: the profiles that have no other ones."""

    passes: t.Sequence[MailboxPass]
    whole: t.Collection[str]


class MailboxTables(Database):
    """Mailboxes as runs found them."""

    def mailbox_passes(self) -> list[MailboxPass]:
        """All of them, profile by profile."""
        rows = self.rows(f"{_ALL} ORDER BY profile, server, mailbox")
        return [MailboxPass._make((*row[:-1], json.loads(row[-1]))) for row in rows]

    def put_mailbox_passes(self, found: MailboxPasses) -> None:
        """Add what a run found, and forget mailboxes that its profiles no longer have; within a transaction."""
        kept = {one[:3] for one in found.passes}
        gone = [one[:3] for one in self.mailbox_passes() if one.profile in found.whole and one[:3] not in kept]
        self._db.executemany(f"DELETE FROM mailbox_passes WHERE {_KEY}", gone)
        self._db.executemany(_PUT, [(*one[:-1], json.dumps(one.figures)) for one in found.passes])

    def bytes_held(self, server: str, mailbox: str) -> int:
        """Bytes of the messages that a mailbox has on its server, as far as they were read. Scans the mailbox's rows."""
        return int(self.row(_HELD, (server, mailbox))[0])

    def stuck_messages(self, most: int) -> list[StuckMessage]:
        """Messages that could not be archived, those in quarantine first."""
        return [StuckMessage._make((*row[:5], State(row[5]), *row[6:])) for row in self.rows(_STUCK, (most,))]

    def source_mailboxes(self) -> list[tuple[str, str]]:
        """(server, mailbox) of all that was ever read and has folders on its server, as far as is known."""
        return [(server, mailbox) for server, mailbox in self.rows(_HAVE_FOLDERS)]
