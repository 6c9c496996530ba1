# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks with one server whose administration is down: the rest is done all the same, and the failure is told at the end."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = Path(__file__).parents[3]
TOLD = "Ensure everything declared for the server was done"
SUMMARY = "Ensure it is told what was done"
DIRECTORY = "mailops.kerio.kerio_connect : Ensure the directory of the server is read"


@pytest.fixture
def closed_port() -> t.Iterator[int]:
    """A port that nobody listens on and that nobody else is given meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def tasks_of(playbook: str, port: int, folder: Path) -> tuple[int, list[tuple[str, str]]]:
    """Run a playbook; return its exit code and its tasks in order, each with how it ended on mail1."""
    server = {
        "ansible_host": "127.0.0.1",
        "kerio_connect_port": port,
        "kerio_connect_user": "Admin",
        "kerio_connect_password": "not-a-secret-admin",
        "kerio_connect_archiving": {"enabled": True},
    }
    inventory = folder / "inventory.json"
    groups = {"kerio_servers": {"hosts": {"mail1": server}}, "archive_hosts": {"hosts": {"archive1": {}}}}
    inventory.write_text(json.dumps(groups), encoding="utf-8")
    program = Path(sys.executable).with_name("ansible-playbook")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    command = [program, "-i", inventory, "--limit", "mail1", f"playbooks/{playbook}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    texts = re.split(r"^TASK \[(.*)\] \*+$", done.stdout, flags=re.MULTILINE)[1:]
    ends = [re.search(r"^(\w+): \[mail1\]", text, re.MULTILINE) for text in texts[1::2]]
    return done.returncode, [(name, end.group(1)) for name, end in zip(texts[::2], ends, strict=True) if end]


def test_site_goes_on_to_users_and_archive_and_fails_at_its_end(tmp_path: Path, closed_port: int) -> None:
    code, tasks = tasks_of("site.yml", closed_port, tmp_path)
    assert code == 2
    assert (DIRECTORY, "fatal") in tasks
    assert [end for name, end in tasks if name == TOLD] == ["fatal"]
    assert tasks[-2:] == [(TOLD, "fatal"), (SUMMARY, "ok")]


@pytest.mark.parametrize("before", [[], ["the archive host is not prepared"]])
@pytest.mark.parametrize("playbook", ["users.yml", "access.yml"])
def test_each_failure_of_an_archive_host_is_told(playbook: str, before: list[str]) -> None:
    plays = DataLoader().load_from_file(str(ROOT / "playbooks" / playbook), trusted_as_template=True)
    (play,) = (play for play in plays if play.get("hosts") == "archive_hosts")
    ((task,),) = (task["rescue"] for task in play["tasks"] if "rescue" in task)
    known = {"archive_failures": before} if before else {}
    shared = DataLoader().load_from_file(str(ROOT / "playbooks" / "vars" / "failed.yml"), trusted_as_template=True)
    variables = {**shared, **task.get("vars", {}), **known, "ansible_failed_result": {"msg": "no such user"}}
    *first, last = Templar(loader=DataLoader(), variables=variables).template(
        task["ansible.builtin.set_fact"]["archive_failures"]
    )
    assert (first, last.rpartition(": ")[2]) == (before, "no such user")


@pytest.mark.parametrize("playbook", ["configure.yml", "users.yml"])
def test_playbook_of_its_own_fails(tmp_path: Path, closed_port: int, playbook: str) -> None:
    code, tasks = tasks_of(playbook, closed_port, tmp_path)
    assert (code, tasks[-2:]) == (2, [(TOLD, "fatal"), (SUMMARY, "ok")])
