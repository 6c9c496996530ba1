# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of mailserver.cfg on real hosts: begun, watched from inside the host, and hit at the instant that a test wants."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.hosts.double import UNIT, HostServer
from tests.hosts.fleet import Fleet
from tests.hosts.midrun import PATIENCE
from tests.lab.playbooks import PlaybookRun, Playing, Task
from tests.lab.service import wait_until

BOOK = """---
- name: Ensure mailserver.cfg is as declared
  hosts: kerio_servers
  gather_facts: false
  tasks:
    - name: Ensure mailserver.cfg is as declared
      ansible.builtin.import_role:
        name: mailops.kerio.kerio_mailserver_cfg
"""
JOBS = "/var/lib/kerio-archive/jobs"
VARIABLE = re.compile(r'<variable name="AutoExpungeOnDelete">([01])</variable>')

Data = dict[str, Any]


class Edits:
    """Plays the role kerio_mailserver_cfg alone, so that a run costs little beside what happens on the hosts."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.book = fleet.control / "edit.yml"
        self.book.write_text(BOOK, encoding="utf-8")

    def begin(self, values: Mapping[str, str], **variables: Any) -> Playing:
        """`values` of AutoExpungeOnDelete by host; `variables` are those of the role without its prefix."""
        wanted = {"permanent_delete": "{{ edit_values[inventory_hostname] == '0' }}", "throttle": 0, "settle": 1, **variables}
        extra = {"edit_values": values, **{f"kerio_mailserver_cfg_{name}": given for name, given in wanted.items()}}
        return self.fleet.start_play(str(self.book), limit=",".join(values), extra=extra)

    def play(self, values: Mapping[str, str], **variables: Any) -> PlaybookRun:
        return self.begin(values, **variables).wait()


def of(done: PlaybookRun) -> Mapping[str, Task]:
    """What became of the edit on each host."""
    return {task.host: task for task in done.of("kerio_mailserver_cfg")}


def warned(task: Task) -> str:
    return " ".join(task.result.get("warnings", []))


def until(holds: Callable[[], object], playing: Playing | None = None) -> None:
    """Wait until something is so and stays so for a moment, at most as long as a playbook runs."""

    def over() -> bool:
        return playing is not None and playing.process.poll() is not None

    there = wait_until(lambda: holds() or over(), PATIENCE)
    assert there and holds(), playing.output() if playing else "it does not become so"


class Watched:
    """A Kerio host seen from inside, without its network."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet = fleet
        self.server: HostServer = fleet.server(name)
        self.machine = fleet.machines[name]
        self.name = name
        self.begun = self.count("start"), self.count("stop")

    @property
    def file(self) -> Path:
        """The file itself, behind a link."""
        path = self.machine.path(self.server.mailserver_cfg)
        return self.machine.path(str(path.readlink())) if path.is_symlink() else path

    @property
    def value(self) -> str:
        """What the file says; "" while there is none or it is not whole."""
        try:
            text = self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        found = VARIABLE.findall(text)
        return found[0] if len(found) == 1 and text.rstrip().endswith("</config>") else ""

    def count(self, event: str) -> int:
        return len(self.server.events(event))

    def stopped(self) -> bool:
        """Whether it was stopped since we look; it may have been started again."""
        return self.count("stop") > self.begun[1]

    def started(self) -> bool:
        return self.count("start") > self.begun[0]

    def answers(self) -> bool:
        """Whether its process and its ports are there, as somebody on the host sees it."""
        return bool(self.server.pid) and all(self._open(port) for port in (4040, 143))

    def _open(self, port: int) -> bool:
        return bool(self.machine.run("ss", "-Hltn", f"sport = :{port}").strip())

    def override(self, text: str, *, running: bool = True) -> None:
        """Put a line into the server's unit, as `systemctl edit` does; take it out again without one."""
        path = self.machine.path(f"/etc/systemd/system/{UNIT}.d/override.conf")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[Service]\n{text}\n", encoding="utf-8")
        if running:
            self.machine.run("systemctl", "daemon-reload")

    def unit(self) -> str:
        """The unit in whose control group the server's process is."""
        return self.machine.run("ps", "-o", "unit=", "-p", str(self.server.pid)).strip()

    def shown(self, name: str) -> str:
        """A property of the server's unit."""
        return self.machine.run("systemctl", "show", f"--property={name}", "--value", UNIT).strip()

    def outlives_ssh(self) -> bool:
        """Whether the server stays when all sessions and the SSH server itself end."""
        pid = self.server.pid
        self.machine.run("systemctl", "kill", "--kill-whom=all", "ssh.service", check=False)
        self.machine.run("systemctl", "restart", "ssh.service")
        return self.answers() and self.server.pid == pid

    def said(self) -> str:
        """What the job of the edit said last."""
        try:
            (path,) = self.machine.path(JOBS).glob("mailserver_cfg-*/progress.json")
            return str(json.loads(path.read_text(encoding="utf-8"))["line"])
        except (ValueError, FileNotFoundError):
            return ""

    def rights(self) -> tuple[bool, int, int, str]:
        """Of the file: whether a link leads to it, its owner, and its mode."""
        link = self.machine.path(self.server.mailserver_cfg).is_symlink()
        status = self.file.stat()
        return link, status.st_uid, status.st_gid, oct(status.st_mode)
