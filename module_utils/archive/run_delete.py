# SPDX-License-Identifier: GPL-3.0-or-later
"""The deletion phase of a run: after all profiles have archived. Receipts first, then the server, then the rows.

On every server one message goes first and alone. Others follow only when it was really gone.
"""

from __future__ import annotations

import time
import typing as t
from collections import Counter, deque
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import REASON_CHARACTERS
from ansible_collections.mailops.kerio.plugins.module_utils.archive.delete_protocol import (
    Delete,
    Deleted,
    Leftover,
    Planned,
    Removed,
    Settled,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import BATCH, Candidate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Profile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Stopwatch
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_delete_plan import FolderPlan, MailboxPlan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import Died, Hand
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_tools import Tools
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import TaskFailed
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    NetworkError,
    ProtocolError,
    StoreError,
)

TICK_SECONDS = 1.0
CUT_SHORT = "; what was deleted by then is found out by the next run"
DAMAGED = "{count} messages stay on the server, because the archive was damaged: {first}. What can be repaired is; run again"


@dataclass(eq=False)
class _Job:
    mailbox: Mailbox
    folders: deque[FolderPlan]
    deleted: int = 0
    watch: Stopwatch = field(default_factory=Stopwatch)

    @property
    def server(self) -> str:
        return self.mailbox.server.name


@dataclass
class _Servers:
    """What this run knows of the servers: who deletes for good, and where deletion ended, and why (as a reason to spare)."""

    proven: set[str] = field(default_factory=set)
    stopped: dict[str, str] = field(default_factory=dict)
    without_uidplus: set[str] = field(default_factory=set)

    def note(self, server: str, reason: str) -> None:
        """Remember why deletion ended there."""
        if reason == deletion.NO_UIDPLUS:
            self.without_uidplus.add(server)
        else:
            self.stopped[server] = reason

    def objection(self, server: str, one: FolderPlan) -> str:
        """Why nothing is deleted in a folder; "" when something may be."""
        if server in self.stopped:
            return self.stopped[server]
        return deletion.NO_UIDPLUS if server in self.without_uidplus and not one.dedicated else ""


