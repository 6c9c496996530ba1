# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that start quickly: what each of their processes would make anew is made once in a session of tests.

Without it, most of the time of a short playbook goes into packing modules, compiling what was packed, and loading plugins.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

from tests.lab import playbooks
from tests.lab.playbooks import ROOT

KEPT = "TESTS_KEPT"  # the environment variable that names the folder
READY = "TESTS_READY"  # the one that names the folder with the sockets of tests/play/ready.py
KINDS = ("modules", "playbooks")
START = Path(__file__).with_name("quick_start")


def environment() -> dict[str, str]:
    """Return what makes a playbook, its modules and their jobs use the folder that ``KEPT`` names."""
    recorder = ROOT / "tests" / "lab" / "callback_plugins"
    return {
        "PYTHONPATH": os.pathsep.join([str(START), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep),
        "ANSIBLE_CALLBACK_PLUGINS": os.pathsep.join([str(recorder), str(START / "callback_plugins")]),
        "ANSIBLE_CALLBACKS_ENABLED": "record_results,keep_modules",
    }


@contextlib.contextmanager
def ready() -> t.Iterator[None]:
    """Start what tests/play/ready.py says, once. Nobody waits for that: until it is ready, all goes as without it."""
    if READY in os.environ:  # tests of several folders have it in one session
        yield
        return
    with tempfile.TemporaryDirectory(prefix="ready-") as folder:
        os.environ[READY] = folder
        variables = playbooks.environment(Path(sys.executable), environment())
        started = []
        try:
            for kind in KINDS:
                command = [sys.executable, "-m", "tests.play.ready", kind, f"{folder}/{kind}"]
                started.append(subprocess.Popen(command, cwd=ROOT, env=variables, stdin=subprocess.PIPE))
            yield
        finally:
            del os.environ[READY]
            for process in started:
                process.terminate()
                process.communicate()
