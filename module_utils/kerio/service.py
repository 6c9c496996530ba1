# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kerio Connect service on its host: stop, proof of stop, start, readiness, and when its process started.

What the init script of Kerio Connect does (seen in that of 9.4.1): ``stop`` ends the watchdog, sends SIGTERM, waits up to
300 s and then kills; ``start`` also starts the watchdog, which revives a dead server, so killing is not stopping; ``status``
only prints. Nothing here believes an exit code: processes and ports are looked at.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ServiceError
from ansible_collections.mailops.kerio.plugins.module_utils.job import process_start
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import service_unit
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.service_unit import ENVIRONMENT

DEFAULT_UNIT = "kerio-connect.service"
DEFAULT_SCRIPT = "/etc/init.d/kerio-connect"
DEFAULT_PID_FILE = "/var/run/kms.pid"
DEFAULT_WATCHDOG = "kerio-connect-watchdog"
# Options of every module that runs on a Kerio Connect host; ``doc_fragments/kerio_host.py`` documents them.
ARGUMENTS: dict[str, t.Any] = {
    "path": {"type": "path", "default": "/opt/kerio/mailserver/mailserver.cfg"},
    "service": {
        "type": "dict",
        "default": {},
        "options": {
            "name": {"type": "str"},
            "script": {"type": "path"},
            "process": {"type": "path"},
            "watchdog": {"type": "str", "default": DEFAULT_WATCHDOG},
            "pid_file": {"type": "path", "default": DEFAULT_PID_FILE},
        },
        "mutually_exclusive": [("name", "script")],
        "apply_defaults": True,
    },
    "stop_timeout": {"type": "int", "default": 330},
}
POLL_SECONDS = 0.2
# A server whose start says that it failed, and of which there is no process by then, is not waited for.
FAILED_SECONDS = 10.0
_VARIABLE = "(variable kerio_mailserver_cfg_service of the role)"


@dataclass(frozen=True)
class Process:
    """``identity`` tells it from every other process; ``started`` is seconds since the epoch, exact to 10 ms."""

    pid: int
    identity: str
    started: float = field(compare=False)


@dataclass(frozen=True)
class _Said:
    """What a service command said, on one line, and whether its exit code is that of a failure."""

    text: str
    failed: bool


@dataclass(frozen=True)
class Ready:
    """Where the running server answers; port 0 is not asked."""

    host: str = "127.0.0.1"
    api_port: int = 4040
    imap_port: int = 143
    timeout: float = 300.0

    def ports(self) -> list[int]:
        return [port for port in (self.api_port, self.imap_port) if port]

    def missing(self) -> list[str]:
        """Return what does not answer yet."""
        asked = [("admin API", self.api_port, _api_answers), ("IMAP", self.imap_port, _imap_answers)]
        return [f"{what} on {self.host}:{port}" for what, port, answers in asked if port and not answers(self.host, port)]


