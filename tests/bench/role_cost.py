# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the role kerio_connect takes for servers that are as declared.

Every server is a lab server of its own, without Dovecot, which neither the administration nor a master login needs. All kinds of
settings are declared. What is timed is the whole ansible-playbook with the play of configure.yml that has the role.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from tests.lab.fixtures import Lab, LabServer, many_labs
from tests.lab.playbooks import ROOT, PlaybookRun, run_playbook

ROUNDS = 3
COUNTS = (1, 20)
TARGETS = {1: 4.0, 20: 40.0}
GROUP = "Archive hosts"


def measured() -> list[dict[str, t.Any]]:
    """Time the role and print it; raises ``SystemExit`` when a round did not find everything as declared."""
    with many_labs() as make, tempfile.TemporaryDirectory() as folder:
        lab = make(servers=max(COUNTS), users=3, start=False)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda server: server.service("start"), lab.servers))
        playbook, inventory = written(lab, Path(folder))
        settled(run_playbook(playbook, inventory=inventory))
        seconds = {count: [timed(playbook, inventory, lab.servers[:count]) for _ in range(ROUNDS)] for count in COUNTS}
    print(f"The role kerio_connect, all kinds declared, nothing to do, on {os.cpu_count()} cores:")
    for count, took in seconds.items():
        rounds = ", ".join(f"{one:.2f}" for one in took)
        print(f"  {count:2} server{'s' if count > 1 else ' '}: {rounds} s; target under {TARGETS[count]:.0f} s")
    return [
        {"servers": count, "seconds": took, "median": statistics.median(took), "target": TARGETS[count]}
        for count, took in seconds.items()
    ]


def written(lab: Lab, folder: Path) -> tuple[Path, Path]:
    """Write the play of configure.yml that has the role, and an inventory of all servers; return both files."""
    source = ROOT / "playbooks" / "configure.yml"
    plays = yaml.safe_load(source.read_text(encoding="utf-8"))
    (play,) = [play for play in plays if play.get("hosts") == "kerio_servers" and play.get("connection") == "local"]
    play["vars_files"] = [str(source.parent / name) for name in play["vars_files"]]
    # A failure is to end the run with its status, rather than to be told later.
    play["tasks"] = play["tasks"][0]["block"]
    playbook, inventory = folder / "role.json", folder / "inventory.json"
    playbook.write_text(json.dumps([play]), encoding="utf-8")
    hosts = {server.name: declaration(server) for server in lab.servers}
    keeper = {"ansible_connection": "local", "archive_profiles": [{"name": "mailboxes", "method": "multiple_mailboxes"}]}
    groups = {"kerio_servers": {"hosts": hosts}, "archive_hosts": {"hosts": {"archive1": keeper}}}
    inventory.write_text(json.dumps(groups), encoding="utf-8")
    return playbook, inventory


def declaration(server: LabServer) -> dict[str, t.Any]:
    """Return host variables that declare all kinds."""
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "kerio_connect_host": server.host,
        "kerio_connect_port": server.admin_port,
        "kerio_connect_user": server.admin_user,
        "kerio_connect_password": server.admin_password,
        "kerio_connect_ca_file": server.ca_file,
        "kerio_connect_imap_port": server.imaps_port,
        "kerio_connect_ip_address_groups": [{"name": GROUP, "entries": [{"host": "127.0.0.1"}]}],
        "kerio_connect_security_policy": {
            "authentication_methods": {"CRAM-MD5": False, "DIGEST-MD5": False},
            "anti_hammering_exception_group": GROUP,
        },
        "kerio_connect_services": [{"name": name, "running": True, "start_up": "automatic"} for name in ("IMAP", "Secure IMAP")],
        "kerio_connect_users": [{"address": server.archive_mailbox, "enabled": True, "disk_limit_mb": 0, "item_limit": 0}],
        "kerio_connect_master_authentication": {
            "enabled": True,
            "ip_address_group": GROUP,
            "password": server.master_password,
        },
        "kerio_connect_advanced_options": {"insert_x_envelope_to": True},
        "kerio_connect_archiving": {
            "enabled": True,
            "remote_address": server.archive_mailbox,
            **{f"{kind}_messages": True for kind in ("local", "incoming", "outgoing", "relayed")},
        },
    }


def timed(playbook: Path, inventory: Path, servers: list[LabServer]) -> float:
    """Run the role on some servers that are right; return the seconds."""
    done = run_playbook(playbook, "--limit", ",".join(server.name for server in servers), inventory=inventory)
    settled(done)
    if done.changed() or len(done.of("kerio_compare")) != len(servers) or len(done.of("kerio_master_login")) != len(servers):
        raise SystemExit(f"The servers were not all compared and found right:\n{done.output}")
    return round(done.seconds, 2)


def settled(done: PlaybookRun) -> None:
    """Raise ``SystemExit`` with the output of a run that failed."""
    if done.rc:
        raise SystemExit(done.output)
