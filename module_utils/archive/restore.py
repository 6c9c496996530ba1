# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore: messages of one archive user back into a mailbox, over one connection, folder by folder.

Nothing is deleted or marked on the server, and nothing of the archive changes but its ledger, which hears of it. It needs no
lock: what is restored was committed long ago.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import restore_plan, restore_report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Server
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Stopwatch
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_folder import FolderWork
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_journal import Journal
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Choice, Target
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_report import FolderReport, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_source import Source
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_tools import Tools
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets, endpoint_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_masters import MasterKeys, refused_before
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    ImapError,
    InputError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace
from ansible_collections.mailops.kerio.plugins.module_utils.imap.target import TargetFolders

# Seconds before each attempt to reach a server again that was lost.
PAUSES = (0.0, 2.0, 10.0)
# Seconds for what was sent before the connection broke to come into the folder, before it is looked for: after a break, and after
# the server was silent, because it may be slow.
LANDING, LANDING_SILENT = 2.0, 15.0
# So many messages in a row at which the connection breaks are no bad messages.
LOST_IN_ROW = 3
_SHOWN = 20  # digests of single messages in the ledger


@dataclass(frozen=True)
class Wish:
    """What is asked for. ``server`` and ``mailbox`` "" mean the user's own. ``password`` "" means the server's master password.

    ``percent``: of how many appended messages the bytes are read back, the sizes of all are. ``by``: who has it done.
    """

    root: str
    user: str
    servers: t.Mapping[str, Server]
    secrets: Secrets = field(repr=False)
    choice: Choice = field(default_factory=Choice)
    message_ids: tuple[str, ...] = ()
    server: str = ""
    mailbox: str = ""
    password: str = field(default="", repr=False)
    percent: int = 100
    by: str = ""


@dataclass
class Line:
    """The connection to the mailbox: made when it is needed, and again when it was lost. ``connected``: it was there once."""

    server: Server
    credentials: Credentials
    imap: Imap
    sleep: t.Callable[[float], None] = time.sleep
    connected: bool = False
    made: list[str] = field(default_factory=list)
    unsubscribed: list[str] = field(default_factory=list)
    _conn: Connection | None = None
    _folders: TargetFolders | None = None

    def open(self) -> tuple[Connection, TargetFolders]:
        """The connection with its folders. Raises what ``open_connection`` raises, at the first time without another attempt."""
        if self._conn is not None and self._folders is not None and self._conn.usable:
            return self._conn, self._folders
        self.drop()
        pauses = PAUSES if self.connected else PAUSES[:1]
        for number, pause in enumerate(pauses, 1):
            self.sleep(pause)
            try:
                conn = self.imap.open(endpoint_of(self.server), self.credentials)
                self._conn, self._folders = conn, TargetFolders(conn)
                self.connected = True
                return conn, self._folders
            except NetworkError:
                self.drop()
                if number == len(pauses):
                    raise
        raise AssertionError("unreachable")

    def drop(self) -> None:
        """Forget the connection without a word."""
        if self._folders is not None:
            self.made += self._folders.made
            self.unsubscribed += self._folders.unsubscribed
        if self._conn is not None:
            self._conn.abort()
        self._conn = self._folders = None

    def close(self) -> None:
        """Log out."""
        if self._conn is not None:
            self._conn.close()
        self.drop()


