# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of the catalog: what they hold, when they are replaced, and what a restored catalog may not do."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import rebuild, snapshot, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, CatalogError, StoreError
from tests.unit.module_utils.archive import backup_steps
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE = "alice@example.com"
# What a verification tells of messages and folders that are newer than the catalog.
NEWER = {"foreign", "object_unknown", "placement_unknown", "object_links", "object_linked", "ledger_tail"}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Three messages, archived."""
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    made.profiles = [MULTIPLE]
    servers.folder("mail1", ALICE).add(*map(mail, range(3)))
    made.run()
    return made


def kinds(root: Path) -> set[str]:
    """What a verification of every byte finds."""
    return {finding.kind for finding in Verification(Wish(str(root), processes=1, keep=False), Silent()).run().findings}


def rows(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return list(database.iterdump())
    finally:
        database.close()


def restored(archive: Archive, copy: Path, root: Path) -> Archive:
    """An archive from a copy, by the commands of the documentation; the same servers."""
    backup_steps.run(backup_steps.commands("backup.md", "rsync")[1], BACKUP=copy, NEW=root)
    backup_steps.settle(root, f"{os.getuid()}:{os.getgid()}")
    found = Archive(root, archive.servers)
    found.profiles = archive.profiles
    return found


def forward(archive: Archive) -> None:
    """Bring a restored catalog forward, as the documentation says."""
    for wish in ({"what": "orphans", "orphans": "adopt"}, {"what": "trees"}):
        rebuild.rebuild(rebuild.Wish(str(archive.root), processes=1, **wish), Silent())


def copied(root: Path, copy: Path) -> None:
    copy.mkdir(exist_ok=True)
    backup_steps.run(backup_steps.commands("backup.md", "rsync")[0], ARCHIVE=root, BACKUP=copy)


def test_a_snapshot_is_the_catalog_with_a_mark(archive: Archive) -> None:
    taken = snapshot.take(str(archive.root))
    commits = archive.rows("SELECT commits FROM totals")[0][0]
    assert (taken.changed, taken.before, taken.figures) == (True, None, (commits, 3, 3))
    mark = f"""INSERT INTO "meta" VALUES('snapshot','{json.dumps({"commits": commits})}');"""
    kept = rows(archive.root / "backup/catalog.sqlite3")
    assert mark in kept
    assert [line for line in kept if line != mark] == rows(Path(archive.catalog_file))
    assert sorted(path.name for path in (archive.root / "backup").iterdir()) == ["catalog.sqlite3", "checkpoint", "lock"]
    assert kinds(archive.root) == set()


def test_it_is_replaced_only_by_another_one(archive: Archive) -> None:
    path = archive.root / "backup/catalog.sqlite3"
    first = snapshot.take(str(archive.root))
    inode = path.stat().st_ino
    again = snapshot.take(str(archive.root))
    assert (again.changed, again.before, path.stat().st_ino) == (False, first.figures, inode)
    archive.user("bob@example.com")
    assert snapshot.take(str(archive.root)).changed
    assert "bob@example.com" in "".join(rows(path))


def test_the_checkpoint_that_fits_lies_beside_it(archive: Archive) -> None:
    checkpoint = archive.root / "evidence/checkpoint"
    checkpoint.write_bytes(b"archive1\n1\nx\n")
    snapshot.take(str(archive.root))
    assert (archive.root / "backup/checkpoint").read_bytes() == b"archive1\n1\nx\n"


def test_a_damaged_catalog_does_not_replace_a_good_snapshot(archive: Archive) -> None:
    snapshot.take(str(archive.root))
    before = (archive.root / "backup/catalog.sqlite3").read_bytes()
    catalog = Path(archive.catalog_file)
    page = archive.rows("SELECT rootpage FROM sqlite_master WHERE name = 'placements'")[0][0]
    with catalog.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with pytest.raises(CatalogError):
        snapshot.take(str(archive.root))
    assert (archive.root / "backup/catalog.sqlite3").read_bytes() == before
    assert not (archive.root / "backup/catalog.sqlite3.tmp").exists()


def test_two_at_once_are_refused(archive: Archive) -> None:
    with snapshot._lock(str(archive.root)), pytest.raises(BusyError, match="in use by archive_backup"):
        snapshot.take(str(archive.root))


def test_what_a_crash_left_is_replaced(archive: Archive) -> None:
    (archive.root / "backup").mkdir()
    (archive.root / "backup/catalog.sqlite3.tmp").write_bytes(b"half")
    (archive.root / "backup/catalog.sqlite3").write_bytes(b"nonsense")
    assert snapshot.take(str(archive.root)).before is None
    assert snapshot.take(str(archive.root)).figures.objects == 3


def test_it_has_the_modes_of_the_catalog_and_the_root(archive: Archive) -> None:
    Path(archive.catalog_file).chmod(0o640)
    snapshot.take(str(archive.root))
    assert oct((archive.root / "backup/catalog.sqlite3").stat().st_mode)[-4:] == "0640"
    assert (archive.root / "backup").stat().st_mode == archive.root.stat().st_mode


class Synced:
    """Notes the order of syncs and renames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        monkeypatch.setattr(snapshot, "sync_path", lambda path: self.said.append(Path(path).name))
        replace = Path.replace

        def noted(path: Path, target: Path) -> Path:
            self.said.append(f"{path.name} -> {Path(target).name}")
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", noted)


