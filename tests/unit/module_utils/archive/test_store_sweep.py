# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, store_sweep
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.store_fixtures import BODY, DATE, Archive, fork, name_of

# The repair after an unclean end


def test_a_clean_end_leaves_nothing_to_repair(archive: Archive) -> None:
    archive.store.begin("run", archive.catalog.commits())
    assert archive.store.dirty() is not None
    archive.store.end()
    assert archive.store.dirty() is None
    assert store_sweep.recover(archive.store, archive.catalog) is None


def test_a_run_cannot_begin_over_an_unclean_end(archive: Archive) -> None:
    archive.store.begin("run")
    with pytest.raises(StoreError, match="did not end cleanly"):
        archive.store.begin("run")


CRASH_POINTS = ("before the object", "after the object", "after the link", "after the sync", "after the commit")


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_loses_nothing_committed_and_leaves_nothing_else(root: Path, point: str) -> None:
    def crash() -> None:
        with Store.open(str(root), lock="crashing") as store:
            archive = Archive(root, store)
            store.begin("run", archive.catalog.commits())
            archive.commit(1, *archive.write(b"committed"))
            steps = CRASH_POINTS.index(point)
            if steps >= 1:
                stored = store.put(BODY, DATE)
            if steps >= 2:
                stored, row = archive.write(BODY)
            if steps >= 3:
                store.sync()
            if steps >= 4:
                archive.commit(2, stored._replace(created=True), row)
            (root / "staging/half").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

    ready, child = fork(crash)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    os.close(ready)
    with Store.open(str(root), lock="repair") as store:
        archive = Archive(root, store)
        report = store_sweep.recover(store, archive.catalog)
        expected = {b"committed", BODY} if point == "after the commit" else {b"committed"}
        assert archive.objects() == {hashlib.sha256(body).hexdigest() for body in expected}
        assert {name.partition(".")[2][:64] for name in archive.names()} == archive.objects()
        assert report is not None and report.staged == 1 and not report.everything
        assert store.dirty() is None
        assert all(store.read(hashlib.sha256(body).digest()) == body for body in expected)
        # The next run archives the rest without a duplicate.
        stored, row = archive.write(BODY)
        archive.commit(2, stored, row)
        assert len(archive.names()) == 2
        assert archive.catalog.totals().placements == 2
        archive.catalog.close()


def test_the_repair_keeps_the_catalogs_name_of_a_message_and_foreign_files(archive: Archive) -> None:
    stored, row = archive.write(BODY, flags="S")
    archive.commit(1, stored, row)
    archive.store.begin("run", archive.catalog.commits())
    other = name_of(row._replace(internaldate=DATE + 1))
    archive.store.place(stored.digest, archive.folder.dir, other)
    archive.store.place(stored.digest, archive.folder.dir, name_of(row._replace(flags="")))
    (archive.root / archive.folder.dir / "cur/foreign").write_bytes(b"")
    report = store_sweep.recover(archive.store, archive.catalog)
    assert archive.names() == {name_of(row), "foreign"}
    assert report == store_sweep.SweepReport(objects=0, links=2)


def test_a_flag_that_somebody_changed_in_the_tree_survives_the_repair(archive: Archive) -> None:
    stored, row = archive.write(BODY)
    archive.commit(1, stored, row)
    archive.store.begin("run", archive.catalog.commits())
    cur = archive.root / archive.folder.dir / "cur"
    (cur / name_of(row)).rename(cur / name_of(row._replace(flags="S")))
    store_sweep.recover(archive.store, archive.catalog)
    assert archive.names() == {name_of(row._replace(flags="S"))}


