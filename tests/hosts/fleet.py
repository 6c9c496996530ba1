# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet: Kerio hosts, archive hosts, and a controller from which playbooks reach them over SSH as an operator's would."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.hosts import double, network, remains
from tests.hosts.double import HostServer
from tests.hosts.image import ADMINISTRATOR, Image, run
from tests.hosts.machine import Machine
from tests.hosts.network import Network
from tests.lab import cli_lab, generate, service
from tests.lab.playbooks import ROOT, PlaybookRun, Playing, environment
from tests.play import quick
from tests.play.helpers import assert_no_secret

INVENTORY = ROOT / "tests" / "hosts" / "inventory"
KERIO = {"kerio1": double.by_unit, "kerio2": double.by_script, "kerio3": double.by_generated_unit}
ADDRESSES = {"kerio1": "192.0.2.11", "kerio2": "192.0.2.12", "kerio3": "192.0.2.13"}
ADDRESSES |= {"archive1": "192.0.2.21", "archive2": "192.0.2.22"}
PEOPLE = 3
KEPT = "/opt/lab-kept"
INSTANCES, MANY = Path("/proc/sys/fs/inotify/max_user_instances"), 1024
# On the archive hosts: a disk of its own, and what the operator put there.
DISK = "/srv/archive"
OPERATORS = "etc/kerio-archive"
READERS = "archive-readers"
SSH = """Host *
  User {user}
  IdentityFile {folder}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  ControlPath {folder}/cp/%n
  BatchMode yes
"""


