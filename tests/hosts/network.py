# SPDX-License-Identifier: GPL-3.0-or-later
"""A network of name spaces: the controller's has the bridge that all hosts hang on, and no way out.

Names are those of one fleet, so several of them, each with the same addresses, do not meet.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.hosts.image import PACKAGE_HOST, run

CONTROLLER = "192.0.2.1"
NAMED = Path("/run/netns")
FILES = Path("/etc/netns")  # `ip netns exec` puts what lies here for a name space over the files of /etc
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def names(hosts: Mapping[str, str]) -> str:
    """/etc/hosts of the controller and of each host."""
    known = {"localhost": "127.0.0.1", "controller": CONTROLLER, PACKAGE_HOST: CONTROLLER, **hosts}
    return "".join(f"{address} {name}\n" for name, address in known.items())


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """What this thread connects, and what it starts, is in the name space; connections stay where they were made."""
    with Path("/proc/thread-self/ns/net").open("rb") as home, (NAMED / namespace).open("rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the name space")


class Network:
    """`name` is the controller's name space; `hosts` has the address of each host by its name."""

    def __init__(self, name: str, hosts: Mapping[str, str]) -> None:
        self.name = name
        self.hosts = dict(hosts)

    def namespace(self, host: str) -> str:
        return f"{self.name}-{host}"

    def open(self) -> None:
        run("ip", "netns", "add", self.name)
        (FILES / self.name).mkdir(parents=True, exist_ok=True)
        self._write_names()
        self._ip("link", "set", "lo", "up")
        self._ip("link", "add", "bridge", "type", "bridge")
        self._ip("addr", "add", f"{CONTROLLER}/24", "dev", "bridge")
        self._ip("link", "set", "bridge", "up")
        for host, address in self.hosts.items():
            self._join(host, address)

    def add(self, host: str, address: str) -> None:
        """A host more; those that run already do not know its name."""
        self.hosts[host] = address
        self._write_names()
        self._join(host, address)

    def _write_names(self) -> None:
        (FILES / self.name / "hosts").write_text(names(self.hosts), encoding="utf-8")

    def _join(self, host: str, address: str) -> None:
        own = self.namespace(host)
        run("ip", "netns", "add", own)
        self._ip("link", "add", host, "type", "veth", "peer", "name", "host0", "netns", own)
        self._ip("link", "set", host, "master", "bridge", "up")
        run("ip", "-n", own, "addr", "add", f"{address}/24", "dev", "host0")
        for link in ("host0", "lo"):
            run("ip", "-n", own, "link", "set", link, "up")

    def cut(self, host: str) -> None:
        """Pull the cable: connections hang, nobody is told."""
        self._ip("link", "set", host, "down")

    def mend(self, host: str) -> None:
        self._ip("link", "set", host, "up")

    def _ip(self, *words: str) -> None:
        run("ip", "-n", self.name, *words)


def close(fleet: str) -> None:
    """Take all name spaces of a fleet away; who is still in one keeps it until it ends."""
    for name in namespaces(fleet):
        run("ip", "netns", "del", name)
    shutil.rmtree(FILES / fleet, ignore_errors=True)
    with contextlib.suppress(OSError):  # not ours alone
        FILES.rmdir()


def namespaces(fleet: str) -> list[str]:
    """Those of a fleet, the controller's last."""
    found = [path.name for path in NAMED.glob(f"{fleet}*")] if NAMED.is_dir() else []
    return sorted((name for name in found if name == fleet or name.startswith(f"{fleet}-")), reverse=True)


def processes(namespace: str) -> list[int]:
    """Whoever is in a name space, this process left out."""
    found = run("ip", "netns", "pids", namespace).split()
    return [int(pid) for pid in found if int(pid) != os.getpid()]