def test_the_repair_does_not_look_at_what_is_older(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.write(BODY)
    archive.store.begin("run", archive.catalog.commits())
    now = time.time()
    content = f'{{"started": {int(now) + 10_000}, "run": "x", "commits": 0}}'
    (archive.root / "dirty").write_text(content)
    monkeypatch.setattr(store_sweep.time, "time", lambda: now + 20_000)
    assert store_sweep.recover(archive.store, archive.catalog) == store_sweep.SweepReport()
    assert len(archive.names()) == 1


@pytest.mark.parametrize("how", ["the clock is behind the marker", "a commit is newer than the marker", "commits went back"])
def test_everything_is_looked_at_when_the_clock_went_backwards(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    archive.commit(1, *archive.write(b"committed"))
    archive.write(BODY)
    now = int(time.time())
    marker = {"started": now, "run": "x", "commits": 1}
    if how == "the clock is behind the marker":
        marker["started"] = now + 10_000
    elif how == "a commit is newer than the marker":
        marker["started"] = now - 10_000
        archive.catalog._db.execute("UPDATE totals SET last_commit = ?", (now - 1,))
    else:
        with monkeypatch.context() as patch:
            patch.setattr("time.time", lambda: now - 10_000)
            archive.commit(2, *archive.write(b"committed too"))
        archive.catalog._db.execute("UPDATE totals SET last_commit = ?", (now - 1,))
        assert archive.catalog.clock_stepped()
    (archive.root / "dirty").write_text(str(marker).replace("'", '"'))
    report = store_sweep.recover(archive.store, archive.catalog)
    assert report is not None and report.everything
    assert hashlib.sha256(BODY).hexdigest() not in archive.objects()
    assert not archive.catalog.clock_stepped()


def test_a_catalog_that_is_older_than_the_archive_removes_nothing(archive: Archive) -> None:
    archive.write(BODY)
    archive.store.begin("run", 5)
    with pytest.raises(StoreError, match="older than the archive"):
        store_sweep.recover(archive.store, archive.catalog)
    assert len(archive.names()) == len(archive.objects()) == 1
    assert archive.store.dirty() is not None


def test_more_unknown_objects_than_a_crash_can_leave_are_not_removed(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_sweep, "MOST_UNKNOWN", 1)
    archive.store.put(b"one", DATE)
    archive.store.put(b"two", DATE)
    archive.store.begin("run")
    with pytest.raises(StoreError, match="does not belong to this archive"):
        store_sweep.recover(archive.store, archive.catalog)
    assert len(archive.objects()) == 2


@pytest.mark.parametrize("clock", ["told", "set"])
def test_a_whole_message_without_its_object_is_not_removed_where_times_prove_nothing(archive: Archive, clock: str) -> None:
    """It may be the last copy, of an object that was lost, and the catalog after it. A power loss leaves the same of a run."""
    archive.store.begin("run", archive.catalog.commits())
    lone, twice, further = (archive.write(body) for body in (b"lone", b"twice", b"further"))
    for stored, _ in (lone, twice):
        (archive.root / layout.object_path(stored.digest)).unlink()
    cur = archive.root / archive.folder.dir / "cur"
    os.link(cur / name_of(twice[1]), cur / name_of(twice[1]._replace(internaldate=1)))
    (cur / name_of(further[1])).unlink()
    first = archive.root / layout.object_path(further[0].digest)
    first.rename(f"{first}.1")
    short = cur / name_of(lone[1]._replace(digest=hashlib.sha256(b"short").digest()))
    short.write_bytes(b"")
    kept = {name_of(lone[1]), name_of(twice[1]), name_of(twice[1]._replace(internaldate=1))}
    if clock == "set":
        (archive.root / layout.CLOCK_FILE).touch()
    report = store_sweep.recover(archive.store, archive.catalog)
    assert report == {"set": store_sweep.SweepReport(links=1, everything=True), "told": store_sweep.SweepReport(links=4)}[clock]
    assert (archive.names(), archive.objects()) == (kept if clock == "set" else set(), {f"{first.name}.1"})


def test_further_inodes_of_an_object_go_with_it(archive: Archive) -> None:
    archive.store.begin("run", archive.catalog.commits())
    stored, row = archive.write(BODY)
    first = archive.root / layout.object_path(stored.digest)
    shutil.copy(first, f"{first}.1")
    os.link(f"{first}.1", archive.root / archive.folder.dir / "cur" / name_of(row._replace(internaldate=1)))
    assert store_sweep.recover(archive.store, archive.catalog) == store_sweep.SweepReport(objects=2, links=2)
    assert (archive.names(), archive.objects()) == (set(), set())


def test_the_repair_needs_the_lock(root: Path, archive: Archive) -> None:
    archive.store.begin("run")
    with Store.open(str(root)) as unlocked, pytest.raises(StoreError, match="without its lock"):
        store_sweep.recover(unlocked, archive.catalog)
