# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_rehearse with a mailbox in memory: what comes back, what does not, what is left behind, and backups as a source."""

from __future__ import annotations

import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import rehearse, snapshot
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, NetworkError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Fetched
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Result
from ansible_collections.mailops.kerio.plugins.modules import archive_rehearse
from tests.faults import imap_script, imap_server
from tests.faults.imap_server import ImapServer
from tests.play.trees import tree
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import Archive, alices, mail

PASSWORD = "not-a-secret-rehearsal"
MADE = "kerio-archive rehearsal"


@dataclass
class Server:
    """Its folders, and what it does to messages: ``change`` makes the bytes of each, None refuses it."""

    folders: dict[str, list[tuple[bytes, int]]] = field(default_factory=lambda: {"INBOX": []})
    change: t.Callable[[bytes], bytes | None] = lambda body: body
    loses: int = 0
    dies_at: int = -1
    opened: int = 0

    def open(self, _endpoint: Endpoint, _credentials: Credentials) -> Session:
        self.opened += 1
        return Session(self)


@dataclass
class Session:
    server: Server
    usable: bool = True

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


class Folder:
    """Stands for ``Scratch``."""

    def __init__(self, conn: Session, name: str) -> None:
        self.name = name
        self.made = False
        self._conn = conn
        self._folders = conn.server.folders

    def refuse_existing(self) -> None:
        if self.name in self._folders:
            raise ImapError(self.name, "the folder exists already", "Give another name")

    def create(self) -> None:
        self.refuse_existing()
        self._folders[self.name] = []
        self.made = True

    def append(self, body: bytes, date: int) -> Result:
        server, messages = self._conn.server, self._folders[self.name]
        if len(messages) == server.dies_at:
            self._conn.usable = False
            raise NetworkError(self.name, "connection reset", "Try again")
        changed = server.change(body)
        if changed is None:
            return Result("NO", "too large")
        messages.append((changed, date))
        return Result("OK", "")

    def messages(self) -> t.Iterator[Fetched]:
        kept = self._folders[self.name][self._conn.server.loses :]
        for uid, (body, date) in enumerate(kept, 1):
            yield Fetched(uid, len(body), date, (), memoryview(body), len(body), ())

    def remove(self) -> list[str]:
        if self.made:
            del self._folders[self.name]
        return []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(rehearse, "open_connection", made.open)
    monkeypatch.setattr(rehearse, "Scratch", Folder)
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return alices(tmp_path, *map(mail, range(5)))


def rehearsed(root: Path, *, check: bool = False, **more: t.Any) -> dict[str, t.Any]:
    given = {"root": str(root), "host": "mail1", "mailbox": "scratch", "password": PASSWORD, **more}
    return run_module(archive_rehearse.main, check=check, **given)


def counts(result: dict[str, t.Any]) -> dict[str, int]:
    kinds = ("same", "line_ends", "headers_added", "other", "refused", "damaged", "missing", "dates_changed")
    return {kind: result["rehearsal"][kind] for kind in kinds if result["rehearsal"][kind]}


@pytest.mark.shows("read")
def test_all_messages_come_back_and_nothing_is_left(archive: Archive, server: Server) -> None:
    before = tree(archive.root)
    result = rehearsed(archive.root)
    assert (result["failed"], result["changed"]) == (False, False)
    assert counts(result) == {"same": 5}
    assert result["msg"].startswith("5 of 5 messages came back from the server byte for byte; all 5 (")
    assert result["rehearsal"]["full_restore"]["messages"] == 5
    assert server.folders == {"INBOX": []}
    assert tree(archive.root) == before


@pytest.mark.usefixtures("server")
def test_a_sample_is_drawn(archive: Archive) -> None:
    result = rehearsed(archive.root, sample=2)
    assert (counts(result), result["rehearsal"]["messages"]) == ({"same": 2}, 2)


@pytest.mark.shows("check")
def test_check_mode_reads_the_archive_and_puts_nothing_in(archive: Archive, server: Server) -> None:
    result = rehearsed(archive.root, check=True)
    assert result["msg"] == "5 messages would be put into the server and fetched back; 0 damaged"
    assert (server.opened, server.folders) == (1, {"INBOX": []})
    server.folders[MADE] = []
    assert "the folder exists already" in rehearsed(archive.root, check=True)["msg"]


