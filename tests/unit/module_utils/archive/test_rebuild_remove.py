# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing what the catalog does not know never costs a message."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import snapshot
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.rebuild_scene import ALICE, lose_catalog, rebuilt
from tests.unit.module_utils.archive.rebuild_small import DIGEST, OBJECT, is_whole, object_of, placement_of, small

__all__ = ["small"]

STRANGE = b"Subject: nobody has a row of this\r\n\r\n"


def kept(archive: Archive, **wish: bool) -> list[tuple[str, str]]:
    report = rebuilt(archive, "orphans", orphans="remove", **wish)
    return [(problem.subject, problem.detail) for problem in report.problems if problem.kind == "kept"]


def test_a_message_under_a_wrong_name_is_kept_until_it_lies_under_its_own(small: Archive) -> None:
    with Store.open(str(small.root)) as store:
        store.put(STRANGE, 7)
    wrong = object_of(small, b"whatever")
    object_of(small, STRANGE).rename(wrong)
    assert kept(small) == [(str(wrong.relative_to(small.root)), "it is whole, but another message than its name says")]
    assert is_whole(small, STRANGE)
    with Store.open(str(small.root)) as store:
        store.put(STRANGE, 7)
    report = rebuilt(small, "orphans", orphans="remove")
    assert report.done == [str(wrong.relative_to(small.root))]
    assert is_whole(small, STRANGE)


def test_a_damaged_object_goes_only_if_nothing_can_be_read_of_it(small: Archive) -> None:
    with Store.open(str(small.root)) as store:
        store.put(STRANGE, 7)
    path = object_of(small, STRANGE)
    path.chmod(0o640)
    path.write_bytes(path.read_bytes()[:-2])
    assert kept(small) == []
    assert not path.exists()


def test_nothing_is_removed_by_a_catalog_that_is_older_than_the_ledger(small: Archive) -> None:
    old = small.root / "reports/old"
    shutil.copy(small.catalog_file, old)
    small.servers.folder("mail1", ALICE).add(mail(90))
    small.run()
    lose_catalog(small)
    shutil.copy(old, small.catalog_file)
    with pytest.raises(StoreError, match="may be older than the archive"):
        rebuilt(small, "orphans", orphans="remove")
    rebuilt(small, "orphans", orphans="adopt")
    small.run()
    assert kept(small) == []
    assert placement_of(small, mail(90)).samefile(object_of(small, mail(90)))


def test_nothing_is_removed_by_a_snapshot_before_a_run_has_accepted_it(small: Archive) -> None:
    with contextlib.closing(sqlite3.connect(small.catalog_file)) as database, database:
        database.execute("INSERT INTO meta(key, value) VALUES (?, 'x')", (snapshot.META,))
    with pytest.raises(StoreError, match="may be older than the archive"):
        rebuilt(small, "orphans", orphans="remove")
    small.run()
    assert not rebuilt(small, "orphans", orphans="remove").changed


def test_what_the_ledger_tells_of_is_no_leftover(small: Archive) -> None:
    with contextlib.closing(sqlite3.connect(small.catalog_file)) as database, database:
        for table in ("placements", "source_messages", "objects"):
            database.execute(f"DELETE FROM {table} WHERE digest = ?", (DIGEST,))  # noqa: S608 - names of this file
    placement_of(small).unlink()
    assert kept(small, remove_last_copies=True) == [(OBJECT, "the ledger says that it was archived")]
    assert is_whole(small)
