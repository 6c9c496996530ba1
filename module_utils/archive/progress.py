# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks on while something long works: who is shown its lines and may stop it, and a test that ends it at some point."""

from __future__ import annotations

import time
import typing as t

MEGABYTE = 1_000_000


class Reporter(t.Protocol):
    """Where progress goes and where a request to stop comes from (``job.Reporter``)."""

    @property
    def stop_requested(self) -> bool:
        """Whether the run is to end at the next point where it can."""

    def progress(self, line: str, **data: t.Any) -> None:
        """Show a line."""


class Silent:
    """Shows nothing, never stops."""

    stop_requested = False

    def progress(self, line: str, **data: t.Any) -> None:
        """Forget it."""


def no_checkpoint(_name: str) -> None:
    """Tests put in a function that ends the process at a chosen point."""


def line(server: str, position: int, mailboxes: int, mailbox: str, messages: int, size: int, seconds: float) -> str:
    """One mailbox as a line: ``[mail1] 12/80 alice@example.com 4,310 messages, 96 MB, 2,900/s``; ``size`` in bytes."""
    rate = messages / seconds if seconds > 0 else 0.0
    return f"[{server}] {position}/{mailboxes} {mailbox} {messages:,} messages, {size / MEGABYTE:,.0f} MB, {_rounded(rate):,}/s"


def _rounded(rate: float) -> int:
    """Two digits that mean something."""
    whole = int(rate)
    step = int("1".ljust(len(str(whole)) - 1, "0"))
    return whole // step * step


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """Elapsed seconds."""
        return time.monotonic() - self._begin
