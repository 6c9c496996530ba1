# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers with mail and master authentication, and the tasks that archive them; what the servers say of it."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import threading
import typing as t
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path

from tests.lab import imap_log, ports
from tests.lab.fixtures import Lab, LabServer
from tests.lab.generate import Placed
from tests.play.helpers import SECRET, Answer, Step, connection, play

Data = dict[str, t.Any]
FETCHED = ("UID FETCH", "FETCH")
# Folders of the generator that no profile selects by default; what starts with # may be a name space of the server's.
LEFT_OUT = ("Deleted Items", "Junk E-mail", "Drafts", "#hash")
MAILBOXES = {"name": "mailboxes", "method": "multiple_mailboxes"}
COUNTS = ("seen", "new", "copies", "known", "excluded", "left", "failed", "quarantined", "gone")


def journal(server: LabServer, **more: t.Any) -> Data:
    """The profile of a server's archive mailbox, opened with its own password."""
    name = f"journal of {server.name}"
    return {"name": name, "method": "multidrop", "servers": [server.name], "mailbox": server.archive_mailbox, **more}


@dataclass
class Site:
    """A lab with mail in it, and its directories as ``kerio_directory_info`` returns them."""

    lab: Lab
    placed: list[Placed]
    directories: list[Data]

    @property
    def servers(self) -> list[LabServer]:
        return self.lab.servers

    @property
    def passwords(self) -> Data:
        """Of the archive mailboxes, by profile."""
        return {journal(server)["name"]: server.user("archive")["password"] for server in self.servers}

    def expected(self, *servers: LabServer, archive: bool = False) -> int:
        """How many of the generated messages a run must see in mailboxes of people, or in the archive mailboxes."""
        names = [server.name for server in servers or self.servers]
        here = [one for one in self.placed if one.server in names and one.folder not in LEFT_OUT]
        return sum(1 for one in here if bool(one.copy_of) == archive)

    def secrets(self) -> list[bytes]:
        """Passwords that only this site knows."""
        masters = [server.master_password for server in self.servers]
        return [str(secret).encode() for secret in (*masters, *self.passwords.values())]

    def profiles(self) -> list[Data]:
        """All three methods: every mailbox, both archive mailboxes, and one mailbox for a successor."""
        leaver = {"name": "leaver", "method": "single_mailbox", "servers": ["mail2"], "credentials": "password"}
        leaver.update(mailbox=self.servers[1].user("gina")["address"], target_user=self.servers[0].user("bob")["address"])
        return [*(journal(server) for server in self.servers), leaver, MAILBOXES]

    def access(self, server: LabServer, **more: t.Any) -> Data:
        """An entry of the option servers."""
        own = {"name": server.name, "host": server.host, "port": server.imaps_port, "ca_file": server.ca_file}
        return {**own, "master_password": server.master_password, **more}

    def ready(self, root: Path) -> list[Step]:
        """The tasks before archiving."""
        nobody = [server.archive_mailbox for server in self.servers]
        users = {"root": str(root), "directories": self.directories, "not_users": nobody}
        return [Step("archive_store", {"root": str(root), "reserve": 0}), Step("archive_users", users)]

    def run(self, root: Path, *profiles: Data, check: bool = False, python: str = "", **more: t.Any) -> Step:
        """A task of archive_run; all profiles unless given."""
        options: Data = {"root": str(root), "servers": [self.access(server) for server in self.servers]}
        options.update(
            profiles=list(profiles) or self.profiles(), passwords=dict(self.passwords, leaver=self.gina()), processes=2
        )
        step = Step("archive_run", {**options, **more}, check)
        return replace(step, python=python) if python else step

    def gina(self) -> str:
        password: str = self.servers[1].user("gina")["password"]
        return password


def furnish(lab: Lab, messages: int) -> Site:
    """Fill the mailboxes, switch master authentication on, and read the directories."""
    placed = lab.fill(messages)
    for server in lab.servers:
        furnish_server(server)
    answers = play(*(Step("kerio_directory_info", connection(server)) for server in lab.servers))
    return Site(lab, placed, [answer.result["directory"] for answer in answers])


