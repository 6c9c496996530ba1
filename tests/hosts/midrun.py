# SPDX-License-Identifier: GPL-3.0-or-later
"""Catching an archive run in the middle: mail that takes it a while, what it says of itself, and a server that holds it there."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.mailops.kerio.plugins.module_utils.job import ATTENDED_SECONDS
from tests.hosts import network
from tests.hosts.fleet import Fleet
from tests.hosts.machine import Machine
from tests.lab.dovecot import mailbox_name
from tests.lab.generate_load import Item, Loader
from tests.lab.playbooks import PlaybookRun, Playing, Task
from tests.lab.service import wait_until

# Of the archive, below the disk of its host.
ARCHIVE = "kerio"
PATIENCE = 300.0
# Processes by the words of pkill: of a run (those that ask how it goes have no options), of a mail server, and those in which it
# reads and changes mailboxes.
RUN = ("-u", "kerio-archive", "-f", "python -I ")
SERVER = ("-f", "tests.lab.mailserver")
MAILBOXES = ("-x", "imap")
# A parcel of 1,000 messages is committed after some seconds, and as many seconds of work are left then.
MESSAGES = 1400
SLOWLY = {"kerio_connect_imap_bandwidth": "160K", "kerio_connect_imap_timeout": 600}


def load(fleet: Fleet, server: str, seed: str, *, messages: int = MESSAGES, size: int = 300, person: int = 0) -> list[str]:
    """Put messages with about so many bytes, which nothing makes smaller, into a person's inbox; return their digests."""
    user, chance = people(fleet, server)[person], random.Random(f"{seed} {person}")
    when = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    head = f"From: somebody@example.org\r\nTo: {user['address']}\r\nSubject: {seed}"
    bodies = [
        f"{head} {number}\r\n\r\n".encode() + base64.encodebytes(chance.randbytes(size * 3 // 4)).replace(b"\n", b"\r\n")
        for number in range(messages)
    ]
    shorten_buffers(fleet)
    with fleet.inside(server), Loader(fleet.server(server).dovecot, mailbox_name(user["id"])) as loader:
        loader.append("INBOX", [Item(body, when) for body in bodies])
    return [hashlib.sha256(body).hexdigest() for body in bodies]


def shorten_buffers(fleet: Fleet) -> None:
    """Let little be under way between two hosts, so that who stands still is missed at once."""
    for host in fleet.machines:
        with fleet.inside(host):
            for name in ("tcp_rmem", "tcp_wmem"):
                Path(f"/proc/sys/net/ipv4/{name}").write_text("4096 16384 16384")


def people(fleet: Fleet, server: str) -> list[dict[str, Any]]:
    """Whose mailboxes are archived."""
    return [user for user in fleet.entries[server]["users"] if user["login"] != "archive"]


def places(fleet: Fleet, host: str, digests: list[str]) -> dict[str, int]:
    """In how many folders of its users an archive host has each of the messages; one that it does not have is left out."""
    objects = fleet.disks / host / ARCHIVE / "objects"
    files = {digest: objects / digest[:2] / digest for digest in digests}
    return {digest: file.stat().st_nlink - 1 for digest, file in files.items() if file.exists()}


def everywhere_once(fleet: Fleet, host: str, digests: list[str]) -> bool:
    """Nothing is lost, and nothing twice."""
    return places(fleet, host, digests) == dict.fromkeys(digests, 1)


# -- what the job says of itself -------------------------------------------------------------------------------------------


def record(fleet: Fleet, host: str, name: str, job: str = "archive_run") -> dict[str, Any]:
    """A file of the job, {} when there is none."""
    file = fleet.disks / host / ARCHIVE / "jobs" / job / f"{name}.json"
    with contextlib.suppress(FileNotFoundError):
        found: dict[str, Any] = json.loads(file.read_bytes())
        return found
    return {}


def job_id(fleet: Fleet, host: str) -> str:
    """Of the run under way, or of the last one."""
    return str(record(fleet, host, "state").get("id", ""))


def running(fleet: Fleet, host: str) -> bool:
    begun = job_id(fleet, host)
    return bool(begun) and record(fleet, host, "result").get("id") != begun


def said(fleet: Fleet, host: str) -> dict[str, Any]:
    """What belongs to the last line of the run under way: of a mailbox the messages that are committed, or deleted."""
    last = record(fleet, host, "progress")
    data: dict[str, Any] = last.get("data", {}) if last.get("id") == job_id(fleet, host) else {}
    return data


def fetched(fleet: Fleet, host: str) -> int:
    return int(said(fleet, host).get("messages", 0))


def middle(fleet: Fleet, host: str, playing: Playing) -> str:
    """Wait until the run that `playing` starts has archived a part of a mailbox, and return its id."""
    before = job_id(fleet, host)  # Ansible takes a second to get there
    there = wait_until(
        lambda: (job_id(fleet, host) != before and fetched(fleet, host) > 0) or playing.process.poll() is not None, PATIENCE
    )
    assert there and running(fleet, host), playing.output()
    return job_id(fleet, host)


def over(fleet: Fleet, host: str) -> None:
    assert wait_until(lambda: not running(fleet, host), PATIENCE)


# -- holding it there ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def frozen(machine: Machine, processes: Sequence[str]) -> Iterator[None]:
    """They stand still, but for those that are gone by the end."""
    machine.run("pkill", "-STOP", *processes)
    try:
        yield
    finally:
        machine.run("pkill", "-CONT", *processes, check=False)


@contextlib.contextmanager
def cable_pulled(machine: Machine, seconds: float) -> Iterator[None]:
    """For so long; what is done meanwhile is not counted."""
    machine.cut()
    try:
        yield
        time.sleep(seconds)
    finally:
        machine.mend()


def kill_controller(fleet: Fleet, playing: Playing) -> None:
    """ansible-playbook, all that it started, and the SSH connections that would outlive it."""
    os.killpg(playing.process.pid, signal.SIGKILL)
    playing.wait()
    cut_ssh(fleet)


def let_a_minute_pass(fleet: Fleet, host: str) -> None:
    """Who attended the run is taken for gone then: what it wrote down last is that much older."""
    file = fleet.disks / host / ARCHIVE / "jobs/archive_run/attendant.json"
    said = json.loads(file.read_bytes())
    file.write_text(json.dumps({**said, "at": said["at"] - ATTENDED_SECONDS}), encoding="utf-8")


def cut_ssh(fleet: Fleet) -> bool:
    """End every SSH connection of the controller; tell whether a module was to answer by one of them."""
    waited = False
    for pid in network.processes(fleet.name):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "ssh":
                waited |= b"BECOME-SUCCESS" in Path(f"/proc/{pid}/cmdline").read_bytes()
                os.kill(pid, signal.SIGKILL)
    return waited


def run_of(done: PlaybookRun, host: str) -> Task:
    """What archiving said there."""
    (task,) = [task for task in done.of("archive_run") if task.host == host]
    return task
