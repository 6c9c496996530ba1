# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and stop as the real init script does (sheet 4.5), and the lab's own command line."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.lab import cli, dovecot, ports, service, switches
from tests.lab.facts.plain import admin
from tests.lab.fixtures import Factory, LabServer
from tests.lab.service import wait_until


@pytest.fixture
def running(server: LabServer) -> LabServer:
    server.service("start")
    return server


@pytest.fixture
def stopped(server: LabServer) -> LabServer:
    assert server.service("stop").returncode == 0
    return server


def pid_in_file(server: LabServer) -> int:
    return service.read_pid(Path(server.pid_file))


# -- plain ----------------------------------------------------------------------------------------------------------


def test_service_001_start_leaves_a_process_and_its_pid(stopped: LabServer) -> None:
    assert pid_in_file(stopped) == 0
    assert stopped.service("start").returncode == 0
    assert pid_in_file(stopped) == stopped.pid > 0
    assert Path(f"/proc/{stopped.pid}/comm").read_text().strip() == "mailserver"
    assert all(ports.is_open(port) for port in (stopped.imap_port, stopped.imaps_port, stopped.smtp_port, stopped.admin_port))


def test_service_002_starting_twice_is_one_server(running: LabServer) -> None:
    pid = running.pid
    assert running.service("start").returncode == 0
    assert running.pid == pid
    assert service.processes_of(running.install) == [pid]


def test_service_003_stop_ends_it_and_saves(running: LabServer) -> None:
    running.forget()
    pid = running.pid
    assert running.service("stop").returncode == 0
    assert not Path(running.pid_file).exists()
    assert not service.processes_of(running.install)
    assert not ports.is_open(running.admin_port)
    assert [e["pid"] for e in running.events("stop")] == [pid]
    assert running.service("stop").returncode == 0


@pytest.mark.parametrize("code", [0, 3])
def test_service_004_status_only_prints(server: LabServer, code: int) -> None:
    server.set_switches(status_code=code)
    server.service("start")
    done = server.service("status")
    assert (done.returncode, f"pid {server.pid}" in done.stdout) == (code, True)
    server.service("stop")
    done = server.service("status")
    assert (done.returncode, "stopped" in done.stdout) == (code, True)


def test_service_005_other_actions(running: LabServer) -> None:
    for action in ("restart", "reload", "force-reload", "condrestart"):
        pid = running.pid
        assert running.service(action).returncode == 0
        assert running.pid not in (0, pid), action
        assert wait_until(lambda: ports.is_open(running.admin_port), 10)
    running.service("stop")
    assert running.service("condrestart").returncode == 0
    assert running.pid == 0
    assert running.service("explode").returncode == 2


# -- slow, stubborn, broken -----------------------------------------------------------------------------------------


def test_service_006_slow_stop(running: LabServer) -> None:
    running.set_switches(stop_seconds=300)
    pid = running.pid
    os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: not ports.is_open(running.admin_port), 10)
    assert running.pid == pid  # deaf already, and still there
    assert Path(running.pid_file).exists()
    assert not running.events("stop")[-1:] or running.events("stop")[-1]["pid"] != pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not running.pid, 10)


def test_service_025_a_slow_stop_ends_and_saves(running: LabServer) -> None:
    running.set_switches(stop_seconds=0.2)
    pid = running.pid
    assert running.service("stop").returncode == 0
    assert running.events("stop")[-1]["pid"] == pid


def test_service_007_a_server_that_ignores_term_is_killed_after_the_wait(running: LabServer) -> None:
    before = Path(running.mailserver_cfg).read_bytes()
    with admin(running) as client:
        client.result("SecurityPolicy.set", {"options": {"minutesToUnlock": 99}})
    running.forget()
    running.set_switches(stop_mode="ignores_term", stop_wait=0.3)
    assert running.service("stop").returncode == 0
    assert running.pid == 0
    assert running.events("stop") == []
    assert Path(running.mailserver_cfg).read_bytes() == before


def test_service_008_the_wait_is_300_seconds(running: LabServer) -> None:
    running.set_switches()
    text = (running.install / "lab-server.json").read_text(encoding="utf-8")
    assert switches.load(text).stop_wait == 300


def test_service_009_stop_may_fail(running: LabServer) -> None:
    running.set_switches(stop_mode="refuses")
    done = running.service("stop")
    assert (done.returncode, "failed" in done.stderr) == (1, True)
    assert running.pid > 0
    assert ports.is_open(running.admin_port)


