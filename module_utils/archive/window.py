# SPDX-License-Identifier: GPL-3.0-or-later
"""The time of day in which a profile runs."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_types import Window
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter


def local_minute() -> int:
    """Minutes since midnight on the clock of this host's wall."""
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min


def is_open(window: Window, minute: int) -> bool:
    """Tell whether a profile runs at that minute; the one in which the window closes is outside."""
    if window.opens < window.closes:
        return window.opens <= minute < window.closes
    return minute >= window.opens or minute < window.closes


def clock_text(minute: int) -> str:
    """``06:00``."""
    return f"{minute // 60:02}:{minute % 60:02}"


def outside(window: Window | None) -> str:
    """Why a profile is not run now; "" when it is."""
    if window is None or is_open(window, local_minute()):
        return ""
    return f"outside its window, next at {clock_text(window.opens)}"


class Closing:
    """A reporter that asks for a stop when the window closes as well. ``closed`` stays True from then on."""

    def __init__(self, reporter: Reporter, window: Window | None) -> None:
        self._reporter = reporter
        self._window = window
        self.closed = False

    @property
    def stop_requested(self) -> bool:
        """Whether the profile is to end at the next point where it can."""
        self.closed = self.closed or (self._window is not None and not is_open(self._window, local_minute()))
        return self.closed or self._reporter.stop_requested

    def progress(self, line: str, **data: t.Any) -> None:
        """Show a line."""
        self._reporter.progress(line, **data)
