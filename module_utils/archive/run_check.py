# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode: what a run would archive and delete. It logs in, looks at folders and UIDs, and writes nothing anywhere."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import progress, worker_filter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import SourceFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State, account, compare
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Profile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_delete_check import at_once, preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_delete_plan import Declared, Planner
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_filter import Sieve
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_folder import opened_again
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_look import Looker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_looked import changed_folders
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import KnownPeople, Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Surveyed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus


class Preview(Looker):
    """Counts what a run would archive and delete."""

    def __init__(self, options: Options, reporter: progress.Reporter, imap: Imap | None = None) -> None:
        super().__init__(options, reporter, imap)
        self._reconcile = options.reconcile()
        # What the run would have archived by then, so that a second profile over the same mailbox counts it as known.
        self._planned: dict[tuple[str, str, str, int], list[int]] = {}
        self._mailboxes: list[Mailbox] = []

    @functools.cached_property
    def _open_rows(self) -> dict[int, dict[State, int]]:
        return self._catalog.open_folders() if self._catalog else {}

    def _outside(self, profile: Profile) -> str:
        return self._options.outside(profile)

    def _begin(self, profile: Profile, mailboxes: t.Sequence[Mailbox]) -> None:
        super()._begin(profile, mailboxes)
        self._mailboxes += mailboxes

    def _finish(self) -> None:
        """After all profiles, as a run deletes."""
        self.report.warnings += at_once(self._mailboxes)
        if self._catalog is None:
            return
        options, people = self._options, KnownPeople(self._catalog.users())
        declared = Declared(options.profiles, options.servers, options.secrets, people)
        plans = Planner(self._catalog, declared, self._reconcile.now).plans(self._mailboxes)
        preview(self._imap, self._gate, self._catalog, plans)

    def _mailbox(self, found: Surveyed) -> None:
        mailbox = found.mailbox
        changed = changed_folders(found, self._catalog, self._open_rows, self._reconcile)
        if changed:
            known = self._catalog.mailbox_folders(mailbox.server.name, mailbox.name, mailbox.route) if self._catalog else {}
            self._open(mailbox, changed, known)

    def _open(self, mailbox: Mailbox, folders: list[Folder], known: t.Mapping[str, SourceFolder]) -> None:
        try:
            connection = self._gate.open(self._imap, mailbox)
        except ArchiveToolError as error:
            mailbox.report.error = str(error)
            return
        try:
            for folder in folders:
                mailbox.report.folders.append(self._folder(connection, mailbox, folder, known.get(folder.name)))
        except ArchiveToolError as error:
            mailbox.report.error = str(error)
        finally:
            connection.close()

    def _folder(self, connection: t.Any, mailbox: Mailbox, folder: Folder, source: SourceFolder | None) -> FolderReport:
        report = FolderReport(folder.name, opened=True)
        try:
            status = self._imap.examine(connection, folder)
            uids = self._imap.search_uids(connection)
        except ImapError as error:
            report.error = str(error)
            return report
        rule, now = mailbox.profile.filter, self._reconcile.now
        before: dict[int, State] = {}
        again: set[int] = set()
        matched, note = worker_filter.matched(self._imap, connection, rule, now)
        report.notes += [note] if note else []
        if self._catalog and source:
            before = self._catalog.states(source.id, status.uidvalidity)
            sieve = Sieve(rule, source, mailbox.rules, now, matched)
            again = opened_again(self._catalog, sieve, status.uidvalidity, mailbox.filing(folder.parts))
        planned = self._planned.setdefault((mailbox.server.name, mailbox.name, folder.name, status.uidvalidity), [])
        before.update(dict.fromkeys(planned, State.ARCHIVED))
        wanted = compare(uids, before, again).wanted
        out = worker_filter.kept_out(self._imap, connection, wanted, rule, now, matched)
        before.update(dict.fromkeys(out, State.EXCLUDED))
        wanted = [uid for uid in wanted if uid not in out]
        planned += wanted
        report.bytes = self._due(connection, mailbox, folder, status, wanted)
        report.accounts = account(uids, before, {**before, **dict.fromkeys(wanted, State.ARCHIVED)})
        return report

    def _due(self, _connection: t.Any, _mailbox: Mailbox, _folder: Folder, _status: FolderStatus, _uids: t.Sequence[int]) -> int:
        """How many bytes a run would fetch from the open folder; who does not ask for them counts none."""
        return 0
