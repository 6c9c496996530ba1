# SPDX-License-Identifier: GPL-3.0-or-later
"""How many worker processes a run has: one per core, and more while the processors of this host mostly wait for servers."""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

# Measured (reference: a third process on two busy cores makes a run slower, four connections to a slow server carry three times
# what one does): so many connections for each core, and this part of all processors idle before another one begins.
MOST_PER_CORE = 4
IDLE_PART = 0.3
LOOK_SECONDS = 0.15
_STAT = Path("/proc/stat")


def processor_times() -> tuple[int, int]:
    """Ticks that all processors together were idle, and all their ticks; (0, 0) where the kernel does not tell.

    Waiting for the disk is not idle: more workers do not make it faster.
    """
    try:
        words = _STAT.read_text("ascii").split(maxsplit=9)
    except OSError:
        return 0, 0
    ticks = [int(word) for word in words[1:9]]
    return ticks[3], sum(ticks)


@dataclass
class Growth:
    """``base`` processes are begun as they are needed, more up to ``most`` only while the processors are idle."""

    base: int
    most: int
    times: t.Callable[[], tuple[int, int]] = processor_times
    clock: t.Callable[[], float] = time.monotonic
    _before: tuple[int, int] = (0, 0)
    _looked: float = field(default=0.0)

    @classmethod
    def of(cls, processes: int, connections: int) -> Growth:
        """``processes`` (0: as described above) and ``connections`` to all servers (0: any number) are upper bounds."""
        cores = os.cpu_count() or 1
        base, most = (processes, processes) if processes else (cores, MOST_PER_CORE * cores)
        return cls(min(base, connections or base), min(most, connections or most))

    def allows(self, count: int) -> bool:
        """Whether one more process may begin beside ``count``; ask again and again while there is work for it."""
        return count < self.base or (count < self.most and self._idle())

    def _idle(self) -> bool:
        now = self.clock()
        if now - self._looked < LOOK_SECONDS:
            return False
        times, before = self.times(), self._before
        fresh = now - self._looked < 10 * LOOK_SECONDS  # an older look tells of another phase of the run
        self._before, self._looked = times, now
        total = times[1] - before[1]
        return fresh and total > 0 and (times[0] - before[0]) / total >= IDLE_PART
