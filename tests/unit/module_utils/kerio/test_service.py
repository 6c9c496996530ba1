# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop, proof of stop, start and readiness against a real script with a real process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ServiceError
from ansible_collections.mailops.kerio.plugins.module_utils.job import process_start
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import service
from tests.lab import ports
from tests.unit.module_utils.kerio.fake_kerio import FakeKerio


@pytest.fixture
def fake(tmp_path: Path) -> t.Iterator[FakeKerio]:
    fake = FakeKerio(tmp_path)
    yield fake
    fake.end()


def test_start_returns_the_process_that_answers(fake: FakeKerio) -> None:
    before = time.time()
    process = fake.service().start()
    assert process.pid == int((fake.folder / "kms.pid").read_text(encoding="ascii"))
    assert before - 0.05 <= process.started <= time.time()
    assert fake.service().processes() == [process]
    assert fake.service().ready.missing() == []


def test_start_of_a_running_service_is_the_same_process(fake: FakeKerio) -> None:
    assert fake.service().start().identity == fake.service().start().identity


def test_stop_leaves_nothing(fake: FakeKerio) -> None:
    fake.service().start()
    assert len(fake.service().remains()) == 3
    fake.service().stop()
    assert fake.service().remains() == []
    assert fake.calls() == ["start", "stop"]


def test_stop_waits_on_when_the_command_returns_early(fake: FakeKerio) -> None:
    fake.service().start()
    fake.set("stop_returns_early", "stops_slowly")
    timer = threading.Timer(0.5, fake.unset, ["stops_slowly"])
    timer.start()
    fake.service().stop()
    timer.join()
    assert fake.service().remains() == []


def test_exit_code_of_the_stop_is_not_believed(fake: FakeKerio) -> None:
    process = fake.service().start()
    fake.set("refuses_stop")
    with pytest.raises(ServiceError, match="it did not stop within 1 s") as caught:
        fake.service(stop_timeout=1).stop()
    assert f"process {process.pid} still runs" in caught.value.cause
    assert f"port {fake.imap_port} is still open" in caught.value.cause
    assert f"{fake.script} stop: not today (exit code 0)" in caught.value.cause


def test_process_without_ports_and_pid_file_is_still_a_process(fake: FakeKerio) -> None:
    process = fake.service().start()
    (fake.folder / "kms.pid").unlink()
    silent = fake.service(stop_timeout=0.1, ready=service.Ready(api_port=0, imap_port=0))
    assert silent.remains() == [f"process {process.pid} still runs"]


def test_process_of_the_pid_file_counts_whatever_its_program_is_called(fake: FakeKerio) -> None:
    process = fake.service().start()
    assert fake.service(process="/nowhere/mailserver").processes() == [process]


@pytest.mark.parametrize("content", ["", "x", "999999999"])
def test_pid_file_that_names_nothing_is_ignored(fake: FakeKerio, content: str) -> None:
    (fake.folder / "kms.pid").write_text(content, encoding="ascii")
    assert fake.service().processes() == []


def test_pid_file_whose_number_was_given_to_another_process_is_ignored(fake: FakeKerio) -> None:
    file = fake.folder / "kms.pid"
    file.write_text(str(os.getpid()), encoding="ascii")
    assert [process.pid for process in fake.service().processes()] == [os.getpid()]
    started = fake.service().processes()[0].started
    os.utime(file, (started - 10, started - 10))
    assert fake.service().processes() == []


def test_watchdog_that_remains_is_no_stop(fake: FakeKerio) -> None:
    program = fake.folder / "kerio-connect-watchdog"
    program.write_text("import sys; sys.stdin.read()", encoding="utf-8")
    with subprocess.Popen([sys.executable, program], stdin=subprocess.PIPE) as watchdog:
        for name in ("kerio-connect-watchdog", str(program)):
            assert fake.service(watchdog=name).remains() == [f"the watchdog, process {watchdog.pid}, still runs"]
        assert fake.service(watchdog="/elsewhere/kerio-connect-watchdog").remains() == []


def test_service_that_comes_back_is_no_stop(fake: FakeKerio) -> None:
    fake.service().start()
    fake.set("comes_back")
    with pytest.raises(ServiceError, match=r"it stopped and came back: (process|port)"):
        fake.service(settle=20).stop()


