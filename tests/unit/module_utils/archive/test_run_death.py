# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker processes that die: what they read goes on without the message that killed them."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_nursery, run_schedule, worker
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, OTHER, Archive, FakeServers, mail

ALICE = "alice@example.com"
SENTENCE = "the archiving process died (signal 9) while it handled this message"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "archive", FakeServers(tmp_path / "log"))
    made.user(ALICE)
    made.profiles = [MULTIPLE]
    return made


def deadly(monkeypatch: pytest.MonkeyPatch, *uids: int, kill: t.Callable[[], None] | None = None) -> None:
    """Have some messages kill the process that stores them, after their object was written."""
    real = worker.Worker._stored

    def stored(self: worker.Worker, message: t.Any, *args: t.Any) -> t.Any:
        item = real(self, message, *args)
        if message.uid in uids:
            (kill or (lambda: os.kill(os.getpid(), signal.SIGKILL)))()
        return item

    monkeypatch.setattr(worker.Worker, "_stored", stored)


def clean(archive: Archive) -> dict[str, t.Any]:
    assert not (archive.root / "dirty").exists()
    assert not list((archive.root / "staging").iterdir())
    return {**archive.substance(), "tree": archive.tree(), "files": archive.files()}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_message_that_kills_the_process_fails_alone(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(1500)))
    with monkeypatch.context() as patch:
        deadly(patch, 777)
        report = archive.run(processes=processes)
    assert (report.accounts().new, report.accounts().failed) == (1499, 1)
    assert archive.rows("SELECT uid, reason FROM source_messages WHERE state = 5") == [(777, SENTENCE)]
    assert any("died during the run" in warning for warning in report.warnings)
    assert (archive.root / "dirty").exists()
    report = archive.run()
    assert report.swept is not None
    assert (report.accounts().new, report.accounts().known) == (1, 1499)
    assert not report.warnings
    assert clean(archive) == undisturbed(tmp_path, 1500)


def undisturbed(tmp_path: Path, count: int) -> dict[str, t.Any]:
    other = Archive(tmp_path / "undisturbed", FakeServers(tmp_path / "other.log"))
    other.user(ALICE)
    other.profiles = [MULTIPLE]
    other.servers.folder("mail1", ALICE).add(*map(mail, range(count)))
    other.run()
    return clean(other)


def test_what_killed_before_costs_one_process_at_the_next_run(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(300)))
    deadly(monkeypatch, 150)
    assert "3 archiving processes died" in archive.run(processes=1).warnings[0]
    report = archive.run(processes=1)
    assert report.warnings[0].startswith("an archiving process died")
    assert archive.rows("SELECT uid, attempts FROM source_messages WHERE state = 5") == [(150, 2)]


def test_two_messages_that_kill_are_both_found(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(40)))
    deadly(monkeypatch, 7, 8)
    report = archive.run()
    assert (report.accounts().new, report.accounts().failed) == (38, 2)


def test_an_error_in_the_process_counts_as_its_death(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    archive.servers.folder("mail1", ALICE).add(*map(mail, range(5)))
    deadly(monkeypatch, 3, kill=broken)
    assert archive.run().accounts().new == 4
    assert archive.rows("SELECT reason FROM source_messages WHERE state = 5") == [(SENTENCE.replace("signal 9", "status 70"),)]


def test_a_folder_on_which_every_process_dies_is_given_up_and_no_other(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(50)))
    archive.servers.folder("mail1", ALICE, "Work").add(*map(mail, range(100, 103)))
    real = worker.Worker._fetch

    def fetch(self: worker.Worker, order: t.Any) -> None:
        if order.folder.name == "INBOX":
            os.kill(os.getpid(), signal.SIGKILL)
        real(self, order)

    monkeypatch.setattr(worker.Worker, "_fetch", fetch)
    report = archive.run()
    assert report.accounts().new == 3
    assert "in this folder" in report.profiles[0].mailboxes[0].folders[0].error


