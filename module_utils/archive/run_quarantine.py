# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that failed again and again: who is told of them, and who has been told enough."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_stuck
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import StoredMessage
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox

TOLD_OF = 100  # messages of a folder, one by one
NOTHING = "acknowledged: {}: no such message is in quarantine; remove the entry"


class Acknowledged(t.NamedTuple):
    """A message in quarantine that the operator knows of."""

    server: str
    mailbox: str
    folder: str
    uidvalidity: int
    uid: int

    def __str__(self) -> str:
        """The entry as inventory data."""
        return "{" + ", ".join(f"{key}: {run_stuck.quoted(value)}" for key, value in self._asdict().items()) + "}"


def parse_acknowledged(raw: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[Acknowledged, ...]:
    """Check the entries; raises ``InputError``."""
    found = []
    for index, entry in enumerate(raw, 1):
        subject, keys = f"acknowledged, entry {index}", ", ".join(Acknowledged._fields)
        if set(entry) != set(Acknowledged._fields):
            raise InputError(subject, f"it has the keys {', '.join(map(str, entry)) or 'none'}", f"Give {keys}")
        for key in ("uidvalidity", "uid"):
            if not str(entry[key]).isdecimal():
                raise InputError(f"{subject}, key {key}", f"{entry[key]!r} cannot be used", "Give a whole number")
        names = (str(entry["server"]), str(entry["mailbox"]).lower(), str(entry["folder"]))
        found.append(Acknowledged(*names, int(entry["uidvalidity"]), int(entry["uid"])))
    return tuple(found)


def tell(catalog: Catalog, mailboxes: t.Iterable[Mailbox], acknowledged: t.Collection[Acknowledged]) -> None:
    """Name in the reports of the folders every message in quarantine that nobody has acknowledged."""
    for mailbox in mailboxes:
        reports = [report for report in mailbox.report.folders if report.accounts.quarantined]
        known = catalog.mailbox_folders(mailbox.server.name, mailbox.name) if reports else {}
        for report in reports:
            source = known[report.name]
            place = (mailbox.server.name, mailbox.name, report.name)
            for row in catalog.open_messages(source.id):
                key = Acknowledged(*place, row.uidvalidity, row.uid)
                if row.state is State.QUARANTINED and key not in acknowledged:
                    report.quarantined.append(_text(row, key))
            more = len(report.quarantined) - TOLD_OF
            if more > 0:
                report.quarantined[TOLD_OF:] = [f"{counted(more, 'more message')} could not be archived in many attempts"]


def _text(row: StoredMessage, key: Acknowledged) -> str:
    return run_stuck.quarantined(row.uidvalidity, row.uid, row.attempts, row.reason, str(key))


def useless(catalog: Catalog, acknowledged: t.Iterable[Acknowledged]) -> list[str]:
    """A warning for each entry that is of no use (any more)."""
    found = []
    for entry in acknowledged:
        source = catalog.mailbox_folders(entry.server, entry.mailbox).get(entry.folder)
        rows = catalog.messages(source.id, entry.uidvalidity, [entry.uid]) if source else {}
        if entry.uid not in rows or rows[entry.uid].state is not State.QUARANTINED:
            found.append(NOTHING.format(entry))
    return found
