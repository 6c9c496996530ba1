# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive run on a host of its own, and what happens in the middle of it: the controller, the power, the network are gone."""

from __future__ import annotations

import pytest

from tests.hosts import midrun
from tests.hosts.fleet import Fleet
from tests.hosts.midrun import SLOWLY
from tests.lab.playbooks import PlaybookRun, Task
from tests.lab.service import wait_until

HOST = "archive1"


def run_of(done: PlaybookRun, host: str = HOST) -> Task:
    (task,) = [task for task in done.of("archive_run") if task.host == host]
    return task


def test_controller_killed_then_two_at_the_same_time(fleet: Fleet) -> None:
    """Who comes next follows the run that goes on, who comes after that is told who it is."""
    mail = midrun.load(fleet, "kerio1", "killed")
    before = midrun.job_id(fleet, HOST)
    killed = fleet.start_play("archive", limit=HOST, extra=SLOWLY)
    run = midrun.middle(fleet, HOST, killed, before)
    with midrun.frozen(fleet.machines["kerio1"]):
        midrun.kill_controller(fleet, killed)
        part = len(midrun.places(fleet, HOST, mail))
        assert 0 < part < len(mail)
        first = fleet.start_play("site", extra=SLOWLY)
        second = fleet.start_play("site", extra=SLOWLY, ANSIBLE_SSH_CONTROL_PATH_DIR=str(fleet.control / "cp2"))
        assert wait_until(lambda: holders(first) or holders(second), midrun.PATIENCE), first.output() + second.output()
        assert midrun.job_id(fleet, HOST) == run and midrun.running(fleet, HOST)
    follower, other = (second, first) if holders(first) else (first, second)
    told, refused = follower.wait(), other.wait()
    assert (told.rc, refused.rc) == (0, 0), told.output + refused.output
    print(run_of(told).result, run_of(refused).result)
    assert midrun.everywhere_once(fleet, HOST, mail)


def holders(playing) -> list[str]:
    return [task.result["holder"] for task in playing.tasks() if task.host == HOST and task.result.get("holder")]


def test_power_network(fleet: Fleet) -> None:
    mail = midrun.load(fleet, "kerio1", "power")
    before = midrun.job_id(fleet, HOST)
    lost = fleet.start_play("archive", limit=HOST, extra=SLOWLY)
    midrun.middle(fleet, HOST, lost, before)
    fleet.machines[HOST].reboot()
    done = lost.wait()
    print(done.rc, done.output[-3000:])
    mail += midrun.load(fleet, "kerio1", "power2")
    before = midrun.job_id(fleet, HOST)
    go = fleet.start_play("archive", "verify", limit=HOST, extra=SLOWLY)
    midrun.middle(fleet, HOST, go, before)
    import time

    with midrun.frozen(fleet.machines["kerio1"]):
        midrun.cut_ssh(fleet)
        fleet.machines[HOST].cut()
        time.sleep(3)
        fleet.machines[HOST].mend()
    done = go.wait()
    print(done.rc, done.output[-5000:])
    assert midrun.everywhere_once(fleet, HOST, mail)
