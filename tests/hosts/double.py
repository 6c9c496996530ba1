# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Kerio Connect double on a host of its own: under /opt/kerio/mailserver, on the real ports, at the host's address."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.hosts.machine import Machine
from tests.lab import cli_lab, generate, ports, service, switches
from tests.lab.dovecot import Dovecot, mailbox_name
from tests.lab.fixtures import LabServer

PORTS = {"IMAP": 143, "Secure IMAP": 993, "SMTP": 25, "admin": 4040}
HOME = "/opt/kerio"
INSTALL = f"{HOME}/mailserver"
UNIT = "kerio-connect.service"
STORE_UNIT = "kerio-store.service"
SCRIPT = "/etc/init.d/kerio-connect"
# Where the mail lies is part of the real server; the double's Dovecot runs whether the server does or not.
STORE = f"""[Unit]
Description=Store of the Kerio Connect double
Before={UNIT} rc-local.service

[Service]
Type=oneshot
RemainAfterExit=yes
Restart=on-failure
WorkingDirectory={service.HOST_ROOT}
Environment=PYTHONDONTWRITEBYTECODE=1
ExecStart={service.HOST_PYTHON} -c "from tests.lab.dovecot import Dovecot; Dovecot('{HOME}/dovecot').start()"

[Install]
WantedBy=multi-user.target
"""
# The pid file that the module looks for by default.
PID_LINK = f"L /run/kms.pid - - - - {INSTALL}/run/kms.pid\n"
GENERATOR = "etc/systemd/system-generators/systemd-sysv-generator"


class HostServer(LabServer):
    """A double on a host. `reset` and `remove_users` apart, it does what one on loopback does; ask it from within the network."""

    def __init__(self, machine: Machine, entry: dict[str, Any]) -> None:
        super().__init__(machine.path(HOME), entry)
        self.machine = machine
        self.install = machine.path(INSTALL)

    @property
    def dovecot(self) -> Dovecot:
        """Its store, for a thread that is in the host's name space."""
        return Dovecot(self.folder / "dovecot")

    @property
    def pid(self) -> int:
        """As the host counts."""
        return service.read_pid(self.install / "run" / "kms.pid")

    def service(self, action: str, *, wait: bool = True) -> subprocess.CompletedProcess[str]:
        """As an administrator of the host does it."""
        unit = self.machine.path(f"/etc/systemd/system/{UNIT}").exists()
        words = ("systemctl", action, UNIT) if unit else (SCRIPT, action)
        said = self.machine.run(*words, timeout=400)
        if wait and action in ("start", "restart"):
            self.wait_ready()
        return subprocess.CompletedProcess(words, 0, said, "")

    def wait_ready(self, seconds: float = 30) -> None:
        """Until the store runs and the admin API answers, for a thread that is in the network."""
        if not service.wait_until(self._stores, 2 * seconds):
            raise cli_lab.LabError(f"{self.name}: no store: {self.machine.run('journalctl', '--unit', STORE_UNIT, '--lines=20')}")
        if not service.wait_until(lambda: ports.is_open(self.admin_port, self.host), seconds):
            raise cli_lab.LabError(f"{self.name}: the admin API does not answer; see {self.machine.root}{INSTALL}/store/logs")

    def _stores(self) -> bool:
        return self.machine.run("systemctl", "is-active", STORE_UNIT, check=False).strip() == "active"

    def mailboxes(self) -> list[generate.Mailbox]:
        return [
            generate.Mailbox(self.name, user["address"], self.dovecot, mailbox_name(user["id"]), user["login"] == "archive")
            for user in self.users
        ]


def install(machine: Machine, index: int, people: int, chosen: dict[str, Any]) -> dict[str, Any]:
    """Put the double on a host that is mounted and does not run yet; returns its entry as in lab.json, with paths of the host."""
    place = cli_lab.Place(
        install=machine.root / INSTALL.lstrip("/"),
        name=machine.name,
        numbers=PORTS,
        host=machine.address,
        listen="0.0.0.0",  # noqa: S104  all interfaces, as the real one
        root=machine.root,
    )
    switches.Switches.from_mapping(chosen)
    entry = cli_lab.install_server(place, index, people, chosen)
    write(machine, f"etc/systemd/system/{STORE_UNIT}", STORE)
    write(machine, "etc/tmpfiles.d/kerio.conf", PID_LINK)
    enable(machine, STORE_UNIT)
    of_the_host: dict[str, Any] = json.loads(json.dumps(entry).replace(str(machine.root), ""))
    return of_the_host


def write(machine: Machine, name: str, text: str, mode: int = 0o644) -> Path:
    path = machine.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def enable(machine: Machine, unit: str) -> None:
    wants = machine.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")


# -- how the service is known to a host -----------------------------------------------------------------------------------------


def by_unit(machine: Machine) -> None:
    """A unit of its own."""
    text = (machine.root / INSTALL.lstrip("/") / UNIT).read_text(encoding="utf-8")
    write(machine, f"etc/systemd/system/{UNIT}", text)
    enable(machine, UNIT)


def by_script(machine: Machine) -> None:
    """An init script that systemd does not see, as its generator for such scripts is off; rc.local starts it."""
    _script(machine)
    write(machine, "etc/rc.local", f"#!/bin/sh\n{SCRIPT} start\n", 0o755)
    (machine.root / GENERATOR).parent.mkdir(parents=True, exist_ok=True)
    (machine.root / GENERATOR).symlink_to("/dev/null")


def by_generated_unit(machine: Machine) -> None:
    """An init script for which systemd's generator makes a unit; and mailserver.cfg is a link to another folder."""
    _script(machine)
    for level in "2345":
        link = machine.root / f"etc/rc{level}.d/S20kerio-connect"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to("../init.d/kerio-connect")
    file = machine.root / INSTALL.lstrip("/") / "mailserver.cfg"
    elsewhere = machine.root / "etc/kerio/mailserver.cfg"
    elsewhere.parent.mkdir()
    file.rename(elsewhere)
    file.symlink_to("/etc/kerio/mailserver.cfg")


def _script(machine: Machine) -> None:
    text = (machine.root / INSTALL.lstrip("/") / "kerio-connect").read_text(encoding="utf-8")
    write(machine, SCRIPT.lstrip("/"), text, 0o755)
