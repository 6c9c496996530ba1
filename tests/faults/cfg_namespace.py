# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays one case of ``cfg_driver`` in a mount namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def play(folder: Path, case: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the story of the case; skips where nothing can be mounted."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("no right to mount on this machine")
    command = ["unshare", "--mount", sys.executable, "-m", "tests.faults.cfg_driver", str(folder)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'collections'}"}
    done = subprocess.run(
        command, input=json.dumps(case), capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return t.cast("dict[str, t.Any]", json.loads(done.stdout))
