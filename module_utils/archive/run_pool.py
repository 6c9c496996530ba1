# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker processes of a run, seen from the scheduler."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from ansible_collections.mailops.kerio.plugins.module_utils.archive.delete_protocol import Delete
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_growth import Growth
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_nursery import Nursery
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap, Worker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import (
    Answer,
    Committed,
    Halt,
    HangUp,
    Order,
    Quit,
    Rate,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError

# A little behind time(), as the clock of file times is.
CLOCK_SECONDS = 1.0


@dataclass(frozen=True)
class Died:
    """A worker process ended in the middle of its work; ``how`` is "signal 9" or "status 70"."""

    how: str


@dataclass(eq=False)
class Hand:
    """One worker process. ``busy`` while it has an order; ``place`` is where its IMAP connection is.

    ``delivered`` are the UIDs of its order that came in parcels, ``since`` is when it got the order.
    """

    pid: int
    pipe: Connection[t.Any, t.Any]
    busy: bool = False
    place: t.Any = None
    task: t.Any = None
    delivered: set[int] = field(default_factory=set)
    since: float = 0.0


@dataclass
class WorkerPool:
    """Worker processes. Make it before the store and the catalog are opened: their descriptors must not cross a fork.

    A process begins when there is work for it, as far as ``growth`` allows; one that dies is replaced. ``deaths`` counts those.
    """

    nursery: Nursery
    growth: Growth
    hands: list[Hand] = field(default_factory=list)
    deaths: int = 0

    @classmethod
    def start(cls, growth: Growth, root: str, imap: Imap, checkpoint: t.Callable[[str], None]) -> WorkerPool:
        """Begin what forks the workers."""
        began = time.time() - CLOCK_SECONDS
        return cls(Nursery(lambda pipe: Worker(pipe, root, imap, checkpoint, began).serve()), growth)

    def idle(self) -> list[Hand]:
        """Workers without an order."""
        return [hand for hand in self.hands if not hand.busy]

    def may_grow(self) -> bool:
        """Whether one more process may begin, if there is work for it."""
        return self.growth.allows(len(self.hands))

    def grow(self) -> Hand:
        """Begin one more process."""
        hand = Hand(*self.nursery.fork())
        self.hands.append(hand)
        return hand

    def order(self, hand: Hand, order: Order | Delete) -> None:
        """Give a worker something to do."""
        hand.busy = True
        hand.since = time.time()
        hand.delivered = set()
        self._send(hand, order)

    def committed(self, hand: Hand) -> None:
        """Tell a worker that one of its parcels is in the catalog."""
        self._send(hand, Committed())

    def halt(self) -> None:
        """Have every worker that fetches stop at the next message."""
        for hand in self.hands:
            if hand.busy:
                self._send(hand, Halt())

    def pace(self, hand: Hand, rate: int) -> None:
        """Have a worker that fetches keep to so many bytes per second."""
        self._send(hand, Rate(rate))

    def hang_up(self) -> None:
        """Have every worker without an order close its connection; returns when all have."""
        connected = [hand for hand in self.idle() if hand.place is not None]
        for hand in connected:
            self._send(hand, HangUp())
        for hand in connected:
            try:
                hand.pipe.recv()
                hand.place = None
            except (EOFError, ConnectionError):
                self._replace(hand)

    def receive(self, timeout: float) -> list[tuple[Hand, Answer | Died]]:
        """Everything that the workers have said, in order; waits up to ``timeout`` seconds for the first."""
        pipes = {hand.pipe: hand for hand in self.hands}
        answers: list[tuple[Hand, Answer | Died]] = []
        for pipe in wait(list(pipes), timeout):
            hand = pipes[t.cast("Connection[t.Any, t.Any]", pipe)]
            try:
                answers.append((hand, hand.pipe.recv()))
                while hand.pipe.poll():
                    answers.append((hand, hand.pipe.recv()))
            except (EOFError, ConnectionError):
                answers.append((hand, self._replace(hand)))
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
            with contextlib.suppress(JobError):
                self.nursery.end_of(hand.pid)
        self.hands.clear()
        self.nursery.close()

    def _send(self, hand: Hand, message: Order | Delete) -> None:
        """A worker that cannot hear is dead, and ``receive`` will notice."""
        with contextlib.suppress(ConnectionError):
            if hand in self.hands:
                hand.pipe.send(message)

    def _replace(self, hand: Hand) -> Died:
        """Put another worker in the place of one that died."""
        self.hands.remove(hand)
        hand.pipe.close()
        code = self.nursery.end_of(hand.pid)
        self.deaths += 1
        self.grow()
        return Died(f"signal {-code}" if code < 0 else f"status {code}")
