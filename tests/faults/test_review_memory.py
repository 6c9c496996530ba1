# SPDX-License-Identifier: GPL-3.0-or-later
"""A message of any size is archived in bounded memory: by a worker from the server, by the committer from the archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BOUND = 150 * 1024  # KiB
REPOSITORY = Path(__file__).parents[2]


def test_a_message_of_300_mb_stays_out_of_memory(tmp_path: Path) -> None:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "collections")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.memory_run", str(tmp_path / "archive")],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    assert result["placed"] == 2
    assert {"stored", "placed", "committed"} <= result["peaks"].keys()
    assert max(result["peaks"].values()) < BOUND