class Fleet:
    """What is on disk lies in `folder`, the disks of archive hosts apart. `Fleet.make` and `Fleet.again` make one."""

    def __init__(self, name: str, image: Image, below: Mapping[str, Sequence[Path]]) -> None:
        self.name = name
        self.folder = remains.PLACES / name
        self.disks = remains.PLACES / f"{name}.disks"
        self.control = self.folder / "controller"
        self.image = image
        self.net = Network(name, ADDRESSES)
        self.machines: dict[str, Machine] = {}
        self.entries: dict[str, dict[str, Any]] = {}
        self._servers: list[subprocess.Popen[bytes]] = []
        for host in ADDRESSES:
            self._plan(host, below[host])

    def _plan(self, host: str, lower: Sequence[Path]) -> Machine:
        binds = {str(service.HOST_ROOT / "tests"): ROOT / "tests"} if host in KERIO else {DISK: self.disks / host}
        binds[KEPT] = Path(os.environ[quick.KEPT])
        machine = Machine(host, self.net, self.folder / "hosts" / host, lower, binds)
        self.machines[host] = machine
        return machine

    def _mount(self, machine: Machine) -> None:
        machine.mount()
        shutil.copy(self.image.clock, machine.clock)
        # Compiled modules are kept for all hosts, as tests/play/quick.py does it; most of a task's time went into that.
        text = (quick.START / "keep_code.py").read_text(encoding="utf-8")
        text = text.replace(f'os.environ.get("{quick.KEPT}", "")', repr(KEPT))
        (machine.root / "etc/python3.11/sitecustomize.py").write_text(text, encoding="utf-8")
        run("chroot", machine.root, "python3", "-c", "pass")  # which compiles that, so that it is there before anybody looks

    # -- making -----------------------------------------------------------------------------------------------

    @classmethod
    def make(cls, name: str, image: Image) -> Fleet:
        """Hosts on which nothing has been done yet; they do not run."""
        fleet = cls(name, image, {host: cls._layers(image, host) for host in ADDRESSES})
        fleet._open()
        fleet.control.mkdir()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", fleet.control / "id")
        for machine in fleet.machines.values():
            fleet._mount(machine)
            fleet._know(machine)
        for index, (host, known_as) in enumerate(KERIO.items()):
            fleet.entries[host] = double.install(fleet.machines[host], index, PEOPLE, {})
            known_as(fleet.machines[host])
        for host in ("archive1", "archive2"):
            fleet._prepare_archive_host(fleet.machines[host])
        return fleet

    @classmethod
    def again(cls, name: str, image: Image, retired: str) -> Fleet:
        """Hosts as those of the fleet called `retired` were when it retired."""
        before = remains.PLACES / retired
        layers = {host: [before / "hosts" / host / "upper", *cls._layers(image, host)] for host in ADDRESSES}
        fleet = cls(name, image, layers)
        fleet._open()
        shutil.copytree(before / "controller", fleet.control)
        run("cp", "--archive", f"{before}.disks/.", fleet.disks)
        for machine in fleet.machines.values():
            fleet._mount(machine)
        inventory = json.loads((fleet.control / "fleet.yml").read_text(encoding="utf-8"))
        fleet.entries = {server["name"]: server for server in inventory["all"]["vars"]["fleet"]["servers"]}
        return fleet

    @staticmethod
    def _layers(image: Image, host: str) -> list[Path]:
        return [image.kerio, image.bare] if host in KERIO else [image.bare]

    def _open(self) -> None:
        """The folder is in memory, so that nobody waits for a disk and all is gone with one umount."""
        Path(os.environ[quick.KEPT]).chmod(0o1777)
        # A systemd takes five instances, all hosts of all fleets count as one user's, and one that gets none hangs at boot.
        if int(INSTANCES.read_text()) < MANY:
            INSTANCES.write_text(str(MANY))
        self.folder.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "-o", "size=4g,mode=755", "tmpfs", self.folder)
        self.disks.mkdir(exist_ok=True)
        self.net.open()

    def _know(self, machine: Machine) -> None:
        """Controller and host know each other's keys."""
        key = self.control / machine.name
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", machine.name, "-f", key)
        machine.admit((self.control / "id.pub").read_text(), key)
        with (self.control / "known_hosts").open("a") as known:
            known.write(f"{machine.name},{machine.address} {key.with_suffix('.pub').read_text()}")

    def _prepare_archive_host(self, machine: Machine) -> None:
        """What the operator has done: whom to trust, a certificate for the archive, and who may read it."""
        folder = machine.root / OPERATORS
        folder.mkdir()
        for server in KERIO:
            shutil.copy(self.machines[server].root / double.INSTALL.lstrip("/") / "sslcert/ca.crt", folder / f"{server}.pem")
        cli_lab.make_certificates(folder / "tls", machine.name, machine.address)
        shutil.copy(folder / "tls/ca.crt", self.control / f"{machine.name}.pem")
        run("chroot", machine.root, "groupadd", "--system", READERS)
        (self.disks / machine.name).mkdir(mode=0o755)

    # -- running ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Boot all hosts, and give the controller what it needs to reach them."""
        (self.control / "cp").mkdir(mode=0o700)
        for host in KERIO:
            shutil.copy(self.machines[host].path(f"{double.INSTALL}/sslcert/ca.crt"), self.control / f"{host}.pem")
            self.entries[host]["ca_file"] = str(self.control / f"{host}.pem")
        self._describe()
        self._serve_packages()
        for machine in self.machines.values():
            machine.start()
        for machine in self.machines.values():
            machine.wait()
        with self.inside():
            for server in self.servers:
                server.wait_ready()

    def _describe(self) -> None:
        hosts = "".join(f"Host {name}\n  HostName {machine.address}\n" for name, machine in self.machines.items())
        (self.control / "ssh_config").write_text(hosts + SSH.format(user=ADMINISTRATOR, folder=self.control), encoding="utf-8")
        known = {"servers": list(self.entries.values()), "control": str(self.control), "addresses": self.net.hosts}
        # An inventory beside the other one: what is there as it is costs nothing each time that a template asks for it.
        inventory = {"all": {"vars": {"fleet": known}}}
        (self.control / "fleet.yml").write_text(json.dumps(inventory, indent=1, ensure_ascii=False), encoding="utf-8")

    def _serve_packages(self) -> None:
        served = self.folder / "served"
        served.mkdir()
        (served / "debian").symlink_to(self.image.debian)
        (served / "simple").symlink_to(self.image.index)
        words = [sys.executable, "-m", "http.server", "--bind", network.CONTROLLER, "--directory", str(served), "80"]
        with self.inside(), (self.folder / "packages.log").open("wb") as log:
            self._servers.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def add(self, host: str, address: str) -> Machine:
        """A bare host more, which runs and can be reached as the others; it is in no inventory."""
        machine = self._plan(host, [self.image.bare])
        self.net.add(host, address)
        (self.disks / host).mkdir()
        self._mount(machine)
        self._know(machine)
        self._describe()
        machine.start()
        machine.wait()
        return machine

    def shrink_disk(self, host: str, size: str) -> None:
        """Give an archive host a disk of so many bytes ("40m") with what is on its own; the host is booted anew."""
        machine, disk, aside = self.machines[host], self.disks / host, self.disks / f"{host}.aside"
        machine.stop()
        disk.rename(aside)
        disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", disk)
        run("cp", "--archive", f"{aside}/.", disk)
        shutil.rmtree(aside)
        machine.start()
        machine.wait()

    def retire(self) -> None:
        """Shut all hosts down and keep their layers, for `again`."""
        for machine in self.machines.values():
            machine.halt()
        for machine in self.machines.values():
            machine.stop()
            machine.remove()
        self._end_servers()
        remains.clear_controller(self.name)
        shutil.rmtree(self.control / "cp")

    def close(self) -> None:
        for machine in self.machines.values():
            machine.kill()
        self._end_servers()
        remains.clear(self.name)

    def _end_servers(self) -> None:
        for process in self._servers:
            process.terminate()
            process.wait(10)
        self._servers.clear()

    # -- from the controller ----------------------------------------------------------------------------------

    def inside(self, host: str = "") -> contextlib.AbstractContextManager[None]:
        """This thread is on the controller, or on a host, as far as the network goes."""
        return network.inside(self.net.namespace(host) if host else self.name)

    def start_play(
        self, *books: str, limit: str = "", check: bool = False, extra: Mapping[str, Any] | None = None, more: Sequence[str] = (),
        **variables: str,
    ) -> Playing:  # fmt: skip
        """Begin to run playbooks of this checkout by their names, or others by their paths, with -vvv and --diff."""
        paths = [str(book if "/" in book else ROOT / "playbooks" / f"{book}.yml") for book in books]
        words = [sys.executable, "-m", "ansible", "playbook", "-vvv", "--diff", "-i", str(INVENTORY)]
        words += ["-i", str(self.control / "fleet.yml"), *paths]
        words += ["--limit", limit] if limit else []
        words += ["--check"] if check else []
        words += ["--extra-vars", json.dumps(extra)] if extra else []
        own = {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.control / "cp")}
        everything = environment(Path(sys.executable), {**quick.environment(), **own, **variables})
        return Playing(["ip", "netns", "exec", self.name, *words, *more], everything, apart=True)

    def play(self, *books: str, **how: Any) -> PlaybookRun:
        """Run playbooks as `start_play` does; fail when a password shows up in what they say."""
        done = self.start_play(*books, **how).wait()
        assert_no_secret(done)
        return done

    # -- the Kerio servers ------------------------------------------------------------------------------------

    @property
    def servers(self) -> list[HostServer]:
        return [HostServer(self.machines[name], entry) for name, entry in self.entries.items()]

    def server(self, name: str) -> HostServer:
        return HostServer(self.machines[name], self.entries[name])

    def fill(self, messages: int, seed: int | str = 1) -> list[generate.Placed]:
        """Put so many generated messages on each server, archive copies not counted."""
        placed = []
        for server in self.servers:
            with self.inside(server.name):
                placed += generate.fill_server(server.mailboxes(), messages, f"{seed} {server.name}")
        return placed
