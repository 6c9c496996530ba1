# SPDX-License-Identifier: GPL-3.0-or-later
"""A message whose object is gone comes back from what is left of it, and no sweep takes that."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import rebuild_orphans
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.engine_fake import Archive
from tests.unit.module_utils.archive.rebuild_scene import ALICE, lose_catalog, rebuilt, verified
from tests.unit.module_utils.archive.rebuild_small import DIGEST, OBJECT, is_whole, object_of, placement_of, small

__all__ = ["small"]


def only_placement(archive: Archive) -> Path:
    """The object is gone, and so is the message on the server."""
    object_of(archive).unlink()
    archive.servers.folder("mail1", ALICE).expunge(1)
    return placement_of(archive)


def only_further(archive: Archive) -> Path:
    """Likewise, and a second inode of it is all there is."""
    further = object_of(archive, copy=1)
    os.link(object_of(archive), further)
    only_placement(archive).unlink()
    return further


def forget(archive: Archive) -> None:
    """The catalog has nothing of the message."""
    with contextlib.closing(sqlite3.connect(archive.catalog_file)) as database, database:
        for table in ("placements", "source_messages", "objects"):
            database.execute(f"DELETE FROM {table} WHERE digest = ?", (DIGEST,))  # noqa: S608 - names of this file


def clock_was_set(archive: Archive) -> None:
    with contextlib.closing(sqlite3.connect(archive.catalog_file)) as database, database:
        database.execute("UPDATE totals SET clock_stepped = 1")


LEFT = pytest.mark.parametrize("left", [only_placement, only_further])


@LEFT
def test_a_new_catalog_has_it_and_the_next_sweep_leaves_it(small: Archive, left: t.Callable[[Archive], Path]) -> None:
    inode = left(small).stat().st_ino
    lose_catalog(small)
    with Store.open(str(small.root), lock="a run that died with the catalog") as store:
        store.begin("1", 0)
    check = rebuilt(small, check_mode=True)
    assert (check.figures["objects_linked"], object_of(small).exists()) == (1, False)
    assert rebuilt(small).figures["objects_linked"] == 1
    assert object_of(small).stat().st_ino == inode
    clock_was_set(small)
    assert small.run().swept is not None
    assert is_whole(small)
    assert small.rows("SELECT count(*) FROM objects WHERE digest = ?", (DIGEST,)) == [(1,)]


@LEFT
def test_adopting_takes_it(small: Archive, left: t.Callable[[Archive], Path]) -> None:
    inode = left(small).stat().st_ino
    forget(small)
    report = rebuilt(small, "orphans", orphans="adopt")
    assert OBJECT in report.done
    (small.root / "dirty").unlink()  # else it excuses what it finds
    assert object_of(small).stat().st_ino == inode
    assert {kind for kind, _ in verified(small)} == {"totals"}  # this test took rows away and did not count them


def test_no_run_begins_between_the_link_and_the_row(small: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    only_placement(small)
    forget(small)
    with monkeypatch.context() as patch:
        patch.setattr(rebuild_orphans, "scan", None)  # what comes next
        with pytest.raises(TypeError):
            rebuilt(small, "orphans", orphans="adopt")
    assert object_of(small).exists()
    with pytest.raises(StoreError, match="older than the archive"):
        small.run()
    rebuilt(small, "orphans", orphans="adopt")
    small.run()
    assert is_whole(small)


def test_what_is_not_whole_is_not_linked(small: Archive) -> None:
    path = only_placement(small)
    path.chmod(0o640)
    path.write_bytes(path.read_bytes()[:-2])
    lose_catalog(small)
    assert not rebuilt(small).figures["objects_linked"]
    assert not object_of(small).exists()
