# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a server may take over one answer as a whole. The time-out of a socket begins anew with each byte that comes."""

from __future__ import annotations

import time
import typing as t

# Bytes a second; a server that sends less, and lets nobody have the end of its answer, drips.
LEAST_RATE = 1024


class Waits(t.Protocol):
    """What has a time-out."""

    def settimeout(self, seconds: float | None, /) -> None: ...


class Patience:
    """``limit`` seconds of waiting for one answer, and one more for each KiB of it that comes; None is for ever.

    Only waiting counts, so that neither a pace nor a slow disk of ours is held against the server. Nothing is saved up: there are
    never more than ``limit`` seconds left. ``came``: bytes of the answer.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.came = 0
        self._spent = 0.0

    def renew(self) -> None:
        """Begin anew: the answer has come whole."""
        self.came = 0
        self._spent = 0.0

    def spend(self, sock: Waits, receive: t.Callable[[], int]) -> int:
        """Call ``receive``, which waits for ``sock`` and returns how many bytes came; TimeoutError when that takes too long."""
        if self.limit is None:
            return receive()
        if self._spent >= self.limit > 0:
            raise TimeoutError("timed out")
        shortened = self._spent > 0
        if shortened:
            sock.settimeout(self.limit - self._spent)
        count, began = 0, time.monotonic()
        try:
            count = receive()
        finally:
            self.came += count
            self._spent = max(0.0, self._spent + time.monotonic() - began - count / LEAST_RATE)
            if shortened:
                sock.settimeout(self.limit)
        return count
