# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode's part of deletion: what a run would delete, as far as the catalog and the server tell. It only looks."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_delete_plan import FolderPlan, MailboxPlan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Gate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError

AT_ONCE = (
    "profile {name} has after_days 0: a run would also delete, as far as it can prove them, the {count:,} messages that it"
    " archives; they are not counted here"
)


def at_once(mailboxes: t.Iterable[Mailbox]) -> list[str]:
    """Warnings of profiles that delete what the same run archives: check mode cannot count it."""
    new: Counter[str] = Counter()
    for mailbox in mailboxes:
        if mailbox.profile.delete is not None and not mailbox.profile.delete.after_days:
            new[mailbox.profile.name] += sum(folder.accounts.new for folder in mailbox.report.folders)
    return [AT_ONCE.format(name=name, count=count) for name, count in new.items() if count]


def preview(imap: Imap, gate: Gate, catalog: Catalog, plans: t.Iterable[MailboxPlan]) -> None:
    """Count in the reports what would be deleted and spared; one connection for each mailbox with old messages."""
    for plan in plans:
        due = [one for one in plan.folders if one.rules is not None]
        if not due:
            continue
        try:
            connection = gate.open(imap, plan.mailbox)
        except ArchiveToolError as error:
            plan.mailbox.report.error = plan.mailbox.report.error or str(error)
            continue
        try:
            for one in due:
                _folder(imap, connection, catalog, one)
        except ArchiveToolError as error:
            plan.mailbox.report.error = plan.mailbox.report.error or str(error)
        finally:
            connection.close()


def _folder(imap: Imap, connection: t.Any, catalog: Catalog, one: FolderPlan) -> None:
    source, spared = one.source, one.report.spared
    if "UIDPLUS" not in connection.capabilities and not one.dedicated:
        spared[deletion.NO_UIDPLUS] = catalog.count_old(source.id, source.uidvalidity, one.before)
        return
    status = imap.examine(connection, one.folder)
    if status.uidvalidity != source.uidvalidity:
        spared[deletion.INCOMPLETE] = catalog.count_old(source.id, source.uidvalidity, one.before)
        return
    while page := catalog.old_messages(source.id, source.uidvalidity, one.before, one.position, deletion.BATCH):
        one.position = (page[-1].archived, page[-1].uid)
        now = {listed.uid: listed for listed in imap.listing(connection, [message.uid for message in page])}
        for message in page:
            reason = deletion.judge_server(message, now.get(message.uid))
            if reason:
                spared[reason] = spared.get(reason, 0) + 1
            else:
                one.report.deleted += 1
