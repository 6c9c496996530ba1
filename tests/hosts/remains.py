# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a fleet away by its name alone: also one whose process was killed. Nothing of it is left."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import time
from pathlib import Path

from tests.hosts import network
from tests.hosts.image import cache, run
from tests.hosts.machine import FAMILY, hierarchies, remove_group
from tests.lab.playbooks import ROOT

PLACES = Path("/var") / "tmp"
# The process that began the session of tests; its workers have it from their environment.
SESSION = "KERIO_HOSTS_SESSION"
_made = 0


def prefix() -> str:
    """Of the names of this checkout's fleets: PREFIX-SESSION-PROCESS-NUMBER."""
    return f"kah{hashlib.sha256(str(ROOT).encode()).hexdigest()[:4]}"


def session() -> str:
    return f"{prefix()}-{os.environ.setdefault(SESSION, str(os.getpid()))}"


def new_name() -> str:
    global _made
    _made += 1
    return f"{session()}-{os.getpid()}-{_made}"


def known() -> set[str]:
    """The fleets of this checkout of which there is anything."""
    found = [path.name.removesuffix(".disks") for path in PLACES.glob(f"{prefix()}-*")]
    for group in hierarchies():
        found += [path.name for path in (group / FAMILY).glob(f"{prefix()}-*")]
    found += ["-".join(name.split("-")[:4]) for name in network.namespaces(prefix())]
    return set(found)


def clear_abandoned() -> None:
    """Take away what sessions have left that are no more."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "abandoned.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in known():
            if not _runs(name.split("-")[1]):
                clear(name)


def _runs(pid: str) -> bool:
    """Who has ended and is not fetched by his parent has no command line any more."""
    with contextlib.suppress(OSError):
        return bool(Path("/proc", pid, "cmdline").read_bytes())
    return False


def clear_session() -> None:
    for name in known():
        if name.startswith(f"{session()}-"):
            clear(name)


def clear(name: str) -> None:
    for group in hierarchies():
        if (group / FAMILY / name).is_dir():
            remove_group(group / FAMILY / name)
        with contextlib.suppress(OSError):  # others use it, or nobody did
            (group / FAMILY).rmdir()
    clear_controller(name)
    for place in (PLACES / name, PLACES / f"{name}.disks"):
        for mounted in _mounts(place):
            run("umount", mounted)
        shutil.rmtree(place, ignore_errors=True)


def clear_controller(name: str) -> None:
    """End who is in the controller's name space (SSH keeps its connections open), and take the network away."""
    if name in network.namespaces(name):
        for number in (signal.SIGTERM, signal.SIGKILL):
            _end(name, number)
    network.close(name)


def _end(namespace: str, number: signal.Signals) -> None:
    for pid in network.processes(namespace):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    deadline = time.monotonic() + 3
    while network.processes(namespace) and time.monotonic() < deadline:
        time.sleep(0.01)


def _mounts(place: Path) -> list[str]:
    """What is mounted there and below, the last one first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if point == str(place) or point.startswith(f"{place}/")]
