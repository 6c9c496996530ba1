# SPDX-License-Identifier: GPL-3.0-or-later
"""Catching an archive run in the middle: mail that takes it a while, what it says of itself, and a mail server that holds it there."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.hosts import network
from tests.hosts.fleet import Fleet
from tests.hosts.machine import Machine
from tests.lab.dovecot import mailbox_name
from tests.lab.generate_load import Item, Loader
from tests.lab.playbooks import Playing
from tests.lab.service import wait_until

# Of the archive, below the disk of its host.
ARCHIVE = "kerio"
PATIENCE = 120.0
# A parcel of 1,000 messages is committed after some seconds, and as many seconds of work are left then.
MESSAGES = 1400
FILLER = b"0123456789abcdef0123456789abcdef0123456789abcdef\r\n" * 6
SLOWLY = {"kerio_connect_imap_bandwidth": "160K", "kerio_connect_imap_timeout": 600}


def load(fleet: Fleet, server: str, seed: str, *, messages: int = MESSAGES, size: int = 0, person: int = 0) -> list[str]:
    """Put messages into the inbox of a person of the server, and return their digests. `size`: bytes of each body."""
    user = people(fleet, server)[person]
    filler = FILLER * (1 + size // len(FILLER)) if size else FILLER
    when = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    bodies = [
        b"From: somebody@example.org\r\nTo: %s\r\nMessage-ID: <%s.%d@example.org>\r\nSubject: %s %d\r\n\r\n%s"
        % (user["address"].encode(), seed.encode(), number, seed.encode(), number, filler)
        for number in range(messages)
    ]
    host = fleet.server(server)
    with fleet.inside(server), Loader(host.dovecot, mailbox_name(user["id"])) as loader:
        loader.append("INBOX", [Item(body, when) for body in bodies])
    return [hashlib.sha256(body).hexdigest() for body in bodies]


def people(fleet: Fleet, server: str) -> list[dict[str, Any]]:
    """Whose mailboxes are archived."""
    return [user for user in fleet.entries[server]["users"] if user["login"] != "archive"]


def places(fleet: Fleet, host: str, digests: list[str]) -> dict[str, int]:
    """In how many folders of its users an archive host has each of the messages; one that it does not have is left out."""
    objects = fleet.disks / host / ARCHIVE / "objects"
    files = {digest: objects / digest[:2] / digest[2:] for digest in digests}
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


def fetched(fleet: Fleet, host: str) -> int:
    """How many messages of a mailbox the run under way has committed."""
    said = record(fleet, host, "progress")
    return said.get("data", {}).get("messages", 0) if said.get("id") == job_id(fleet, host) else 0


def middle(fleet: Fleet, host: str, playing: Playing, before: str) -> str:
    """Wait until the run that is not `before` has archived a part of a mailbox, and return its id."""
    there = wait_until(
        lambda: (job_id(fleet, host) != before and fetched(fleet, host) > 0) or playing.process.poll() is not None, PATIENCE
    )
    assert there and running(fleet, host), playing.output()
    return job_id(fleet, host)


def over(fleet: Fleet, host: str) -> None:
    assert wait_until(lambda: not running(fleet, host), PATIENCE)


# -- holding it there ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def frozen(machine: Machine) -> Iterator[None]:
    """The mail server answers to nobody who reads mail there; who logs in meanwhile is served."""
    machine.run("pkill", "-STOP", "-x", "imap")
    try:
        yield
    finally:
        machine.run("pkill", "-CONT", "-x", "imap", check=False)


def kill_controller(fleet: Fleet, playing: Playing) -> None:
    """ansible-playbook, all that it started, and the SSH connections that would outlive it."""
    os.killpg(playing.process.pid, signal.SIGKILL)
    playing.wait()
    cut_ssh(fleet)


def cut_ssh(fleet: Fleet) -> None:
    """End every SSH connection of the controller."""
    for pid in network.processes(fleet.name):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "ssh":
                os.kill(pid, signal.SIGKILL)
