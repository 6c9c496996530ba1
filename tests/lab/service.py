# SPDX-License-Identifier: GPL-3.0-or-later
"""What the init script `kerio-connect` does (sheet 4.5): `python -m tests.lab.service ACTION INSTALL_DIR`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab import switches

ROOT = Path(__file__).parents[2]
# On a host of its own (tests/hosts).
HOST_ROOT = Path("/opt/kerio-lab")
HOST_PYTHON = "/usr/bin/python3"
TICK, LONGEST_TICK = 0.02, 0.1
SCRIPT = """#!/bin/sh
# Init script of the lab's mail server.
cd {root} && exec {python} -m tests.lab.service "$1" {install}
"""


UNIT = """[Unit]
Description=Kerio Connect double of the lab

[Service]
Type=forking
PIDFile={install}/run/kms.pid
ExecStart={install}/kerio-connect start
ExecStop={install}/kerio-connect stop
TimeoutStopSec=330
LimitNOFILE=10240

[Install]
WantedBy=multi-user.target
"""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    sys.stderr.write(text + "\n")


def write_script(install: Path, seen: Path, *, own_host: bool) -> Path:
    """`seen`: the install dir as the host of the server sees it, where this checkout's tests are below HOST_ROOT."""
    script = install / "kerio-connect"
    root, python = (HOST_ROOT, HOST_PYTHON) if own_host else (ROOT, sys.executable)
    script.write_text(SCRIPT.format(root=root, python=python, install=seen))
    script.chmod(0o755)
    return script


def write_unit(install: Path, seen: Path) -> Path:
    """A unit for systemd hosts, of the kind found in the field (forking, pid file); nothing installs it here."""
    unit = install / "kerio-connect.service"
    unit.write_text(UNIT.format(install=seen))
    return unit


def _process_ids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _arguments(pid: int) -> list[str]:
    """Empty for a process that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def _is(pid: int, module: str, install: Path) -> bool:
    words = _arguments(pid)
    return module in words and str(install) in words


def read_pid(path: Path) -> int:
    """0 when there is no usable pid file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def server_pid(install: Path) -> int:
    """The running server's pid, or 0; a stale pid file counts for nothing."""
    pid = read_pid(install / "run" / "kms.pid")
    return pid if pid and _is(pid, "tests.lab.mailserver", install) else 0


def watchdog_pid(install: Path) -> int:
    pid = read_pid(install / "run" / "watchdog.pid")
    return pid if pid and _is(pid, "tests.lab.service", install) else 0


def processes_of(install: Path) -> list[int]:
    """Every server and watchdog of this install dir, pid file or not."""
    words = ("tests.lab.mailserver", "watchdog")
    return [pid for pid in _process_ids() if pid != os.getpid() and any(_is(pid, word, install) for word in words)]


def wait_until(holds: Callable[[], object], seconds: float) -> bool:
    """Look again and again, less often where a look costs something: what is waited for needs the machine as well."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if holds():
            return True
        now = time.monotonic()
        if now > deadline:
            return False
        time.sleep(min(max(TICK, 4 * (now - began)), LONGEST_TICK))


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _switches(install: Path) -> switches.Switches:
    return switches.load((install / "lab-server.json").read_text(encoding="utf-8"))


def _spawn(install: Path, *words: str) -> subprocess.Popen[bytes]:
    log = install / "store" / "logs" / "process.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def launch(install: Path) -> bool:
    """Start the process and wait for its pid file, not for its ports (a forking daemon's start does no more)."""
    process = _spawn(install, "tests.lab.mailserver", str(install))
    wait_until(lambda: server_pid(install) == process.pid or process.poll() is not None, 30)
    return process.poll() is None


def start(install: Path) -> int:
    how = _switches(install)
    if server_pid(install):
        say("kerio-connect is already running.")
        return 0
    if how.start_mode == "refuses" or not launch(install):
        complain("Starting kerio-connect: failed")
        return 1
    if how.watchdog:
        _spawn(install, "tests.lab.service", "watchdog", str(install))
        wait_until(lambda: watchdog_pid(install), 30)
    say("Starting kerio-connect: done")
    return 0


def stop(install: Path) -> int:
    """The watchdog first, then TERM, a long wait, and KILL, which loses what was not saved."""
    how = _switches(install)
    if how.stop_mode == "refuses":
        complain("Stopping kerio-connect: failed")
        return 1
    _end(watchdog_pid(install), 10)
    pid = server_pid(install)
    if not pid:
        say("kerio-connect is not running.")
        return 0
    _end(pid, how.stop_wait)
    say("Stopping kerio-connect: done")
    return 0


def _end(pid: int, seconds: float) -> None:
    if not pid:
        return
    send(pid, signal.SIGTERM)
    if not wait_until(lambda: not _arguments_left(pid), seconds):
        send(pid, signal.SIGKILL)
        wait_until(lambda: not _arguments_left(pid), 10)


def _arguments_left(pid: int) -> bool:
    return any(_arguments(pid))


def status(install: Path) -> int:
    """Only prints; its exit code means nothing (switch)."""
    pid = server_pid(install)
    say(f"kerio-connect (pid {pid}) is running." if pid else "kerio-connect is stopped.")
    return _switches(install).status_code


def restart(install: Path) -> int:
    return stop(install) or start(install)


def condrestart(install: Path) -> int:
    return restart(install) if server_pid(install) else 0


def watchdog(install: Path) -> int:
    """Revives a dead server, so that killing the process is not stopping it."""
    pid_file = install / "run" / "watchdog.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    children: list[int] = []
    while True:
        if not server_pid(install):
            launch(install)
            children.append(server_pid(install))
        for child in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
        time.sleep(0.1)


def end_all(install: Path, seconds: float = 5) -> None:
    """End everything of this install dir for good: politely if it can be, whatever the switches say."""
    dogs = [pid for pid in processes_of(install) if "watchdog" in _arguments(pid)]
    for pid in dogs:
        _end(pid, seconds)
    for pid in processes_of(install):
        _end(pid, seconds)


ACTIONS: dict[str, Callable[[Path], int]] = {
    "start": start,
    "stop": stop,
    "restart": restart,
    "reload": restart,
    "force-reload": restart,
    "condrestart": condrestart,
    "status": status,
    "watchdog": watchdog,
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ACTIONS:
        complain("Usage: kerio-connect {start|stop|restart|reload|force-reload|condrestart|status}")
        return 2
    return ACTIONS[arguments[0]](Path(arguments[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
