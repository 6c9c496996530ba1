# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a run to end that waits for a silent server."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_stop
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError
from tests.unit.module_utils.job_work import Data, ended, until


def test_a_run_that_does_not_hear_is_named_goes_on_and_ends_at_its_next_point(tmp_path: Path) -> None:
    go = tmp_path / "go"

    def waits(reporter: job.Reporter) -> Data:
        reporter.progress("waiting for mail1")
        until(go.exists)
        return {"msg": "it was stopped" if reporter.stop_requested else "it was not"}

    running = job.start(tmp_path, "archive_run", waits, about={}, owner="me")
    try:
        until(lambda: job.status(tmp_path, "archive_run").progress.line)
        with pytest.raises(JobError) as raised:
            run_stop.stop(tmp_path, "archive_run", check_mode=False, patience=0.01)
        cause = f"process {running.pid} was asked to stop and still runs after 0.01 seconds: waiting for mail1"
        remedy = "Ask again, or look at the server that it waits for: it ends at the next point where it leaves nothing half done"
        assert str(raised.value) == f"archive_run in {tmp_path}: {cause}. {remedy}."
        now = job.status(tmp_path, "archive_run")
        assert (now.id, now.state) == (running.id, job.RUNNING)
    finally:
        go.touch()
    assert ended(tmp_path, "archive_run").result == {"msg": "it was stopped"}
