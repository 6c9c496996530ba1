# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_backup: a snapshot is taken, left as it is, compared, refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.modules import archive_backup
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import Archive, alices, mail


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return alices(tmp_path, mail(1), mail(2))


@pytest.mark.shows("change", "again", "diff")
def test_a_snapshot_is_taken_once_and_again_when_the_catalog_changed(archive: Archive) -> None:
    path = str(archive.root / "backup/catalog.sqlite3")
    commits = archive.rows("SELECT commits FROM totals")[0][0]
    first = run_module(archive_backup.main, root=str(archive.root))
    now = {"commits": commits, "objects": 2, "placements": 2}
    assert first["changed"]
    assert first["diff"] == {"before": {}, "after": now, "before_header": path, "after_header": path}
    assert first["msg"].startswith("The snapshot of the catalog was taken: 2 messages in 2 places, ")
    assert {**first["snapshot"], "seconds": 0} == {"path": path, "bytes": Path(path).stat().st_size, **now, "seconds": 0}
    again = run_module(archive_backup.main, root=str(archive.root))
    assert (again["changed"], again.get("diff")) == (False, None)
    assert again["msg"].startswith("The snapshot of the catalog is as the catalog still is: 2 messages")
    archive.servers.folder("mail1", "alice@example.com").add(mail(3))
    archive.run()
    more = run_module(archive_backup.main, root=str(archive.root))
    assert (more["changed"], more["diff"]["before"], more["snapshot"]["objects"]) == (True, now, 3)


@pytest.mark.shows("check")
def test_check_mode_tells_and_writes_nothing(archive: Archive) -> None:
    before = sorted(archive.root.rglob("*"))
    result = run_module(archive_backup.main, check=True, root=str(archive.root))
    assert (result["changed"], result["snapshot"]["objects"]) == (True, 2)
    assert result["msg"].startswith("The snapshot of the catalog would be taken: 2 messages")
    assert sorted(archive.root.rglob("*")) == before
    run_module(archive_backup.main, root=str(archive.root))
    assert not run_module(archive_backup.main, check=True, root=str(archive.root))["changed"]


@pytest.mark.shows("error")
def test_where_nothing_can_be_backed_up(tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "empty").mkdir()
    empty = run_module(archive_backup.main, root=str(tmp_path / "empty"))
    assert empty["failed"]
    assert "it holds no archive. Create the archive with archive_store" in empty["msg"]
    Path(archive.catalog_file).unlink()
    gone = run_module(archive_backup.main, root=str(archive.root))
    assert (gone["failed"], gone["changed"]) == (True, False)
    assert "the archive has no catalog. Restore the catalog from a backup" in gone["msg"]