@pytest.mark.parametrize(
    ("change", "expected", "failed"),
    [
        (lambda body: b"X-Added: 1\r\n" + body, {"headers_added": 5}, False),
        (lambda body: body.replace(b"\r\n", b"\n"), {"line_ends": 5}, False),
        (lambda body: body.replace(b"Text 3", b"Test 3"), {"same": 4, "other": 1}, True),
        (lambda body: None if b"Text 3" in body else body, {"same": 4, "refused": 1}, True),
    ],
)
def test_what_the_server_changes_is_told(
    archive: Archive, server: Server, change: t.Any, expected: dict[str, int], failed: bool
) -> None:
    server.change = change
    result = rehearsed(archive.root)
    assert (counts(result), result["failed"]) == (expected, failed)
    changed = result["rehearsal"]["changed_messages"]
    assert len(changed) == 5 - expected.get("same", 0)
    assert {Path(each["object"]).name for each in changed} <= set(archive.files())
    assert server.folders == {"INBOX": []}


def test_what_the_server_does_not_give_back_is_told(archive: Archive, server: Server) -> None:
    server.loses = 2
    result = rehearsed(archive.root)
    assert (counts(result), result["failed"]) == ({"same": 3, "missing": 2}, True)


@pytest.mark.usefixtures("server")
def test_a_message_that_is_damaged_in_the_archive_is_told_and_not_put_in(archive: Archive) -> None:
    name = archive.files()[0]
    path = archive.root / "objects" / name[:2] / name
    path.unlink()
    path.write_bytes(b"damaged")
    result = rehearsed(archive.root)
    assert (counts(result), result["failed"]) == ({"same": 4, "damaged": 1}, True)
    assert result["rehearsal"]["changed_messages"][0]["object"] == f"objects/{name[:2]}/{name}"


def test_the_folder_is_removed_when_the_connection_is_lost(archive: Archive, server: Server) -> None:
    server.dies_at = 3
    result = rehearsed(archive.root)
    assert result["failed"]
    assert "connection reset" in result["msg"]
    assert (server.opened, server.folders) == (2, {"INBOX": []})


def test_a_folder_that_exists_is_refused_and_stays(archive: Archive, server: Server) -> None:
    server.folders[MADE] = [(b"somebody's", 0)]
    result = rehearsed(archive.root)
    assert (result["failed"], server.folders[MADE]) == (True, [(b"somebody's", 0)])


def test_a_folder_into_which_somebody_else_puts_mail_is_not_removed_with_it(archive: Archive) -> None:
    foreign = b"Subject: mine\r\n\r\n"
    with ImapServer() as imap:
        imap.state.folder("scratch")
        put = imap_script.before(lambda _command: imap.state.folder("scratch", MADE).add(foreign))
        imap.script.on("EXAMINE", put, times=1)
        result = rehearsed(archive.root, host=imap_server.HOST, port=imap.port, access="IMAP", password=imap_server.PASSWORD)
        held = {raw: [one.body[:] for one in folder.messages] for raw, folder in imap.state.mailboxes["scratch"].items()}
    cause = "the folder holds more messages than were put in, so it is not removed"
    remedy = "Take out what is not of the rehearsal, remove the folder by hand, rehearse again"
    assert (result["failed"], result["msg"]) == (True, f"{MADE}: {cause}. {remedy}.")
    assert (held[b"INBOX"], len(held[MADE.encode()]), foreign in held[MADE.encode()]) == ([], 6, True)


@pytest.mark.usefixtures("server")
def test_a_backup_is_a_source_and_is_not_written_to(archive: Archive, tmp_path: Path) -> None:
    snapshot.take(str(archive.root))
    copy = tmp_path / "copy"
    for name in ("backup", "objects"):
        shutil.copytree(archive.root / name, copy / name)
    shutil.copy2(archive.root / "format", copy)
    before = tree(copy)
    assert counts(rehearsed(copy)) == {"same": 5}
    assert tree(copy) == before


@pytest.mark.shows("error")
@pytest.mark.parametrize(
    ("options", "words"),
    [({"sample": 0}, "sample: 0 cannot be used"), ({"root": "/nowhere"}, "it holds no archive. Give the root of an archive, or")],
)
def test_what_cannot_be_rehearsed(archive: Archive, server: Server, options: dict[str, t.Any], words: str) -> None:
    result = rehearsed(**{"root": archive.root, **options})
    assert result["failed"]
    assert words in result["msg"]
    assert server.opened == 0
