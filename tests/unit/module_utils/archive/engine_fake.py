# SPDX-License-Identifier: GPL-3.0-or-later
"""An in-memory stand-in for the IMAP functions that the engine calls, and an archive to run it against.

What the worker processes do is seen through a log file, because they are forks.
"""

from __future__ import annotations

import sqlite3
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent, no_checkpoint
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, LoginRefusedError, NetworkError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import (
    Failed,
    Fetched,
    Gone,
    Listed,
    StreamedBody,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus
from tests.unit.module_utils.archive.search_fake import Candidate, matches

MASTER = "not-a-secret-master-pw"
OTHER = "not-a-secret-other-pw"


@dataclass
class FakeFolder:
    """``bad`` UIDs are refused; at a UID in ``breaks`` the connection is lost; ``refuse`` is what EXAMINE says.

    A UID in ``late`` is there once the file exists: mail that arrives while a run goes on. ``unsearchable`` is what a SEARCH with
    criteria gets for an answer; those in ``overlooked`` it does not find.
    """

    uidvalidity: int = 1
    messages: dict[int, bytes] = field(default_factory=dict)
    flags: dict[int, tuple[str, ...]] = field(default_factory=dict)
    role: str | None = None
    bad: set[int] = field(default_factory=set)
    breaks: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    late: dict[int, Path] = field(default_factory=dict)
    refuse: str = ""
    uidnext: int = 1
    modseq: int = 1
    dates: dict[int, int] = field(default_factory=dict)
    tells_modseq: bool = True
    unsearchable: str = ""
    overlooked: set[int] = field(default_factory=set)

    def add(self, *bodies: bytes) -> FakeFolder:
        for body in bodies:
            self.messages[self.uidnext] = body
            self.uidnext += 1
            self.modseq += 1
        return self

    def flag(self, uid: int, *flags: str) -> None:
        self.flags[uid] = flags
        self.modseq += 1

    def date(self, uid: int) -> int:
        return self.dates.get(uid, 1_700_000_000 + uid)

    def expunge(self, uid: int) -> None:
        del self.messages[uid]
        self.modseq += 1

    def renumber(self) -> None:
        """What a restored server does: a new UIDVALIDITY, new UIDs from 1."""
        bodies = list(self.messages.values())
        self.uidvalidity += 1
        self.messages = dict(enumerate(bodies, 1))
        self.uidnext = len(bodies) + 1

    def uids(self) -> list[int]:
        return sorted(uid for uid in self.messages if uid not in self.late or self.late[uid].exists())

    def status(self) -> FolderStatus:
        uids = self.uids()
        return FolderStatus(self.uidvalidity, self.uidnext, len(uids), self.modseq + len(uids) if self.tells_modseq else None)


@dataclass
class FakeServers:
    """Servers by host: mailbox -> folder name -> folder. ``log`` gets a line per command, and WRONG for a wrong master password.

    A host has the last of its ``masters`` of which the file exists, ``MASTER`` before. One in ``drops`` hangs up once.
    """

    log: Path
    hosts: dict[str, dict[str, dict[str, FakeFolder]]] = field(default_factory=dict)
    refuses_master: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    drops: set[str] = field(default_factory=set)
    masters: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)
    stream_above: int = 1 << 22
    tells_sizes: bool = False

    def folder(self, host: str, mailbox: str, name: str = "INBOX", **options: t.Any) -> FakeFolder:
        folders = self.hosts.setdefault(host, {}).setdefault(mailbox, {})
        return folders.setdefault(name, FakeFolder(**options))

    def say(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(text + "\n")

    def commands(self, word: str) -> list[str]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [line for line in lines if line.split()[0] == word]

    def imap(self) -> Imap:
        listed = {"listing": self.listing, "headers": self.headers}
        return Imap(self.open, self.survey, self.examine, self.search, self.fetch, self.sizes, self.folder_sizes, **listed)

    def open(self, endpoint: Endpoint, credentials: Credentials) -> FakeConnection:
        self.say(f"LOGIN {endpoint.host} {credentials.user}")
        if endpoint.host in self.down:
            raise NetworkError(endpoint.label, "Connection refused", "Check the server")
        if endpoint.host in self.drops:
            self.drops.remove(endpoint.host)
            raise NetworkError(endpoint.label, "the server closed the connection", "Check the server", stage="X-MASTERAUTH")
        right = self.master(endpoint.host) if credentials.master else f"not-a-secret-{credentials.user}"
        wrong = credentials.password != right
        if credentials.master and (wrong or endpoint.host in self.refuses_master):
            self.say(f"WRONG {endpoint.host} {credentials.user}")
            raise refused_master(endpoint.label)
        mailbox = credentials.user.lower()
        if mailbox not in self.hosts[endpoint.host]:
            stage = "X-SETUSER" if credentials.master else "LOGIN"
            raise LoginRefusedError(endpoint.label, f"NO no such user {credentials.user}", "Check the user", stage=stage)
        if wrong:
            raise LoginRefusedError(endpoint.label, "NO LOGIN failed", "Check the password", stage="LOGIN")
        return FakeConnection(self.hosts[endpoint.host][mailbox], f"{endpoint.host} {mailbox}")

    def master(self, host: str) -> str:
        return [MASTER, *(password for path, password in self.masters.get(host, []) if path.exists())][-1]

    def survey(self, conn: FakeConnection) -> tuple[list[Folder], dict[str, FolderStatus]]:
        folders = [
            Folder(name, name.encode(), frozenset(), "/", tuple(name.split("/")), True, folder.role)
            for name, folder in conn.folders.items()
        ]
        return folders, {name: folder.status() for name, folder in conn.folders.items()}

    def examine(self, conn: FakeConnection, folder: Folder) -> FolderStatus:
        self.say(f"EXAMINE {conn.name} {folder.name}")
        conn.opened = conn.folders[folder.name]
        if conn.opened.refuse:
            raise ImapError(folder.name, conn.opened.refuse, "Check the folder")
        return conn.opened.status()

    def search(self, conn: FakeConnection, *criteria: t.Any) -> list[int]:
        folder = conn.selected
        if not criteria:
            return folder.uids()
        self.say(f"SEARCH {conn.name} {' '.join(map(str, criteria))}")
        if folder.unsearchable:
            raise ImapError(conn.name, folder.unsearchable, "Check the folder")
        asked = [uid for uid in folder.uids() if uid not in folder.overlooked]
        known = {uid: Candidate(folder.messages[uid], folder.date(uid), flags_of(folder, uid)) for uid in asked}
        return [uid for uid in asked if matches(known[uid], criteria)]

    def listing(self, conn: FakeConnection, uids: t.Sequence[int]) -> list[Listed]:
        folder = conn.selected
        self.say(f"LIST {conn.name} {','.join(map(str, uids))}")
        there = [uid for uid in sorted(uids) if uid in folder.messages]
        return [Listed(uid, len(folder.messages[uid]), folder.date(uid), flags_of(folder, uid)) for uid in there]

    def headers(self, conn: FakeConnection, uids: t.Sequence[int], names: t.Sequence[str]) -> dict[int, bytes]:
        self.say(f"HEADERS {conn.name} {','.join(map(str, uids))} {' '.join(names)}")
        return {uid: conn.selected.messages[uid].partition(b"\r\n\r\n")[0] for uid in uids}

    def sizes(self, conn: FakeConnection, uids: t.Sequence[int]) -> dict[int, int]:
        self.say(f"SIZES {conn.name}")
        return {uid: len(conn.selected.messages[uid]) for uid in uids if uid in conn.selected.messages}

    def folder_sizes(self, conn: FakeConnection, folders: t.Sequence[Folder]) -> dict[str, int]:
        if not self.tells_sizes:
            return {}
        return {folder.name: sum(map(len, conn.folders[folder.name].messages.values())) for folder in folders}

    def fetch(
        self, conn: FakeConnection, uids: t.Sequence[int], *, staging: t.Any, batch_messages: int = 500, depth: int = 2
    ) -> t.Iterator[Fetched | Failed | Gone]:
        folder = conn.selected
        for index, uid in enumerate(uids):
            if uid in folder.breaks:
                window = uids[index : index + batch_messages * depth]
                in_flight = ",".join(map(str, window))
                raise NetworkError("fake", "connection reset", "Try again", completed="", in_flight=in_flight)
            if uid in folder.gone:
                yield Gone(uid)
            elif uid in folder.bad:
                yield Failed(uid, "NO internal error")
            else:
                self.say(f"FETCH {conn.name} {uid}")
                yield self.message(folder, uid, staging)

    def message(self, folder: FakeFolder, uid: int, staging: t.Any) -> Fetched:
        data = folder.messages[uid]
        body: memoryview | StreamedBody = memoryview(data)
        if len(data) > self.stream_above:
            sink = staging(len(data))
            sink.write(memoryview(data))
            body = StreamedBody(len(data), sink)
        return Fetched(uid, len(data), folder.date(uid), flags_of(folder, uid), body, len(data), ())


def flags_of(folder: FakeFolder, uid: int) -> tuple[str, ...]:
    """Messages are seen unless a test says otherwise."""
    return folder.flags.get(uid, ("\\Seen",))


def refused_master(label: str, answer: str = "NO", *, digest_sent: bool = True) -> LoginRefusedError:
    """What ``open_connection`` raises when the server refuses the master password."""
    details = {"stage": "X-MASTERAUTH", "answer": answer, "server_text": "X-MASTERAUTH failed", "digest_sent": digest_sent}
    cause = f"the server refused X-MASTERAUTH: {answer} X-MASTERAUTH failed"
    return LoginRefusedError(label, cause, "Check the password", **details)


@dataclass
class FakeConnection:
    folders: dict[str, FakeFolder]
    name: str
    opened: FakeFolder | None = None

    @property
    def selected(self) -> FakeFolder:
        assert self.opened is not None
        return self.opened

    def close(self) -> None:
        """Nothing to close."""


class Archive:
    """An archive root with users, and the runs over ``servers``."""

    def __init__(self, root: Path, servers: FakeServers) -> None:
        self.root = root
        self.servers = servers
        Store.create(str(root)).close()
        Catalog.open(self.catalog_file).close()
        self.profiles: list[dict[str, t.Any]] = []
        self.hosts = ["mail1"]
        self.passwords: dict[str, str] = {}
        self.master = MASTER
        self.other: dict[str, str] = {}
        self.refused: dict[str, str] = {}

    @property
    def catalog_file(self) -> str:
        return str(self.root / "catalog.sqlite3")

    def user(self, address: str, *more: str, server: str = "mail1", groups: tuple[str, ...] = ()) -> None:
        with Catalog.open(self.catalog_file) as catalog:
            values = UserValues(name=address, origin="inventory", addresses=(address, *more), server=server, groups=groups)
            catalog.apply_users([UserStep(None, values)])

    def options(self, **more: t.Any) -> Options:
        servers = parse_servers([{"name": host, "refused": self.refused.get(host, "")} for host in self.hosts])
        secrets = Secrets(dict.fromkeys(self.hosts, self.master), self.passwords, self.other)
        return Options(str(self.root), servers, parse_profiles(self.profiles, servers), secrets, **more)

    def run(self, checkpoint: t.Callable[[str], None] = no_checkpoint, **more: t.Any) -> RunReport:
        more.setdefault("processes", 2)
        report = Run(self.options(**more), Silent(), self.servers.imap(), checkpoint).go()
        for profile in report.profiles:
            for mailbox in profile.mailboxes:
                for folder in mailbox.folders:
                    assert folder.error or folder.accounts.balanced(), folder
        return report

    def rows(self, statement: str, values: tuple[t.Any, ...] = ()) -> list[tuple[t.Any, ...]]:
        database = sqlite3.connect(self.catalog_file)
        try:
            return database.execute(statement, values).fetchall()
        finally:
            database.close()

    def dump(self) -> list[str]:
        """Every row but those of the runs, of what is told of mailboxes, and of the counters of time."""
        database = sqlite3.connect(self.catalog_file)
        try:
            tables = ("runs", "totals", "sqlite_sequence", "mailbox_passes")
            left_out = tuple(f'INSERT INTO "{table}"' for table in tables)
            return sorted(line for line in database.iterdump() if not line.startswith(left_out))
        finally:
            database.close()

    def substance(self) -> dict[str, list[tuple[t.Any, ...]]]:
        """What must not depend on how often a run was interrupted: states and placements, by name rather than by number."""
        return {
            "messages": sorted(
                self.rows(
                    "SELECT server, mailbox, name, m.uidvalidity, uid, state, hex(digest) FROM source_messages m"
                    " JOIN source_folders f ON f.id = m.folder_id"
                ),
                key=repr,
            ),
            "placements": sorted(
                self.rows(
                    "SELECT u.name, f.name, hex(p.digest), p.internaldate, p.flags FROM placements p"
                    " JOIN user_folders f ON f.id = p.folder_id JOIN users u ON u.id = p.user_id"
                ),
                key=repr,
            ),
            "objects": sorted(self.rows("SELECT hex(digest), size FROM objects"), key=repr),
        }

    def tree(self) -> list[str]:
        """Every placement file, relative to ``mail``."""
        return sorted(str(path.relative_to(self.root / "mail")) for path in self.root.glob("mail/**/cur/*"))

    def files(self) -> list[str]:
        """Every object file's name."""
        return sorted(path.name for path in self.root.glob("objects/*/*"))

    def placed(self, user: str) -> dict[str, int]:
        """Folder -> number of placements of a user."""
        query = (
            "SELECT f.name, count(*) FROM placements p JOIN user_folders f ON f.id = p.folder_id"
            " JOIN users u ON u.id = p.user_id WHERE u.name = ? GROUP BY f.name"
        )
        return dict(self.rows(query, (user,)))


def mail(number: int, to: str = "alice@example.com", sender: str = "bob@example.net", top: str = "", body: str = "") -> bytes:
    """A message; ``top`` are header lines that a server put above it."""
    header = f"{top}From: {sender}\r\nTo: {to}\r\nSubject: message {number}\r\nMessage-ID: <same@for.all>\r\n"
    return f"{header}\r\nText {number} {body}\r\n".encode()


MULTIPLE = {"name": "all mailboxes", "method": "multiple_mailboxes"}


def alices(folder: Path, *messages: bytes) -> Archive:
    """Return an archive in which a run has archived these messages of Alice's INBOX."""
    servers = FakeServers(folder / "imap.log")
    made = Archive(folder / "archive", servers)
    made.user("alice@example.com")
    made.profiles = [MULTIPLE]
    servers.folder("mail1", "alice@example.com").add(*messages)
    made.run()
    return made


def multidrop(**more: t.Any) -> dict[str, t.Any]:
    return {"name": "journal", "method": "multidrop", "mailbox": "archive@example.com", **more}
