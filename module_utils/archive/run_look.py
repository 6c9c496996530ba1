# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode, the test and the estimate share: they log in and look, and write nothing anywhere."""

from __future__ import annotations

import typing as t
from contextlib import ExitStack
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, progress
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_agree import FiledFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Profile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_looked import note_error, server_problems
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import (
    KnownPeople,
    Mailbox,
    choose,
    filed_by,
    folder_warnings,
    mailboxes_of,
    number,
    profile_warnings,
    without_privilege,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_masters import MasterKeys, untried
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import ProfileReport, RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Gate, Survey, Surveyed, look
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, InputError


class Looker:
    """Goes through the chosen profiles as a run would. The archive root need not exist yet; ``go`` returns the report."""

    # How often a mailbox is begun when its connection breaks.
    tries = 2
    # Whether it is a problem that there are no archive users yet. A first check of everything comes before they are synchronised.
    needs_users = False

    def __init__(self, options: Options, reporter: progress.Reporter, imap: Imap | None = None) -> None:
        self._options = options
        self._reporter = reporter
        self._masters = MasterKeys(options.servers, options.secrets)
        self._imap = self._masters.over(imap or Imap())
        self._gate = Gate(untried(options.servers, options.secrets))
        self._server_errors: dict[str, ArchiveToolError] = {}
        self._catalog: Catalog | None = None
        self._filed: list[FiledFolder] = []
        # Of profiles that wait for archive users.
        self._waiting: list[str] = []
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
            self._finish()
            self.report.warnings += [*waiting_warning(self._waiting), *self._masters.warnings(), *self.report.withheld_warnings()]
        self.report.miss(self._options.mailbox)
        self.report.seconds = watch.seconds
        return self.report

    def _profile(self, profile: Profile) -> ProfileReport:
        watch = progress.Stopwatch()
        report = ProfileReport(profile.name, profile.method, outside=self._outside(profile))
        if report.outside:
            return report
        people = KnownPeople(self._catalog.users() if self._catalog else [])
        try:
            mailboxes, report.errors = mailboxes_of(profile, self._options.servers, self._options.secrets, people)
        except InputError as error:
            if people.known or self.needs_users:
                report.errors.append((f"profile {profile.name}", str(error)))
            else:
                self._waiting.append(profile.name)
            return report
        report.left_out = without_privilege(profile, people.known)
        self.report.warnings += profile_warnings(profile, people.known)
        mailboxes = number(choose(mailboxes, self._options.mailbox))
        report.mailboxes = [mailbox.report for mailbox in mailboxes]
        self._begin(profile, mailboxes)
        with Survey(self._imap, self._gate, mailboxes, self._options.connections, self._look, self.tries) as survey:
            surveyed = list(survey.all(lambda: self._reporter.stop_requested))
            if self._reporter.stop_requested:
                survey.leave()
        # Only now: the survey may have as many connections as are allowed.
        self._looked_at(sorted(surveyed, key=lambda found: found.mailbox.position))
        self.report.warnings += folder_warnings(profile, people.known, self._filed)
        self._filed += [one for mailbox in mailboxes for one in filed_by(mailbox)]
        report.errors += self._server_problems(profile, mailboxes)
        report.seconds = watch.seconds
        return report

    def _outside(self, _profile: Profile) -> str:
        """Why a profile is not looked at; the windows are for runs."""
        return ""

    def _begin(self, profile: Profile, mailboxes: t.Sequence[Mailbox]) -> None:
        """What is to be done before the mailboxes of a profile are looked at."""

    def _server_problems(self, profile: Profile, mailboxes: t.Sequence[Mailbox]) -> list[tuple[str, str]]:
        return server_problems(profile, mailboxes, self._server_errors)

    def _look(self, imap: Imap, mailbox: Mailbox, connection: t.Any) -> Surveyed:
        """What is to be seen of a mailbox; called in threads."""
        return look(imap, mailbox, connection)

    def _looked_at(self, surveyed: t.Sequence[Surveyed]) -> None:
        """What is to be done about the mailboxes of a profile."""
        for found in surveyed:
            if found.error is not None:
                note_error(found, self._gate, self._server_errors)
            else:
                self._mailbox(found)

    def _mailbox(self, found: Surveyed) -> None:
        """What is to be done about a mailbox that opened."""
        raise NotImplementedError

    def _finish(self) -> None:
        """What is to be done after the last profile."""


def waiting_warning(profiles: t.Sequence[str]) -> list[str]:
    """A warning when there are profiles that wait for archive users: a check of site.yml makes none, a run does."""
    if not profiles:
        return []
    return [
        f"Of {', '.join(profiles)} it cannot be told what would be archived: there are no archive users yet. A run of site.yml"
        " makes them before it archives; users.yml makes them alone. A check makes none"
    ]
