# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a playbook of this checkout and reads back what its tasks said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import secret_marks

ROOT = Path(__file__).parents[2]


@dataclass
class Task:
    """One task on one host; ``status`` is ok, changed, failed, ignored, skipped or unreachable."""

    status: str
    host: str
    task: str
    action: str
    result: dict[str, t.Any]


@dataclass
class PlaybookRun:
    """A finished ``ansible-playbook``: exit status, its tasks in order, what it printed, and how long it took in seconds."""

    rc: int
    seconds: float
    output: str
    tasks: list[Task] = field(default_factory=list)

    def changed(self) -> list[Task]:
        return [task for task in self.tasks if task.status == "changed"]

    def failed(self) -> list[Task]:
        return [task for task in self.tasks if task.status in ("failed", "unreachable")]

    def of(self, action: str) -> list[Task]:
        """Return the tasks of one module, by its last name, that were not skipped."""
        return [task for task in self.tasks if task.action.rsplit(".", 1)[-1] == action and task.status != "skipped"]


def environment(python: Path, extra: t.Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which ``ansible-playbook`` uses this checkout whatever the caller's directory and locale."""
    scripts = str(python.parent)
    own = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "lab" / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record_results",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
    }
    return {**os.environ, **own, **extra}


class Playing:
    """An ``ansible-playbook`` that runs; ``wait`` for what it did. ``apart``: it leads a process group of its own."""

    def __init__(
        self, command: t.Sequence[str], variables: t.Mapping[str, str], *, show: bool = False, apart: bool = False
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._record = Path(self._folder.name, "results.jsonl")
        self._record.touch()
        self._output = Path(self._folder.name, "output")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**variables, "RECORD_RESULTS": str(self._record)},
                stdin=subprocess.DEVNULL,
                stdout=None if show else output,
                stderr=None if show else subprocess.STDOUT,
                start_new_session=apart,
            )
        self._began = time.monotonic()
        self._title = f"a playbook in {os.environ.get('PYTEST_CURRENT_TEST', 'no test')}"

    def tasks(self) -> list[Task]:
        """What has been done so far."""
        lines = self._record.read_text(encoding="utf-8").splitlines(keepends=True)
        return [Task(**json.loads(line)) for line in lines if line.endswith("\n")]

    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def wait(self) -> PlaybookRun:
        """Wait for its end; to be called once."""
        try:
            rc = self.process.wait()
            done = PlaybookRun(rc, time.monotonic() - self._began, self.output(), self.tasks())
            secret_marks.hear(done.output, f"output of {self._title}")
            secret_marks.hear(self._record.read_text(encoding="utf-8"), f"results of {self._title}")
            return done
        finally:
            self._folder.cleanup()


def run_playbook(
    playbook: Path, *args: str, inventory: Path | str, show: bool = False, python: Path = Path(sys.executable), **extra: str
) -> PlaybookRun:
    """Run ``playbook``; ``show`` passes its output on to the terminal, ``python`` has Ansible, ``extra`` is environment."""
    command = [str(python), "-m", "ansible", "playbook", "-i", str(inventory), str(playbook), *args]
    return Playing(command, environment(python, extra), show=show).wait()
