# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on archive hosts: whose the archive is, what the unit of a run may do and survives, how root hands over its own."""

from __future__ import annotations

import imaplib
import os
import signal
import ssl
from collections.abc import Iterator

import pytest

from tests.hosts.fleet import Fleet
from tests.hosts.machine import Machine
from tests.hosts.midrun import PATIENCE
from tests.lab.playbooks import Playing
from tests.lab.service import wait_until

ROOT = "/srv/archive/kerio"
ACCOUNT = "kerio-archive"
MEMORY = 700 << 20


def owners(machine: Machine) -> set[str]:
    return set(machine.run("find", ROOT, "-printf", "%u\\n").split())


def units(machine: Machine) -> list[str]:
    listed = machine.run("systemctl", "list-units", "--no-legend", "--plain", "kerio-archive-archive_run-*").splitlines()
    return [line.split()[0] for line in listed]


def mode(machine: Machine, path: str) -> str:
    return machine.run("stat", "--format=%U:%G %a", path).strip()


def test_archive_is_the_accounts_and_the_engine_is_roots(fleet: Fleet) -> None:
    for name in ("archive1", "archive2"):
        machine = fleet.machines[name]
        assert owners(machine) == {ACCOUNT}
        assert mode(machine, ROOT) == f"{ACCOUNT}:archive-readers 2750"
        assert mode(machine, f"{ROOT}/jobs/archive_run") == f"{ACCOUNT}:archive-readers 2700"
        assert mode(machine, "/opt/kerio-archive") == "root:root 755"
        assert (
            machine.run("find", "/opt/kerio-archive", "-not", "-type", "l", "-perm", "/022", "-o", "-not", "-user", "root") == ""
        )
        assert machine.run("getent", "passwd", ACCOUNT).strip().endswith(":/nonexistent:/usr/sbin/nologin")
        assert "archive-readers" in machine.run("id", "-nG", ACCOUNT).split()


@pytest.fixture(scope="module")
def held(fleet: Fleet) -> Iterator[tuple[Playing, str]]:
    """A playbook run and the unit of its run on archive1, all of whose processes stand still."""
    server = fleet.server("kerio1")
    user = next(one for one in fleet.entries["kerio1"]["users"] if one["login"] != "archive")
    trust = ssl.create_default_context(cafile=str(fleet.control / "kerio1.pem"))
    with imaplib.IMAP4_SSL(server.host, 993, ssl_context=trust) as client:
        client.login(user["address"], user["password"])
        assert client.append("INBOX", "", "", b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 80_000)[0] == "OK"
    extra = {"kerio_connect_imap_bandwidth": "100K", "archive_host_memory_max": str(MEMORY)}
    playing = fleet.start_play("archive", limit="archive1", extra=extra)
    archive = fleet.machines["archive1"]
    try:
        assert wait_until(lambda: len(units(archive)) == 1, PATIENCE), playing.output()
        (unit,) = units(archive)
        state = archive.path(f"{ROOT}/jobs/archive_run/state.json")
        assert wait_until(lambda: unit in state.read_text("utf-8"), PATIENCE), playing.output()
        archive.run("systemctl", "kill", "--signal=STOP", unit)
        yield playing, unit
    finally:
        if playing.process.poll() is None:
            os.killpg(playing.process.pid, signal.SIGKILL)
        playing.wait()


def test_unit_of_a_run_has_the_account_its_limits_and_nothing_else_to_write(fleet: Fleet, held: tuple[Playing, str]) -> None:
    archive, (_, unit) = fleet.machines["archive1"], held
    names = ("MainPID", "User", "MemoryMax", "CPUWeight", "IOWeight", "TasksMax", "OOMPolicy")
    shown = archive.run("systemctl", "show", unit, *(f"--property={name}" for name in names)).split()
    properties = dict(line.split("=", 1) for line in shown)
    pid = properties.pop("MainPID")
    assert properties == {
        "User": ACCOUNT,
        "MemoryMax": str(MEMORY),
        "CPUWeight": "50",
        "IOWeight": "50",
        "TasksMax": "1024",
        "OOMPolicy": "kill",
    }
    lines = archive.run("cat", f"/proc/{pid}/status").splitlines()
    status = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    number = archive.run("id", "-u", ACCOUNT).strip()
    assert (status["Uid"], status["NoNewPrivs"]) == ([number] * 4, ["1"])
    assert {status[name][0].strip("0") for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    processes = [line.split() for line in archive.run("ps", "-e", "-o", "unit:99,user:32").splitlines()]
    assert {user for of, user in processes if of == unit} == {ACCOUNT}

    def write(path: str) -> str:
        return archive.run("sh", "-c", f"nsenter -t {pid} -m touch {path} 2>&1 || true")

    for path in ("/etc/x", "/opt/kerio-archive/x", "/srv/x", "/var/lib/x"):
        assert "Read-only file system" in write(path)
    assert write(f"{ROOT}/jobs/x") == ""
    archive.run("rm", f"{ROOT}/jobs/x")
    hidden = archive.run("sh", "-c", f"nsenter -t {pid} -m ls /home /root 2>&1 || true")
    assert "deploy" not in hidden and "id" not in hidden.split()
    secrets = [server.master_password for server in fleet.servers]
    told = archive.run("sh", "-c", f"cat /proc/{pid}/cmdline /proc/{pid}/environ; systemctl show {unit}; journalctl -u {unit}")
    assert not [secret for secret in secrets if secret in told]


def test_run_survives_the_controller_and_sshd(fleet: Fleet, held: tuple[Playing, str]) -> None:
    archive, (playing, unit) = fleet.machines["archive1"], held
    os.killpg(playing.process.pid, signal.SIGKILL)
    archive.run("systemctl", "kill", "--signal=KILL", "ssh.service")
    archive.run("systemctl", "stop", "ssh.service")
    assert archive.run("systemctl", "is-active", unit).strip() == "active"
    archive.run("systemctl", "kill", "--signal=CONT", unit)
    archive.run("systemctl", "start", "ssh.service")
    assert wait_until(lambda: not units(archive), PATIENCE)
    again = fleet.play("archive", limit="archive1")
    assert again.rc == 0, again.output
    (run,) = again.of("archive_run")
    (before,) = run.result["previous"]
    assert before["state"] == "finished" and "1 new message" in before["result"]["msg"]
    assert not run.result["changed"]


def test_archive_of_root_is_handed_over_when_that_is_said(fleet: Fleet) -> None:
    archive = fleet.machines["archive2"]
    archive.run("chown", "-R", "-h", "root", ROOT)
    refused = fleet.play("configure", limit="archive2")
    assert refused.rc != 0
    assert f"the archive belongs to root and is to belong to {ACCOUNT}. Run configure.yml" in refused.output
    assert owners(archive) == {"root"}
    taken = fleet.play("configure", limit="archive2", extra={"archive_host_take_over": True})
    assert taken.rc == 0, taken.output
    assert owners(archive) == {ACCOUNT}
    again = fleet.play("configure", "verify", limit="archive2")
    assert (again.rc, again.changed()) == (0, []), again.output
