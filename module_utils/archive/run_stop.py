# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the run that is under way to end, and waiting until it has."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError

# A run ends at its next message; one that waits for a silent server takes up to the server's time-out and a little more.
PATIENCE_SECONDS = 300.0
NEVER = 2**31 - 1

Data = dict[str, t.Any]


def stop(state_dir: Path, name: str, check_mode: bool, patience: float = PATIENCE_SECONDS) -> Data:
    """The outcome of asking the running job to stop. Its result stays for whoever started it. Raises ``JobError``."""
    running = job.status(state_dir, name)
    run: Data = {"mode": "stop", "errors": []}
    if running.state != job.RUNNING:
        return {"changed": False, "msg": "Nothing to stop: no run is under way", "data": {"run": run}}
    of = f"The run of {running.owner}"
    if check_mode:
        return {"changed": True, "msg": f"{of} would be stopped: {running.progress.line}", "data": {"run": run}}
    job.request_stop(state_dir, name)
    ended = job.wait(state_dir, name, patience, NEVER)
    if ended.id == running.id and ended.state == job.RUNNING:
        raise JobError(
            f"{name} in {state_dir}",
            f"process {running.pid} was asked to stop and still runs after {patience:g} seconds: {ended.progress.line}",
            "Ask again, or look at the server that it waits for: it ends at the next point where it leaves nothing half done",
        )
    told = (ended.result or {}).get("msg") or (ended.error or {}).get("cause", "")
    return {"changed": True, "msg": f"{of} has ended: {told}", "data": {"run": run}}