@dataclass
class Restore:
    """``run`` does it, once; without ``write`` it tells what would be done."""

    wish: Wish
    reporter: Reporter
    write: bool = True
    imap: Imap = field(default_factory=Imap)
    sleep: t.Callable[[float], None] = time.sleep
    _begun: bool = False

    def run(self) -> Report:
        """Raises InputError, what keeps the first connection from being made, and errors of the archive."""
        wish = self.wish
        with Source(wish.root) as source, MasterKeys(wish.servers, wish.secrets) as keys:
            user = source.user(wish.user)
            server = restore_plan.server_of(user, wish.server, wish.servers)
            line = Line(server, self._credentials(user, server), keys.over(self.imap), self.sleep)
            report = Report(server.name, line.credentials.user, not self.write)
            choice, targets = self._chosen(source, user, report)
            journal = Journal(wish.root, endpoint_of(server).label, line.credentials.user)
            facts = self._facts(user, server, line.credentials.user)
            tools = Tools(source, journal, choice, report, self.reporter, lambda: self._begin(source, facts, report))
            tools.pace = Pace(server.bandwidth) if server.bandwidth else None
            tools.percent, tools.write = wish.percent, self.write
            works = [FolderWork(tools, target, FolderReport(target.name, target.names)) for target in targets]
            try:
                self._all(tools, line, works)
            finally:
                self._end(source, facts, report)
            report.warnings += [warning for warning in keys.warnings() if warning.startswith(f"{server.name}:")]
        return report

    def _credentials(self, user: User, server: Server) -> Credentials:
        wish = self.wish
        mailbox = restore_plan.mailbox_of(user, wish.mailbox)
        if wish.password:
            return Credentials(mailbox, wish.password)
        if server.name in (blocked := refused_before(wish.servers, wish.secrets)):
            raise blocked[server.name]
        if server.name not in wish.secrets.master:
            remedy = "Give master_password with the server, or credentials: password"
            raise InputError(f"server {server.name}", "it has no master password", remedy)
        return Credentials(mailbox, wish.secrets.master[server.name], master=True)

    def _chosen(self, source: Source, user: User, report: Report) -> tuple[Choice, list[Target]]:
        """What to restore. A single message that is asked for and is not there is an error before anything is done."""
        choice = self.wish.choice
        targets, left = restore_plan.targets_of(user, source.folders(user), choice)
        if left:
            told = f"the archive of {user.name} also has mail of {', '.join(left)}, which is not restored: name it in mailboxes"
            report.warnings.append(told)
        if not choice.digests and not self.wish.message_ids:
            return choice, targets
        self.reporter.progress("looking for single messages")
        found = source.singles(targets, choice, self.wish.message_ids)
        missing = [name for name, some in found.by_id.items() if not some]
        missing += [digest.hex() for digest in sorted(choice.digests - found.digests)]
        if missing:
            cause = f"not in the chosen folders of {user.name}: {', '.join(missing)}"
            raise InputError("digests, message_ids", cause, "Correct them, or choose other folders, dates or mailboxes")
        return dataclasses.replace(choice, digests=frozenset(found.digests)), found.targets

    def _all(self, tools: Tools, line: Line, works: t.Sequence[FolderWork]) -> None:
        """Every folder in turn; what keeps one from being restored does not stop the others, unless it is the same for all."""
        clock = Stopwatch()
        report = tools.report
        gone = ""
        report.folders = [work.report for work in works]
        for work in works:  # the ledger hears of all that is asked for before the first of it is done
            work.report.asked = len(tools.source.wanted(work.target, tools.choice))
        try:
            for work in works:
                work.load()
                if work.pending:
                    gone = gone or self._folder(work, line)
                if tools.full:
                    work.give_up(restore_report.NOT_TRIED, f"the mailbox is full: {tools.full}")
                    gone = gone or f"the mailbox is full: {tools.full}"
                elif work.pending and self.reporter.stop_requested:
                    report.stopped = True
                    work.give_up(restore_report.NOT_TRIED, "the restore was stopped")
                work.give_up(restore_report.NOT_TRIED, gone)
        finally:
            line.close()
        report.made += line.made
        report.warnings += [f"{name}: the folder was made, but the server did not subscribe it" for name in line.unsubscribed]
        report.seconds = clock.seconds

    def _folder(self, work: FolderWork, line: Line) -> str:
        """Restore one folder; return why nothing more can be done on this server, "" when that is not so."""
        if self.reporter.stop_requested:
            return ""
        while True:
            connected = line.connected
            try:
                conn, folders = line.open()
            except (NetworkError, ProtocolError, LoginRefusedError, ImapError) as error:
                if not connected:
                    raise
                return f"the server is gone: {error.cause}"
            try:
                work.run(conn, folders)
                return ""
            except ImapError as error:
                work.give_up(restore_report.FOLDER, error.cause)
                return ""
            except (NetworkError, ProtocolError) as error:
                line.drop()
                unsure = work.unsure
                if not work.lost():
                    work.give_up(restore_report.LOST, f"the connection breaks in this folder again and again: {error.cause}")
                    return ""
                if work.lost_in_row >= LOST_IN_ROW:
                    return f"the connection breaks at every message: {error.cause}"
                if unsure:
                    self.sleep(LANDING_SILENT if error.details.get("silent") else LANDING)

    def _facts(self, user: User, server: Server, mailbox: str) -> dict[str, t.Any]:
        """What the ledger says of the restore, whatever comes of it."""
        choice = self.wish.choice
        chosen = {
            "mailboxes": choice.mailboxes,
            "folders": choice.include,
            "exclude_folders": choice.exclude,
            "since": choice.since,
            "before": choice.before,
            "digests": [digest.hex() for digest in sorted(choice.digests)[:_SHOWN]],
            "message_ids": self.wish.message_ids[:_SHOWN],
        }
        return {
            "by": self.wish.by,
            "user": user.name,
            "chosen": {key: value for key, value in chosen.items() if value},
            "server": server.name,
            "mailbox": mailbox,
            "folder": choice.target_folder,
        }

    def _begin(self, source: Source, facts: dict[str, t.Any], report: Report) -> None:
        """Before anything changes on the server: should the restore be killed, the ledger knows that there was one."""
        if not self._begun:
            source.note(**facts, outcome="begun", asked=report.total("asked"), messages=0, bytes=0)
            self._begun = True

    def _end(self, source: Source, facts: dict[str, t.Any], report: Report) -> None:
        if not self._begun:
            return
        # An error that ends the restore leaves messages of which nothing was counted.
        settled = report.total("appended") + report.total("there")
        outcome = "stopped" if report.stopped else "done" if settled == report.total("asked") else "failed"
        counts = {"asked": report.total("asked"), "messages": report.total("appended"), "bytes": report.total("bytes")}
        try:
            source.note(**facts, outcome=outcome, **counts)
        except ArchiveToolError as error:
            report.warnings.append(f"the ledger does not know the end of this restore: {error}")
