# SPDX-License-Identifier: GPL-3.0-or-later
"""What one call of a module has to do with a job: follow it, attach to it, or start it, and who hears of its end."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import typing as t
import uuid
from dataclasses import dataclass, replace

from ansible_collections.mailops.kerio.plugins.module_utils import job_unit
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, JobError
from ansible_collections.mailops.kerio.plugins.module_utils.job import (
    ATTENDED_SECONDS,
    NONE,
    RUNNING,
    JobStatus,
    Work,
    acknowledge,
    keep_unheard,
    start,
    status,
    touch,
    unheard,
    wait,
)

if t.TYPE_CHECKING:
    from pathlib import Path

# What a caller is told of a job that is somebody else's.
BUSY = "busy"

Data = t.Dict[str, t.Any]

# Options of every module whose work is a job; the documentation fragment ``job`` explains them.
ARGUMENTS: Data = {
    "job_owner": {"type": "str", "no_log": False},
    "job_wait": {"type": "int", "default": 5},
    "job_seen": {"type": "int", "default": 0},
    "job_heard": {"type": "list", "elements": "str"},
}


@dataclass(frozen=True)
class Turn:
    """What one call of a module got: ``holder`` is set when somebody else attends the job, ``status`` is None when there was
    nothing to do, ``previous`` are reports of jobs that ended without anybody there to hear; none while the job runs."""

    status: JobStatus | None
    holder: str | None = None
    previous: tuple[Data, ...] = ()

    @property
    def running(self) -> bool:
        return self.holder is None and self.status is not None and self.status.state == RUNNING

    def as_data(self) -> Data:
        """Return the keys ``job`` and ``previous`` of a module's result; the action plugin lives on them."""
        data: Data = {"previous": list(self.previous)} if self.previous else {}
        if self.status is not None:
            progress = self.status.progress
            state = self.status.state if self.holder is None else BUSY
            data["job"] = {"state": state, "id": self.status.id, "counter": progress.counter, "line": progress.line}
        return data


def attend(
    state_dir: str | Path,
    name: str,
    prepare: t.Callable[[], Work | None],
    *,
    about: Data,
    owner: str | None,
    seconds: float,
    seen: int = 0,
    secrets: t.Sequence[str] = (),
    service: job_unit.Service | None = None,
) -> Turn:
    """Do the part of one module call: follow the job of ``owner``, attach to one that nobody attends, or start one.

    ``prepare`` is called only when a job has to be started and returns its work, or None when there is nothing to do. A running
    job that is ``about`` something else is waited for and ends up in ``previous``. Without ``owner`` (no action plugin) the
    call returns only when the job has ended.

    An answer may be lost on its way, so every end is told until ``acknowledge`` says that it was heard, which is the caller's
    task; without ``owner`` there is nobody to do it, and what is returned counts as heard. The owner may ask again.
    """
    alone = not owner
    owner = owner or f"process {os.getpid()} {uuid.uuid4().hex[:8]}"
    about = json.loads(json.dumps(about))
    now = status(state_dir, name)
    while True:
        holder = now.attended_by(owner)
        if holder:
            return _told(state_dir, name, Turn(now, holder), alone)
        if now.state != RUNNING and (now.attendant != owner or now.about != about):
            if now.state != NONE and not now.acknowledged:
                keep_unheard(state_dir, name, now)
            work = prepare()
            if work is None:
                return _told(state_dir, name, Turn(None), alone)
            begin = functools.partial(start, state_dir, name, work, about=about, owner=owner, secrets=secrets, service=service)
            now = _started_by_whom(begin, state_dir, name)
            continue
        # Who asks is worth less than the answer: the disk may be full by now.
        with contextlib.suppress(JobError):
            touch(state_dir, name, owner)
        now = wait(state_dir, name, min(seconds, ATTENDED_SECONDS / 2), seen)
        if now.state != RUNNING and now.about == about:
            return _told(state_dir, name, Turn(now), alone)
        if now.state == RUNNING and not alone:
            return Turn(now)
        seen = now.progress.counter


def _told(state_dir: str | Path, name: str, turn: Turn, alone: bool) -> Turn:
    """Return the final answer: it tells what nobody has confirmed to have heard."""
    turn = replace(turn, previous=unheard(state_dir, name))
    if alone and turn.holder is None:
        ended = [turn.status.id] if turn.status is not None and turn.status.state != RUNNING else []
        for job_id in [*ended, *(report["id"] for report in turn.previous)]:
            acknowledge(state_dir, name, job_id)
    return turn


def _started_by_whom(begin: t.Callable[[], JobStatus], state_dir: str | Path, name: str) -> JobStatus:
    """Start the job; when another caller was faster, return the status of its job."""
    try:
        return begin()
    except BusyError:
        now = status(state_dir, name)
        if now.state != RUNNING:
            raise
        return now
