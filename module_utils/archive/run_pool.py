# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker processes of a run, seen from the scheduler."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
import typing as t
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from ansible_collections.mailops.kerio.plugins.module_utils.archive.delete_protocol import Delete
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap, Worker, die_with
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Answer, Committed, HangUp, Order, Quit
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError

_CRASHED = 70


@dataclass(eq=False)
class Hand:
    """One worker process. ``busy`` while it has an order; ``place`` is where its IMAP connection is."""

    pid: int
    pipe: Connection[t.Any, t.Any]
    busy: bool = False
    place: t.Any = None
    task: t.Any = None


@dataclass
class WorkerPool:
    """Worker processes. Start them before the store and the catalog are opened: their descriptors must not cross a fork."""

    hands: list[Hand] = field(default_factory=list)

    @classmethod
    def start(cls, count: int, root: str, imap: Imap, checkpoint: t.Callable[[str], None]) -> WorkerPool:
        """Fork ``count`` workers."""
        pool = cls()
        for _ in range(count):
            ours, theirs = multiprocessing.Pipe()
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                for hand in pool.hands:
                    hand.pipe.close()
                ours.close()
                _live(parent, theirs, root, imap, checkpoint)
            theirs.close()
            pool.hands.append(Hand(pid, ours))
        return pool

    def idle(self) -> list[Hand]:
        """Workers without an order."""
        return [hand for hand in self.hands if not hand.busy]

    def order(self, hand: Hand, order: Order | Delete) -> None:
        """Give a worker something to do."""
        self._send(hand, order)
        hand.busy = True

    def committed(self, hand: Hand) -> None:
        """Tell a worker that one of its parcels is in the catalog."""
        self._send(hand, Committed())

    def hang_up(self) -> None:
        """Have every worker without an order close its connection; returns when all have."""
        connected = [hand for hand in self.idle() if hand.place is not None]
        for hand in connected:
            self._send(hand, HangUp())
        for hand in connected:
            try:
                hand.pipe.recv()
            except (EOFError, ConnectionError):
                raise self._lost(hand) from None
            hand.place = None

    def receive(self, timeout: float) -> list[tuple[Hand, Answer]]:
        """Everything that the workers have said, in order; waits up to ``timeout`` seconds for the first."""
        pipes = {hand.pipe: hand for hand in self.hands}
        answers: list[tuple[Hand, Answer]] = []
        for pipe in wait(list(pipes), timeout):
            hand = pipes[t.cast("Connection[t.Any, t.Any]", pipe)]
            try:
                answers.append((hand, hand.pipe.recv()))
                while hand.pipe.poll():
                    answers.append((hand, hand.pipe.recv()))
            except (EOFError, ConnectionError):
                raise self._lost(hand) from None
        return answers

    def close(self) -> None:
        """End all workers: by word, and those that do not listen by signal."""
        for hand in self.hands:
            with contextlib.suppress(OSError):
                hand.pipe.send(Quit())
        for hand in self.hands:
            if hand.busy:
                # It may sit in a long read; whatever it has not handed over is not wanted any more.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(hand.pid, signal.SIGKILL)
            hand.pipe.close()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(hand.pid, 0)
        self.hands.clear()

    def _send(self, hand: Hand, message: Order | Delete) -> None:
        try:
            hand.pipe.send(message)
        except ConnectionError:
            raise self._lost(hand) from None

    def _lost(self, hand: Hand) -> JobError:
        self.hands.remove(hand)
        hand.pipe.close()
        _, status = os.waitpid(hand.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        cause = f"process {hand.pid} ended with " + (f"signal {-code}" if code < 0 else f"status {code}")
        return JobError("an archiving worker", cause, "See the log of the job; what was committed is safe, run it again")


def _live(parent: int, pipe: Connection[t.Any, t.Any], root: str, imap: Imap, checkpoint: t.Callable[[str], None]) -> t.NoReturn:
    """The life of a worker process; it never returns into the code that forked it."""
    status = _CRASHED
    try:
        die_with(parent)
        # systemd and a terminal send these to all processes: the scheduler ends the run in order, and its workers with it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Worker(pipe, root, imap, checkpoint).serve()
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        status = 0
    finally:
        if status:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(status)
