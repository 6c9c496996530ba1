# SPDX-License-Identifier: GPL-3.0-or-later
"""Where bytes come from when an object is nowhere under its name: files that stay somebody else's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import repair_module, spread, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import held
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from tests.unit.module_utils.archive.format_fixtures import Archive
from tests.unit.module_utils.archive.repair_scene import Inline, copied, kinds, repaired
from tests.unit.module_utils.archive.verify_tampers import OBJECT, placement

ANOTHER_NAME = f"{OBJECT.rpartition('/')[0]}/{OBJECT.rpartition('/')[2][:2]}{'0' * 62}"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(spread, "ProcessPoolExecutor", Inline)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (ANOTHER_NAME, "object_unknown"),
        (f"{OBJECT}.old", "foreign"),
        ("objects/rescued/a", "foreign"),
        ("objects/rescued/deep/er", "foreign"),
    ],
)
def test_an_object_comes_back_from_a_wrong_name_below_objects(filled: Archive, name: str, told: str) -> None:
    placement(filled).unlink()
    stray = filled.root / name
    stray.parent.mkdir(parents=True, exist_ok=True)
    (filled.root / OBJECT).rename(stray)
    result = repaired(filled.root)
    assert (kinds(result), result.undone) == ({told}, [])
    assert [(step.subject, step.source) for step in result.steps if step.action == "restore_object"] == [(OBJECT, name)]
    # Who put it there may take it away again, or change it.
    assert (filled.root / OBJECT).stat().st_ino != stray.stat().st_ino


@pytest.mark.parametrize("way", ["../backup", "within"])
def test_a_backup_stays_a_file_of_its_own(filled: Archive, way: str) -> None:
    backup = copied(filled.root)
    if way == "within":
        backup = backup.rename(filled.root / way)
    (filled.root / OBJECT).unlink()
    placement(filled).unlink()
    repaired(filled.root, filled.root / way)
    assert (filled.root / OBJECT).read_bytes() == (backup / OBJECT).read_bytes()
    assert (filled.root / OBJECT).stat().st_ino != (backup / OBJECT).stat().st_ino


def test_backups_that_are_no_backups_are_refused(filled: Archive, tmp_path: Path) -> None:
    root, backup = filled.root, copied(filled.root)
    repair_module.refuse_useless(str(root), [f"{root}/../backup"])
    (tmp_path / "link").symlink_to(root)
    shutil.copytree(backup, root / "within")
    (root.parent / "format").write_bytes((root / "format").read_bytes())
    for useless, cause in (
        (tmp_path / "link", "it is the archive itself"),
        (root / "within", "lies within the other"),
        (root.parent, "lies within the other"),
    ):
        with pytest.raises(InputError, match=cause):
            repair_module.refuse_useless(str(root), [str(useless)])


def test_a_file_in_staging_that_nothing_of_the_archive_put_there_stays(filled: Archive) -> None:
    placement(filled).unlink()
    (filled.root / OBJECT).rename(filled.root / "staging/notes")
    result = repaired(filled.root)
    assert ([one.subject for one in result.left], result.undone) == (["staging/notes"], [])
    assert (filled.root / OBJECT).samefile(placement(filled))


def test_a_directory_in_the_place_of_an_object_is_told_with_what_to_do(filled: Archive) -> None:
    backup = copied(filled.root)
    (filled.root / OBJECT).unlink()
    (filled.root / OBJECT).mkdir()
    result = repaired(filled.root, backup)
    assert [cause for step, cause in result.undone if step.action == "restore_object"] == [
        f"{filled.root / OBJECT}: it is no file. Move it away, then repair again."
    ]
    assert "Move it away" in next(one.remedy for one in result.left if one.kind == "object_damaged")
    (filled.root / OBJECT).rmdir()
    assert repaired(filled.root, backup).left == []


def test_a_directory_is_no_file_and_leaves_nothing_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match=f"it is no file.*{tmp_path}"):
        held(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
