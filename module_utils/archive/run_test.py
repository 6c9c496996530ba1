# SPDX-License-Identifier: GPL-3.0-or-later
"""The test: per mailbox whether it can be reached, opened and read, and if not, why. It archives nothing and writes nothing.

A server that refuses a master password, and a mailbox that refuses its own, is not asked again: a wrong one costs one attempt.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_table, verdict
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Profile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_look import Looker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport, RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import BlockedError, Surveyed, look
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    ImapError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import FolderStatus, StatusFailed
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

OK, FAILED, NOT_TRIED = "ok", "failed", "not tried"
# A folder at which the connection breaks is tried twice, and the folders behind it once more.
TRIES = 4
BREAKS = 2


@dataclass
class Found:
    """What the test found out about one mailbox. ``folders``: name -> the server's refusal, "" when it can be read."""

    profile: str
    mailbox: Mailbox
    logged_in: bool = False
    codes: tuple[str, ...] = ()
    message: str = ""
    folders: dict[str, str] = field(default_factory=dict)
    messages: int = 0
    breaks: Counter[str] = field(default_factory=Counter)
    blocked: bool = False

    @property
    def verdict(self) -> str:
        """One code of ``verdict``."""
        if self.blocked:
            return verdict.NOT_TRIED
        return verdict.verdict_of(self.codes) if self.codes else verdict.FINE

    def steps(self) -> dict[str, str]:
        """How far it came."""
        if self.blocked:
            return dict.fromkeys(("connection", "login", "folders"), NOT_TRIED)
        if self.logged_in:
            return {"connection": OK, "login": OK, "folders": FAILED if self.codes else OK}
        refused = set(self.codes) - {verdict.OUT_OF_REACH, verdict.CERTIFICATE, verdict.PROTOCOL, verdict.DECLARED}
        connected = bool(refused - {verdict.TURNED_AWAY})
        return {
            "connection": OK if connected else FAILED,
            "login": FAILED if connected else NOT_TRIED,
            "folders": NOT_TRIED,
        }

    def as_data(self) -> dict[str, t.Any]:
        """A row of the result."""
        report = self.mailbox.report
        row: dict[str, t.Any] = {"profile": self.profile, "server": report.server, "mailbox": report.mailbox, "user": report.user}
        row.update(verdict=self.verdict, can_be=list(self.codes), message=self.message, **self.steps())
        unreadable = {name: words for name, words in self.folders.items() if words}
        counts = {"folders_selected": len(self.folders), "folders_excluded": len(report.excluded_folders)}
        return {**row, **counts, "unreadable_folders": unreadable, "messages": self.messages}


class Test(Looker):
    """Tries every mailbox of the chosen profiles. ``found`` has a row for each, in the order of the profiles."""

    __test__ = False  # for pytest
    tries = TRIES
    needs_users = True

    def __init__(self, *args: t.Any) -> None:
        super().__init__(*args)
        self.found: list[Found] = []
        self._by_mailbox: dict[Mailbox, Found] = {}

    def _begin(self, profile: Profile, mailboxes: t.Sequence[Mailbox]) -> None:
        self._by_mailbox = {mailbox: Found(profile.name, mailbox) for mailbox in mailboxes}
        self.found += self._by_mailbox.values()

    def _look(self, imap: Imap, mailbox: Mailbox, connection: t.Any) -> Surveyed:
        one = self._by_mailbox[mailbox]
        one.logged_in = True
        found = look(imap, mailbox, connection)
        one.messages = 0
        for folder, status in found.folders:
            if one.breaks[folder.name] >= BREAKS:
                continue
            try:
                one.folders[folder.name] = status.text if isinstance(status, StatusFailed) else ""
                imap.examine(connection, folder)
            except ImapError as error:
                one.folders[folder.name] = error.cause
            except (NetworkError, ProtocolError) as error:
                one.folders[folder.name] = error.cause
                one.breaks[folder.name] += 1
                raise
            else:
                one.messages += status.messages if isinstance(status, FolderStatus) else 0
        return found

    def _looked_at(self, surveyed: t.Sequence[Surveyed]) -> None:
        super()._looked_at(surveyed)
        for found in surveyed:
            if found.error is not None:
                self._explain(self._by_mailbox[found.mailbox], found.error)

    def _server_problems(self, profile: Profile, mailboxes: t.Sequence[Mailbox]) -> list[tuple[str, str]]:
        told = super()._server_problems(profile, mailboxes)
        return [(name, self._explained(name, self._server_errors[name])[1]) for name, _message in told]

    def _explained(self, server: str, error: ArchiveToolError) -> tuple[tuple[str, ...], str]:
        codes = verdict.can_be(error, encrypted=self._options.servers[server].encrypted)
        return codes, verdict.explained(error, codes)

    def _explain(self, one: Found, error: ArchiveToolError) -> None:
        mailbox = one.mailbox
        one.blocked = isinstance(error, BlockedError)
        if mailbox.report.withheld:
            one.codes, one.message = (verdict.USER_DISABLED,), mailbox.report.error
            return
        cause = (self._gate.refusal(mailbox) if one.blocked else None) or error
        one.codes, one.message = self._explained(mailbox.server.name, cause)
        mailbox.report.error = one.message

    def _mailbox(self, found: Surveyed) -> None:
        one, report = self._by_mailbox[found.mailbox], found.mailbox.report
        report.excluded_folders = found.excluded
        for name, words in one.folders.items():
            report.folders.append(FolderReport(name, opened=True, error=words))
        unreadable = [name for name, words in one.folders.items() if words]
        if unreadable:
            one.codes = (verdict.UNREADABLE,)
            one.message = "; ".join(f"{name}: {one.folders[name]}" for name in unreadable)


def sentence(report: RunReport, found: t.Sequence[Found]) -> str:
    """What the test found out, in one sentence that names the failures."""
    fine = sum(1 for one in found if one.verdict == verdict.FINE)
    return f"{fine:,} of {counted(len(found), 'mailbox')} can be read" + report.closing_text()


def as_data(report: RunReport, found: t.Sequence[Found]) -> dict[str, t.Any]:
    """The plain data of the result."""
    verdicts = Counter(one.verdict for one in found)
    run: dict[str, t.Any] = {
        "mode": "test",
        "mailboxes": len(found),
        "verdicts": dict(verdicts),
        "seconds": round(report.seconds, 3),
    }
    run["errors"] = [problem.as_data() for problem in report.problems()]
    rows = [one.as_data() for one in found]
    return {"run": run, "test": rows, "table": run_table.of_test(rows)}
