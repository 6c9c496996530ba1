# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of hosts rely on: hosts lose their power, their network and the right time, and nothing of a fleet is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.hosts import conftest, image, network, remains
from tests.hosts.fleet import Fleet
from tests.hosts.machine import FAMILY, Machine, MachineError, hierarchies
from tests.lab.service import wait_until


def now(machine: Machine) -> float:
    return float(machine.run("python3", "-c", "import time; print(time.time())"))


def ssh(fleet: Fleet, host: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", str(fleet.control / "ssh_config"), "-o", "ConnectTimeout=1", host, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_fleet_from_boot_to_nothing(host_image: image.Image) -> None:
    session = subprocess.Popen(["sleep", "1000"])
    fleet = Fleet.make(f"{remains.prefix()}-{session.pid}-{os.getpid()}-1", host_image)
    try:
        fleet.start()
        with fleet.inside():
            _faults(fleet)
        processes = [int(pid) for group in hierarchies() for pid in _members(group / FAMILY / fleet.name)]
        assert len(processes) > 20
        remains.clear_abandoned()
        assert fleet.name in remains.known()
    finally:
        session.kill()
        os.waitid(os.P_PID, session.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and still there
        remains.clear_abandoned()
        left = fleet.name in remains.known()
        session.wait()
        fleet.close()
    assert not left
    assert fleet.name not in remains.known()
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), 10)
    assert fleet.name not in Path("/proc/self/mountinfo").read_text()
    assert network.namespaces(fleet.name) == []
    assert not (network.FILES / fleet.name).exists()


def _members(group: Path) -> list[str]:
    return [pid for file in group.rglob("cgroup.procs") for pid in file.read_text().split()]


def _faults(fleet: Fleet) -> None:
    machine = fleet.machines["archive1"]
    assert ssh(fleet, "archive1", "sudo", "id", "-un").stdout == "root\n"
    machine.cut()
    assert ssh(fleet, "archive1", "true").returncode == 255
    machine.mend()
    assert ssh(fleet, "archive1", "true").returncode == 0

    before = machine.run("cat", "/proc/sys/kernel/random/boot_id")
    machine.run("touch", "/root/kept", "/run/lost")
    machine.reboot()
    assert machine.run("cat", "/proc/sys/kernel/random/boot_id") != before
    assert (machine.path("/root/kept").exists(), machine.run("ls", "/run/lost", check=False)) == (True, "")

    assert abs(now(machine) - time.time()) < 60
    machine.set_clock(-3600)
    assert abs(now(machine) + 3600 - time.time()) < 60
    watcher = "import time; print(time.time(), flush=True); input(); print(time.time())"
    command = ["nsenter", f"--target={machine.pid}", "--all", "--", "python3", "-c", watcher]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        first = float(running.stdout.readline())
        machine.set_clock(86400)
        second = float(running.communicate("\n")[0])
    assert 86400 + 3600 <= second - first < 86400 + 3660
    assert "192.0.2.1" in ssh(fleet, "archive1", "getent", "hosts", "packages").stdout
    assert machine.run("ip", "route") == "192.0.2.0/24 dev host0 proto kernel scope link src 192.0.2.21 \n"


def test_host_that_got_nowhere_is_started_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("archive1", network.Network("nowhere", {}), tmp_path, [], {})
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        machine._process = subprocess.Popen(["sleep", "1000"])  # as nspawn without its child
        started.append(machine._process)

    monkeypatch.setattr(machine, "start", start)
    (tmp_path / "console.log").touch()
    machine.start()
    with pytest.raises(MachineError, match="archive1 does not answer to SSH"):
        machine.wait(0.1)
    assert started[0].returncode == -signal.SIGKILL
    assert len(started) == 2
    machine.kill()
    assert started[1].returncode == -signal.SIGKILL


def test_skip_fails_where_the_project_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert conftest.hindrance() == "not root"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no right to boot hosts on this machine: not root"):
        conftest.refuse(conftest.hindrance())
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no right to boot hosts on this machine: not root"):
        conftest.refuse(conftest.hindrance())
