# SPDX-License-Identifier: GPL-3.0-or-later
"""The first runs of site.yml on bare hosts, made once in a session of tests: by whoever needs them first, while others wait.

What came of it is kept as layers that further fleets stand on, together with a record of what happened.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import pickle
from typing import Any

from tests.hosts import remains, watch
from tests.hosts.fleet import Fleet
from tests.hosts.image import Image
from tests.lab.generate import Placed
from tests.lab.playbooks import PlaybookRun
from tests.play.trees import Tree

MESSAGES = 60  # on each server, about half as many archive copies not counted


@dataclasses.dataclass
class FirstRuns:
    """`check` is the run with --check before the first one; trees are those of tests/hosts/watch.py."""

    fleet: str
    placed: list[Placed]
    check: PlaybookRun
    first: PlaybookRun
    before_check: dict[str, Tree]
    after_check: dict[str, Tree]
    writes_of_check: list[dict[str, Any]]


def first_runs(image: Image) -> FirstRuns:
    """Raises AssertionError when a run failed; the next one who asks tries again."""
    shared = remains.PLACES / f"{remains.session()}-shared-0"
    shared.mkdir(exist_ok=True)
    record = shared / "first-runs"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            unfinished = shared / f"first-runs.{os.getpid()}"
            unfinished.write_bytes(pickle.dumps(_converge(image)))
            unfinished.rename(record)
    found: FirstRuns = pickle.loads(record.read_bytes())  # noqa: S301  written above
    return found


def _converge(image: Image) -> FirstRuns:
    fleet = Fleet.make(remains.new_name(), image)
    try:
        fleet.start()
        placed = fleet.fill(MESSAGES)
        before = watch.trees(fleet)
        check = fleet.play("site", check=True)
        assert check.rc == 0, check.output
        after = watch.trees(fleet)
        writes = [call for server in fleet.servers for call in server.writes()]
        first = fleet.play("site")
        assert first.rc == 0, first.output
        fleet.retire()
    except BaseException:
        fleet.close()
        raise
    return FirstRuns(fleet.name, placed, check, first, before, after, writes)
