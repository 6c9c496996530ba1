# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode: what a run would archive. It logs in, looks at folders and UIDs, and writes nothing anywhere."""

from __future__ import annotations

import typing as t
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, progress
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import SourceFolder, User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State, account, compare
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Profile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import (
    Options,
    changed_folders,
    choose,
    note_error,
    number,
    server_problems,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_folder import opened_again
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import (
    READ_ONLY_USER,
    Mailbox,
    archive_mailbox_warning,
    mailboxes_of,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_masters import MasterKeys, refused_before
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport, ProfileReport, RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Gate, Survey, Surveyed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, ImapError, InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder


@dataclass
class KnownPeople:
    """The archive users as they are; nobody is created."""

    known: list[User]

    def users(self) -> list[User]:
        """All of them, leavers excluded."""
        return self.known

    def ensure(self, name: str) -> int:
        """The id of the user, or one that stands for a user whom the run would create."""
        return next((user.id for user in self.known if user.name == name), READ_ONLY_USER)


class Preview:
    """Counts what a run would archive. The archive root need not exist yet."""

    def __init__(self, options: Options, reporter: progress.Reporter, imap: Imap | None = None) -> None:
        self._options = options
        self._reporter = reporter
        self._masters = MasterKeys(options.servers, options.secrets)
        self._imap = self._masters.over(imap or Imap())
        self._gate = Gate(refused_before(options.servers, options.secrets))
        self._server_errors: dict[str, ArchiveToolError] = {}
        self._catalog: Catalog | None = None
        # What the run would have archived by then, so that a second profile over the same mailbox counts it as known.
        self._planned: dict[tuple[str, str, str, int], list[int]] = {}
        self.report = RunReport(warnings=options.warnings())

    def go(self) -> RunReport:
        """Look at all chosen profiles; once."""
        path = Path(self._options.root, layout.CATALOG_FILE)
        watch = progress.Stopwatch()
        with ExitStack() as stack:
            stack.enter_context(self._masters)
            if path.exists():
                self._catalog = stack.enter_context(Catalog.open(str(path), readonly=True))
            for profile in self._options.chosen():
                self.report.profiles.append(self._profile(profile))
            self.report.warnings += self._masters.warnings()
        self.report.miss(self._options.mailbox)
        self.report.seconds = watch.seconds
        return self.report

    def _profile(self, profile: Profile) -> ProfileReport:
        report = ProfileReport(profile.name, profile.method)
        people = KnownPeople(self._catalog.users() if self._catalog else [])
        try:
            mailboxes, report.errors = mailboxes_of(profile, self._options.servers, self._options.secrets, people)
        except InputError as error:
            if people.known:
                report.errors.append((f"profile {profile.name}", str(error)))
            else:
                self.report.warnings.append(f"{error} Until then this profile finds nothing to archive.")
            return report
        warning = archive_mailbox_warning(profile, people.known)
        self.report.warnings += [warning] if warning else []
        mailboxes = number(choose(mailboxes, self._options.mailbox))
        report.mailboxes = [mailbox.report for mailbox in mailboxes]
        open_rows = self._catalog.open_folders() if self._catalog else {}
        with Survey(self._imap, self._gate, mailboxes, self._options.connections) as survey:
            surveyed = list(survey.all(lambda: self._reporter.stop_requested))
        # Only now: the survey may have as many connections as are allowed.
        for found in surveyed:
            if found.error is not None:
                note_error(found, self._gate, self._server_errors)
            else:
                self._mailbox(found, open_rows)
        report.errors += server_problems(profile, mailboxes, self._server_errors)
        return report

    def _mailbox(self, found: Surveyed, open_rows: t.Mapping[int, t.Mapping[State, int]]) -> None:
        mailbox = found.mailbox
        changed = changed_folders(found, self._catalog, open_rows)
        if changed:
            known = self._catalog.mailbox_folders(mailbox.server.name, mailbox.name) if self._catalog else {}
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
        before: dict[int, State] = {}
        again: set[int] = set()
        if self._catalog and source:
            before = self._catalog.states(source.id, status.uidvalidity)
            again = opened_again(self._catalog, mailbox, source, status.uidvalidity, mailbox.filing(folder.parts))
        planned = self._planned.setdefault((mailbox.server.name, mailbox.name, folder.name, status.uidvalidity), [])
        before.update(dict.fromkeys(planned, State.ARCHIVED))
        wanted = compare(uids, before, again).wanted
        planned += wanted
        report.accounts = account(uids, before, {**before, **dict.fromkeys(wanted, State.ARCHIVED)})
        return report
