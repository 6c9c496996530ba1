# SPDX-License-Identifier: GPL-3.0-or-later
"""The second phase of a run: the folders that changed are spread over the worker processes, and what they store is committed."""

from __future__ import annotations

import typing as t
from collections import Counter, deque
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import progress
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import Committer
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_folder import FolderPass
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import Hand, WorkerPool
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Gate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import (
    Answer,
    Examine,
    Examined,
    Fetch,
    FetchEnded,
    Parcel,
    TaskFailed,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    NetworkError,
    ProtocolError,
    StoreError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap import uidset
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder

TICK_SECONDS = 1.0


@dataclass(eq=False)
class Job:
    """A mailbox with folders to read. ``folders`` were not opened yet, ``passes`` are under way."""

    mailbox: Mailbox
    folders: deque[Folder]
    passes: list[FolderPass] = field(default_factory=list)
    examining: int = 0
    messages: int = 0
    bytes: int = 0
    open_failures: int = 0
    watch: progress.Stopwatch = field(default_factory=progress.Stopwatch)

    @property
    def chunk(self) -> FolderPass | None:
        """A folder of which a part waits for a worker."""
        return next((one for one in self.passes if one.chunks), None)

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return not self.folders and not self.passes and not self.examining

    @property
    def helpable(self) -> bool:
        """Whether a second connection would find something to do."""
        return self.chunk is not None or len(self.folders) > 1


@dataclass
class Tools:
    """What the phases of a run share."""

    store: Store
    catalog: Catalog
    committer: Committer
    pool: WorkerPool
    gate: Gate
    reporter: progress.Reporter
    server_errors: dict[str, ArchiveToolError] = field(default_factory=dict)


class Jobs(t.Protocol):
    """Where jobs come from (``run_feed.Feed``)."""

    @property
    def pending(self) -> bool:
        """Whether jobs may come."""

    def take(self, seconds: float) -> list[Job]:
        """Jobs that are new since the last call; waits up to ``seconds`` for the first."""

    def room(self, connected: int) -> bool:
        """Whether a worker may connect beside so many others."""


class Schedule:
    """Runs the jobs of one profile. A worker stays with its mailbox while there is something to do in it."""

    def __init__(self, tools: Tools, feed: Jobs) -> None:
        self._tools = tools
        self._feed = feed
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._parcels: list[tuple[Hand, Job, FolderPass, Parcel]] = []
        self._ending: list[tuple[Job, FolderPass]] = []

    def run(self) -> None:
        """Work until every folder is done, given up, or a stop was asked for. Raises what concerns the whole archive."""
        tools = self._tools
        while True:
            stopping = tools.reporter.stop_requested
            if not stopping:
                self._waiting.extend(self._feed.take(0 if self._busy else TICK_SECONDS))
                self._assign()
            if not self._busy:
                if stopping or not self._feed.pending:
                    break
                continue
            for hand, answer in tools.pool.receive(TICK_SECONDS):
                self._handle(hand, answer)
            if not stopping:
                self._assign()  # before the commit, so that no worker waits for the disk
            self._commit()
        for job in [*self._active, *self._waiting]:
            self._abandon(job)

    @property
    def _busy(self) -> bool:
        return any(hand.busy for hand in self._tools.pool.hands)

    def _abandon(self, job: Job) -> None:
        """What is left when a stop was asked for stays for the next run."""
        job.folders.clear()
        for one in job.passes:
            one.fail("the run was stopped before this folder was done")
            one.prove()
            job.mailbox.report.folders.append(one.report)
        job.passes.clear()

    # Who does what

    def _assign(self) -> None:
        for hand in self._tools.pool.idle():
            job = self._job_for(hand)
            if job is None:
                continue
            one = job.chunk
            hand.place = job.mailbox.server.name
            if one is not None:
                chunk = one.chunks.popleft()
                one.out += 1
                hand.task = (job, one, chunk)
                self._tools.pool.order(hand, chunk)
            else:
                folder = job.folders.popleft()
                job.examining += 1
                hand.task = (job, folder, None)
                self._tools.pool.order(hand, Examine(job.mailbox.access, folder))

    def _job_for(self, hand: Hand) -> Job | None:
        if not self._feed.room(sum(1 for other in self._tools.pool.hands if other is not hand and other.place)):
            return None
        own = hand.task[0] if hand.task else None
        if own is not None and own in self._active and (own.chunk or own.folders):
            return t.cast("Job", own)
        busy = Counter(other.place for other in self._tools.pool.hands if other is not hand and other.place)
        for job in list(self._waiting):
            if busy[job.mailbox.server.name] < job.mailbox.limit:
                self._waiting.remove(job)
                self._active.append(job)
                return job
        for job in self._active:
            if job.helpable and busy[job.mailbox.server.name] < job.mailbox.limit:
                return job
        return None

    # What workers say

    def _handle(self, hand: Hand, answer: Answer) -> None:
        job, subject, chunk = hand.task
        if isinstance(answer, Parcel):
            self._parcels.append((hand, job, subject, answer))
        elif isinstance(answer, Examined):
            hand.busy = False
            job.examining -= 1
            self._begin(job, subject, answer)
        elif isinstance(answer, FetchEnded):
            hand.busy = False
            subject.out -= 1
            self._ending.append((job, subject))
        else:
            hand.busy = False
            self._failed(job, subject, chunk, answer)

    def _begin(self, job: Job, folder: Folder, examined: Examined) -> None:
        tools = self._tools
        one = FolderPass(job.mailbox, folder, tools.catalog, tools.committer, len(tools.pool.hands))
        job.passes.append(one)
        one.begin(examined, tools.store)
        self._ending.append((job, one))

    def _failed(self, job: Job, subject: t.Any, chunk: Fetch | None, failure: TaskFailed) -> None:
        if isinstance(failure.error, StoreError):
            raise failure.error
        if chunk is None:
            job.examining -= 1
        else:
            subject.out -= 1
        lost = isinstance(failure.error, (NetworkError, ProtocolError))
        if not failure.opened:
            self._unopened(job, subject, chunk, failure)
        elif chunk is None:
            self._unexamined(job, subject, failure, lost)
        elif lost and subject.may_resume and not subject.report.error:
            in_flight = uidset.expand(failure.error.details.get("in_flight", ""))
            subject.resume(chunk, failure.remaining, in_flight, failure.error.cause)
        else:
            subject.fail(str(failure.error))
        if chunk is not None:
            self._ending.append((job, subject))
        self._forget(job)

    def _unopened(self, job: Job, subject: t.Any, chunk: Fetch | None, failure: TaskFailed) -> None:
        """The connection could not be made: again once, then the mailbox, or its server, is given up."""
        job.open_failures += 1
        refused = not isinstance(failure.error, NetworkError)
        if not refused and job.open_failures == 1:
            if chunk is None:
                job.folders.appendleft(subject)
            else:
                subject.chunks.appendleft(chunk)
            return
        server = job.mailbox.server.name
        whole = self._tools.gate.note(job.mailbox, failure.error)
        if whole:
            self._tools.server_errors.setdefault(server, failure.error)
            affected = [other for other in [*self._active, *self._waiting] if other.mailbox.server.name == server]
        else:
            affected = [job]
        for other in affected:
            other.mailbox.report.blocked = whole
            self._give_up(other, str(failure.error))

    def _give_up(self, job: Job, message: str) -> None:
        job.mailbox.report.error = job.mailbox.report.error or message
        job.folders.clear()
        if job in self._waiting:
            self._waiting.remove(job)
        for one in job.passes:
            one.fail(message)
            self._ending.append((job, one))

    def _unexamined(self, job: Job, folder: Folder, failure: TaskFailed, lost: bool) -> None:
        if lost and job.open_failures < 1:
            job.open_failures += 1
            job.folders.appendleft(folder)
            return
        tools = self._tools
        one = FolderPass(job.mailbox, folder, tools.catalog, tools.committer, 1)
        one.fail(str(failure.error))
        job.mailbox.report.folders.append(one.report)

    # Writing

    def _commit(self) -> None:
        """One sync and one transaction for everything that waits, then the workers may go on."""
        tools = self._tools
        parcels, self._parcels = self._parcels, []
        for _, job, one, parcel in parcels:
            one.take(parcel)
            job.messages += len(parcel)
            job.bytes += parcel.bytes
        ending, self._ending = self._ending, []
        over = [(job, one) for job, one in dict.fromkeys(ending) if one.over and one in job.passes]
        for _, one in over:
            one.settle()
        tools.committer.commit()
        for hand, _, _, _ in parcels:
            tools.pool.committed(hand)
        for job in dict.fromkeys(job for _, job, _, _ in parcels):
            self._show(job)
        if parcels:
            tools.store.check_space()
        for job, one in over:
            job.passes.remove(one)
            one.prove()
            job.mailbox.report.folders.append(one.report)
        for job in dict.fromkeys(job for job, _ in ending):
            self._forget(job)

    def _forget(self, job: Job) -> None:
        if job.over and job in self._active:
            self._active.remove(job)
            job.mailbox.report.seconds += job.watch.seconds
            self._show(job)

    def _show(self, job: Job) -> None:
        mailbox = job.mailbox
        line = progress.line(
            mailbox.server.name,
            mailbox.position,
            mailbox.count,
            mailbox.name,
            job.messages,
            job.bytes,
            job.watch.seconds,
        )
        data = {"server": mailbox.server.name, "mailbox": mailbox.name, "messages": job.messages, "bytes": job.bytes}
        self._tools.reporter.progress(line, **data)