def test_port_held_by_somebody_else_is_no_stop(fake: FakeKerio) -> None:
    with socket.create_server(("127.0.0.1", fake.imap_port)):
        assert fake.service().remains() == [f"port {fake.imap_port} is still open"]


def test_start_beside_a_server_that_is_still_leaving_is_repeated(fake: FakeKerio) -> None:
    fake.set("opens_no_port", "stop_returns_early", "stops_slowly")
    subprocess.run([fake.script, "start"], check=True)
    pid_file = fake.folder / "kms.pid"
    deadline = time.monotonic() + 20
    while not pid_file.exists() or not pid_file.read_text(encoding="ascii"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    leaving = fake.service().processes()
    subprocess.run([fake.script, "stop"], check=True)
    fake.unset("opens_no_port")
    timer = threading.Timer(0.5, fake.unset, ["stops_slowly"])
    timer.start()
    process = fake.service(ready=replace(fake.service().ready, timeout=20)).start()
    timer.join()
    assert process != leaving[0]
    assert fake.calls() == ["start", "stop", "start", "start"]


def test_patience_begins_with_the_start_that_is_repeated(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repeated command says that it failed, and the process comes within what is waited for then."""
    clock = [0.0]
    leaving, came = (service.Process(pid, f"boot {pid}", 0.0) for pid in (1, 2))
    at = [(0, [leaving]), (2 * service.FAILED_SECONDS, []), (2.5 * service.FAILED_SECONDS, [came])]

    def processes(*_: object) -> list[service.Process]:
        return [found for since, found in at if since <= clock[0]][-1]

    waits = SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda _seconds: clock.append(clock.pop() + 1))
    monkeypatch.setattr(service, "time", waits)
    monkeypatch.setattr(service.service_unit, "apart", list)
    monkeypatch.setattr(service.Ready, "missing", lambda _self: [] if came in processes() else ["IMAP"])
    monkeypatch.setattr(service.Service, "_run", lambda *_: service._Said("start", failed=True))
    monkeypatch.setattr(service.Service, "processes", processes)
    assert fake.service(ready=replace(fake.service().ready, timeout=300)).start() == came


def test_start_that_is_refused_tells_what_the_script_said(fake: FakeKerio) -> None:
    fake.set("refuses_start")
    with pytest.raises(ServiceError, match=r"no answer from its process, .*start: refused by the test \(exit code 1\)"):
        fake.service(ready=replace(fake.service().ready, timeout=0.2)).start()


def test_process_without_its_ports_is_not_ready(fake: FakeKerio) -> None:
    fake.set("opens_no_port")
    with pytest.raises(ServiceError) as caught:
        fake.service(ready=replace(fake.service().ready, timeout=0.5)).start()
    missing = f"no answer from admin API on 127.0.0.1:{fake.api_port}, IMAP on 127.0.0.1:{fake.imap_port}"
    assert missing in caught.value.cause
    assert len(fake.service().processes()) == 1


def test_port_zero_is_not_asked(fake: FakeKerio) -> None:
    fake.set("opens_no_port")
    assert fake.service(ready=service.Ready(api_port=0, imap_port=0)).start().pid


def answer(payload: bytes | None) -> tuple[int, threading.Thread]:
    """Serve one connection that says ``payload`` and closes; return its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, server.accept()[0] as connection:
            if payload is not None:
                connection.sendall(payload)
                # The other side may hang up before.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1000)

    thread = threading.Thread(target=serve)
    thread.start()
    return server.getsockname()[1], thread


@pytest.mark.parametrize(
    ("payload", "up"), [(b"* OK ready\r\n", True), (b"* BYE no\r\n", True), (b"220 smtp\r\n", False), (None, False)]
)
def test_imap_is_up_when_it_greets(payload: bytes | None, up: bool) -> None:
    port, thread = answer(payload)
    assert (service.Ready(api_port=0, imap_port=port).missing() == []) is up
    thread.join()


@pytest.mark.parametrize(
    ("payload", "up"),
    # A TLS alert: what a server says that shares no TLS version with us.
    [(b"\x15\x03\x01\x00\x02\x02\x46", True), (b"* OK IMAP ready\r\n", False), (None, False)],
)
def test_api_is_up_when_it_speaks_tls(payload: bytes | None, up: bool) -> None:
    port, thread = answer(payload)
    assert (service.Ready(api_port=port, imap_port=0).missing() == []) is up
    thread.join()


def test_port_that_nobody_listens_on_is_missing() -> None:
    api, imap = ports.free(2)
    ready = service.Ready(api_port=api, imap_port=imap)
    assert ready.missing() == [f"admin API on 127.0.0.1:{api}", f"IMAP on 127.0.0.1:{imap}"]


def test_command_that_hangs_is_ended(fake: FakeKerio) -> None:
    command = ["/bin/sh", "-c", f"echo $$ > {fake.folder}/command.pid; exec sleep 60"]
    fake.service(stop_command=command, stop_timeout=1).stop()
    assert process_start(int((fake.folder / "command.pid").read_text(encoding="ascii"))) is None


def test_start_that_says_that_it_failed_is_not_waited_for(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FAILED_SECONDS", 0.3)
    command = ["/bin/sh", "-c", "echo see; echo there; exit 1"]
    with pytest.raises(ServiceError, match=r"not ready within 0 s: no answer from its process, .*: see there \(exit code 1\)"):
        fake.service(start_command=command, ready=replace(fake.service().ready, timeout=3600)).start()


def test_exit_code_of_a_start_is_not_believed_beside_a_process(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FAILED_SECONDS", 0.0)
    fake.set("opens_no_port")
    command = ["/bin/sh", "-c", f"{fake.script} start; exit 1"]
    began = time.monotonic()
    with pytest.raises(ServiceError, match=r"not ready within 1 s: no answer from admin API"):
        fake.service(start_command=command, ready=replace(fake.service().ready, timeout=1)).start()
    assert time.monotonic() >= began + 1


def test_command_that_is_missing_is_named(fake: FakeKerio) -> None:
    with pytest.raises(ServiceError, match=r"cannot be run .*/nowhere/init start: .*No such file"):
        fake.service(start_command=["/nowhere/init", "start"]).start()


def test_commands_get_the_environment_of_a_boot(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("LC_ALL", "C")
    fake.service(stop_command=["/usr/bin/env"]).stop()
    names = {line.partition("=")[0] for line in (fake.folder / "service.log").read_text(encoding="utf-8").splitlines()}
    assert names == {"PATH", "HOME", "TERM"}


def test_given_script_is_used_as_it_is(tmp_path: Path) -> None:
    script = tmp_path / "kms"
    script.touch(mode=0o755)
    assert service.find_commands(None, str(script)) == ([str(script), "start"], [str(script), "stop"])


def test_given_unit_goes_to_systemctl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, **_options: f"/bin/{name}")
    start, stop = service.find_commands("kms.service", None)
    assert start == ["/bin/systemctl", "start", "kms.service"]
    assert stop == ["/bin/systemctl", "stop", "kms.service"]


def test_unit_without_systemd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name, **_options: None)
    with pytest.raises(ServiceError, match="there is no systemctl on this host"):
        service.find_commands("kms.service", None)


@pytest.mark.parametrize("loaded", [True, False])
def test_loaded_unit_comes_before_the_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, loaded: bool) -> None:
    script = tmp_path / "kerio-connect"
    script.touch(mode=0o755)
    monkeypatch.setattr(service, "DEFAULT_SCRIPT", str(script))
    monkeypatch.setattr("shutil.which", lambda name, **_options: f"/bin/{name}")
    monkeypatch.setattr(service, "_unit_is_loaded", lambda _systemctl: loaded)
    start, stop = service.find_commands(None, None)
    assert start == (["/bin/systemctl", "start", "kerio-connect.service"] if loaded else [str(script), "start"])
    assert stop == (["/bin/systemctl", "stop", "kerio-connect.service"] if loaded else [str(script), "stop"])


def test_host_without_the_service_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "DEFAULT_SCRIPT", str(tmp_path / "missing"))
    monkeypatch.setattr("shutil.which", lambda _name, **_options: None)
    with pytest.raises(ServiceError, match=r"neither a loaded unit .* Set service\.name"):
        service.find_commands(None, None)


def test_killed_server_is_seen_as_gone(fake: FakeKerio) -> None:
    process = fake.service().start()
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while fake.service().processes():
        assert time.monotonic() < deadline
    assert fake.service().remains() == []