def test_a_folder_on_which_looking_kills_is_named_and_stops_no_other(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(1))
    archive.servers.folder("mail1", ALICE, "Work").add(mail(2))
    real = worker.Worker._examine

    def examine(self: worker.Worker, order: t.Any) -> None:
        if order.folder.name == "Work":
            os.kill(os.getpid(), signal.SIGKILL)
        real(self, order)

    monkeypatch.setattr(worker.Worker, "_examine", examine)
    report = archive.run()
    assert report.accounts().new == 1
    (problem,) = report.problems()
    assert problem.message == "the archiving process died (signal 9) while it looked into this folder"


def test_a_run_in_which_processes_die_for_ever_fails(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(50)))
    with monkeypatch.context() as patch:
        patch.setattr(run_schedule, "MOST_DEATHS", 4)
        patch.setattr(worker, "PARCEL_MESSAGES", 10)
        deadly(patch, *range(21, 51))
        with pytest.raises(JobError) as raised:
            archive.run(processes=1)
    cause = "5 processes died, the last one with signal 9"
    remedy = "See the log of the job, and run it again: what was committed is safe"
    assert str(raised.value) == f"the archiving workers: {cause}. {remedy}."
    assert (archive.root / "dirty").exists()
    assert archive.rows("SELECT outcome FROM runs") == [("failed",)]
    committed = archive.rows("SELECT count(*) FROM source_messages WHERE state = 1")[0][0]
    assert committed
    report = archive.run()
    assert (report.accounts().known, report.accounts().new) == (committed, 50 - committed)
    assert not report.problems()


def test_a_process_that_dies_while_it_logs_in_leaves_the_right_to_log_in(archive: Archive, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    archive.other = {"mail1": OTHER}
    archive.servers.folder("mail1", ALICE).add(mail(1))
    run, real = os.getpid(), archive.servers.open

    def dying(endpoint: t.Any, credentials: t.Any) -> t.Any:
        if os.getpid() != run and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(endpoint, credentials)

    archive.servers.open = dying  # type: ignore[method-assign]  # one connection of the run is lost this way
    assert archive.run().accounts().new == 1
    assert mark.exists()


class Reaper(threading.Thread):
    """Kills one worker of a run that goes on, some time after the first one is there; ``over`` once the run is."""

    def __init__(self, seconds: float) -> None:
        super().__init__(daemon=True)
        self.seconds = seconds
        self.over = False
        self.killed = 0

    def run(self) -> None:
        while not self.workers() and not self.over:
            time.sleep(0.001)
        time.sleep(self.seconds)
        for pid in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed += 1

    @staticmethod
    def workers() -> list[int]:
        """The first one of each nursery."""
        return [pid for nursery in children(os.getpid()) for pid in children(nursery)[:1]]


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def test_workers_killed_at_random_moments_lose_and_double_nothing(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PARCEL_MESSAGES", 20)
    moments = random.Random(4)
    inbox = archive.servers.folder("mail1", ALICE)
    killed = 0
    for _ in range(200):
        if killed >= 50:
            break
        inbox.add(*map(mail, range(len(inbox.messages), len(inbox.messages) + 60)))
        reaper = Reaper(moments.uniform(0.0, 0.1))
        reaper.start()
        archive.run(quarantine_after=1000)
        reaper.over = True
        reaper.join()
        killed += reaper.killed
    assert killed >= 50
    archive.run()
    archive.run()
    assert clean(archive) == undisturbed(tmp_path, len(inbox.messages))


def descriptors() -> list[str]:
    return [path.name for path in Path("/proc/self/fd").iterdir()]


def test_a_host_without_room_for_processes_is_told_and_the_next_fork_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    room, open_before, real = tmp_path / "room", len(descriptors()), os.fork
    scheduler = os.getpid()

    def fork() -> int:
        if os.getpid() != scheduler and not room.exists():
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return real()

    monkeypatch.setattr(os, "fork", fork)
    nursery = run_nursery.Nursery(lambda pipe: pipe.send(descriptors()))
    try:
        for _ in range(20):
            with pytest.raises(JobError, match="it cannot be started: Resource temporarily unavailable"):
                nursery.fork()
        room.touch()
        pid, pipe = nursery.fork()
        first = pipe.recv()
        assert nursery.end_of(pid) == 0
        pipe.close()
        assert len(first) < open_before + 10  # none of the twenty pipes is left in the nursery, and so in what it forks
    finally:
        nursery.close()
