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
KILLED = 128 + 9
GOES_ON = "A job that has begun there goes on by itself, and the next run tells how it ended"

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


def _lost(error: AnsibleConnectionFailure) -> AnsibleConnectionFailure:
    return AnsibleConnectionFailure(f"{str(error).strip().rstrip('.: ')}. {GOES_ON}")


def _job_of(answer: Data) -> Data:
    return answer.get("job") or {}


def heard_of(answer: Data) -> list[str]:
    """Return the ids of the jobs whose end this answer tells."""
    ended = [_job_of(answer).get("id")] if _job_of(answer).get("state") in ("finished", "died") else []
    failed = (answer.get("error") or {}).get("job_id")
    return list(filter(None, [*ended, failed, *(report.get("id") for report in answer.get("previous") or [])]))


class JobAction(ActionBase):
    """Base of the action plugins of modules that document C(mailops.kerio.job).

    The module is called with ``job_owner``, ``job_wait`` and ``job_seen``, and again until its ``job.state`` is no longer
    ``running``. A last call with ``job_heard`` confirms that the end has arrived here: until then the host tells it again.
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
        """Call the module until its job has ended; return the last answer, with the warnings of all."""
        warnings: list[str] = []
        try:
            answer = self._ask(args, variables)
        except AnsibleConnectionFailure as error:
            # Before the module began, or while it waited for the job that it had started: nobody can tell.
            raise _lost(error) from None
        while _job_of(answer).get("state") == "running" and not answer.get("failed"):
            warnings += answer.get("warnings") or []
            self._show(answer, lines)
            answer = self._ask_again(args, variables)
        self._show(answer, lines)
        lines.flush()
        if warnings:
            answer["warnings"] = warnings + list(answer.get("warnings") or [])
        self._confirm(answer, args, variables)
        return answer

    def _ask(self, args: Data, variables: Data) -> Data:
        """Call the module. Not a word from it is a lost connection too: somebody killed it, or the program that keeps it."""
        answer: Data = self._execute_module(module_args=args, task_vars=variables)
        silent = answer.get("failed") and answer.get("module_stdout") == ""
        # Of a module that was killed a shell says so, of another program SSH; its own death is a negative number.
        killed = answer.get("rc", 0) < 0 or answer.get("rc") == KILLED
        if silent and (killed or not answer.get("module_stderr")):
            raise AnsibleConnectionFailure(f"No answer came back (exit status {answer.get('rc')})")
        return answer

    def _show(self, answer: Data, lines: ProgressLines) -> None:
        if not self._task.no_log:
            lines.show(_job_of(answer).get("counter", 0), _job_of(answer).get("line", ""))

    def _confirm(self, answer: Data, args: Data, variables: Data) -> None:
        """Tell the host that the end of these jobs was heard. If that fails, the next run is told once more."""
        heard = heard_of(answer)
        if heard:
            with contextlib.suppress(AnsibleError):
                self._execute_module(module_args=dict(args, job_heard=heard), task_vars=variables)

    def _ask_again(self, args: Data, variables: Data) -> Data:
        """Call the module; a lost connection is no reason to give up, because the job does not depend on it."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                return self._ask(args, variables)
            except AnsibleConnectionFailure as error:
                if time.monotonic() > deadline:
                    raise _lost(error) from None
                Display().warning(f"{variables.get('inventory_hostname', '')}: {error}; the job goes on, asking again")
                time.sleep(RECONNECT_PAUSE_SECONDS)
                with contextlib.suppress(AnsibleError, AttributeError):
                    self._connection.reset()