def test_it_is_durable_before_it_has_its_name(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Synced(monkeypatch)
    snapshot.take(str(archive.root))
    assert seen.said[:4] == ["archive", "catalog.sqlite3.tmp", "catalog.sqlite3.tmp -> catalog.sqlite3", "backup"]
    assert seen.said[4:] == ["checkpoint.tmp -> checkpoint"]


def test_check_mode_leaves_nothing(archive: Archive) -> None:
    before = sorted(archive.root.rglob("*"))
    assert snapshot.take(str(archive.root), check_mode=True).changed
    assert sorted(archive.root.rglob("*")) == before


def test_a_run_goes_on_from_a_restored_archive_and_fetches_only_what_is_new(archive: Archive, tmp_path: Path) -> None:
    snapshot.take(str(archive.root))
    copied(archive.root, tmp_path / "copy")
    shutil.rmtree(archive.root)
    back = restored(archive, tmp_path / "copy", tmp_path / "elsewhere")
    assert kinds(back.root) == set()
    archive.servers.log.unlink()
    archive.servers.folder("mail1", ALICE).add(mail(7))
    assert back.run().accounts().new == 1
    assert archive.servers.commands("FETCH") == [f"FETCH mail1 {ALICE} 4"]
    assert kinds(back.root) == set()
    assert back.rows("SELECT value FROM meta WHERE key = 'snapshot'") == [("",)]


def newer_than_its_snapshot(archive: Archive, tmp_path: Path) -> tuple[Archive, str]:
    """A restored archive with a message that its catalog does not know, and the object of that message."""
    snapshot.take(str(archive.root))
    known = set(archive.files())
    archive.servers.folder("mail1", ALICE).add(mail(8))
    archive.run()
    copied(archive.root, tmp_path / "copy")
    (newer,) = set(archive.files()) - known
    archive.servers.folder("mail1", ALICE).expunge(4)
    return restored(archive, tmp_path / "copy", tmp_path / "elsewhere"), newer


@pytest.mark.parametrize("marker", [False, True])
def test_what_is_newer_than_the_snapshot_is_not_swept_away(archive: Archive, tmp_path: Path, marker: bool) -> None:
    back, newer = newer_than_its_snapshot(archive, tmp_path)
    if marker:  # of a run that was going on when the copy was made; its times mean nothing here
        (back.root / "dirty").write_text(json.dumps({"started": 0, "run": "2", "commits": 0}))
    for _ in range(2):
        with pytest.raises(StoreError, match=r"1 objects of the archive are newer than it\. Bring it forward first"):
            back.run()
    assert newer in back.files()
    forward(back)
    assert kinds(back.root) == set()
    archive.servers.log.unlink()
    # The server has lost the message meanwhile; the archive has not.
    assert not back.run().problems()
    assert archive.servers.commands("FETCH") == []
    assert (newer in back.files(), back.tree()) == (True, archive.tree())
    assert kinds(back.root) == set()


def test_a_half_written_object_in_the_copy_does_not_stop_the_next_run(archive: Archive, tmp_path: Path) -> None:
    snapshot.take(str(archive.root))
    copied(archive.root, tmp_path / "copy")
    (tmp_path / "copy/objects/ab" / ("ab" * 32)).write_bytes(b"half a frame")
    back = restored(archive, tmp_path / "copy", tmp_path / "elsewhere")
    archive.servers.folder("mail1", ALICE).add(mail(9))
    assert back.run().accounts().new == 1


def test_a_message_that_moved_between_snapshot_and_copy_keeps_its_bytes(archive: Archive, tmp_path: Path) -> None:
    archive.profiles = [{**MULTIPLE, "moves": "follow"}]
    work = archive.servers.folder("mail1", ALICE, "Work")
    archive.run()
    snapshot.take(str(archive.root))
    work.add(mail(1))
    archive.servers.folder("mail1", ALICE).expunge(2)
    archive.run()
    copied(archive.root, tmp_path / "copy")
    assert list(archive.placed(ALICE).values()) == [2, 1]
    back = restored(archive, tmp_path / "copy", tmp_path / "elsewhere")
    assert kinds(back.root) == {"ledger_tail", "placement_missing", "placement_unknown"}
    assert back.files() == archive.files()
    with pytest.raises(StoreError, match="older than the ledger"):
        back.run()
    assert back.tree() == archive.tree()
    forward(back)
    assert kinds(back.root) == set()
    assert not back.run().problems()
    # It is in its old folder again, beside the new one: nothing tells that the link was removed on purpose.
    assert set(back.tree()) > set(archive.tree())
    assert len(back.tree()) == len(archive.tree()) + 1


class SlowServers(FakeServers):
    """Each message takes a moment."""

    def message(self, *arguments: t.Any) -> t.Any:
        time.sleep(0.002)
        return super().message(*arguments)


def back_up(root: Path, home: Path, seed: int, count: int) -> None:
    """Snapshots and copies at random instants."""
    drawn = random.Random(seed)
    for number in range(count):
        time.sleep(drawn.uniform(0, 0.1))
        snapshot.take(str(root))
        copied(root, home / f"copy{number}")


def test_backups_at_random_instants_of_a_run_have_all_that_their_snapshots_speak_of(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", SlowServers(tmp_path / "imap.log"))
    archive.profiles = [MULTIPLE]
    users = [f"user{number}@example.com" for number in range(5)]
    for number, user in enumerate(users):
        archive.user(user)
        archive.servers.folder("mail1", user).add(*(mail(100 * number + each) for each in range(30)))
    beside = multiprocessing.get_context("fork").Process(target=back_up, args=(archive.root, tmp_path, 7, 3))
    beside.start()
    archive.run(connections=2)
    beside.join(60)
    assert beside.exitcode == 0
    whole = {name: archive.substance()[name] for name in ("messages", "placements")}
    spoken = []
    for number in range(3):
        back = restored(archive, tmp_path / f"copy{number}", tmp_path / f"back{number}")
        assert kinds(back.root) <= NEWER
        with Store.open(str(back.root)) as store, Catalog.of(str(back.root), readonly=True) as catalog:
            for row in catalog.objects_in(0, 256):
                store.read(row.digest)
            spoken.append(catalog.totals().objects)
        forward(back)
        # What the ledger owes is settled by the next run.
        assert kinds(back.root) <= {"ledger_tail", "ledger_untold"}
        assert not back.run(connections=2).problems()
        assert kinds(back.root) == set()
        assert {name: back.substance()[name] for name in ("messages", "placements")} == whole
    assert spoken == sorted(spoken)
    assert spoken[0] < 150
