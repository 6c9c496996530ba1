# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from a look at mailboxes, in a run and in what only looks: what was in the way, and which folders are opened."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_passes
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import Reconcile, State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Profile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_folder import skipped_report, unchanged
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import BlockedError, Gate, Surveyed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_withheld import give_up
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, StatusFailed


def note_error(found: Surveyed, gate: Gate, server_errors: dict[str, ArchiveToolError]) -> None:
    """Write down why a mailbox could not be looked at: once for the whole server, else for the mailbox."""
    mailbox, error = found.mailbox, found.error
    if error is None:
        return
    of_server = gate.of_server(mailbox)
    if of_server is not None and (isinstance(error, BlockedError) or error is of_server):
        server_errors.setdefault(mailbox.server.name, of_server)
        mailbox.report.blocked = True
    give_up(mailbox, error, (isinstance(error, BlockedError) and gate.refusal(mailbox)) or error)


def server_problems(
    profile: Profile, mailboxes: t.Sequence[Mailbox], server_errors: t.Mapping[str, ArchiveToolError]
) -> list[tuple[str, str]]:
    """What kept mailboxes of a profile from being read, once per server, as (where, message)."""
    kept = {mailbox.server.name for mailbox in mailboxes if mailbox.report.blocked}
    return [(name, str(server_errors[name])) for name in dict.fromkeys(profile.servers) if name in kept and name in server_errors]


def changed_folders(
    found: Surveyed, catalog: Catalog | None, open_rows: t.Mapping[int, t.Mapping[State, int]], reconcile: Reconcile
) -> list[Folder]:
    """The folders that have to be opened: all of them without a catalog. The others are reported as they are."""
    mailbox = found.mailbox
    known = catalog.mailbox_folders(mailbox.server.name, mailbox.name, mailbox.route) if catalog else {}
    mailbox.report.excluded_folders = found.excluded
    mailbox.report.selected = frozenset(folder.name for folder, _status in found.folders)
    run_passes.note_statuses(mailbox.report, [status for _folder, status in found.folders])
    changed: list[Folder] = []
    for folder, status in found.folders:
        source = known.get(folder.name)
        rows = open_rows.get(source.id, {}) if source else {}
        if isinstance(status, StatusFailed):
            mailbox.report.folders.append(FolderReport(folder.name, error=f"it cannot be looked at: {status.text}"))
        elif catalog and unchanged(mailbox, source, status, rows, reconcile):
            mailbox.report.folders.append(skipped_report(folder.name, status, rows))
        else:
            changed.append(folder)
    return changed
