# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark of many servers makes of its figures; the runs themselves are no part of the tests."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.bench import site_cost

RUN = {"cpu": 30.0, "tasks": 9, "changed": 2, "archived": 1_200, "memory": 50 * 2**20, "processes": 3}


def test_runs_are_compared_with_the_first_one_and_told_per_server() -> None:
    found = site_cost.compared({"first": {**RUN, "seconds": 80.0}, "second": {**RUN, "seconds": 20.0, "changed": 0}}, 20)
    assert {name: (run["seconds_per_server"], run["of_first"]) for name, run in found["runs"].items()} == {
        "first": (4.0, 1.0),
        "second": (1.0, 0.25),
    }
    head, first, second = site_cost.lines(found)
    assert "20 servers" in head
    assert first.split("; ")[0] == "  first  80.0 s, 4.00 s a server, 1.00 of the first"
    assert second.endswith("0 changed, 9 tasks, 1,200 messages; controller 50 MiB in 3 processes")


def test_memory_is_that_of_the_controller_and_of_what_it_forked() -> None:
    script = "import os, time; os.fork(); os.setsid() if os.getppid() else None; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, "ansible", "playbook"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = site_cost.controllers()
        sizes = [site_cost.proportional(pid) for pid in found]
        for pid in found:
            os.kill(pid, 9)
    assert process.pid in found and len(found) == 2
    assert all(size > 2**20 for size in sizes)
    assert site_cost.proportional(process.pid) == 0
