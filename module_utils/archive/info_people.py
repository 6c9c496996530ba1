# SPDX-License-Identifier: GPL-3.0-or-later
"""Who of an archive has no mailbox that is read, and which mailboxes belong to nobody. Pure: no I/O."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_types import MULTIPLE

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_mailboxes import MailboxPass
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User

Data = dict[str, t.Any]
NOT_READ = "no profile reads a mailbox of this user"
LEAVER = "was archived, and no archive user has this address any more"


def users_without_mailbox(users: t.Iterable[User], passes: t.Sequence[MailboxPass]) -> list[Data]:
    """Enabled users with an address of whom no mailbox is read; nobody where no profile reads the mailboxes of users."""
    if not any(one.method == MULTIPLE for one in passes):
        return []
    read = {one.mailbox.lower() for one in passes}
    lacking = [user for user in users if user.enabled and user.addresses and read.isdisjoint(user.addresses)]
    return [{"user": user.name, "server": user.server, "why": NOT_READ} for user in lacking]


def mailboxes_without_user(
    users: t.Iterable[User], passes: t.Iterable[MailboxPass], sources: t.Iterable[tuple[str, str]]
) -> list[Data]:
    """Mailboxes that runs read and that are no archive user's, but for those that a profile names."""
    addresses = {address for user in users for address in user.addresses}
    named = {(one.server, one.mailbox) for one in passes if one.method != MULTIPLE}
    lost = [source for source in sources if source not in named and source[1].lower() not in addresses]
    return [{"server": server, "mailbox": mailbox, "why": LEAVER} for server, mailbox in lost]
