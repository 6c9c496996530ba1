# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole run is killed at every checkpoint; a plain re-run must end in the archive of an undisturbed run."""

from __future__ import annotations

import itertools
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import worker
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
JOURNAL = "archive@example.com"
TRACE = "Received: from gw by mail1 for <alice@example.com>; Sat, 1 Jan 2022 00:00:00 +0000\r\n"
# checkpoint -> the least number of times that the dense run passes it; "stored" is in the worker
POINTS = {"placed": 5, "synced": 5, "committed": 5, "ending": 1, "stored": 25}


@pytest.fixture(autouse=True)
def small_parcels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PARCEL_MESSAGES", 4)


def dense(folder: Path) -> Archive:
    """3 mailboxes and an archive mailbox, two users for one of them, duplicates, copies, a failed message, an unknown address."""
    servers = FakeServers(folder.with_suffix(".log"), stream_above=2000)
    servers.folder("mail1", ALICE).add(*map(mail, range(12)), mail(3))
    servers.folder("mail1", ALICE, "Projects/2026").add(mail(3), mail(40, body="x" * 3000))
    servers.folder("mail1", BOB, bad={2}).add(mail(20, to=BOB), mail(21, to=BOB), mail(22, to=BOB))
    servers.folder("mail1", CAROL)
    servers.folder("mail1", JOURNAL).add(
        mail(1, top=TRACE), mail(2), mail(50, to=f"{BOB}, {CAROL}"), mail(51, to="nobody@example.com"), *map(mail, range(60, 66))
    )
    archive = Archive(folder, servers)
    for address in (ALICE, BOB, CAROL):
        archive.user(address)
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    archive.profiles = [
        MULTIPLE,
        {"name": "of alice for bob", "method": "single_mailbox", "mailbox": ALICE, "target_user": BOB, "credentials": "master"},
        multidrop(),
    ]
    return archive


def state(archive: Archive) -> dict[str, t.Any]:
    assert not list((archive.root / "staging").iterdir())
    assert not (archive.root / "dirty").exists()
    return {**archive.substance(), "tree": archive.tree(), "files": archive.files()}


class KilledAt:
    """A checkpoint that kills the whole run when ``name`` is passed for the ``count``-th time."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.left = count
        self.run = os.getpid()

    def __call__(self, name: str) -> None:
        if name != self.name:
            return
        self.left -= 1
        if self.left == 0:
            os.kill(self.run, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(archive: Archive, name: str, count: int) -> bool:
    """Run in a process of its own; return whether it was killed: False when it passes the checkpoint less often."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            archive.run(KilledAt(name, count), processes=1)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, t.Any]:
    archive = dense(tmp_path / "undisturbed")
    archive.run()
    archive.run()  # the failed message counts its attempts, so both sides have two runs
    return state(archive)


@pytest.mark.parametrize(("name", "at_least"), POINTS.items())
def test_killed_at_every_checkpoint_a_second_run_completes_the_archive(
    tmp_path: Path, undisturbed: dict[str, t.Any], name: str, at_least: int
) -> None:
    # How many parcels share a commit depends on timing, so the points are counted as they come.
    for count in itertools.count(1):
        archive = dense(tmp_path / f"{name}{count}")
        if not run_and_die(archive, name, count):
            break
        archive.run()
        assert state(archive) == undisturbed, f"killed at {name} number {count}"
    assert count > at_least


def test_killed_again_and_again_the_archive_is_completed(tmp_path: Path, undisturbed: dict[str, t.Any]) -> None:
    archive = dense(tmp_path / "again")
    for name in ("stored", "placed", "stored", "synced", "placed", "committed", "ending"):
        assert run_and_die(archive, name, 1)
    archive.run()
    assert state(archive) == undisturbed


def test_the_undisturbed_run_files_each_message_once(undisturbed: dict[str, t.Any]) -> None:
    placements = [(user, folder, digest) for user, folder, digest, *_ in undisturbed["placements"]]
    assert len(placements) == len(set(placements)) == len(undisturbed["tree"])
