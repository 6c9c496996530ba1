# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair: whatever can be restored is, byte for byte; what cannot is told, and nothing else is touched."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair import Repair, Repaired
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Decompressor
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, StoreError
from tests.unit.module_utils.archive.format_fixtures import BARE, CRLF, Archive
from tests.unit.module_utils.archive.store_fixtures import object_of
from tests.unit.module_utils.archive.test_verify import (
    OBJECT,
    TAMPERS,
    content,
    flip,
    found,
    other_inode,
    placement,
)

# What no repair touches: files that the catalog does not know, and the catalog itself.
STAYS = {
    "format",
    "foreign",
    "object_unknown",
    "placement_unknown",
    "placement_lost",
    "message_lost",
    "message_blank",
    "object_twice",
    "totals",
    "catalog",
}
# Of these the object's file is right and the catalog, or a link elsewhere, is not.
ALSO_STAYS = {
    "an object's size in the catalog",
    "a link to an object elsewhere",
    "a placement's row removed",
    "a second name",
}
NOT_PLAYED = {"a page of an index"}  # no rows to repair by


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)


def repaired(archive: Archive, *backups: Path, write: bool = True) -> Repaired:
    return Repair(str(archive.root), [str(backup) for backup in backups], Silent(), write, processes=1).run()


@pytest.fixture
def backup(filled: Archive) -> t.Iterator[Path]:
    """A copy of the archive as it was."""
    path = filled.root.with_name("backup")
    shutil.copytree(filled.root, path)
    yield path
    shutil.rmtree(path)


def bytes_of(archive: Archive) -> dict[bytes, bytes]:
    return {digest: Decompressor().decompress(path.read_bytes()) for digest, path in archive.cur().items()}


def everything(root: Path) -> dict[str, tuple[int, int, bytes]]:
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(("catalog.sqlite3", "lock"))]
    return {str(path): (path.stat().st_ino, path.stat().st_mode, path.read_bytes()) for path in files}


@pytest.mark.parametrize("name", sorted(TAMPERS.keys() - NOT_PLAYED))
def test_what_a_backup_has_is_restored_and_the_rest_is_told(filled: Archive, backup: Path, name: str) -> None:
    before = bytes_of(filled)
    tamper, expected = TAMPERS[name]
    tamper(filled)
    damaged = everything(filled.root)
    planned = repaired(filled, backup, write=False)
    assert everything(filled.root) == damaged
    result = repaired(filled, backup)
    assert result.steps == planned.steps
    left = {finding.kind for finding in result.left}
    assert {(finding.kind, finding.subject) for finding in result.left} == found(filled)
    kinds = {kind for kind, _subject in expected}
    if name not in ALSO_STAYS and not kinds & STAYS:
        assert left == set()
        assert result.steps
        assert bytes_of(filled) == before
        assert (filled.root / OBJECT).stat().st_mode & 0o7777 == 0o440
    else:
        assert left >= kinds & STAYS
    again = repaired(filled, backup)
    assert (again.steps, len(again.left)) == ([], len(result.left))


def test_an_object_comes_back_from_a_placement(filled: Archive) -> None:
    (filled.root / OBJECT).unlink()
    result = repaired(filled)
    assert [step.action for step in result.steps] == ["restore_object", "link_placement"]
    assert "/cur/" in result.steps[0].source
    assert found(filled) == set()
    assert placement(filled).samefile(filled.root / OBJECT)


def test_an_object_comes_back_from_another_inode_of_its_own(filled: Archive) -> None:
    shutil.copy(filled.root / OBJECT, object_of(filled.root, CRLF, 1))
    flip(filled)
    assert repaired(filled).left == []
    assert found(filled) == set()


def test_without_an_intact_file_nothing_is_touched(filled: Archive) -> None:
    flip(filled)
    before = everything(filled.root)
    result = repaired(filled)
    assert ([finding.kind for finding in result.left], result.steps) == (["object_damaged"], [])
    assert everything(filled.root) == before


@pytest.mark.parametrize("write", [False, True])
def test_a_right_mode_mends_no_bytes(filled: Archive, write: bool) -> None:
    flip(filled)
    (filled.root / OBJECT).chmod(0o640)
    result = repaired(filled, write=write)
    assert [step.action for step in result.steps] == ["set_mode"]
    assert [finding.kind for finding in result.left] == ["object_damaged"]


def test_a_placement_that_may_be_the_last_copy_is_not_thrown_away(filled: Archive) -> None:
    other_inode(filled)
    content(filled.root / OBJECT, b"gone")
    assert repaired(filled).left == []  # it was the last copy, and the object comes from it
    other_inode(filled)
    content(filled.root / OBJECT, b"gone")
    content(placement(filled), b"also gone")
    kept = placement(filled).stat().st_ino
    result = repaired(filled)
    assert {finding.kind for finding in result.left} == {"object_damaged", "object_size", "object_links", "placement_other"}
    assert placement(filled).stat().st_ino == kept


def test_a_backup_that_is_damaged_too_is_passed_over(filled: Archive, backup: Path) -> None:
    flip(filled)
    content(backup / OBJECT, b"x")
    assert [finding.kind for finding in repaired(filled, backup).left] == ["object_damaged"]
    good = backup.with_name("older")
    shutil.copytree(backup, good)
    content(good / OBJECT, filled.store._objects._compressor.compress(CRLF))
    result = repaired(filled, backup, good)
    assert result.left == []
    assert result.steps[0].source.startswith(str(good))
    shutil.rmtree(good)


def test_all_placements_of_a_restored_object_are_links_to_it(filled: Archive, backup: Path) -> None:
    flip(filled)
    inode = placement(filled).stat().st_ino
    assert repaired(filled, backup).left == []
    assert placement(filled).samefile(filled.root / OBJECT)
    assert placement(filled).stat().st_ino != inode
    assert placement(filled).stat().st_mtime == (backup / OBJECT).stat().st_mtime


def test_while_a_run_goes_on_nothing_is_repaired(filled: Archive) -> None:
    with Store.open(str(filled.root), lock="archive_run"), pytest.raises(BusyError, match="archive_run"):
        repaired(filled)


def test_behind_an_unclean_end_a_run_clears_up_first(filled: Archive) -> None:
    filled.store.begin("a run", filled.catalog.commits())
    with pytest.raises(StoreError, match=r"did not end cleanly\. Wait, or run archive_run once"):
        repaired(filled)


def test_the_other_message_is_not_touched(filled: Archive, backup: Path) -> None:
    other = object_of(filled.root, BARE)
    before = (other.stat().st_ino, other.stat().st_ctime_ns)
    (filled.root / OBJECT).unlink()
    repaired(filled, backup)
    assert (other.stat().st_ino, other.stat().st_ctime_ns) == before