def furnish_server(server: LabServer) -> None:
    """Switch master authentication and archiving on, as the administrator would, with passwords that stand nowhere else."""
    server.entry["master_password"] = f"{SECRET}-master-{uuid.uuid4().hex}"
    keeper = server.user("archive")
    keeper["password"] = f"{SECRET}-archive-{uuid.uuid4().hex}"
    server.api("Users.set", {"userIds": [keeper["id"]], "pattern": {"password": keeper["password"]}})
    advanced = server.api("AdvancedOptions.get")["options"]
    advanced["masterAuthentication"].update(isEnabled=True, password=server.master_password)
    server.api("AdvancedOptions.set", {"options": advanced})
    archive = server.api("Archive.get")["options"]
    archive.update(isEnabled=True, remoteArchive={"enabled": True, "value": server.archive_mailbox})
    server.api("Archive.set", {"options": archive})


class Watch:
    """What a server's IMAP service was asked from now on."""

    def __init__(self, *servers: LabServer) -> None:
        self._logs = {
            server.name: (server.folder / "imap-commands.jsonl", server.folder / "imap-logins.jsonl") for server in servers
        }
        self._before = {path: len(imap_log.read(path)) for paths in self._logs.values() for path in paths}

    def _since(self, path: Path) -> list[Data]:
        return imap_log.read(path)[self._before[path] :]

    def commands(self) -> Counter[str]:
        """How often each command came, on all servers."""
        return Counter(line["command"] for commands, _logins in self._logs.values() for line in self._since(commands))

    def refused(self, server: LabServer) -> list[Data]:
        """Logins that the server refused."""
        return [line for line in self._since(self._logs[server.name][1]) if not line["ok"]]


def send(server: LabServer, *recipients: str, number: int = 1) -> None:
    """Deliver one mail by SMTP from outside."""
    mail = EmailMessage()
    mail["From"] = "a customer <customer@elsewhere.example>"
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = f"Order {number}"
    mail["Message-ID"] = f"<order-{number}@elsewhere.example>"
    mail.set_content(f"Please send {number} of these.\n")
    with smtplib.SMTP(server.host, server.smtp_port, timeout=30) as smtp:
        smtp.send_message(mail)


def counts(data: Data) -> Data:
    """The figures of a run, a profile, a mailbox or a folder; asserts that they add up."""
    found = {name: data[name] for name in COUNTS}
    assert found["seen"] == sum(found.values()) - found["seen"]
    return found


def profile_counts(answer: Answer) -> dict[str, Data]:
    """The figures of each profile; asserts that every folder and mailbox adds up."""
    assert "profiles" in answer.result, answer.result
    for profile in answer.result["profiles"]:
        for mailbox in profile["mailboxes"]:
            total = Counter[str]()
            for folder in mailbox["folders"]:
                total.update(counts(folder))
            assert dict(total) | {name: 0 for name in COUNTS if name not in total} == counts(mailbox)
    return {profile["name"]: counts(profile) for profile in answer.result["profiles"]}


@dataclass
class Stuck:
    """A server that takes a connection and says nothing: who reads it stays at work until it is let go."""

    port: int
    _listener: socket.socket
    _taken: list[socket.socket] = field(default_factory=list)

    def taken(self) -> None:
        """Return once somebody has connected."""
        self._taken.append(self._listener.accept()[0])

    def let_go(self) -> None:
        """End the wait of who has connected, and take nobody any more."""
        self._listener.close()
        for link in self._taken:
            link.close()


@contextlib.contextmanager
def stuck() -> t.Iterator[Stuck]:
    """A ``Stuck`` server; nobody is left waiting at its end."""
    listener = socket.socket()
    listener.bind((ports.HOST, 0))
    listener.listen(8)
    listener.settimeout(60)
    server = Stuck(listener.getsockname()[1], listener)
    try:
        yield server
    finally:
        server.let_go()


class Background:
    """Steps that run in a playbook of their own while the test goes on."""

    def __init__(self, *steps: Step) -> None:
        self._answers: list[Answer] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._play, args=steps)
        self._thread.start()

    def _play(self, *steps: Step) -> None:
        try:
            self._answers = play(*steps)
        except BaseException as error:
            self._error = error
            raise

    def answers(self) -> list[Answer]:
        """Wait for the end."""
        self._thread.join()
        assert self._error is None
        return self._answers
