# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_backup in playbooks: a snapshot, the playbook backup.yml with rsync, and what cannot be backed up."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import Step, assert_one_sentence, play, run
from tests.play.trees import tree
from tests.unit.module_utils.archive import backup_steps
from tests.unit.module_utils.archive.engine_fake import Archive, alices, mail


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return alices(tmp_path, *map(mail, range(3)))


def backup(root: Path, *, check: bool = False) -> Step:
    return Step("archive_backup", {"root": str(root)}, check, python=sys.executable)


def playbook(archive: Archive, *args: str, **variables: object) -> PlaybookRun:
    given = {"archive_host_root": str(archive.root), "archive_host_python": sys.executable, **variables}
    file = archive.root.parent / "variables.json"
    inventory = archive.root.parent / "hosts"
    file.write_text(json.dumps(given), encoding="utf-8")
    host = f"archive1 ansible_connection=local ansible_python_interpreter={sys.executable}"
    inventory.write_text(f"[archive_hosts]\n{host}\n", encoding="utf-8")
    return run(ROOT / "playbooks/backup.yml", "-e", f"@{file}", *args, inventory=inventory)


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_a_snapshot_is_taken_again_when_somebody_removes_it(archive: Archive) -> None:
    before = tree(archive.root)
    (check,) = play(backup(archive.root, check=True))
    assert check.changed
    assert tree(archive.root) == before
    first, again = play(backup(archive.root), backup(archive.root))
    assert (first.changed, again.changed, first.result["snapshot"]["objects"]) == (True, False, 3)
    (archive.root / "backup/catalog.sqlite3").unlink()
    (mended,) = play(backup(archive.root))
    assert mended.changed
    assert (archive.root / "backup/catalog.sqlite3").exists()


@pytest.mark.shows("broken")
def test_where_there_is_no_archive_and_where_its_catalog_is_broken(tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "empty").mkdir()
    Path(archive.catalog_file).write_bytes(b"no catalog")
    empty, broken = play(backup(tmp_path / "empty"), backup(archive.root))
    assert_one_sentence(empty, "it holds no archive.", "Create the archive with archive_store")
    assert_one_sentence(broken, "file is not a database", "Restore the catalog from a backup")
    assert list((tmp_path / "empty").iterdir()) == []


def test_the_playbook_takes_the_snapshot_and_copies(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (block, _back) = backup_steps.commands("backup.md", "rsync")
    command = ["env", f"ARCHIVE={archive.root}", f"BACKUP={tmp_path}/copy", "bash", "-euc", block]
    check = playbook(archive, "--check", archive_backup_command=command)
    assert check.rc == 0, check.output
    assert list((tmp_path / "copy").iterdir()) == []
    done = playbook(archive, archive_backup_command=command)
    assert done.rc == 0, done.output
    assert [task.action for task in done.changed()] == ["mailops.kerio.archive_backup", "ansible.builtin.command"]
    assert backup_steps.links(tmp_path / "copy") == backup_steps.links(archive.root)
    assert len(backup_steps.links(tmp_path / "copy")) == 3


def test_the_exit_status_of_the_command_is_heard(archive: Archive) -> None:
    failed = playbook(archive, archive_backup_command=["bash", "-c", "exit 24"])
    assert failed.rc != 0
    assert playbook(archive, archive_backup_command=["bash", "-c", "exit 24"], archive_backup_accept=[0, 24]).rc == 0
