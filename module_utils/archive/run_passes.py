# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run tells those who watch mailboxes: how busy each is on its server, and what became of its mail."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_mailboxes import MailboxPass, MailboxPasses
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import unknown_addresses
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import MULTIDROP
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import MailboxReport, ProfileReport, RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import FolderStatus, StatusFailed

Data = dict[str, t.Any]


def clock() -> int:
    """Seconds since the epoch."""
    return int(time.time())


def note_statuses(report: MailboxReport, statuses: t.Iterable[FolderStatus | StatusFailed]) -> None:
    """Keep what the server told of the selected folders, if it told of all of them."""
    told = list(statuses)
    known = [status for status in told if isinstance(status, FolderStatus)]
    if len(known) == len(told):
        report.on_server = sum(status.messages for status in known)
        report.uidnext = sum(status.uidnext for status in known)


def unknown_in(catalog: Catalog, server: str, mailbox: str) -> dict[str, int]:
    """How many messages of a mailbox wait for each unknown address; dropped ones count as well."""
    folders = {source.id for source in catalog.mailbox_folders(server, mailbox).values()}
    counts: dict[str, int] = {}
    for row in catalog.left_reasons() if folders else ():
        if row.folder_id in folders and row.state in (State.LEFT, State.EXCLUDED):
            for address in unknown_addresses(row.reason):
                counts[address] = counts.get(address, 0) + row.messages
    return counts


def passes_of(report: RunReport, catalog: Catalog, *, one_mailbox: bool) -> MailboxPasses:
    """What the catalog is to remember; ``one_mailbox``: the run was asked for a single one."""
    tried = [(profile, mailbox) for profile in report.profiles for mailbox in profile.mailboxes if _looked(mailbox)]
    passes = [_pass(profile, mailbox, catalog) for profile, mailbox in tried]
    reached = [profile for profile in report.profiles if profile.mailboxes and not one_mailbox]
    # One that was not come to, as after a stop, is still the profile's.
    return MailboxPasses(passes, {one.name for one in reached if len(one.mailboxes) == sum(map(_looked, one.mailboxes))})


def _looked(mailbox: MailboxReport) -> bool:
    return bool(mailbox.error) or mailbox.blocked or mailbox.selected is not None


def _pass(profile: ProfileReport, mailbox: MailboxReport, catalog: Catalog) -> MailboxPass:
    accounts, now = mailbox.accounts(), clock()
    succeeded = now if _succeeded(mailbox) else None
    figures: dict[str, int | None] = {}
    if succeeded is not None:
        figures = {
            "on_server": mailbox.on_server,
            "uidnext": mailbox.uidnext,
            "excluded": accounts.excluded,
            "left": accounts.left,
            "failed": accounts.failed,
            "quarantined": accounts.quarantined,
        }
        if profile.method == MULTIDROP:
            held = catalog.bytes_held(mailbox.server, mailbox.mailbox)
            figures.update(unknown_addresses=mailbox.unknown, on_server_bytes=held)
    head = (profile.name, mailbox.server, mailbox.mailbox, profile.method)
    return MailboxPass(*head, now, succeeded, accounts.new + accounts.copies, mailbox.bytes, figures)


def _succeeded(mailbox: MailboxReport) -> bool:
    """Whether it was gone through to its end. Single messages that cannot be archived are counted, and are no failure of it."""
    return mailbox.finished and not (mailbox.error or mailbox.blocked) and not any(one.error for one in mailbox.folders)


def told(run: Data, profiles: t.Sequence[Data], catalog: Catalog, declared: t.Collection[str]) -> Data:
    """``run`` of a result with the figures for monitoring; ``profiles``: those of the result, ``declared``: names of all."""
    ran = [one for one in profiles if not one["outside_window"]]
    figures = {
        "totals": catalog.totals_data(),
        "mailboxes": [one.as_data() for one in catalog.mailbox_passes() if one.profile in declared],
        "left_out": {one["name"]: one["left_out_count"] for one in ran},
    }
    return {**run, "figures": figures}
