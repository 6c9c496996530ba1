# SPDX-License-Identifier: GPL-3.0-or-later
"""A run: all profiles of an archive host, or some of them, into one archive."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t
from collections import deque
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import progress, run_caught, run_passes, snapshot, window
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_mailboxes import MailboxPasses
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import QUARANTINE_AFTER, Committer
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence import Evidence, refuse_unfinished
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_agree import FiledFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import Reconcile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.process_memory import rare_collections
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import MULTIDROP, Profile, Server, Window
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_delete import DeletionPhase
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_delete_plan import Declared, Planner
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_feed import Feed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_growth import Growth
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_job import Job, gone_folders
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_looked import changed_folders, note_error, server_problems
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import (
    KnownPeople,
    Mailbox,
    Secrets,
    choose,
    filed_by,
    folder_warnings,
    mailboxes_of,
    number,
    profile_warnings,
    without_privilege,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_masters import MasterKeys, untried
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import WorkerPool
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_quarantine import Acknowledged, tell, useless
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import ProfileReport, RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_schedule import Schedule
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Gate, Survey, Surveyed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_tools import Tools
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_clock import cautious_time
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sweep import recover
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    CatalogError,
    InputError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.arguments import UNENCRYPTED, UNVERIFIED
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

LOCKED_FOR = "archive_run"
UNSETTLED = (
    "{0} {1} {2}: a run that was cut short left {3:,} messages that may be marked as deleted, and this run could not look after"
    " them; run a profile that reads the mailbox, which takes the mark off what is still there"
)


@dataclass(frozen=True)
class Options:
    """What to run. ``only`` names profiles, ``mailbox`` one mailbox of them; ``processes`` 0: see ``run_growth``.

    ``reserve``: bytes of the file system that must stay free; the run ends with an error before it takes them.
    ``connections``: to all servers together, 0 for no limit. ``settle``: seconds after the first deletion on a server, in which
    the message may still turn up in Deleted Items. ``quarantine_after``: failed attempts, after which a message is no longer
    tried at every run. ``reconcile_days``: after how many days a folder without visible changes is compared all the same.
    """

    root: str
    servers: t.Mapping[str, Server]
    profiles: t.Sequence[Profile]
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    only: t.Sequence[str] = ()
    mailbox: str = ""
    processes: int = 0
    reserve: int = 0
    connections: int = 0
    settle: float = 1.0
    quarantine_after: int = QUARANTINE_AFTER
    acknowledged: t.Sequence[Acknowledged] = ()
    reconcile_days: int = 7
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def workers(self) -> int:
        """How many processes read as far as the processors are concerned; each has one connection."""
        return self.growth().base

    def growth(self) -> Growth:
        """How many processes read."""
        return Growth.of(self.processes, self.connections)

    def reconcile(self) -> Reconcile:
        """When folders without visible changes are compared; asked once, at the beginning."""
        return Reconcile(self.reconcile_days, int(time.time()), bool(self.mailbox))

    def chosen(self) -> list[Profile]:
        """The profiles to run: those that read mailboxes before multidrop, so that a message is filed where its owner has it."""
        names = {profile.name.casefold(): profile.name for profile in self.profiles}
        wanted = {name.strip().casefold(): name for name in self.only}
        for key, name in wanted.items():
            if key not in names:
                raise InputError(f"only: {name}", "no profile has this name", "Use one of " + ", ".join(sorted(names.values())))
        chosen = [profile for profile in self.profiles if not wanted or profile.name.casefold() in wanted]
        return sorted(chosen, key=lambda profile: profile.method == MULTIDROP)

    def window(self, profile: Profile) -> Window | None:
        """When a profile may run. Who asks for a profile or a mailbox by name means now."""
        return None if self.only or self.mailbox else profile.window

    def outside(self, profile: Profile) -> str:
        """Why a profile is not run now; "" when it is."""
        return window.outside(self.window(profile))

    def _used(self) -> list[Server]:
        return [self.servers[name] for name in dict.fromkeys(name for one in self.chosen() for name in one.servers)]

    def unverified(self) -> list[str]:
        """The servers whose certificate nobody checks."""
        return [server.name for server in self._used() if server.encrypted and not server.validate_certs]

    def warnings(self) -> list[str]:
        """What the operator is told every time."""
        found = [UNVERIFIED.format(name) for name in self.unverified()]
        return found + [UNENCRYPTED.format(server.name) for server in self._used() if not server.encrypted]


@dataclass
class CatalogPeople:
    """The archive users of a catalog that may be written."""

    catalog: Catalog

    def users(self) -> list[User]:
        """All of them, leavers excluded."""
        return self.catalog.users()

    def ensure(self, name: str) -> int:
        """The id of a user who is known by name alone; created when absent."""
        return self.catalog.ensure_user(name, origin="profile").id


class Run:
    """One run; ``go`` returns its report. Raises BusyError, StoreError, CatalogError and what else concerns the whole archive."""

    def __init__(
        self,
        options: Options,
        reporter: progress.Reporter,
        imap: Imap | None = None,
        checkpoint: t.Callable[[str], None] = progress.no_checkpoint,
    ) -> None:
        self._options = options
        self._reporter = reporter
        self._masters = MasterKeys(options.servers, options.secrets)
        self._imap = self._masters.over(imap or Imap())
        self._checkpoint = checkpoint
        self._profiles = options.chosen()
        self.report = RunReport(warnings=options.warnings())
        self._gate = Gate(untried(options.servers, options.secrets))
        self._server_errors: dict[str, ArchiveToolError] = {}
        self._filed: list[FiledFolder] = []
        self._mailboxes: list[Mailbox] = []

    def go(self) -> RunReport:
        """Run all chosen profiles; once."""
        with self._masters, rare_collections():
            return self._go()

    def _go(self) -> RunReport:
        options = self._options
        watch = progress.Stopwatch()
        pool = WorkerPool.start(options.growth(), options.root, self._imap, self._checkpoint)
        try:
            with (
                Store.open(options.root, lock=LOCKED_FOR, reserve=options.reserve) as store,
                Catalog.of(options.root) as catalog,
            ):
                self._work(store, catalog, pool, watch)
        finally:
            pool.close()
        return self.report

    def _work(self, store: Store, catalog: Catalog, pool: WorkerPool, watch: progress.Stopwatch) -> None:
        snapshot.refuse_unknown(store, catalog)
        refuse_unfinished(store, catalog)
        swept = recover(store, catalog)
        self.report.swept = dataclasses.asdict(swept) if swept else None
        with contextlib.closing(Evidence(store, catalog)) as evidence:
            run_id = catalog.begin_run({"profiles": [one.name for one in self._profiles], "mailbox": self._options.mailbox})
            store.begin(str(run_id), catalog.commits())
            committer = Committer(store, catalog, evidence, run_id, self._checkpoint, self._options.quarantine_after)
            reconcile = self._options.reconcile()
            tools = Tools(store, catalog, committer, pool, self._gate, self._reporter, self._server_errors, reconcile)
            try:
                self.report.ledger_problem = evidence.begin(run_id, self._options.ledger)
                self._all_profiles(tools, run_id)
            except ArchiveToolError as error:
                self._failed(error, tools, evidence, run_id)
                raise
            self._ended(tools, evidence, run_id, watch)

    def _all_profiles(self, tools: Tools, run_id: int) -> None:
        for profile in self._profiles:
            if self._reporter.stop_requested:
                break
            self.report.profiles.append(self._profile(profile, tools))
        self.report.not_begun = len(self._profiles) - len(self.report.profiles)
        self._delete(tools, run_id)

    def _failed(self, error: ArchiveToolError, tools: Tools, evidence: Evidence, run_id: int) -> None:
        """Note in the catalog and in the ledger what ended the run, and in the error what the run had added by then."""
        totals = tools.committer.totals
        added = {"placements": totals.placements, "objects": totals.objects, "stored_bytes": totals.stored_bytes}
        error.details.update(added, done=any(added.values()))
        with contextlib.suppress(CatalogError):  # that may be the very error, or another effect of a full disk
            told = self._options.ledger.failed(error)
            tools.catalog.end_run(run_id, "failed", {"message": str(error), **added}, told, self._passes(tools.catalog))
        evidence.seal_after(error)

    def _ended(self, tools: Tools, evidence: Evidence, run_id: int, watch: progress.Stopwatch) -> None:
        """Complete the report, and note in the catalog and in the ledger how the run ended."""
        catalog, totals = tools.catalog, tools.committer.totals
        self.report.miss(self._options.mailbox)
        self.report.warnings += self._masters.warnings() + self.report.withheld_warnings()
        self.report.warnings += useless(catalog, self._options.acknowledged)
        self._checkpoint("ending")
        self.report.placements, self.report.objects = totals.placements, totals.objects
        self.report.stored_bytes, self.report.damaged = totals.stored_bytes, totals.damaged
        self.report.stopped = self._reporter.stop_requested
        self.report.seconds = watch.seconds
        if tools.incomplete:
            self.report.warnings.append(tools.incomplete)
        noted = self._options.ledger.ended(self.report) if evidence.grown or self.report.eventful else None
        catalog.end_run(run_id, self.report.outcome, summary_of(self.report), noted, self._passes(catalog))
        self.report.checkpoint = evidence.seal()
        self._checkpoint("sealed")
        # Every object has its row now; otherwise, and after an error, the marker stays, and the next run sweeps.
        if tools.incomplete:
            tools.store.distrust()
        else:
            tools.store.end()

    def _passes(self, catalog: Catalog) -> MailboxPasses:
        """What to remember of the mailboxes of this run."""
        return run_passes.passes_of(self.report, catalog, one_mailbox=bool(self._options.mailbox))

    def _delete(self, tools: Tools, run_id: int) -> None:
        """After all profiles: what one of them archived may still be due for another."""
        options, catalog, now = self._options, tools.catalog, int(cautious_time())
        if tools.reporter.stop_requested:
            return
        declared = Declared(options.profiles, options.servers, options.secrets, KnownPeople(catalog.users()))
        plans = Planner(catalog, declared, now).plans(self._mailboxes)
        if plans:
            tools.store.rely_on(catalog.commits())
        DeletionPhase(tools, plans, run_id, now, options.settle, options.outside).run()
        if not tools.reporter.stop_requested:
            self.report.warnings += [UNSETTLED.format(*left) for left in catalog.unsettled()]

    def _profile(self, profile: Profile, tools: Tools) -> ProfileReport:
        watch = progress.Stopwatch()
        report = ProfileReport(profile.name, profile.method, outside=self._options.outside(profile))
        if report.outside:
            return report
        try:
            people = CatalogPeople(tools.catalog)
            mailboxes, report.errors = mailboxes_of(profile, self._options.servers, self._options.secrets, people)
            users = people.users()
            report.left_out = without_privilege(profile, users)
            self.report.warnings += profile_warnings(profile, users)
        except InputError as error:
            report.errors.append((f"profile {profile.name}", str(error)))
            return report
        mailboxes = number(choose(mailboxes, self._options.mailbox))
        report.mailboxes = [mailbox.report for mailbox in mailboxes]
        self._mailboxes += mailboxes
        self._reporter.progress(f"[{profile.name}] {counted(len(mailboxes), 'mailbox')}: looking for what changed")
        waiting = {mailbox: run_caught.changed(tools.catalog, mailbox) for mailbox in mailboxes if mailbox.kind == MULTIDROP}
        for mailbox, folders in waiting.items():
            for folder_id in folders[:1]:
                run_caught.file_caught(tools.store, tools.catalog, tools.committer, mailbox, folder_id)
        if self._read(profile, mailboxes, tools) and profile.window:
            report.closed = window.clock_text(profile.window.closes)
        tell(tools.catalog, mailboxes, self._options.acknowledged)
        self.report.warnings += folder_warnings(profile, people.users(), self._filed)
        self._filed += [one for mailbox in mailboxes for one in filed_by(mailbox)]
        told = [run_caught.lost(tools.catalog, tools.committer, mailbox, folders) for mailbox, folders in waiting.items()]
        self.report.warnings += [text for text in told if text]
        report.errors += server_problems(profile, mailboxes, self._server_errors)
        for mailbox in mailboxes:
            unknown = run_passes.unknown_in(tools.catalog, mailbox.server.name, mailbox.name) if mailbox.kind == MULTIDROP else {}
            mailbox.report.unknown = len(unknown)
            report.unknown.update(unknown)
        report.seconds = watch.seconds
        return report

    def _read(self, profile: Profile, mailboxes: t.Sequence[Mailbox], tools: Tools) -> bool:
        """Look at the mailboxes and read what changed; whether the profile's window closed over it."""
        # Workers keep their connection while they wait; the survey needs the room.
        tools.pool.hang_up()
        with Survey(self._imap, self._gate, mailboxes, self._options.connections) as survey:
            tools.reporter = closing = window.Closing(self._reporter, self._options.window(profile))
            Schedule(tools, Feed(survey, self._judge(tools))).run()
            tools.reporter = self._reporter
            if self._reporter.stop_requested:
                survey.leave()
        for mailbox in mailboxes:
            mailbox.report.folders.sort(key=lambda folder: folder.name)
        return closing.closed

    def _judge(self, tools: Tools) -> t.Callable[[Surveyed], Job | None]:
        open_rows = tools.catalog.open_folders()

        def judge(found: Surveyed) -> Job | None:
            """The job of a mailbox that was looked at: its folders to read."""
            if found.error is not None:
                note_error(found, self._gate, self._server_errors)
                return None
            folders = changed_folders(found, tools.catalog, open_rows, tools.reconcile)
            gone = gone_folders(found.mailbox, tools)
            return Job(found.mailbox, deque(folders), gone) if folders or gone else None

        return judge


def summary_of(report: RunReport) -> dict[str, t.Any]:
    """What the catalog keeps of a run: figures per profile, the errors and the warnings."""
    return dict(report.as_data(mailboxes=False), message=report.sentence(), warnings=report.warnings)
