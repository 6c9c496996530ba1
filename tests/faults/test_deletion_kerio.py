# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion on the lab's Kerio double over a real Dovecot: every position of AutoExpungeOnDelete, its moment, capabilities."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import sqlite3
import typing as t
from pathlib import Path

import pytest

from tests.faults.consistency import consistent, told
from tests.faults.deletion_scene import DAY, DAYS
from tests.faults.raw_run import RawRun
from tests.lab.facts.imap_fixtures import lab_certificate as lab_certificate
from tests.lab.facts.imap_fixtures import rig as rig
from tests.lab.facts.imap_rig import PASSWORD, Rig
from tests.lab.generate_load import Item
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("deletion")

WHEN = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
TRASH = "Deleted Items"
COUNT = 5


@dataclasses.dataclass
class Served:
    """Alice's mailbox on the double."""

    port: int
    password: str = PASSWORD
    mailboxes: tuple[str, ...] = ("alice",)


class Kerio:
    """The double with an archive of Alice's mailbox that is old enough."""

    def __init__(self, rig: Rig, root: Path, folder: str = "INBOX", **delete: t.Any) -> None:
        self.rig = rig
        self.root = root
        self.folder = folder
        folders = {"defaults": False, "include": [folder]}
        self.run = RawRun(root, {"mail1": Served(rig.imap)}, delete={"after_days": DAYS, **delete}, folders=folders)
        with rig.loader() as loader:
            loader.append(folder, [Item(mail(number), WHEN, ("\\Seen",)) for number in range(COUNT)])
        report = self.run.go()
        assert not report.problems(), told(report)
        with contextlib.closing(sqlite3.connect(root / "catalog.sqlite3")) as database, database:
            database.execute("UPDATE source_messages SET archived = archived - ?", ((DAYS + 1) * DAY,))

    def go(self) -> t.Any:
        report = self.run.go(settle=0.0)
        consistent(self.root)
        return report

    def counts(self) -> tuple[int, int]:
        """Messages in the folder and in Deleted Items, asked past the front."""
        with self.rig.loader() as loader:
            return loader.numbers(self.folder)["MESSAGES"], loader.numbers(TRASH)["MESSAGES"]


def prepare(rig: Rig, value: int, moment: str = "store", capabilities: str = "typical") -> None:
    rig.switch(delete_moment=moment, capabilities=capabilities)
    rig.restart(auto_expunge=value)


@pytest.mark.parametrize("capabilities", ["typical", "rich"])
def test_with_permanent_delete_the_messages_go_for_good(rig: Rig, tmp_path: Path, capabilities: str) -> None:
    prepare(rig, 0, capabilities=capabilities)
    kerio = Kerio(rig, tmp_path / "a")
    report = kerio.go()
    assert not report.problems(), told(report)
    assert (report.deleted, kerio.counts()) == (COUNT, (0, 0))
    assert kerio.go().changed is False


@pytest.mark.parametrize("capabilities", ["typical", "rich"])
@pytest.mark.parametrize("moment", ["store", "expunge"])
def test_with_the_factory_setting_one_message_finds_it_out(rig: Rig, tmp_path: Path, moment: str, capabilities: str) -> None:
    prepare(rig, 1, moment, capabilities)
    kerio = Kerio(rig, tmp_path / "a")
    report = kerio.go()
    assert (report.deleted, report.changed, kerio.counts()) == (0, False, (COUNT - 1, 1))
    assert "the server moved the message to Deleted Items instead of deleting it" in told(report)
    assert "permanent_delete: true" in told(report)
    prepare(rig, 0, moment, capabilities)
    assert (kerio.go().deleted, kerio.counts()) == (COUNT - 1, (0, 1))


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("moment", ["store", "expunge"])
def test_what_is_deleted_in_deleted_items_is_gone(rig: Rig, tmp_path: Path, value: int, moment: str) -> None:
    prepare(rig, value, moment)
    kerio = Kerio(rig, tmp_path / "a", TRASH)
    report = kerio.go()
    assert not report.problems(), told(report)
    assert (report.deleted, kerio.counts()) == (COUNT, (0, 0))


def test_without_uidplus_nothing_goes(rig: Rig, tmp_path: Path) -> None:
    prepare(rig, 0, capabilities="minimal")
    kerio = Kerio(rig, tmp_path / "a")
    report = kerio.go()
    assert (report.deleted, kerio.counts()) == (0, (COUNT, 0))
    assert "no UIDPLUS" in told(report)


def test_without_uidplus_a_dedicated_mailbox_is_expunged_unless_others_marked_something(rig: Rig, tmp_path: Path) -> None:
    prepare(rig, 0, capabilities="minimal")
    kerio = Kerio(rig, tmp_path / "a", dedicated=True)
    with rig.loader() as loader:
        loader.append("INBOX", [Item(mail(99), WHEN, ("\\Deleted",))])
    assert (kerio.go().deleted, kerio.counts()) == (0, (COUNT + 1, 0))
    with rig.loader() as loader:
        loader.command(b"SELECT INBOX")
        loader.command(rb"UID STORE 1:* -FLAGS.SILENT (\Deleted)")
    assert (kerio.go().deleted, kerio.counts()) == (COUNT, (1, 0))
