# SPDX-License-Identifier: GPL-3.0-or-later
"""How long site.yml and drift.yml take over many servers, and what memory the controller needs for it.

Every server is a lab server of its own on loopback, with mail. The controller shares the machine with them and the archive host:
what counts are ratios, between the runs and from server to server.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import tempfile
import threading
import typing as t
from pathlib import Path

from tests.bench.figures import Json
from tests.bench.role_cost import declaration, settled
from tests.lab.fixtures import Lab, LabServer, many_labs
from tests.lab.playbooks import ROOT, PlaybookRun, run_playbook

SERVERS, USERS, MESSAGES = 20, 3, 2_000
PLAYBOOKS = ROOT / "playbooks"
SAMPLE_SECONDS = 0.25


class Memory:
    """The most memory that the processes of ``ansible-playbook`` had at a time, in bytes: each page counts once (PSS)."""

    def __init__(self) -> None:
        self.most = 0
        self.processes = 0
        self._over = threading.Event()

    @contextlib.contextmanager
    def watched(self) -> t.Iterator[None]:
        """Look at the processes until the end of the block."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            sizes = [proportional(pid) for pid in controllers()]
            self.processes = max(self.processes, len(sizes))
            self.most = max(self.most, sum(sizes))


def controllers() -> list[int]:
    """The processes of the ``ansible-playbook`` that this process started: it and its forks, but no module."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(entry.name)
            if b"\0ansible\0playbook\0" in (entry / "cmdline").read_bytes() and os.getpid() in (parent(pid), parent(parent(pid))):
                found.append(pid)
    return found


def parent(pid: int) -> int:
    """The process that started ``pid``."""
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def proportional(pid: int) -> int:
    """The bytes of a process, of what it shares its part; 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def measured() -> Json:
    """Time the runs and print them; raises ``SystemExit`` when one did not do what it must."""
    with many_labs() as make, tempfile.TemporaryDirectory() as folder:
        lab = make(servers=SERVERS, users=USERS)
        lab.fill(MESSAGES)
        found = compared(runs(lab, Path(folder)), SERVERS)
    print("\n".join(lines(found)))
    return found


def runs(lab: Lab, folder: Path) -> Json:
    """From clean to archived, nothing to do, and a look at the servers: seconds, changed tasks and memory of each."""
    inventory = written(lab, folder)
    found = {}
    for name, playbook in (("first", "site.yml"), ("second", "site.yml"), ("drift", "drift.yml")):
        memory = Memory()
        report = "drift_report" if name == "drift" else "site_report"
        before = spent()
        with memory.watched():
            done = run_playbook(PLAYBOOKS / playbook, "-e", f"{report}={folder / name}.json", inventory=inventory)
        settled(done)
        changed = len(done.changed())
        if bool(changed) != (name == "first"):
            raise SystemExit(f"the run {name!r} changed {changed} things:\n{done.output}")
        found[name] = {
            "seconds": round(done.seconds, 2),
            "cpu": round(spent() - before, 2),
            "changed": changed,
            "tasks": len(done.tasks),
            "archived": archived(done),
            "memory": memory.most,
            "processes": memory.processes,
        }
    return found


def spent() -> float:
    """CPU seconds of all processes that have ended and were waited for: of a playbook with its modules, not of detached jobs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def archived(done: PlaybookRun) -> int:
    """How many messages a run archived."""
    return sum(int(task.result["run"]["new"]) for task in done.of("archive_run"))


def written(lab: Lab, folder: Path) -> Path:
    """Write an inventory of all servers and one archive host."""
    hosts = {server.name: {**declaration(server), **edited(server, folder)} for server in lab.servers}
    keeper = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "archive_host_python": sys.executable,
        "archive_host_root": str(folder / "archive"),
        "archive_profiles": [{"name": "mailboxes", "method": "multiple_mailboxes"}],
    }
    path = folder / "inventory.json"
    groups = {"kerio_servers": {"hosts": hosts}, "archive_hosts": {"hosts": {"archive1": keeper}}}
    path.write_text(json.dumps(groups), encoding="utf-8")
    return path


def edited(server: LabServer, folder: Path) -> Json:
    """Host variables for the edit of mailserver.cfg."""
    return {
        "kerio_mailserver_cfg_permanent_delete": True,
        "kerio_mailserver_cfg_path": server.mailserver_cfg,
        "kerio_mailserver_cfg_become": False,
        "kerio_mailserver_cfg_state_dir": str(folder / server.name),
        "kerio_mailserver_cfg_service": {"script": server.service_script, "pid_file": server.pid_file},
        "kerio_mailserver_cfg_ready": {"host": server.host, "api_port": server.admin_port, "imap_port": server.imap_port},
    }


def compared(runs: Json, servers: int) -> Json:
    """Add what a server costs, and what a run costs beside the first one."""
    return {
        "servers": servers,
        "runs": {
            name: {
                **run,
                "seconds_per_server": round(run["seconds"] / servers, 3),
                "of_first": round(run["seconds"] / runs["first"]["seconds"], 3),
            }
            for name, run in runs.items()
        },
    }


def lines(found: Json) -> list[str]:
    """The figures as text."""
    told = [f"site.yml and drift.yml over {found['servers']} servers, all on {os.cpu_count()} cores:"]
    for name, run in found["runs"].items():
        told.append(
            f"  {name:6} {run['seconds']:.1f} s, {run['seconds_per_server']:.2f} s a server, {run['of_first']:.2f} of the first; "
            f"CPU {run['cpu']:.1f} s; {run['changed']} changed, {run['tasks']} tasks, {run['archived']:,} messages; "
            f"controller {run['memory'] / 2**20:.0f} MiB in {run['processes']} processes"
        )
    return told
