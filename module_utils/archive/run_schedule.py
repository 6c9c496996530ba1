# SPDX-License-Identifier: GPL-3.0-or-later
"""The second phase of a run: the folders that changed are spread over the worker processes, and what they store is committed."""

from __future__ import annotations

import time
import typing as t
from collections import Counter, deque

from ansible_collections.mailops.kerio.plugins.module_utils.archive import progress
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Server
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_folder import DIED, FolderPass
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_job import Job
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import Died, Hand
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_rates import Rates
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import STOPPED
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_tools import Tools
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sweep import uncommitted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import (
    Answer,
    Examine,
    Examined,
    Fetch,
    FetchEnded,
    Halted,
    Parcel,
    TaskFailed,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError, NetworkError, ProtocolError, StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder

TICK_SECONDS = 1.0
# How long workers may take to end what they do when a stop was asked for; who reads from a silent server does not hear.
STOP_SECONDS = 10.0
MOST_DEATHS = 200  # of processes in a run: more are no matter of single messages


def _fetched_from(hand: Hand) -> Server | None:
    """The server that a worker fetches from."""
    job, _subject, chunk = hand.task if hand.busy else (None, None, None)
    return job.mailbox.server if job is not None and chunk is not None else None


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
        self._rates = Rates(_fetched_from, tools.pool.pace)
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._parcels: list[tuple[Hand, Job, FolderPass, Parcel]] = []
        self._ending: list[tuple[Job, FolderPass]] = []
        self._dead: list[tuple[Hand, Died]] = []
        self._halted_at = 0.0

    def run(self) -> None:
        """Work until every folder is done, given up, or a stop was asked for. Raises what concerns the whole archive."""
        tools = self._tools
        while True:
            stopping = tools.stopping
            if not stopping:
                self._waiting.extend(self._feed.take(0 if self._busy else TICK_SECONDS))
                self._begin()
                self._assign()
            if not self._busy:
                if stopping or not (self._feed.pending or self._active or self._waiting):
                    break
                self._commit()
                continue
            if stopping and not self._may_wait():
                break
            for hand, answer in tools.pool.receive(TICK_SECONDS):
                self._handle(hand, answer)
            self._rates.divide(tools.pool.hands)
            if not stopping:
                self._begin()
                self._assign()  # before the commit, so that no worker waits for the disk
            self._commit()
            self._bury()
        self._commit()
        for job in [*self._active, *self._waiting]:
            job.abandon()

    @property
    def _busy(self) -> bool:
        return any(hand.busy for hand in self._tools.pool.hands)

    def _may_wait(self) -> bool:
        """Tell the workers once that a stop was asked for; return whether they may still take their time."""
        if not self._halted_at:
            self._halted_at = time.monotonic()
            self._tools.pool.halt()
        if time.monotonic() - self._halted_at < STOP_SECONDS:
            return True
        self._tools.killed = True
        return False

    # Who does what

    def _assign(self) -> None:
        pool = self._tools.pool
        for hand in pool.idle():
            job = self._job_for(hand)
            if job is not None:
                self._give(hand, job)
        while len(pool.hands) < pool.growth.most and (job := self._job_for(None)) is not None and pool.may_grow():
            self._give(pool.grow(), job)

    def _give(self, hand: Hand, job: Job) -> None:
        pool = self._tools.pool
        one = job.chunk
        hand.place = job.mailbox.server.name
        if job not in self._active:
            self._waiting.remove(job)
            self._active.append(job)
        if one is not None:
            chunk = one.chunks.popleft()
            one.out += 1
            hand.task = (job, one, chunk)
            pool.order(hand, self._rates.paced(hand, chunk, job.mailbox.server, pool.hands))
        else:
            folder = job.folders.popleft()
            job.examining += 1
            hand.task = (job, folder, None)
            mailbox, now = job.mailbox, self._tools.reconcile.now
            pool.order(hand, Examine(mailbox.access, folder, mailbox.profile.filter, now))

    def _job_for(self, hand: Hand | None) -> Job | None:
        """What a worker does next; None stands for one that would have to be begun."""
        if not self._feed.room(sum(1 for other in self._tools.pool.hands if other is not hand and other.place)):
            return None
        own = hand.task[0] if hand is not None and hand.task else None
        if own is not None and own in self._active and own.workable:
            return t.cast("Job", own)
        busy = Counter(other.place for other in self._tools.pool.hands if other is not hand and other.place)
        for job in self._waiting:
            if busy[job.mailbox.server.name] < job.mailbox.limit:
                return job
        manned = {other.task[0] for other in self._tools.pool.hands if other.busy}
        for job in self._active:
            # Whoever had it may have died.
            if (job.helpable if job in manned else job.workable) and busy[job.mailbox.server.name] < job.mailbox.limit:
                return job
        return None

    # What workers say

    def _handle(self, hand: Hand, answer: Answer | Died) -> None:
        if isinstance(answer, Died):
            self._dead.append((hand, answer))
            return
        job, subject, chunk = hand.task
        if isinstance(answer, Parcel):
            hand.delivered |= answer.uids()
            self._parcels.append((hand, job, subject, answer))
            return
        hand.busy = False
        if isinstance(answer, Examined):
            job.met(subject, answer, self._tools)
        elif isinstance(answer, (FetchEnded, Halted)):
            subject.out -= 1
            if isinstance(answer, Halted):
                subject.fail(STOPPED)
            self._ending.append((job, subject))
        else:
            self._failed(job, subject, chunk, answer)

    def _begin(self) -> None:
        """Fetch from the mailboxes of which all folders were examined, and be done with those that need no worker."""
        for job in [job for job in self._waiting if not job.folders]:
            self._waiting.remove(job)
            self._active.append(job)
        for job in self._active:
            if job.examined and not job.begun:
                self._ending += [(job, one) for one in job.begin(self._tools)]
        for job in list(self._active):
            self._forget(job)

    def _bury(self) -> None:
        """Go on after workers that died; what they delivered is committed."""
        tools = self._tools
        dead, self._dead = self._dead, []
        for hand, death in dead:
            tools.store.distrust()
            if tools.pool.deaths > MOST_DEATHS:
                cause = f"{tools.pool.deaths} processes died, the last one with {death.how}"
                remedy = "See the log of the job, and run it again: what was committed is safe"
                raise JobError("the archiving workers", cause, remedy)
            if hand.busy:
                tools.committer.expect(uncommitted(tools.store, tools.catalog, hand.since))
                self._resume(hand, death.how)

    def _resume(self, hand: Hand, how: str) -> None:
        job, subject, chunk = hand.task
        if chunk is not None:
            subject.out -= 1
            subject.bury(chunk, hand.delivered, how)
            self._ending.append((job, subject))
            return
        job.examining -= 1
        job.deaths[subject.name] += 1
        if job.deaths[subject.name] > 1:
            job.unread(subject, f"{DIED} ({how}) while it looked into this folder", self._tools)
        else:
            job.folders.appendleft(subject)

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
            subject.resume(chunk, failure.remaining, failure.error)
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
        else:
            job.unread(folder, str(failure.error), self._tools)

    # Writing

    def _commit(self) -> None:
        """One sync and one transaction for everything that waits, then the workers may go on."""
        tools = self._tools
        parcels, self._parcels = self._parcels, []
        for _hand, job, one, parcel in parcels:
            one.take(parcel)
            job.messages += len(parcel)
            job.bytes += parcel.bytes
        ending, self._ending = self._ending, []
        over = self._settle(ending)
        tools.committer.commit()
        for hand, _job, _one, _parcel in parcels:
            tools.pool.committed(hand)
        jobs = dict.fromkeys([*(job for _hand, job, _one, _parcel in parcels), *(job for job, _one in ending)])
        released = [(job, one) for job in jobs for one in job.release()]
        if released:
            over += self._settle(released)
            tools.committer.commit()
        for job in dict.fromkeys(job for _hand, job, _one, _parcel in parcels):
            self._show(job)
        if parcels:
            tools.store.check_space()
        for job, one in over:
            job.passes.remove(one)
            one.prove()
            job.mailbox.report.folders.append(one.report)
        for job in jobs:
            self._forget(job)

    def _settle(self, ending: t.Iterable[tuple[Job, FolderPass]]) -> list[tuple[Job, FolderPass]]:
        over = [(job, one) for job, one in dict.fromkeys(ending) if one.over and one in job.passes]
        for _job, one in over:
            one.settle()
        return over

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
