# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the clock was set while a run goes on: then times of files do not tell what was written after the last commit."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import CLOCK_FILE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import sync_path

STEP_SECONDS = 30.0  # a smaller one is within the margin of the sweep


def _offset() -> float:
    """What setting the clock changes and nothing else: neither the time that passes nor an adjustment of its speed, nor sleep."""
    return time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


# One for the scheduler and the workers that it forks, so that a step between two of them is seen.
_AT_BEGIN = _offset()


def cautious_time() -> float:
    """Seconds since the epoch by which ages are told: a clock that was set forward since the run began makes nothing older."""
    return time.time() - max(0.0, _offset() - _AT_BEGIN)


class ClockWatch:
    """Asked before anything is written. The first time that the clock was set it leaves a file beside the dirty marker."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._told = False

    def check(self) -> None:
        """Raises OSError when the file cannot be made: without it nothing may be written."""
        if self._told or abs(_offset() - _AT_BEGIN) < STEP_SECONDS:
            return
        descriptor = os.open(f"{self._root}/{CLOCK_FILE}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        os.close(descriptor)
        # Before what it speaks of, which a power loss could keep without it.
        sync_path(self._root)
        self._told = True

    def was_set(self) -> bool:
        """Whether any process of the run that ended left the file."""
        return Path(self._root, CLOCK_FILE).exists()

    def forget(self) -> None:
        """Remove the file; raises OSError."""
        Path(self._root, CLOCK_FILE).unlink(missing_ok=True)
