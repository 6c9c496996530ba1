# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of the host is set while a run goes on."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_clock, store_sweep
from tests.unit.module_utils.archive.store_fixtures import BODY, DATE, Archive

HOUR = 3600


def step(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


def write_while_the_clock_is_wrong(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the commit the clock goes back by an hour, something is written and the run dies; then the clock is right again."""
    archive.store.begin("run", archive.catalog.commits())
    archive.commit(1, *archive.write(b"committed"))
    with monkeypatch.context() as patch:
        step(patch, -HOUR)
        archive.write(BODY)


def test_what_was_written_while_the_clock_was_wrong_is_swept(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    write_while_the_clock_is_wrong(archive, monkeypatch)
    # Files have the kernel's time, which a test cannot set: an hour later they look as if they were written an hour before.
    with monkeypatch.context() as patch:
        step(patch, HOUR)
        archive.catalog._db.execute("UPDATE totals SET last_commit = last_commit + ?", (HOUR,))
        report = store_sweep.recover(archive.store, archive.catalog)
    assert report is not None and report.everything
    assert archive.objects() == {hashlib.sha256(b"committed").hexdigest()}
    assert len(archive.names()) == 1
    assert not (archive.root / "dirty.clock").exists()


def test_without_the_watch_it_would_stay(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_clock.ClockWatch, "check", lambda _self: None)
    write_while_the_clock_is_wrong(archive, monkeypatch)
    with monkeypatch.context() as patch:
        step(patch, HOUR)
        archive.catalog._db.execute("UPDATE totals SET last_commit = last_commit + ?", (HOUR,))
        assert store_sweep.recover(archive.store, archive.catalog) == store_sweep.SweepReport()
    assert len(archive.objects()) == 2


def test_a_clock_that_is_right_leaves_nothing(archive: Archive) -> None:
    archive.store.begin("run", archive.catalog.commits())
    archive.write(BODY)
    assert not (archive.root / "dirty.clock").exists()


def test_a_small_step_is_within_the_margin(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    step(monkeypatch, -int(store_clock.STEP_SECONDS) + 2)
    archive.write(BODY)
    assert not (archive.root / "dirty.clock").exists()
    assert store_clock.STEP_SECONDS < store_sweep.MARGIN_SECONDS


def test_the_step_is_on_the_disk_before_what_is_written_after_it(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool, int]] = []

    def sync(path: str) -> None:
        synced.append((path, Path(path, "dirty.clock").exists(), len(archive.objects())))

    monkeypatch.setattr(store_clock, "sync_path", sync)
    step(monkeypatch, HOUR)
    archive.store.put(BODY, DATE)
    archive.store.put(b"another", DATE)
    assert synced == [(str(archive.root), True, 0)]


def test_a_worker_that_is_forked_after_the_step_sees_it(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    step(monkeypatch, -HOUR)
    child = os.fork()
    if child == 0:
        store_clock.ClockWatch(str(archive.root)).check()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert archive.store.clock_was_set()


@pytest.mark.parametrize(("seconds", "ahead"), [(365 * 24 * HOUR, 0), (HOUR, 0), (-HOUR, -HOUR)])
def test_a_step_makes_nothing_older(monkeypatch: pytest.MonkeyPatch, seconds: int, ahead: int) -> None:
    right = store_clock.cautious_time()
    step(monkeypatch, seconds)
    assert right + ahead <= store_clock.cautious_time() < right + ahead + HOUR / 2
