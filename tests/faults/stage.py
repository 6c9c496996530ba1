# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of a hostile case: one server that misbehaves, one that does not, and an archive of both."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport, RunReport
from tests.faults.consistency import consistent, told, without_secrets
from tests.faults.imap_script import Script
from tests.faults.imap_server import PASSWORD, ImapServer
from tests.faults.imap_state import Folder
from tests.faults.raw_run import ALICE, BOB, RawRun, folders
from tests.proof.independent_archive import Archive
from tests.unit.module_utils.archive.engine_fake import mail

GOOD = 4  # messages of the other server
COUNT = 10  # messages of the inbox, UIDs from 1


class Stage:
    """Alice's mailbox on mail1 has INBOX and Projects; Bob's on mail2 never gives reason for complaint.

    ``go`` runs the engine, and asserts what holds after every run: the archive is consistent, Bob's mail is there, every object
    is a message that a server has or had, and no secret was told.
    """

    def __init__(self, root: Path, **profile: t.Any) -> None:
        self.server, self.other = ImapServer(), ImapServer()
        self.other.state.folder(BOB).add(*(mail(number, to=BOB) for number in range(100, 100 + GOOD)))
        self.inbox.add(*(mail(number) for number in range(1, COUNT + 1)))
        self.folder("Projects").add(*(mail(number) for number in range(50, 53)))
        self.root = root
        self.served: set[str] = set()
        self._run: RawRun | None = None
        self._profile = profile
        self._life = contextlib.ExitStack()

    archive: Archive  # after the last run

    def __enter__(self) -> Stage:
        self._life.enter_context(self.server)
        self._life.enter_context(self.other)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._life.close()

    @property
    def inbox(self) -> Folder:
        return self.folder("INBOX")

    def folder(self, name: str | bytes, **values: t.Any) -> Folder:
        return self.server.state.folder(ALICE, name, **values)

    @property
    def script(self) -> Script:
        return self.server.script

    @property
    def run(self) -> RawRun:
        if self._run is None:
            self._run = RawRun(self.root, {"mail1": self.server, "mail2": self.other}, **self._profile)
        return self._run

    def go(self, timeout: float = 10.0, genuine: bool = True, **more: t.Any) -> RunReport:
        """``genuine`` False: the case is about bytes that a server changes on the way."""
        self.note_served()
        self.run.timeout = timeout
        report = self.run.go(**more)
        self.note_served()
        self.archive = consistent(self.root)
        if genuine:
            assert self.archive.objects.keys() <= self.served
        without_secrets(self.root, report, PASSWORD)
        other = folders(report)[f"{BOB} INBOX"]
        assert (other.accounts.new + other.accounts.known, other.error) == (GOOD, "")
        return report

    def note_served(self) -> None:
        """Remember the digests of all messages that are on a server now."""
        for server in (self.server, self.other):
            with server.state.lock:
                bodies = [one.body for held in server.state.mailboxes.values() for box in held.values() for one in box.messages]
            self.served.update(hashlib.sha256(body[:]).hexdigest() for body in bodies)

    def archived(self, folder: str = "INBOX") -> set[int]:
        """The UIDs on the server whose bytes are in the archive, read there by digest."""
        digests = {source[5] for source in self.archive.sources if source[:3] == ("mail1", ALICE, folder)}
        return {one.uid for one in self.folder(folder).messages if hashlib.sha256(one.body[:]).hexdigest() in digests}

    def finish(self, **counts: int) -> None:
        """An honest server again: the next run completes, and one more finds nothing to do. ``counts``: placements by folder."""
        self.script.clear()
        report = self.go()
        assert not report.problems(), told(report)
        expected = counts or {"INBOX": COUNT, "Projects": 3}
        placed = {name.split('"')[3]: count for name, count in self.run.archive.placed(ALICE).items()}
        assert placed == expected
        calm(self)


def calm(stage: Stage) -> None:
    """A run on what did not change fetches nothing and changes nothing."""
    before = stage.archive.fingerprint()
    commands = len(stage.server.log)
    report = stage.go()
    assert not report.changed
    assert not report.problems(), told(report)
    assert "UID FETCH" not in stage.server.verbs()[commands:]
    assert stage.archive.fingerprint() == before


def of(report: RunReport, folder: str = "INBOX") -> FolderReport:
    """What a report says of one of Alice's folders."""
    return folders(report)[f"{ALICE} {folder}"]


def named(report: RunReport, words: str, folder: str = "INBOX") -> None:
    """Assert that the report names server, mailbox and folder (none: "") and the server's words (or what stands for them)."""
    places = [problem.where for problem in report.problems()]
    assert f"mail1 {ALICE} {folder}".rstrip() in places or (not folder and "mail1" in places), told(report)
    assert words in told(report)
