# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks of deletion: those that a killed run left must not stay unnoticed, and those of others must not go with ours."""

from __future__ import annotations

import contextlib
import sqlite3
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.deletion_scene import ALL, Scene, archived, of
from tests.faults.imap_script import Command
from tests.faults.imap_state import DELETED
from tests.faults.raw_run import ALICE, BOB
from tests.faults.test_deletion_filing import run_and_die
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("deletion")


def die_with_marks(scene: Scene) -> None:
    """A run deletes one message and is killed when the others are marked; then nobody deletes any more."""
    assert run_and_die(scene, "marked", 2)
    assert [flags for one in scene.inbox.messages for flags in one.flags] == [DELETED] * 5
    del scene.run.profiles[0]["delete"]


def test_marks_are_taken_back_in_a_folder_that_no_profile_selects_any_more(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        die_with_marks(scene)
        scene.run.profiles[0]["folders"] = {"exclude": ["INBOX"]}
        report = scene.go()
        assert not report.problems(), told(report)
        assert scene.unmarked()
        assert scene.receipts().keys() == {1}
        assert len(scene.inbox.uids()) == 5


def test_marks_are_taken_back_in_a_mailbox_with_problems(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        assert run_and_die(scene, "marked", 2)
        scene.folder("Projects").add(mail(50))
        scene.script.on("EXAMINE", script.no("cannot read it"), folder="Projects")
        report = scene.go()
        assert of(report).spared == {deletion.PROBLEMS: 5}
        assert scene.unmarked()
        assert len(scene.inbox.uids()) == 5


def test_marks_in_a_mailbox_that_no_profile_reads_any_more_are_told_until_they_are_settled(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        die_with_marks(scene)
        scene.server.state.folder(BOB).add(mail(60))
        alices = dict(scene.run.profiles[0])
        scene.run.profiles[0].update(name="bob", mailbox=BOB, target_user=BOB)
        for _ in range(2):
            (warning,) = [text for text in scene.go().warnings if "cut short" in text]
            assert warning.startswith("mail1 alice@example.com INBOX: ")
            assert "5 messages" in warning
        scene.run.profiles[0] = alices
        assert not [text for text in scene.go().warnings if "cut short" in text]
        assert scene.unmarked()


def test_what_was_deleted_under_another_uidvalidity_is_not_told_again_and_again(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        die_with_marks(scene)
        scene.inbox.renumber(first=100)
        assert not [text for text in scene.go().warnings if "cut short" in text]
        assert list(scene.receipts().values()).count(None) == 5


def test_marks_that_the_server_keeps_are_taken_back_by_the_next_run(tmp_path: Path) -> None:
    """They are ours, and not somebody else's, which would stay for ever."""
    with archived(tmp_path / "a") as scene:
        scene.script.on("UID EXPUNGE", script.no("not now"))
        scene.script.on("UID STORE", script.no("nor this"), where=lambda command: "-FLAGS" in command.text)
        report = scene.go()
        assert "not now" in of(report).error
        assert scene.receipts() == {1: None}
        scene.script.clear()
        assert scene.go().deleted == 6
        assert all(scene.receipts().values())


def test_a_catalog_older_than_the_deletion_is_refused_before_anything_is_swept(tmp_path: Path) -> None:
    """A backup that was made during the run: it does not know the files of messages that the server has no more."""
    with Scene(tmp_path / "a", delete={"after_days": 0}) as scene:
        scene.go()
        scene.inbox.add(mail(70), mail(71))
        catalog, backup = scene.root / "catalog.sqlite3", tmp_path / "backup"

        def back_up(_command: Command) -> None:
            with contextlib.closing(sqlite3.connect(catalog)) as now, contextlib.closing(sqlite3.connect(backup)) as then:
                now.backup(then)

        scene.script.on("EXAMINE", script.before(back_up), times=1)
        assert run_and_die(scene, "expunged", 2)
        assert scene.inbox.uids() == []
        files = scene.run.archive.tree()
        newest = tmp_path / "newest"
        with contextlib.closing(sqlite3.connect(catalog)) as now, contextlib.closing(sqlite3.connect(newest)) as then:
            now.backup(then)
        for each in scene.root.glob("catalog.sqlite3-*"):
            each.unlink()
        catalog.write_bytes(backup.read_bytes())
        with pytest.raises(StoreError, match="older than the archive"):
            scene.go(intact=False)
        assert scene.run.archive.tree() == files
        for each in scene.root.glob("catalog.sqlite3-*"):
            each.unlink()
        catalog.write_bytes(newest.read_bytes())
        assert not scene.go().problems()
        assert scene.run.archive.tree() == files


def test_a_server_that_expunges_what_others_marked_is_stopped_and_named(tmp_path: Path) -> None:
    """It answers OK to UID EXPUNGE and does what EXPUNGE does."""
    with archived(tmp_path / "a") as scene:

        def expunge_all(command: Command) -> t.Iterator[script.Chunk]:
            scene.inbox.expunge(*[one.uid for one in scene.inbox.messages if DELETED in one.flags])
            yield command.tag + b" OK done\r\n"

        scene.script.on("UID EXPUNGE", expunge_all)
        scene.script.on("UID STORE", script.before(lambda _command: scene.inbox.add(mail(70), flags=[DELETED])), times=1)
        report = scene.go()
        cause = "1 of the messages that somebody else had marked as deleted went together with those that were to go"
        remedy = "Take delete out of the profiles, unless somebody expunged the folder just then"
        folder = f"127.0.0.1:{scene.server.port}, mailbox {ALICE}, folder INBOX"
        assert of(report).error == f"{folder}: {cause}. {remedy}: the server does not keep to UID EXPUNGE."
        assert report.deleted == 1
        assert scene.receipts().keys() == {1}
        assert set(scene.inbox.uids()) == ALL - {1}
        assert scene.unmarked()


def test_what_others_marked_and_the_server_keeps_stops_nothing(tmp_path: Path) -> None:
    with archived(tmp_path / "a") as scene:
        scene.script.on("UID STORE", script.before(lambda _command: scene.inbox.add(mail(70), flags=[DELETED])), times=1)
        report = scene.go()
        assert not report.problems(), told(report)
        assert (report.deleted, scene.inbox.uids()) == (6, [7])
