# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare host becomes a controller: its timer fires, it compares a server with a signed inventory, and tells what fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.controller_scene import (
    ACCOUNT,
    BROKEN,
    DRIFT,
    HOME,
    METRICS,
    OLD,
    VAULT_FILE,
    VAULT_PASSWORD,
    Controller,
    wheels,
)
from tests.hosts.fleet import Fleet
from tests.hosts.image import Image
from tests.hosts.midrun import PATIENCE
from tests.lab.playbooks import PlaybookRun
from tests.lab.service import wait_until

CHANGED = {
    "Ensure the program knows what is declared",
    "Ensure timers that are no longer declared are stopped",
    "Ensure units that are no longer declared are gone",
    "Ensure the timers run, now and after a reboot",  # a test has stopped one
}


@pytest.fixture(scope="session")
def libraries(host_image: Image) -> Path:
    """From outside, before the test stands in a network without a way out."""
    assert host_image
    return wheels()


@pytest.fixture(scope="module")
def control(libraries: Path, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller(fleet, libraries, tmp_path_factory.mktemp("control"))


@pytest.fixture(scope="module")
def first(control: Controller) -> PlaybookRun:
    """The role on a bare host, after a look at it."""
    check = control.apply(DRIFT, BROKEN, OLD, check=True)
    assert check.rc == 0, check.output
    assert not control.machine.path("/opt/kerio-archive-controller").exists()
    done = control.apply(DRIFT, BROKEN, OLD)
    assert done.rc == 0, done.output
    (told,) = done.of("debug")
    control.admit(told.result["msg"].partition("repository: ")[2].strip())
    return done


@pytest.fixture(scope="module")
def fired(control: Controller, first: PlaybookRun) -> Controller:
    """The timer has started a run that was well, and starts none any more."""
    assert first.rc == 0
    assert wait_until(lambda: [run for run in control.runs("drift") if run["outcome"] == "ok"], PATIENCE), control.runs("drift")
    control.machine.run("systemctl", "stop", "kerio-archive-drift.timer", "kerio-archive-drift.service")
    return control


@pytest.mark.shows("run", "check")
def test_the_timer_fires_and_the_metrics_are_there(fired: Controller) -> None:
    good = next(run for run in fired.runs("drift") if run["outcome"] == "ok")
    head = fired.git("rev-parse", "HEAD")
    assert (good["commit"], good["failures"], good["warnings"]) == (head, [], [])
    found = fired.metrics()
    assert found['schedule_last_success_timestamp_seconds{schedule="drift",playbook="drift"}'] >= good["finished"]
    assert found['server_drift_settings{server="kerio1"}'] == found['server_drift_unknown{server="kerio1"}'] == 0
    assert found[f'checkout_info{{commit="{head}",version="main"}}'] == found["checkout_signature_verified"] == 1
    assert fired.machine.run("stat", "--format=%U %a", METRICS).split() == [ACCOUNT, "644"]


def test_the_unit_may_do_what_it_must_and_the_secret_lies_nowhere(fired: Controller) -> None:
    machine = fired.machine
    names = ("User", "NoNewPrivileges", "ProtectSystem", "PrivateTmp", "KillMode", "CapabilityBoundingSet")
    words = [word for name in names for word in ("--property", name)]
    shown = machine.run("systemctl", "show", "kerio-archive-drift.service", *words).split()
    expected = {"NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "KillMode=mixed", "CapabilityBoundingSet="}
    assert set(shown) == {f"User={ACCOUNT}", *expected}
    look = ("grep", "-rlF", f"--file={VAULT_FILE}")  # no command line names a secret
    with_secret = machine.run(*look, str(HOME), "/etc", "/opt", "/run/systemd", check=False).split()
    assert with_secret == [VAULT_FILE]
    assert VAULT_PASSWORD not in machine.run("journalctl", "--no-pager")


def test_a_drift_is_told(fired: Controller) -> None:
    server = fired.fleet.server("kerio1")
    options = server.api("Archive.get")["options"]
    server.api("Archive.set", {"options": {**options, "archiveRelayedMessages": not options["archiveRelayedMessages"]}})
    fired.start("drift")
    assert fired.runs("drift")[0]["failures"] == ["kerio1: 1 settings differ"]
    assert fired.metrics()['server_drift_settings{server="kerio1"}'] == 1
    server.api("Archive.set", {"options": options})


@pytest.mark.shows("broken")
def test_a_playbook_that_fails_starts_the_unit_that_tells(fired: Controller) -> None:
    fired.start("broken")
    told = f"{HOME}/state/told-of-kerio-archive-broken.service"
    assert wait_until(lambda: fired.machine.path(told).exists(), PATIENCE)
    line = fired.journal("kerio-archive-failed@kerio-archive-broken.service.service")
    assert "kerio-archive broken FAILED: ansible-playbook ended with status " in line
    assert "nosuch.yml could not be found" in line
    assert fired.metrics()['schedule_last_run_success{schedule="broken",playbook="nosuch"}'] == 0


def test_what_is_not_signed_is_not_run(fired: Controller) -> None:
    good = fired.git("rev-parse", "HEAD")
    bad = fired.commit(signed=False)
    fired.start("drift")
    run = fired.runs("drift")[0]
    assert (run["outcome"], run["commit"]) == ("refused", "")
    assert f"commit {bad[:10]} of /srv/mail.git: its signature is not one that is accepted" in run["failures"][0]
    assert fired.machine.path(f"{HOME}/checkout/.git/HEAD").read_text().strip() == good
    assert fired.metrics()['problem{problem="signature"}'] == 1


@pytest.mark.shows("again")
def test_again_changes_nothing_but_what_is_not_declared_any_more(fired: Controller) -> None:
    again = fired.apply(DRIFT, BROKEN)
    assert again.rc == 0, again.output
    assert {task.task.rpartition(" : ")[2] for task in again.changed()} == CHANGED
    left = fired.machine.run("systemctl", "list-unit-files", "--no-legend", "kerio-archive-*.timer")
    assert {line.split()[0] for line in left.splitlines()} == {"kerio-archive-broken.timer", "kerio-archive-drift.timer"}
