# SPDX-License-Identifier: GPL-3.0-or-later
"""A host: systemd from boot to halt in name spaces of its own, with a tree of layers, reached over SSH like any other.

What it shares with this machine is the kernel. So a `kill` is a loss of power for its processes, but what they wrote is not lost;
and CLOCK_REALTIME is this machine's: `set_clock` changes what programs of the host are told, not the times of files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.hosts import network
from tests.hosts.image import ADMINISTRATOR, mount_overlay, run
from tests.hosts.network import Network

CGROUPS = Path("/sys/fs/cgroup")
# What clock.c reads.
CLOCK = "/opt/lab-clock"
# Every fleet of every checkout has its cgroups below this one.
FAMILY = "kerio-archive-hosts"
ENTER = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'
BOOT_SECONDS = 60.0
STOP_SECONDS = 120.0  # systemd itself lets a unit take 90


class MachineError(Exception):
    """A host did not start or did not stop; the text says why."""


def hierarchies() -> list[Path]:
    """Where systemd keeps its groups: in one place, or in two on a machine that has both kinds."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [folder for folder in (CGROUPS / "systemd", CGROUPS / "unified") if folder.is_dir()]


class Machine:
    """`folder` holds its layer `upper` and its console; `binds` are folders of this machine by where they are on the host."""

    def __init__(self, name: str, net: Network, folder: Path, lower: Sequence[Path], binds: Mapping[str, Path]) -> None:
        self.name = name
        self.net = net
        self.folder = folder
        self.lower = list(lower)
        self.binds = {**binds, CLOCK: folder / "clock"}
        self.root = folder / "root"
        self.clock = folder / "clock"
        self.upper = folder / "upper"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return self.net.hosts[self.name]

    @property
    def console(self) -> str:
        """What systemd has said since the host was made."""
        return (self.folder / "console.log").read_text(errors="replace")

    # -- before it runs ---------------------------------------------------------------------------------------

    def mount(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        mount_overlay(self.root, self.upper, self.lower)
        self.clock.mkdir(exist_ok=True)
        (self.root / "etc/hostname").write_text(f"{self.name}\n", encoding="utf-8")
        (self.root / "etc/hosts").write_text(network.names(self.net.hosts), encoding="utf-8")

    def admit(self, public_key: str, host_key: Path) -> None:
        """Let the holder of a key in as the administrator, and be known by `host_key`."""
        account = (self.root / "home" / ADMINISTRATOR).stat()
        folder = self.root / "home" / ADMINISTRATOR / ".ssh"
        folder.mkdir(mode=0o700)
        (folder / "authorized_keys").write_text(public_key, encoding="utf-8")
        for path in (folder, folder / "authorized_keys"):
            os.chown(path, account.st_uid, account.st_gid)
        for key in (host_key, host_key.with_suffix(".pub")):
            shutil.copy(key, self.root / "etc/ssh" / key.name.replace(host_key.stem, "ssh_host_ed25519_key"))

    # -- on and off -------------------------------------------------------------------------------------------

    def _groups(self) -> list[Path]:
        return [folder / FAMILY / self.net.name / self.name for folder in hierarchies()]

    def start(self) -> None:
        """Begin to boot; `wait` tells when it is up."""
        for group in self._groups():
            group.mkdir(parents=True, exist_ok=True)
        # Fleets that run beside each other have hosts of the same names; systemd-nspawn keeps folders by the name of the machine.
        words = ["systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine={self.net.namespace(self.name)}"]
        words += [f"--hostname={self.name}", "--boot", "--register=no"]
        words += ["--keep-unit", f"--network-namespace-path={network.NAMED / self.net.namespace(self.name)}", "--console=pipe"]
        words += ["--kill-signal=SIGRTMIN+3", "--link-journal=no", "--resolv-conf=off", "--timezone=off"]
        words += [f"--bind={outside}:{place}" for place, outside in self.binds.items()]
        with (self.folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", ENTER, "sh", *map(str, self._groups()), "--", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, seconds: float = BOOT_SECONDS) -> None:
        """Until its administrator can log in over SSH."""
        # Of many starts on a busy machine one got nowhere now and then, without a word on its console.
        if not self._comes_up(seconds):
            self.kill()
            self.start()
            if not self._comes_up(seconds):
                raise MachineError(f"{self.name} does not answer to SSH: {self.console[-1500:]}")

    def _comes_up(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _answers(self) -> bool:
        # Until then only root may log in, and SSH answers earlier.
        if not self.pid or Path(f"/proc/{self.pid}/root/run/nologin").exists():
            return False
        with contextlib.suppress(OSError), network.inside(self.net.name):
            link = socket.create_connection((self.address, 22), timeout=2)
            with link:
                return link.recv(20).startswith(b"SSH-2.0")
        return False

    @property
    def pid(self) -> int:
        """Of the host's first process; 0 when there is none."""
        if self._process is None or self._process.poll() is not None:
            return 0
        nspawn = self._process.pid
        with contextlib.suppress(OSError):
            children = (Path("/proc") / f"{nspawn}/task/{nspawn}/children").read_text().split()
            return int(children[0]) if children else 0
        return 0

    def halt(self) -> None:
        """Begin to shut down as an administrator does."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Shut down as an administrator does."""
        self.halt()
        if self._process is not None:
            self._process.wait(seconds)

    def kill(self) -> None:
        """Lose the power."""
        # The child, because nspawn itself would leave its host behind; one that got nowhere has none.
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)
        elif self._process is not None:
            self._process.kill()
        if self._process is not None:
            self._process.wait(30)

    def reboot(self) -> None:
        """Lose the power and get it back."""
        self.kill()
        self.start()
        self.wait()

    def remove(self) -> None:
        """Nothing of it is left but `upper`."""
        self.kill()
        if os.path.ismount(self.root):
            run("umount", self.root)
        for group in self._groups():
            remove_group(group)

    # -- inside -----------------------------------------------------------------------------------------------

    def run(self, *words: str, check: bool = True, timeout: float = 60) -> str:
        """What a program prints that root starts on the host, without SSH."""
        if not self.pid:
            raise MachineError(f"{self.name} does not run")
        command = ["nsenter", f"--target={self.pid}", "--all", "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
        if check and done.returncode:
            raise MachineError(f"{self.name}: {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def path(self, name: str) -> Path:
        """A file of the host as this machine sees it; not below /run, /tmp and /proc, which begin with the boot."""
        for place, outside in self.binds.items():
            if name == place or name.startswith(f"{place}/"):
                return outside / name.removeprefix(place).lstrip("/")
        return self.root / name.lstrip("/")

    # -- faults -----------------------------------------------------------------------------------------------

    def set_clock(self, seconds: int) -> None:
        """Tell programs that the clock is so many seconds ahead: those that start after the first call, from each call on."""
        (self.clock / "offset").write_bytes(struct.pack("=q", seconds))
        (self.root / "etc/ld.so.preload").write_text(f"{CLOCK}/clock.so\n", encoding="ascii")

    def cut(self) -> None:
        """Pull the network cable."""
        self.net.cut(self.name)

    def mend(self) -> None:
        self.net.mend(self.name)


def remove_group(group: Path) -> None:
    """A cgroup with all below it. Processes that are in it end."""
    deadline = time.monotonic() + 60
    while group.exists():
        if time.monotonic() > deadline:
            raise MachineError(f"{group} is still in use")
        # A host that still runs makes groups and processes meanwhile.
        folders = [*sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True), group]
        for folder in folders:
            _kill_all(folder)
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        time.sleep(0.01)


def _kill_all(group: Path) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for pid in (group / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
