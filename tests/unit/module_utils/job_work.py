# SPDX-License-Identifier: GPL-3.0-or-later
"""Work for the tests of detached jobs."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job

Data = t.Dict[str, t.Any]


def until(condition: t.Callable[[], t.Any]) -> t.Any:
    """Wait for something that the job does; the test fails when it never comes."""
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)
    return found


def ended(folder: Path, name: str = "edit") -> job.JobStatus:
    return until(lambda: status if (status := job.status(folder, name)).state != job.RUNNING else None)


class Held:
    """Work that goes on until the test creates the file ``go``."""

    def __init__(self, folder: Path, result: Data | None = None) -> None:
        self.go = folder / "go"
        self.result = result or {"answer": 42}

    def __call__(self, reporter: job.Reporter) -> Data:
        reporter.progress("waiting", step=1)
        until(lambda: self.go.exists() or reporter.stop_requested)
        return dict(self.result, stopped=reporter.stop_requested)