@dataclass(frozen=True)
class Service:
    """How to control and to see one Kerio Connect. ``start_command`` and ``stop_command`` come from ``find_commands``.

    ``process`` is the path of the server's program. ``stop_timeout`` covers the command and the proof. ``settle`` is how long
    nothing may come back. ``log`` takes what the commands print; the server may inherit it, so it is a file and not a pipe.
    """

    start_command: t.Sequence[str]
    stop_command: t.Sequence[str]
    process: str
    log: Path
    pid_file: str = DEFAULT_PID_FILE
    watchdog: str = DEFAULT_WATCHDOG
    ready: Ready = field(default_factory=Ready)
    stop_timeout: float = 330.0
    start_timeout: float = 120.0
    settle: float = 3.0

    def processes(self) -> list[Process]:
        """Return the processes of the server, the one of the pid file first, then by age."""
        found = [_process(pid) for pid in _pids() if self.process in _programs(pid)]
        main = self._pid_file_process()
        others = sorted((other for other in found if other and other != main), key=lambda other: other.started)
        return ([main] if main else []) + others

    def watchdogs(self) -> list[int]:
        """Return the processes of the watchdog; one given without a slash is known by its file name."""
        whole = "/" in self.watchdog
        return [pid for pid in _pids() if self.watchdog in {name if whole else Path(name).name for name in _programs(pid)}]

    def remains(self) -> list[str]:
        """Return what shows that the service has not stopped; empty when it has."""
        remains = [f"process {process.pid} still runs" for process in self.processes()]
        remains += [f"the watchdog, process {pid}, still runs" for pid in self.watchdogs()]
        return remains + [f"port {port} is still open" for port in self.open_ports()]

    def open_ports(self) -> list[int]:
        """Return the ports at which something listens."""
        return [port for port in self.ready.ports() if _is_open(self.ready.host, port)]

    def stop(self) -> None:
        """Stop the service and prove it; raises ``ServiceError`` when something remains, or comes back within ``settle``."""
        deadline = time.monotonic() + self.stop_timeout
        with service_unit.patience(self.stop_command, self.stop_timeout):
            said = self._run(self.stop_command, self.stop_timeout).text
        remains = self.remains()
        while remains and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            remains = self.remains()
        if remains:
            raise self._error(f"it did not stop within {self.stop_timeout:.0f} s: {', '.join(remains)}", said)
        settled = time.monotonic() + self.settle
        while time.monotonic() < settled:
            time.sleep(POLL_SECONDS)
            remains = self.remains()
            if remains:
                raise self._error(f"it stopped and came back: {', '.join(remains)}", said)

    def start(self) -> Process:
        """Start the service and wait until it answers; return its process. Raises ``ServiceError``."""
        stopping = self.processes()
        command = service_unit.apart(self.start_command)
        said = self._run(command, self.start_timeout)
        began = time.monotonic()
        while True:
            processes = self.processes()
            if stopping and not processes:
                # It was still on its way out, and beside it the command did nothing.
                stopping = []
                said, began = self._run(command, self.start_timeout), time.monotonic()
                continue
            missing = [] if processes else ["its process"]
            missing += self.ready.missing()
            if not missing:
                return processes[0]
            hopeless = said.failed and not processes
            patience = min(self.ready.timeout, FAILED_SECONDS) if hopeless else self.ready.timeout
            if time.monotonic() >= began + patience:
                raise self._error(f"it was not ready within {patience:.0f} s: no answer from {', '.join(missing)}", said.text)
            time.sleep(POLL_SECONDS)

    def pid_file_written(self, process: Process) -> float | None:
        """Return when ``process`` wrote the pid file, in seconds since the epoch as the clock was then; None when it did not."""
        path = Path(self.pid_file)
        try:
            return path.stat().st_mtime if int(path.read_text(encoding="ascii")) == process.pid else None
        except (OSError, ValueError):
            return None

    def _pid_file_process(self) -> Process | None:
        """Return the process that the pid file names, unless its number was given to another one since."""
        try:
            path = Path(self.pid_file)
            written = path.stat().st_mtime
            pid = int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        process = _process(pid)
        return process if process and process.started <= written + 1 else None

    def _run(self, command: t.Sequence[str], seconds: float) -> _Said:
        """Run a service command and return what it said, its exit code included: an answer for the operator more than for us."""
        with self._open_log() as log:
            begin = log.tell()
            try:
                program = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT, cwd="/", start_new_session=True
                )
            except OSError as error:
                raise self._error("a command cannot be run", f"{' '.join(command)}: {error}") from error
            failed = False
            try:
                code = program.wait(seconds)
                end, failed = f"exit code {code}", code != 0
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
                end = f"was ended after {seconds:.0f} s"
        text = ""
        with contextlib.suppress(OSError):
            text = " ".join(self.log.read_bytes()[begin:].decode("utf-8", "replace").split())
        return _Said(f"{' '.join(command)}: {text[-500:] or 'not a word'} ({end})", failed)

    def _open_log(self) -> t.IO[bytes]:
        """Return the log, or /dev/null when its disk has failed: a server must not stay stopped for want of a log."""
        try:
            return self.log.open("ab")
        except OSError:
            return Path(os.devnull).open("ab")

    def _error(self, cause: str, said: str) -> ServiceError:
        return ServiceError("Kerio Connect service", f"{cause} ({said})", f"See the logs of the server and {self.log}")


def find_commands(unit: str | None, script: str | None) -> tuple[list[str], list[str]]:
    """Return the start and the stop command: of the unit or script that was given, else of what the host has.

    systemd comes first: a server started by its script from our session would live in the session's control group. Raises
    ``ServiceError`` when nothing is found.
    """
    if script is None:
        systemctl = shutil.which("systemctl", path=ENVIRONMENT["PATH"])
        if unit is not None and systemctl is None:
            raise ServiceError(unit, "there is no systemctl on this host", f"Set service.script instead {_VARIABLE}")
        if systemctl is not None and (unit is not None or _unit_is_loaded(systemctl)):
            return [systemctl, "start", unit or DEFAULT_UNIT], [systemctl, "stop", unit or DEFAULT_UNIT]
        script = DEFAULT_SCRIPT
    if not os.access(script, os.X_OK):
        raise ServiceError(
            "Kerio Connect service",
            f"there is neither a loaded unit {DEFAULT_UNIT} nor an executable {script}",
            f"Set service.name to its systemd unit, or service.script to its init script {_VARIABLE}",
        )
    return [script, "start"], [script, "stop"]


def _unit_is_loaded(systemctl: str) -> bool:
    return service_unit.has_systemd() and service_unit.shown(systemctl, DEFAULT_UNIT, "LoadState") == "loaded"


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _programs(pid: int) -> set[str]:
    """Return the names that the program of a process goes by: its image, its name, the script that an interpreter runs."""
    folder = Path(f"/proc/{pid}")
    names: set[str] = set()
    try:
        names.update(os.fsdecode(argument) for argument in (folder / "cmdline").read_bytes().split(b"\0")[:2])
        names.add(os.readlink(folder / "exe"))
    except OSError:
        # It ended just now, or it is a kernel thread, which has no image.
        pass
    return {name.replace(" (deleted)", "") for name in names if name}


def _process(pid: int) -> Process | None:
    identity = process_start(pid)
    if identity is None:
        return None
    ticks = int(identity.rpartition(" ")[2])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return Process(pid, identity, time.time() - age)


def _is_open(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def _api_answers(host: str, port: int) -> bool:
    # Nothing secret is sent and nothing is believed: the question is only whether somebody speaks TLS and HTTP.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=5) as plain, context.wrap_socket(plain) as secure:
            secure.sendall(b"GET /admin/ HTTP/1.0\r\n\r\n")
            return secure.recv(5) == b"HTTP/"
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return False
    except ssl.SSLError as error:
        # A server too old for the TLS of this Python does answer, with an alert; this reason is what other protocols get.
        return error.reason != "WRONG_VERSION_NUMBER"
    except OSError:
        return False


def _imap_answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5) as plain:
            return plain.recv(2) == b"* "
    except OSError:
        return False
