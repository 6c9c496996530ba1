# SPDX-License-Identifier: GPL-3.0-or-later
"""What is damaged, or cannot be read, does not end up as something that a catalog relies on."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import rebuild_catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_scan import Bucket, scan
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.rebuild_scene import ALICE, BOB, lose_catalog, rebuilt, verified
from tests.unit.module_utils.archive.rebuild_small import DIGEST, OBJECT, is_whole, object_of, placement_of, rot, small

__all__ = ["small"]


class Power(BaseException):
    """The process ends here."""


def test_damaged_objects_are_out_of_the_way_before_a_catalog_is_there(small: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    rot(object_of(small))
    lose_catalog(small)

    def publish(*_: object) -> None:
        raise Power

    with monkeypatch.context() as patch:
        patch.setattr(rebuild_catalog, "publish", publish)
        with pytest.raises(Power):
            rebuilt(small)
    assert not object_of(small).exists()
    rebuilt(small)
    small.run()
    assert is_whole(small)
    assert verified(small) == [("foreign", f"{OBJECT}.damaged")]


def test_a_directory_that_may_not_be_read_is_an_error_that_names_it(small: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.iterdir

    def iterdir(path: Path) -> object:
        if path.name == OBJECT.split("/")[1]:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(StoreError, match=OBJECT.rpartition("/")[0]):
        scan(Bucket(str(small.root), DIGEST[0]))


def test_an_entry_that_was_changed_is_not_believed_and_the_ledger_is_kept(small: Archive) -> None:
    """It says that a message is archived which nobody has fetched."""
    path = small.root / "evidence/entries"
    entries = path.read_bytes()
    line = next(one for one in entries.splitlines() if b'"archived"' in one and b'"uid":1,' in one and ALICE.encode() in one)
    changed = entries.replace(line, line.replace(b'"uid":1,', b'"uid":3,'))
    path.write_bytes(changed)
    small.servers.folder("mail1", ALICE).add(mail(8))
    lose_catalog(small)
    report = rebuilt(small)
    assert [problem.kind for problem in report.problems if problem.kind.startswith("ledger")] == ["ledger_changed"]
    with contextlib.closing(sqlite3.connect(small.catalog_file)) as database, database:  # what archive_users brings
        database.execute("INSERT INTO user_addresses SELECT name, id, 0 FROM users")
    small.run()
    assert is_whole(small, mail(8))
    (kept,) = small.root.glob("evidence/entries.*.broken")
    assert kept.read_bytes() == changed


def test_a_file_in_the_place_of_a_folder_stops_no_other_folder(small: Archive) -> None:
    placed, other = placement_of(small), placement_of(small, mail(50, to=BOB))
    folder = placed.parents[1]
    shutil.rmtree(folder)
    folder.write_bytes(b"a file")
    other.unlink()
    report = rebuilt(small, "trees")
    assert [(problem.kind, problem.subject) for problem in report.problems] == [("in_way", str(folder.relative_to(small.root)))]
    assert other.samefile(object_of(small, mail(50, to=BOB)))
    assert folder.read_bytes() == b"a file"
