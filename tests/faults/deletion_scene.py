# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of a case of deletion: one mailbox on a scripted server, archived and old enough, with a profile that deletes."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import sqlite3
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport, RunReport
from tests.faults.consistency import consistent, told, without_secrets
from tests.faults.imap_script import Script
from tests.faults.imap_server import PASSWORD, Deletion, ImapServer
from tests.faults.imap_state import DELETED, TRASH, Folder
from tests.faults.raw_run import ALICE, RawRun, folders
from tests.unit.module_utils.archive.engine_fake import mail

COUNT = 6  # messages of the inbox, UIDs from 1
ALL = frozenset(range(1, COUNT + 1))
DAYS = 30
DAY = 86_400
INBOX = (ALICE, b"INBOX")

Content = dict[tuple[str, bytes], list[tuple[int, str, frozenset[str]]]]


class Scene:
    """Alice's INBOX on mail1, archived by a first run and ``DAYS`` old by then. ``go`` is a run that may delete."""

    def __init__(self, root: Path, deletion: Deletion = "flag", delete: t.Any = None, **profile: t.Any) -> None:
        self.server = ImapServer(deletion=deletion)
        self.inbox.add(*(mail(number) for number in range(1, COUNT + 1)))
        self.server.state.folder(ALICE, TRASH, attributes="\\Trash")
        self.root = root
        self.run = RawRun(root, {"mail1": self.server}, delete=delete or {"after_days": DAYS}, **profile)
        self._life = contextlib.ExitStack()

    def __enter__(self) -> Scene:
        self._life.enter_context(self.server)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._life.close()

    @property
    def inbox(self) -> Folder:
        return self.folder("INBOX")

    @property
    def trash(self) -> Folder:
        return self.folder(TRASH)

    @property
    def script(self) -> Script:
        return self.server.script

    def folder(self, name: str | bytes) -> Folder:
        return self.server.state.folder(ALICE, name)

    def archive(self) -> None:
        """The first run: everything is archived, nothing is old enough; then time passes."""
        report = self.go()
        assert not report.problems(), told(report)
        assert report.deleted == 0
        self.age()

    def go(self, intact: bool = True, unknown: str = "", **more: t.Any) -> RunReport:
        """``intact`` False: the case is about an archive that is damaged. ``unknown``: a profile whose password is not given."""
        more.setdefault("settle", 0.0)
        options = self.run.options(**more)
        passwords = {name: value for name, value in options.secrets.passwords.items() if name != unknown}
        report = Run(dataclasses.replace(options, secrets=Secrets({}, passwords)), Silent()).go()
        if intact:
            consistent(self.root)
        without_secrets(self.root, report, PASSWORD)
        return report

    def execute(self, statement: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        """Change, or ask, the catalog behind the engine's back."""
        with contextlib.closing(sqlite3.connect(self.root / "catalog.sqlite3")) as database, database:
            return database.execute(statement, values).fetchall()

    def age(self, days: int = DAYS + 1) -> None:
        """Let everything have been archived that many days before."""
        self.execute("UPDATE source_messages SET archived = archived - ?", days * DAY)

    def content(self) -> Content:
        """Everything that is in the mailbox, by folder: UIDs, digests and flags."""
        with self.server.state.lock:
            return {
                (ALICE, name): [(one.uid, hashlib.sha256(one.body[:]).hexdigest(), frozenset(one.flags)) for one in box.messages]
                for name, box in self.server.state.mailboxes[ALICE].items()
            }

    def unmarked(self) -> bool:
        """Whether no message anywhere is marked as deleted."""
        return not [flags for found in self.content().values() for _, _, flags in found if DELETED in flags]

    def receipts(self) -> dict[int, int | None]:
        """UID -> when it was deleted, None when that is not known."""
        return dict(self.execute("SELECT uid, deleted FROM receipts"))

    def states(self) -> dict[int, int]:
        return dict(self.execute("SELECT uid, state FROM source_messages"))

    def object_of(self, uid: int) -> Path:
        ((digest,),) = self.execute("SELECT digest FROM source_messages WHERE uid = ?", uid)
        return self.root / "objects" / digest.hex()[:2] / digest.hex()

    def link_of(self, uid: int) -> Path:
        ((digest,),) = self.execute("SELECT digest FROM source_messages WHERE uid = ?", uid)
        return next(path for path in self.root.glob("mail/**/cur/*") if digest.hex() in path.name)

    def verbs(self) -> list[str]:
        return self.server.verbs()


@contextlib.contextmanager
def archived(root: Path, **options: t.Any) -> t.Iterator[Scene]:
    """A scene after its first run."""
    with Scene(root, **options) as scene:
        scene.archive()
        yield scene


def of(report: RunReport, folder: str = "INBOX") -> FolderReport:
    """What a report says of one of Alice's folders."""
    return folders(report)[f"{ALICE} {folder}"]


def just_now() -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(time.time()) - DAY, datetime.UTC)
