# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for the secrets of the tests in all that a session leaves or shows; a find fails the session.

Looked at are the folders of the tests when a session ends and those of a lab when the lab does, what playbooks print and return,
what modules write into the system log, what tests capture, and twice a second the processes that the session has started: their
command lines and environments.
"""

from __future__ import annotations

import itertools
import os
import threading
import typing as t
import uuid
from pathlib import Path

import pytest

from tests.lab import secret_marks

SAMPLED_SECONDS = 0.5
LOOKS = 3  # at a process: what it is called with changes when it begins another program
OWN = "TESTS_SWEEP"
# Variables that may hold one, and why.
VARIABLES = {"RESTIC_PASSWORD": "how a test gives restic the password of a backup of its own"}
# After the program: a playbook as tests type it. The product starts none by this name.
TYPED = ["-m", "ansible", "playbook"]


def shown(words: list[str]) -> str:
    """A command line, without the variables that a test types for a playbook in place of a vault."""
    if words[1:4] == TYPED:
        words = [word for before, word in itertools.pairwise(["", *words]) if before != "-e"]
    return " ".join(words)


class Sampler:
    """Looks at what the processes of this session are called with, and at their environments."""

    def __init__(self, token: str, proc: Path = Path("/proc")) -> None:
        self._token = f"{OWN}={token}"
        self._proc = proc
        self._looks: dict[str, int] = {}
        self._own: set[str] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._end.wait(SAMPLED_SECONDS):
            self.sample()

    def sample(self) -> None:
        """Look once at every process that is new, or was a moment ago."""
        there = {name for name in os.listdir(self._proc) if name.isdigit()}  # noqa: PTH208 - twice a second, names are enough
        self._looks = {pid: count for pid, count in self._looks.items() if pid in there}
        self._own &= there
        for pid in there:
            if self._looks.setdefault(pid, 0) < LOOKS:
                self._looks[pid] += 1
                self._look(pid)

    def _look(self, pid: str) -> None:
        try:
            environment = self._words(pid, "environ")
            parent = self._text(pid, "stat").rpartition(")")[2].split()[1]
            if self._token in environment or parent in self._own:
                self._own.add(pid)
                words = self._words(pid, "cmdline")
                own = " ".join(word for word in environment if word.partition("=")[0] not in VARIABLES)
                secret_marks.hear(shown(words), f"command line of {words[0]}")
                secret_marks.hear(own, f"environment of {words[0]}")
        except OSError:
            pass  # it has ended, or is another account's

    def _words(self, pid: str, name: str) -> list[str]:
        return self._text(pid, name).split("\0")

    def _text(self, pid: str, name: str) -> str:
        return (self._proc / pid / name).read_bytes().decode("utf-8", "replace")


class Plugin:
    """Sweeps for one session; a worker of xdist tells the first process what it has found."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = hasattr(config, "workerinput")
        self._sampler = Sampler(os.environ.setdefault(OWN, uuid.uuid4().hex))
        # Only beside workers: where this process runs the tests, these fork, and a process that forks should have one thread.
        self._samples = not self._worker and config.getoption("dist", "no") != "no"
        if self._samples:
            self._sampler.start()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A failed test shows values of its own. With xdist, the first process is told of each.
        if report.passed and not self._worker:
            for title, text in report.sections:
                secret_marks.hear(text, f"{title} of {report.nodeid}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Look at the folders of the tests; those of xdist's workers lie in that of the first process."""
        if self._worker:
            t.cast("t.Any", self._config).workeroutput["secrets"] = secret_marks.found
            return
        if self._samples:
            self._sampler.stop()
        factory: pytest.TempPathFactory = t.cast("t.Any", self._config)._tmp_path_factory
        secret_marks.look(factory.getbasetemp())
        if secret_marks.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: t.Any) -> None:
        secret_marks.found.extend(getattr(node, "workeroutput", {}).get("secrets", []))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in sorted(set(secret_marks.found)):
            terminalreporter.write_line(f"  SECRET SHOWN: {line}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Plugin(config), "secrets-sweep")