def test_service_010_start_may_fail(stopped: LabServer) -> None:
    stopped.set_switches(start_mode="refuses")
    done = stopped.service("start")
    assert (done.returncode, "failed" in done.stderr) == (1, True)
    assert stopped.pid == 0


def test_service_011_start_without_ports(stopped: LabServer) -> None:
    stopped.set_switches(start_mode="no_ports")
    stopped.forget()
    assert stopped.service("start").returncode == 0
    assert wait_until(lambda: stopped.events("start"), 10)
    assert stopped.pid > 0
    assert not any(ports.is_open(port) for port in (stopped.imap_port, stopped.admin_port))
    assert stopped.service("stop").returncode == 0


def test_service_012_start_and_die(stopped: LabServer) -> None:
    stopped.set_switches(start_mode="dies")
    stopped.service("start")
    assert wait_until(lambda: not stopped.pid, 10)
    assert not ports.is_open(stopped.admin_port)


def test_service_013_ports_open_later_than_the_process_starts(stopped: LabServer) -> None:
    stopped.set_switches(start_seconds=300)
    assert stopped.service("start", wait=False).returncode == 0
    assert stopped.pid > 0
    assert not ports.is_open(stopped.admin_port)
    assert stopped.service("stop").returncode == 0
    stopped.set_switches(start_seconds=0.2)
    assert stopped.service("start").returncode == 0
    assert ports.is_open(stopped.admin_port)


def test_service_014_killing_is_not_stopping_with_a_watchdog(stopped: LabServer) -> None:
    stopped.set_switches(watchdog=True)
    stopped.service("start")
    pid = stopped.pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: stopped.pid not in (0, pid), 10)
    assert wait_until(lambda: ports.is_open(stopped.admin_port), 10)
    revived = stopped.pid
    stopped.service("stop")
    assert not service.processes_of(stopped.install)
    assert not Path(f"/proc/{revived}").exists() or stopped.pid == 0


def test_service_015_without_a_watchdog_it_stays_dead(running: LabServer) -> None:
    os.kill(running.pid, signal.SIGKILL)
    assert wait_until(lambda: not running.pid, 10)
    assert service.processes_of(running.install) == []


# -- what a restart decides -----------------------------------------------------------------------------------------


def set_start(server: LabServer, name: str, how: str) -> None:
    found = next(s for s in server.api("Services.get")["services"] if s["name"] == name)
    assert server.api("Services.set", {"services": [{**found, "howToStart": how}]}) == {"errors": []}


def test_service_016_how_to_start_decides_after_a_restart(running: LabServer) -> None:
    set_start(running, "IMAP", "Manual")
    assert ports.is_open(running.imap_port)
    running.service("restart")
    assert not ports.is_open(running.imap_port)
    set_start(running, "IMAP", "Automatic")
    running.service("restart")
    assert ports.is_open(running.imap_port)


def test_service_017_showing_the_version_needs_a_restart(running: LabServer) -> None:
    def banner() -> str:
        with admin(running) as client:
            client.result("Server.getVersion")
            assert client.response is not None
            return client.response.headers["Server"]

    def show(value: bool) -> None:
        options = running.api("AdvancedOptions.get")["options"]
        options["miscellaneous"]["showProgramNameAndVersion"] = value
        running.api("AdvancedOptions.set", {"options": options})

    assert banner() == "Kerio Connect 10.0.8"
    show(False)
    assert banner() == "Kerio Connect 10.0.8"
    running.service("restart")
    assert banner() == "Kerio Connect"
    show(True)
    running.service("restart")


def test_service_018_sessions_end_with_the_process(running: LabServer) -> None:
    with admin(running) as client:
        running.service("restart")
        client.http.close()
        assert client.code("Archive.get") == -32001


# -- the lab's command line -----------------------------------------------------------------------------------------

ENTRY = {
    "name", "host", "admin_url", "admin_port", "ca_file", "admin_user", "admin_password", "imap_port", "imaps_port", "smtp_port",
    "master_password", "domains", "archive_mailbox", "users", "mailserver_cfg", "service_script", "pid_file", "service_name",
    "store_log_dir", "switches",
}  # fmt: skip


