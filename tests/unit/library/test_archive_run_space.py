# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_run when the reserve is reached in the midst of a run: what it says, what stays, and how the next run goes on."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, growth, run, worker
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError
from ansible_collections.mailops.kerio.plugins.modules import archive_run
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import MASTER, MULTIPLE, Archive, FakeServers, mail

ALICE = "alice@example.com"
RESERVE = 1024  # MiB


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Thirty messages on a server; a parcel takes four."""
    servers = FakeServers(tmp_path / "imap.log")
    monkeypatch.setattr(run, "Imap", servers.imap)
    monkeypatch.setattr(worker, "PARCEL_MESSAGES", 4)
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    servers.folder("mail1", ALICE).add(*map(mail, range(30)))
    return made


def archived(archive: Archive) -> dict[str, t.Any]:
    servers = [{"name": "mail1", "master_password": MASTER}]
    return run_module(
        archive_run.main, root=str(archive.root), servers=servers, profiles=[MULTIPLE], processes=1, reserve=RESERVE
    )


class Filling:
    """A disk with less and less room: a MiB over the reserve, as long as fewer than ``most`` messages are filed."""

    def __init__(self, archive: Archive, most: int, **below: int | None) -> None:
        self.archive = archive
        self.most = most
        self.below = filesystem.Space(**{"bytes": (RESERVE << 20) - 1, "inodes": 1_000_000, **below})  # type: ignore[arg-type]

    def __call__(self, _path: str) -> filesystem.Space:
        full = len(self.archive.tree()) >= self.most
        return self.below if full else filesystem.Space((RESERVE + 1) << 20, 1_000_000)


@pytest.mark.parametrize(
    ("below", "words"),
    [
        ({}, "1,073,741,823 bytes are free, the reserve is 1,073,741,824. Make room or extend the file system"),
        ({"bytes": 1 << 40, "inodes": 9_999}, "9,999 inodes are free, each message needs one. Use a file system"),
    ],
)
def test_the_reserve_is_reached_in_the_midst_of_a_run(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, below: dict[str, int], words: str
) -> None:
    monkeypatch.setattr(filesystem, "space", Filling(archive, 8, **below))
    result = archived(archive)
    assert result["failed"]
    assert result["msg"].startswith(f"{archive.root}: {words}")
    kept = len(archive.tree())
    assert 8 <= kept < 30
    # What was archived stays, and the result does not deny it.
    assert result["changed"]
    assert {name: result["error"][name] for name in ("placements", "objects")} == {"placements": kept, "objects": kept}
    ((outcome, objects, size),) = archive.rows(
        "SELECT outcome, json_extract(summary, '$.objects'), json_extract(summary, '$.stored_bytes') FROM runs"
    )
    assert (outcome, objects, size > 0) == ("failed", kept, True)
    assert archive.rows("SELECT objects, placements FROM totals") == [(kept, kept)]

    refused = archived(archive)
    assert (refused["failed"], refused["changed"]) == (True, False)
    assert words in refused["msg"]
    monkeypatch.setattr(filesystem, "space", lambda _path: filesystem.Space(1 << 40, 1_000_000))
    archive.servers.log.unlink()
    rest = archived(archive)
    assert (rest["failed"], rest["run"]["new"]) == (False, 30 - kept)
    assert len(archive.servers.commands("FETCH")) == 30 - kept
    assert len(archive.tree()) == 30


def test_a_run_tells_how_long_the_room_lasts(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "space", lambda _path: filesystem.Space(3 << 30, 1_000_000))
    result = archived(archive)
    assert result["forecast"]["room_bytes"] == 2 << 30
    assert result["forecast"]["sentence"] == "How long the free 2.1 GB last cannot be told yet: too little history"
    assert result["table"][-1] == result["forecast"]["sentence"]


def test_a_forecast_that_cannot_be_made_hides_no_result(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: t.Any) -> t.NoReturn:
        raise CatalogError("catalog", "disk I/O error", "Check the disk")

    monkeypatch.setattr(growth, "read", broken)
    monkeypatch.setattr(filesystem, "space", lambda _path: filesystem.Space(3 << 30, 1_000_000))
    result = archived(archive)
    assert (result["failed"], result["changed"], result["run"]["new"]) == (False, True, 30)
    assert "catalog: disk I/O error. Check the disk." in result["warnings"]
