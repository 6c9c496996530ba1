# SPDX-License-Identifier: GPL-3.0-or-later
"""Receiving or sending no faster than a number of bytes per second."""

from __future__ import annotations

import time
import typing as t

# Nothing is made up for when the transfer was slower than allowed for longer than this.
CREDIT_SECONDS = 0.25
LEAST_BITE = 4096


class Pace:
    """Sleeps after each piece for as long as it was too early. ``rate``, in bytes per second, may change."""

    def __init__(self, rate: int, clock: t.Callable[[], float] = time.monotonic, sleep: t.Callable[[float], None] = time.sleep):
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due = clock()

    @property
    def bite(self) -> int:
        """How much to transfer at a time, so that no sleep is long."""
        return max(LEAST_BITE, self.rate // 20)

    def took(self, count: int) -> None:
        """``count`` bytes were transferred."""
        now = self._clock()
        self._due = max(self._due, now - CREDIT_SECONDS) + count / self.rate
        if self._due > now:
            self._sleep(self._due - now)


def share(bandwidth: int, connections: int) -> int:
    """The rate of one of so many connections to a server."""
    return max(1, bandwidth // max(1, connections))