class DeletionPhase:
    """Carries out the plans with the workers. ``now`` and ``settle`` as in ``delete_protocol.Delete``.

    ``outside``: why a profile may not run at this moment.
    """

    def __init__(
        self,
        tools: Tools,
        plans: t.Iterable[MailboxPlan],
        run_id: int,
        now: int,
        settle: float,
        outside: t.Callable[[Profile], str],
    ) -> None:
        self._tools = tools
        self._waiting = deque(_Job(plan.mailbox, deque(plan.folders)) for plan in plans)
        self._run_id = run_id
        self._now = now
        self._settle = settle
        self._outside = outside
        self._servers = _Servers()
        self._answers: dict[type, t.Callable[[Hand, _Job, FolderPlan, t.Any], None]] = {
            Settled: self._settled,
            Planned: self._planned,
            Removed: self._removed,
            Deleted: self._ended,
            TaskFailed: self._failed,
            Died: self._died,
        }

    def run(self) -> None:
        """Work until nothing is left, or a stop was asked for. Raises what concerns the whole archive."""
        if not self._waiting:
            return
        tools = self._tools
        # Whoever still has a connection has it to where it fetched last.
        tools.pool.hang_up()
        while len(tools.pool.hands) < min(tools.pool.growth.base, len(self._waiting)):
            tools.pool.grow()
        for hand in tools.pool.hands:
            hand.task = None
        while True:
            if not tools.reporter.stop_requested:
                self._assign()
            if not any(hand.busy for hand in tools.pool.hands):
                return
            for hand, answer in tools.pool.receive(TICK_SECONDS):
                if hand.task is not None:
                    job, one = hand.task
                    self._answers[type(answer)](hand, job, one, answer)

    # Who does what

    def _assign(self) -> None:
        for hand in self._tools.pool.idle():
            order = self._next_of(hand.task[0]) if hand.task else None
            if order is None:
                hand.task = None
                order = self._next_job()
            if order is not None:
                job, one, delete = order
                hand.task, hand.place = (job, one), job.server
                self._tools.pool.order(hand, delete)

    def _next_job(self) -> tuple[_Job, FolderPlan, Delete] | None:
        busy = Counter(hand.task[0].server for hand in self._tools.pool.hands if hand.task)
        for job in list(self._waiting):
            # Until the first message is known to be gone, nobody else deletes on the server.
            limit = job.mailbox.limit if job.server in self._servers.proven else 1
            if busy[job.server] >= limit:
                continue
            self._waiting.remove(job)
            order = self._next_of(job)
            if order is not None:
                return order
        return None

    def _next_of(self, job: _Job) -> tuple[_Job, FolderPlan, Delete] | None:
        """The next order of a mailbox; None when it is done."""
        while job.folders:
            one = job.folders[0]
            messages = self._page(job, one)
            if messages or one.leftovers:
                return job, one, self._order(job, one, messages)
            job.folders.popleft()
        return None

    def _page(self, job: _Job, one: FolderPlan) -> list[Candidate]:
        if one.rules is None:
            return []
        catalog, source = self._tools.catalog, one.source
        objection = self._servers.objection(job.server, one) or (deletion.CLOSED if self._outside(job.mailbox.profile) else "")
        if objection:
            one.report.spared[objection] = catalog.count_old(source.id, source.uidvalidity, one.before)
            one.rules = None
            return []
        page = catalog.old_messages(source.id, source.uidvalidity, one.before, one.position, BATCH)
        if page:
            one.position = (page[-1].archived, page[-1].uid)
        return page

    def _order(self, job: _Job, one: FolderPlan, messages: list[Candidate]) -> Delete:
        leftovers = [
            Leftover(
                Candidate(left.uid, left.digest, left.size, left.proof["internaldate"], left.proof["archived"], State.ARCHIVED),
                left.proof["watched"],
            )
            for left in one.leftovers
        ]
        one.leftovers = []
        return Delete(
            access=job.mailbox.access,
            folder=one.folder,
            uidvalidity=one.source.uidvalidity,
            messages=messages,
            wanted=one.wanted,
            now=self._now,
            dedicated=one.dedicated,
            probe=job.server not in self._servers.proven,
            settle=self._settle,
            leftovers=leftovers,
        )

    # What workers say

    def _settled(self, hand: Hand, job: _Job, one: FolderPlan, answer: Settled) -> None:
        proof = {"found_gone": int(time.time())}
        self._write(job, one, answer, proof)
        self._tools.pool.committed(hand)

    def _planned(self, hand: Hand, _job: _Job, one: FolderPlan, answer: Planned) -> None:
        days = one.rules.after_days if one.rules else 0
        receipts = [(receipt.candidate, receipt.as_proof(days, answer.watched)) for receipt in answer.receipts]
        self._tools.catalog.plan_receipts(one.source.id, one.source.uidvalidity, self._run_id, receipts)
        self._tools.pool.committed(hand)

    def _removed(self, hand: Hand, job: _Job, one: FolderPlan, answer: Removed) -> None:
        self._write(job, one, answer, {"expunge": answer.words, "gone": int(time.time())})
        source = one.source
        self._tools.catalog.expect_fewer(source.id, source.uidvalidity, len(answer.gone) + len(answer.moved))
        if answer.gone:
            self._servers.proven.add(job.server)
        self._tools.pool.committed(hand)

    def _write(self, job: _Job, one: FolderPlan, answer: Settled | Removed, proof: dict[str, t.Any]) -> None:
        catalog, key = self._tools.catalog, (one.source.id, one.source.uidvalidity, self._run_id)
        if answer.gone:
            catalog.complete_receipts(*key, answer.gone, proof)
        if answer.kept or answer.moved:
            catalog.drop_receipts(*key, answer.kept, answer.moved)
        one.report.deleted += len(answer.gone)
        job.deleted += len(answer.gone)
        if answer.gone:
            mailbox = job.mailbox
            line = f"[{job.server}] {mailbox.position}/{mailbox.count} {mailbox.name} {job.deleted:,} messages deleted"
            self._tools.reporter.progress(line, server=job.server, mailbox=mailbox.name, deleted=job.deleted)

    def _ended(self, hand: Hand, job: _Job, one: FolderPlan, answer: Deleted) -> None:
        hand.busy = False
        for reason in answer.spared.values():
            one.report.spared[reason] = one.report.spared.get(reason, 0) + 1
        one.report.notes += answer.notes
        if answer.damage:
            self._damaged(one, answer)
        if answer.error is None:
            return
        _fail(one, str(answer.error))
        one.rules = None
        if answer.whole_server:
            self._servers.note(job.server, answer.whole_server)

    def _damaged(self, one: FolderPlan, answer: Deleted) -> None:
        """Have the next run read damaged objects again from the server, where they still are, and put lost files back."""
        again = {uid: answer.damage[uid] for uid, reason in answer.spared.items() if reason == deletion.OBJECT_DAMAGED}
        reasons = {uid: text[:REASON_CHARACTERS] for uid, text in again.items()}
        self._tools.catalog.read_again(one.source.id, one.source.uidvalidity, self._run_id, reasons)
        store = self._tools.store
        for link in answer.links:
            store.place(*link)
        store.sync()
        _fail(one, DAMAGED.format(count=len(answer.damage), first=next(iter(answer.damage.values()))))

    def _died(self, hand: Hand, job: _Job, one: FolderPlan, answer: Died) -> None:
        """The hand has a new process; what the old one did is found out by the next run."""
        hand.busy = False
        _fail(one, f"deletion ended early: an archiving worker ended with {answer.how}{CUT_SHORT}")
        job.folders.clear()

    def _failed(self, hand: Hand, job: _Job, one: FolderPlan, answer: TaskFailed) -> None:
        if isinstance(answer.error, StoreError):
            raise answer.error
        hand.busy = False
        _fail(one, f"deletion ended early: {answer.error}".rstrip(".") + (CUT_SHORT if answer.opened else ""))
        job.folders.clear()
        if not answer.opened and isinstance(answer.error, ArchiveToolError):
            self._refused(job, answer.error)

    def _refused(self, job: _Job, error: ArchiveToolError) -> None:
        whole = self._tools.gate.note(job.mailbox, error)
        if whole or isinstance(error, (NetworkError, ProtocolError)):
            self._servers.note(job.server, deletion.SERVER_STOPPED)


def _fail(one: FolderPlan, message: str) -> None:
    one.report.error = one.report.error or message