def test_service_019_two_servers_side_by_side(lab_factory: Factory) -> None:
    lab = lab_factory(servers=2, users=6)
    document = json.loads(lab.folder.parent.joinpath(f"{lab.folder.name}.json").read_text(encoding="utf-8"))
    assert document == lab.document
    assert (document["version"], document["dir"]) == (1, str(lab.folder))
    assert [set(entry) for entry in document["servers"]] == [ENTRY, ENTRY]
    first, second = document["servers"]
    assert (first["domains"], second["domains"]) == (["example.com"], ["example.org"])
    people = [u for e in document["servers"] for u in e["users"] if u["address"] != e["archive_mailbox"]]
    assert len(people) == 12
    alice = next(u for u in people if u["login"] == "alice")
    assert alice["addresses"][:2] == ["alice@example.com", "a.angstrom@example.com"]
    assert "alice@example.net" in alice["addresses"]
    for server in lab.servers:
        ids = {u["id"] for u in server.users}
        domain = server.api("Domains.get", {"query": {}})["list"][0]["id"]
        assert {u["id"] for u in server.api("Users.get", {"query": {}, "domainId": domain})["list"]} == ids


def test_service_020_start_is_idempotent_and_keep_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "lab"
    start = ["start", "--dir", str(folder), "--servers", "1", "--users", "1"]
    try:
        assert cli.main(start) == 0
        first = json.loads((folder / "lab.json").read_text(encoding="utf-8"))["servers"][0]
        pid = service.read_pid(Path(first["pid_file"]))
        os.kill(pid, signal.SIGKILL)  # a crash is no obstacle
        assert cli.main([*start, "--keep"]) == 0
        assert json.loads((folder / "lab.json").read_text(encoding="utf-8"))["servers"] == [first]
        assert cli.main(["status", "--dir", str(folder)]) == 0
        assert f"pid {service.read_pid(Path(first['pid_file']))}" in capsys.readouterr().out
        assert cli.main([*start, "--switch", "profile=2013"]) == 0
        second = json.loads((folder / "lab.json").read_text(encoding="utf-8"))["servers"][0]
        assert second["users"] != first["users"]
        assert second["switches"]["profile"] == "2013"
    finally:
        assert cli.main(["stop", "--dir", str(folder)]) == 0
    assert service.processes_of(folder / "mail1" / "kerio") == []
    assert cli.main(["stop", "--dir", str(folder)]) == 0
    home = tmp_path / "elsewhere"
    home.mkdir()
    record = folder / "mail1" / "dovecot" / dovecot.RECORD
    record.write_text(json.dumps(json.loads(record.read_text(encoding="utf-8")) | {"home": str(home)}), encoding="utf-8")
    assert cli.main(["stop", "--dir", str(folder)]) == 0
    assert home.exists()
    assert cli.main(["stop", "--dir", str(folder), "--remove"]) == 0
    assert not home.exists()


@pytest.mark.parametrize("switch", ["nonsense=1", "profile=1999", "cfg_bom=perhaps", "profile"])
def test_service_021_wrong_switches_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], switch: str) -> None:
    assert cli.main(["start", "--dir", str(tmp_path / "lab"), "--switch", switch]) == 1
    assert "lab: " in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()


def test_service_022_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").write_text("data")
    assert cli.main(["start", "--dir", str(tmp_path)]) == 1
    assert "holds no lab" in capsys.readouterr().err
    assert (tmp_path / "precious").exists()


def test_service_023_reset_puts_everything_back(server: LabServer) -> None:
    server.reset()
    domain = server.api("Domains.get", {"query": {}})["list"][0]
    before = server.api("Archive.get"), server.api("Users.get", {"query": {}, "domainId": domain["id"]})
    server.api("Archive.set", {"options": {"isEnabled": True}})
    server.api("Users.remove", {"requests": [{"userId": server.user("bob")["id"], "method": "UDeleteUser"}]})
    server.set_switches(profile="2013")
    server.service("stop")
    server.reset()
    assert (server.api("Archive.get"), server.api("Users.get", {"query": {}, "domainId": domain["id"]})) == before
    assert server.calls() == []


def test_service_024_the_unit_file_is_of_the_kind_found_in_the_field(server: LabServer) -> None:
    lines = (server.install / "kerio-connect.service").read_text(encoding="utf-8").splitlines()
    assert {"Type=forking", f"PIDFile={server.pid_file}", f"ExecStart={server.service_script} start"} <= set(lines)
    assert "LimitNOFILE=10240" in lines
