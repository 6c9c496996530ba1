# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_repair: what it restores, says and leaves; check mode, diff, and options that cannot be used."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import verify
from ansible_collections.mailops.kerio.plugins.modules import archive_repair
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive of two messages, and a copy of it in ``backup`` beside it; one object is missing since."""
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.user("alice@example.com")
    made.profiles = [MULTIPLE]
    servers.folder("mail1", "alice@example.com").add(mail(1), mail(2))
    made.run()
    shutil.copytree(made.root, tmp_path / "backup")
    lost_object(made).unlink()
    lost_placement(made).unlink()
    return made


def lost_object(archive: Archive) -> Path:
    return next(path for path in sorted((archive.root / "objects").rglob("*")) if path.is_file())


def lost_placement(archive: Archive) -> Path:
    present = {path.name for path in (archive.root / "objects").rglob("*") if path.is_file()}
    return next(path for path in (archive.root / "mail").rglob("cur/*") if path.name.split(".")[1][:64] not in present)


def repair(archive: Archive, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(archive_repair.main, check=check, root=str(archive.root), **options)


@pytest.mark.shows("change", "again", "diff")
def test_what_is_missing_is_restored_once(archive: Archive) -> None:
    backup = archive.root.with_name("backup")
    result = repair(archive, backups=[str(backup)])
    assert (result["changed"], result["found"], result["left"]) == (True, 2, 0)
    assert result["msg"] == "2 damaged; done: 1 link_placement, 1 restore_object; all is repaired"
    assert [step["action"] for step in result["steps"]] == ["restore_object", "link_placement"]
    assert result["diff"]["before"].count("\n") == 2 and result["diff"]["after"] == ""
    again = repair(archive, backups=[str(backup)])
    assert (again["changed"], again["msg"]) == (False, "Nothing to repair")


@pytest.mark.shows("check")
def test_check_mode_tells_the_steps_and_does_none(archive: Archive) -> None:
    before = sorted(archive.root.rglob("*"))
    result = repair(archive, check=True, backups=[str(archive.root.with_name("backup"))])
    assert (result["changed"], result["found"], result["left"]) == (True, 2, 0)
    assert sorted(archive.root.rglob("*")) == before


@pytest.mark.shows("error")
def test_what_cannot_be_restored_fails_and_is_named(archive: Archive) -> None:
    result = repair(archive)
    assert result["failed"] and not result["changed"]
    assert (result["found"], result["left"], result["steps"]) == (2, 2, [])
    assert "2 damaged; done: nothing; 2 left: objects/" in result["msg"]
    assert "Restore it from a backup of the archive" in result["msg"]
    assert not repair(archive, fail_on_damage=False).get("failed")


def test_a_backup_that_is_none_is_refused_before_anything_is_done(archive: Archive, tmp_path: Path) -> None:
    result = repair(archive, backups=[str(tmp_path / "elsewhere")])
    assert result["failed"]
    assert "elsewhere: it is no copy of an archive. Name the root of one" in result["msg"]
