# SPDX-License-Identifier: GPL-3.0-or-later
"""In the middle of an archive run on a host of its own: the controller, the power, the network, a mail server are gone."""

from __future__ import annotations

import contextlib

from tests.hosts import midrun
from tests.hosts.fleet import Fleet
from tests.hosts.midrun import PATIENCE, SLOWLY, run_of
from tests.lab.playbooks import Playing
from tests.lab.service import wait_until

HOST = "archive1"
# Long enough for TCP to send again, and for several questions of the controller to get no answer.
CUT_SECONDS = 4.0


def holders(playing: Playing) -> list[str]:
    return [task.result["holder"] for task in playing.tasks() if task.host == HOST and task.result.get("holder")]


def test_run_goes_on_without_its_controller_and_of_two_others_one_follows_it(fleet: Fleet) -> None:
    mail = midrun.load(fleet, "kerio1", "controller")
    killed = fleet.start_play("archive", limit=HOST, extra=SLOWLY)
    run = midrun.middle(fleet, HOST, killed)
    with midrun.frozen(fleet.machines[HOST], midrun.RUN):
        midrun.kill_controller(fleet, killed)
        midrun.let_a_minute_pass(fleet, HOST)
        assert 0 < len(midrun.places(fleet, HOST, mail)) < len(mail)
        same = {"limit": f"kerio1,{HOST}", "extra": SLOWLY}
        first = fleet.start_play("site", **same)
        second = fleet.start_play("site", **same, ANSIBLE_SSH_CONTROL_PATH_DIR=str(fleet.control / "cp2"))
        assert wait_until(lambda: holders(first) or holders(second) or not midrun.running(fleet, HOST), PATIENCE)
        assert (midrun.job_id(fleet, HOST), midrun.running(fleet, HOST)) == (run, True)
    follower, other = (second, first) if holders(first) else (first, second)
    told, refused = follower.wait(), other.wait()
    assert (told.rc, refused.rc) == (0, 0), told.output + refused.output
    result, nothing = run_of(told, HOST).result, run_of(refused, HOST).result
    assert result["changed"] and result["job"]["id"] == run, result
    assert f"{len(mail):,} new messages archived" in result["msg"]
    assert not nothing["changed"] and f"Nothing done: archive_run is under way for {nothing['holder']}" == nothing["msg"]
    assert f"ansible process {follower.process.pid}," in nothing["holder"]
    assert nothing["msg"] in refused.output
    assert [task.action for task in told.changed() + refused.changed()] == ["mailops.kerio.archive_run"]
    assert midrun.everywhere_once(fleet, HOST, mail)


def test_power_lost_then_network_and_ssh_cut(fleet: Fleet) -> None:
    mail = midrun.load(fleet, "kerio1", "power")
    lost = fleet.start_play("archive", limit=HOST, extra=SLOWLY)
    run = midrun.middle(fleet, HOST, lost)
    archive = fleet.machines[HOST]
    with midrun.frozen(archive, midrun.RUN):
        midrun.kill_controller(fleet, lost)
        committed = midrun.fetched(fleet, HOST)
        archive.reboot()
    assert 0 < committed < len(mail)

    mail += midrun.load(fleet, "kerio1", "network")
    playing = fleet.start_play("archive", "verify", limit=HOST, extra={**SLOWLY, "kerio_connect_imap_bandwidth": "40K"})
    following = midrun.middle(fleet, HOST, playing)
    # It waits, however fast it is here, until its task has the first answer, which has told that it goes on, and misses one.
    with contextlib.ExitStack() as until_mended, midrun.frozen(archive, midrun.RUN):
        assert midrun.running(fleet, HOST)
        assert wait_until(lambda: f"archive_run: [{HOST}]" in playing.output(), PATIENCE)
        assert wait_until(lambda: midrun.cut_ssh(fleet), PATIENCE)
        until_mended.enter_context(midrun.cable_pulled(archive, CUT_SECONDS))
    done = playing.wait()
    assert done.rc == 0, done.output
    result = run_of(done, HOST).result
    assert result["job"]["id"] == following != run
    (before,) = result["previous"]
    assert (before["id"], before["state"]) == (run, "died")
    assert "the host was restarted" in before["error"]["cause"]
    assert f"{len(mail) - committed:,} new messages archived" in result["msg"], result["msg"]
    assert "the job goes on, asking again" in " ".join(done.output.split())
    (verified,) = done.of("archive_verify")
    assert verified.result["damaged"] == 0, verified.result["msg"]
    assert midrun.everywhere_once(fleet, HOST, mail)


def test_server_that_hangs_costs_nobody_else_anything(fleet: Fleet) -> None:
    here, elsewhere = midrun.load(fleet, "kerio1", "hang"), midrun.load(fleet, "kerio2", "meanwhile", messages=300)
    playing = fleet.start_play("archive", limit=HOST, extra={**SLOWLY, "kerio_connect_imap_timeout": 5})
    midrun.middle(fleet, HOST, playing)
    with midrun.frozen(fleet.machines["kerio1"], midrun.SERVER):
        midrun.over(fleet, HOST)
        assert midrun.everywhere_once(fleet, HOST, elsewhere)
    done = playing.wait()
    assert done.rc != 0
    run = run_of(done, HOST).result["run"]
    assert run["errors"] and {error["where"].split()[0] for error in run["errors"]} == {"kerio1"}, run["errors"]
    again = fleet.play("archive", limit=HOST)
    assert again.rc == 0, again.output
    rest = run_of(again, HOST).result["run"]["new"]
    assert run["new"] + rest == len(here) + len(elsewhere)
    assert 0 < rest < len(here)
    assert midrun.everywhere_once(fleet, HOST, here + elsewhere)
