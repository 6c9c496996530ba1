# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a detached job and showing its progress, nothing else; the module on the host does the work."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import sys
import time
import typing as t
import uuid

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

# Strategies load action plugins in the main process; a worker's own output is /dev/null, so only here can it be told.
ON_TERMINAL = sys.stdout.isatty()
RECONNECT_SECONDS = 120.0
RECONNECT_PAUSE_SECONDS = 5.0
# No progress line wakes a waiting call: every call costs the host an interpreter, a line is worth one every few seconds.
END_ONLY = 2**31 - 1

Data = dict[str, t.Any]


def caller_token() -> str:
    """Return a token that tells a second operator who attends the job."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (ansible process {os.getppid()}, {uuid.uuid4().hex[:8]})"


class ProgressLines:
    """Prints what the job says: on a terminal each line that arrives, elsewhere one in ``interval`` seconds and the last."""

    def __init__(self, prefix: str, interval: float, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._prefix = prefix
        self._interval = interval
        self._clock = clock
        self._printed_at: float | None = None
        self._printed = 0
        self._held: tuple[int, str] | None = None

    def show(self, counter: int, line: str) -> None:
        if line and counter > self._printed:
            self._held = (counter, line)
        if self._printed_at is None or self._clock() - self._printed_at >= self._interval:
            self.flush()

    def flush(self) -> None:
        if self._held is not None:
            self._printed, line = self._held
            self._held = None
            self._printed_at = self._clock()
            Display().display(f"{self._prefix} {line}")


class JobAction(ActionBase):
    """Base of the action plugins of modules that document C(mailops.kerio.job).

    The module is called with ``job_owner``, ``job_wait`` and ``job_seen``, and again until its ``job.state`` is no longer
    ``running``. What an early answer says about previous jobs is kept for the final one.
    """

    _supports_check_mode = True
    # Ansible's async writes the options of the module, secrets included, to the host's disk.
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        result: Data = super().run(tmp, task_vars) or {}
        variables: Data = task_vars or {}
        if self._task.check_mode:
            result.update(self._execute_module(task_vars=variables))
            return result
        interval = 0.0 if ON_TERMINAL else 10.0
        lines = ProgressLines(f"{self._task.action.rpartition('.')[2]}: [{variables.get('inventory_hostname', '')}]", interval)
        args = dict(self._task.args, job_owner=caller_token(), job_seen=END_ONLY)
        args.setdefault("job_wait", 2 if ON_TERMINAL else 10)
        result.update(self._follow(args, variables, lines))
        return result

    def _follow(self, args: Data, variables: Data, lines: ProgressLines) -> Data:
        """Call the module until its job has ended; return the last answer."""
        kept: dict[str, list[t.Any]] = {"previous": [], "warnings": []}
        answer: Data = self._execute_module(module_args=args, task_vars=variables)
        while (answer.get("job") or {}).get("state") == "running" and not answer.get("failed"):
            for key, values in kept.items():
                values.extend(answer.get(key) or [])
            if not self._task.no_log:
                lines.show(answer["job"].get("counter", 0), answer["job"].get("line", ""))
            answer = self._ask_again(args, variables)
        if not self._task.no_log:
            job = answer.get("job") or {}
            lines.show(job.get("counter", 0), job.get("line", ""))
            lines.flush()
        for key, values in kept.items():
            if values:
                answer[key] = values + list(answer.get(key) or [])
        return answer

    def _ask_again(self, args: Data, variables: Data) -> Data:
        """Call the module; a lost connection is no reason to give up, because the job does not depend on it."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                return t.cast("Data", self._execute_module(module_args=args, task_vars=variables))
            except AnsibleConnectionFailure as error:
                if time.monotonic() > deadline:
                    raise
                Display().warning(f"{variables.get('inventory_hostname', '')}: {error}; the job goes on, asking again")
                time.sleep(RECONNECT_PAUSE_SECONDS)
                with contextlib.suppress(AnsibleError, AttributeError):
                    self._connection.reset()
