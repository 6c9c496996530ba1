# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of a restore: Alice's archived mail, and a server with her mailbox that is empty and misbehaves as a script says."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import shutil
import sqlite3
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore import Restore, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from tests.faults.imap_script import Command, Script
from tests.faults.imap_server import PASSWORD, ImapServer
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE = "alice@example.com"
INBOX = [mail(number) for number in range(1, 9)]
PROJECTS = [mail(number) for number in range(20, 23)]
BARE = b"Subject: bare\n\nline\nline\n"
MAIL = {b"INBOX": INBOX, b"Letters": [BARE], b"Projects/X": PROJECTS}
ALL = sum(map(len, MAIL.values()))
DATE = 1_700_000_000  # and the UID, is the INTERNALDATE
FLAGS = ("\\Flagged", "\\Answered", "$Forwarded")  # of the first message of Projects/X
# Nothing that a restore says may change or remove what is there.
SAID = {"CONNECT", "GREETING", "CAPABILITY", "LOGIN", "LIST", "EXAMINE", "SELECT", "CREATE", "SUBSCRIBE", "APPEND", "NOOP"}
SAID |= {"UID SEARCH", "UID FETCH", "LOGOUT"}


def make_archive(root: Path) -> Path:
    """The archive of ``MAIL``."""
    servers = FakeServers(root.with_suffix(".log"))
    archive = Archive(root, servers)
    archive.user(ALICE)
    archive.profiles = [MULTIPLE]
    for raw, bodies in MAIL.items():
        servers.folder("mail1", ALICE, raw.decode()).add(*bodies)
    servers.folder("mail1", ALICE, "Projects/X").flag(1, *FLAGS)
    archive.run()
    return root


class Scene:
    """``restore`` runs one and asserts what holds after every one: the figures add up, and nothing was removed or marked.

    ``meanwhile`` is what happens while it sleeps, for which it takes no time.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.server = ImapServer()
        self.server.state.folder(ALICE)
        self.slept: list[float] = []
        self.meanwhile: t.Callable[[], object] = lambda: None
        self.forget()

    @property
    def script(self) -> Script:
        return self.server.script

    def wish(self, *, timeout: float = 10.0, **more: t.Any) -> Wish:
        one = {"name": "mail1", "host": "127.0.0.1", "port": self.server.port, "access": "IMAP"}
        servers = parse_servers([{**one, **more.pop("server_keys", {})}])
        servers = {name: dataclasses.replace(server, timeout=timeout) for name, server in servers.items()}
        return Wish(str(self.root), ALICE, servers, Secrets(), password=PASSWORD, by="operator", **more)

    def restore(self, *, write: bool = True, reporter: Reporter | None = None, **more: t.Any) -> Report:
        report = Restore(self.wish(**more), reporter or Silent(), write, sleep=self.sleep).run()
        sums = [report.total(key) for key in ("asked", "appended", "there", "failed")]
        assert sums[0] == sum(sums[1:])
        assert sum(report.kinds.values()) == report.total("failed")
        assert {entry.verb for entry in self.server.log} <= SAID
        return report

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds:
            self.meanwhile()

    def forget(self) -> None:
        """Lose the journal."""
        shutil.rmtree(self.root / "jobs" / "archive_restore.known", ignore_errors=True)

    def bodies(self, raw: bytes) -> list[bytes]:
        folder = self.server.state.mailboxes[ALICE].get(raw)
        return [] if folder is None else [one.body[:] for one in folder.messages]

    def held(self) -> dict[bytes, Counter[bytes]]:
        """What is in each folder that holds anything, and how often."""
        return {raw: Counter(self.bodies(raw)) for raw in self.server.state.mailboxes[ALICE] if self.bodies(raw)}

    def appends(self, since: int = 0) -> list[str]:
        return [entry.text for entry in self.server.log[since:] if entry.verb == "APPEND"]

    def entries(self) -> list[dict[str, t.Any]]:
        """What waits for the ledger."""
        with contextlib.closing(sqlite3.connect(self.root / "catalog.sqlite3")) as database:
            return [json.loads(row[0]) for row in database.execute("SELECT entry FROM evidence_waiting ORDER BY id")]


def once(**instead: list[bytes]) -> dict[bytes, Counter[bytes]]:
    """Everything, once; ``instead`` has other contents of a folder (INBOX=...)."""
    return {raw: Counter(instead.get(raw.decode().partition("/")[0], bodies)) for raw, bodies in MAIL.items()}


def counts(report: Report) -> dict[str, int]:
    """What of the report is not zero."""
    keys = ("appended", "there", "failed", "line_ends", "headers_added", "dates_changed", "flags_left_out")
    return {key: report.total(key) for key in keys if report.total(key)}


def causes(report: Report) -> list[tuple[str, str, int]]:
    """The failures: folder, kind, how many messages."""
    return [(failure.folder, failure.kind, failure.messages) for failure in report.failures]


def body_of(command: Command) -> bytes:
    """The message of an APPEND."""
    return command.parts[1]


def changed(change: t.Callable[[bytes], bytes]) -> t.Callable[[Command], None]:
    """An action of the script: the server makes something else of each message that it is given."""

    def action(command: Command) -> None:
        command.parts[1] = change(command.parts[1])

    return action


def stamp(moment: datetime.datetime) -> int:
    """Epoch seconds."""
    return int(moment.timestamp())


def object_of(root: Path, body: bytes) -> Path:
    digest = hashlib.sha256(body).hexdigest()
    return root / "objects" / digest[:2] / digest
