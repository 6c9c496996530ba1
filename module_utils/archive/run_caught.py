# SPDX-License-Identifier: GPL-3.0-or-later
"""A user who appears later: caught mail is filed although it left the server, and left mail that is gone is told."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.mailops.kerio.plugins.module_utils.archive import catalog_caught
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import MessageRow, PlacementRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import Committer, Message, Origin
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import CATCHALL, MultidropFiling, unknown_addresses
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import HEADER_LIMIT, header_block
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

TOLD = "gone before it could be filed: "
NAMED_USERS = 3


def changed(catalog: Catalog, mailbox: Mailbox) -> list[int]:
    """The source folders of a multidrop mailbox that were last filed by other rules, or for other archive users."""
    if not isinstance(mailbox.filing(()), MultidropFiling):
        return []
    return catalog_caught.folders_under_other_rules(catalog, mailbox.server.name, mailbox.name, mailbox.rules)


def file_caught(store: Store, catalog: Catalog, committer: Committer, mailbox: Mailbox, folder_id: int) -> int:
    """File what ``@catchall`` has from this mailbox for those who match it now; return how many placements that made.

    Whether the message is still on the server does not matter. An object that cannot be read stays where it is.
    """
    filing = t.cast("MultidropFiling", mailbox.filing(()))
    origin = Origin(folder_id, 0, mailbox.kind, f"{mailbox.server.name}/{mailbox.name}", mailbox.route)
    made = 0
    for page in catalog_caught.placements_of(catalog, CATCHALL, origin.text):
        for row in page:
            made += _file(store, committer, origin, filing, row)
        committer.commit()
    return made


def _file(store: Store, committer: Committer, origin: Origin, filing: MultidropFiling, row: PlacementRow) -> bool:
    try:
        head = next(iter(store.read_chunks(row.digest)), b"")[:HEADER_LIMIT]
    except StoreError:
        return False
    targets = [target for target in filing.decide(header_block(head)).targets if target.user_id != filing.catchall]
    message = Message(row.digest, row.size, row.vsize, row.copy_key, row.internaldate, row.flags)
    return bool(targets) and committer.file_again(origin, message, targets)


def lost(catalog: Catalog, committer: Committer, mailbox: Mailbox, folders: t.Sequence[int]) -> str | None:
    """A warning on messages that were left for addresses that have a user now, and are no longer on the server; told once."""
    directory = t.cast("MultidropFiling", mailbox.filing(())).directory
    counts: Counter[str] = Counter()
    for folder_id in folders:
        for uidvalidity, uid, reason in catalog_caught.gone_unread(catalog, folder_id):
            known = [address for address in unknown_addresses(reason) if directory.matches(address)]
            if known and not reason.startswith(TOLD):
                counts[known[0]] += 1
                origin = Origin(folder_id, uidvalidity, mailbox.kind, mailbox.name, "")
                committer.record(origin, [MessageRow(uid, State.VANISHED, reason=TOLD + known[0])])
    committer.commit()
    if not counts:
        return None
    named = ", ".join(f"{count:,} for {address}" for address, count in counts.most_common(NAMED_USERS))
    more = f" and others, {counts.total():,} in all" if len(counts) > NAMED_USERS else ""
    return (
        f"{mailbox.server.name} {mailbox.name}: messages that were left on the server until their user is known are no longer"
        f" there and cannot be archived: {named}{more}. unknown_addresses: catchall keeps such messages"
    )
