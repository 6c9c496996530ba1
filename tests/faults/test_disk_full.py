# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is full or fails: one clear error, nothing untrue is committed, and the next run completes the archive."""

from __future__ import annotations

import errno
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    filesystem,
    staging,
    store_objects,
    store_places,
    store_sync,
    worker,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE = "alice@example.com"
LARGE = 30_000


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(worker, "PARCEL_MESSAGES", 4)
    made = Archive(tmp_path / "archive", FakeServers(tmp_path / "log", stream_above=20_000))
    made.user(ALICE)
    made.profiles = [MULTIPLE]
    made.servers.folder("mail1", ALICE).add(*map(mail, range(30)), mail(30, body="x" * LARGE), mail(31))
    return made


def full(*_arguments: t.Any, **_more: t.Any) -> t.Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Rarely:
    """Lets a function fail from its ``count``-th call on, in each process for itself."""

    def __init__(self, function: t.Callable[..., t.Any], count: int, number: int = errno.ENOSPC) -> None:
        self.function = function
        self.left = count
        self.number = number

    def __call__(self, *arguments: t.Any) -> t.Any:
        self.left -= 1
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number))
        return self.function(*arguments)


def fails_and_recovers(archive: Archive, monkeypatch: pytest.MonkeyPatch, words: str) -> StoreError:
    """Run into the trouble, then without it: nothing is committed that is not there, nothing is missing or twice at the end."""
    with pytest.raises(StoreError, match=words) as caught:
        archive.run(processes=1)
    assert (archive.root / "dirty").exists()
    ((outcome,),) = archive.rows("SELECT outcome FROM runs")
    assert outcome == "failed"
    committed = {row[0].lower() for row in archive.rows("SELECT hex(digest) FROM placements")}
    assert committed <= set(archive.files())
    monkeypatch.undo()
    report = archive.run()
    assert not report.problems()
    assert len(archive.files()) == len(archive.tree()) == 32
    assert not list((archive.root / "staging").iterdir())
    return caught.value


@pytest.mark.parametrize("count", [0, 10])
def test_no_room_for_an_object(archive: Archive, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(store_objects, "write_all", Rarely(store_objects.write_all, count))
    error = fails_and_recovers(archive, monkeypatch, "No space left on device")
    assert "Make room" in error.remedy
    assert "objects/" in error.subject


def test_no_room_for_a_large_message(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "write_all", full)
    error = fails_and_recovers(archive, monkeypatch, "No space left on device")
    assert error.subject.endswith("/staging")


def test_no_inode_for_a_large_message(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging.tempfile, "TemporaryFile", full)
    fails_and_recovers(archive, monkeypatch, "No space left on device")


def test_no_room_for_a_placement(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_places.os, "link", Rarely(os.link, 10))
    fails_and_recovers(archive, monkeypatch, "No space left on device")


@pytest.mark.parametrize("count", [0, 2])
def test_a_sync_that_fails_commits_nothing(archive: Archive, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    real = store_sync.Syncer.sync
    rarely = Rarely(real, count, errno.EIO)
    monkeypatch.setattr(store_sync.Syncer, "sync", lambda *arguments: rarely(*arguments))
    error = fails_and_recovers(archive, monkeypatch, "Input/output error")
    assert error.details["placements"] <= 4 * 2 * count


def test_a_run_ends_before_the_reserve_is_used(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([9000, 8000])
    monkeypatch.setattr(filesystem, "space", lambda _root: filesystem.Space(next(free, 100), None))
    with pytest.raises(StoreError, match="100 bytes are free, the reserve is 1,000") as caught:
        archive.run(processes=1, reserve=1000)
    done = caught.value.details["placements"]
    assert 0 < done < 32
    assert archive.rows("SELECT count(*) FROM placements") == [(done,)]
    monkeypatch.undo()
    assert archive.run(reserve=1000).accounts().new == 32 - done


def test_a_run_does_not_begin_below_the_reserve(archive: Archive) -> None:
    with pytest.raises(StoreError, match="the reserve is"):
        archive.run(reserve=1 << 60)
    assert archive.rows("SELECT count(*) FROM runs") == [(0,)]
    assert not archive.servers.commands("LOGIN")
