# SPDX-License-Identifier: GPL-3.0-or-later
"""Detached jobs: who attends them, who hears of their end, and who rescues them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job, job_attend
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, JobError
from tests.unit.module_utils.job_work import Data, Held, ended, until


@pytest.fixture
def held(tmp_path: Path) -> t.Iterator[Held]:
    work = Held(tmp_path)
    yield work
    work.go.touch()
    for name in ("edit", "other"):
        ended(tmp_path, name)


def attend(folder: Path, work: t.Any, owner: str | None, about: Data | None = None, seconds: float = 0) -> job_attend.Turn:
    return job_attend.attend(folder, "edit", lambda: work, about=about or {"what": "it"}, owner=owner, seconds=seconds, seen=1000)


def age_attendance(folder: Path) -> None:
    """Make it look as if the attendant had been silent for just over a minute."""
    file = folder / "edit" / "attendant.json"
    data = json.loads(file.read_bytes())
    file.write_text(json.dumps(dict(data, at=data["at"] - 61)), encoding="utf-8")


def test_attended_job_is_left_alone_by_others(tmp_path: Path, held: Held) -> None:
    mine = attend(tmp_path, held, "first")
    assert mine.running
    other = attend(tmp_path, held, "second")
    assert (other.holder, other.running) == ("first", False)
    assert other.as_data()["job"]["state"] == job_attend.BUSY
    held.go.touch()
    assert attend(tmp_path, held, "first", seconds=20).as_data()["job"]["state"] == job.FINISHED


def test_unattended_job_is_taken_over_and_its_result_is_the_answer(tmp_path: Path, held: Held) -> None:
    first = attend(tmp_path, held, "first")
    age_attendance(tmp_path)
    second = attend(tmp_path, held, "second")
    assert second.running
    assert (first.status, second.status) != (None, None)
    assert attend(tmp_path, held, "third").holder == "second"
    held.go.touch()
    done = attend(tmp_path, held, "second", seconds=20)
    assert done.status is not None
    assert done.status.outcome() == {"answer": 42, "stopped": False}
    assert done.previous == ()


def test_unattended_job_about_something_else_is_reported_before_the_own_one(tmp_path: Path, held: Held) -> None:
    attend(tmp_path, held, "first", {"what": "one thing"})
    age_attendance(tmp_path)
    assert attend(tmp_path, lambda _reporter: {"mine": True}, "second", {"what": "another"}).running
    held.go.touch()
    done = attend(tmp_path, lambda _reporter: {"mine": True}, "second", {"what": "another"}, seconds=20)
    assert done.status is not None
    assert done.status.outcome() == {"mine": True}
    assert [(report["owner"], report["about"], report["result"]) for report in done.previous] == [
        ("first", {"what": "one thing"}, {"answer": 42, "stopped": False})
    ]


def nothing_to_do(folder: Path, owner: str | None) -> job_attend.Turn:
    return job_attend.attend(folder, "edit", lambda: None, about={}, owner=owner, seconds=0)


def answers(turn: job_attend.Turn) -> list[t.Any]:
    return [report["result"] for report in turn.previous]


def test_result_is_told_until_somebody_confirms_to_have_heard_it(tmp_path: Path, held: Held) -> None:
    attend(tmp_path, held, "first")
    held.go.touch()
    result, job_id = {"answer": 42, "stopped": False}, ended(tmp_path).id
    # The controllers of both die with the answer in their hands.
    for owner in ("second", "third"):
        turn = nothing_to_do(tmp_path, owner)
        assert (turn.status, answers(turn)) == (None, [result])
    job.acknowledge(tmp_path, "edit", job_id)
    assert nothing_to_do(tmp_path, "fourth").previous == ()


def test_unheard_results_outlive_the_next_jobs_and_are_told_oldest_first(tmp_path: Path) -> None:
    for number in range(3):
        assert attend(tmp_path, lambda _reporter, number=number: {"n": number}, f"owner {number}", {"n": number}, 20).status
    turn = nothing_to_do(tmp_path, "later")
    assert answers(turn) == [{"n": 0}, {"n": 1}, {"n": 2}]
    job.acknowledge(tmp_path, "edit", turn.previous[1]["id"])
    job.acknowledge(tmp_path, "edit", turn.previous[2]["id"])
    assert answers(nothing_to_do(tmp_path, "later still")) == [{"n": 0}]


def test_unheard_results_do_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "UNHEARD_KEPT", 2)
    for number in range(4):
        attend(tmp_path, lambda _reporter, number=number: {"n": number}, f"owner {number}", {"n": number}, 20)
    assert answers(nothing_to_do(tmp_path, "later")) == [{"n": 2}, {"n": 3}]


def test_failure_of_the_preparation_does_not_lose_what_nobody_heard(tmp_path: Path) -> None:
    attend(tmp_path, lambda _reporter: {"n": 1}, "first", seconds=20)

    def broken() -> None:
        raise JobError("the edit", "the file is gone", "Look")

    with pytest.raises(JobError):
        job_attend.attend(tmp_path, "edit", broken, about={}, owner="second", seconds=0)
    assert answers(nothing_to_do(tmp_path, "third")) == [{"n": 1}]


def test_error_names_the_job_that_is_to_be_confirmed(tmp_path: Path) -> None:
    def broken(_reporter: job.Reporter) -> Data:
        raise JobError("the edit", "no", "Look")

    turn = attend(tmp_path, broken, "first", seconds=20)
    assert turn.status is not None
    with pytest.raises(JobError) as caught:
        turn.status.outcome()
    assert caught.value.as_result()["job_id"] == turn.status.id


def test_result_can_be_asked_for_again_by_its_owner(tmp_path: Path) -> None:
    # The answer of the module may be lost with the connection.
    for _ in range(2):
        turn = attend(tmp_path, lambda _reporter: {"n": 1}, "first", seconds=20)
        assert turn.status is not None
        assert (turn.status.outcome(), turn.previous) == ({"n": 1}, ())


def test_caller_without_a_token_is_told_once(tmp_path: Path, held: Held) -> None:
    attend(tmp_path, held, "first")
    held.go.touch()
    ended(tmp_path)
    assert len(nothing_to_do(tmp_path, None).previous) == 1
    assert nothing_to_do(tmp_path, None).previous == ()


def test_caller_without_a_token_waits_for_the_end(tmp_path: Path) -> None:
    turn = attend(tmp_path, lambda _reporter: {"n": 1}, None)
    assert turn.status is not None
    assert turn.status.outcome() == {"n": 1}


class Rescued(Held):
    def rescue(self, reporter: job.Reporter, cause: str) -> JobError:
        reporter.progress("repairing")
        until(self.go.exists)
        return JobError("the work", cause, "Run it again", repaired=True)


def test_guardian_rescues_work_whose_process_was_killed(tmp_path: Path) -> None:
    work = Rescued(tmp_path)
    running = job.start(tmp_path, "edit", work, about={}, owner="first")
    job.wait(tmp_path, "edit", 20, seen=0)
    os.kill(running.pid, signal.SIGKILL)
    repairing = job.wait(tmp_path, "edit", 20, seen=1)
    assert (repairing.state, repairing.progress.line) == (job.RUNNING, "repairing")
    with pytest.raises(BusyError):
        job.start(tmp_path, "edit", work, about={}, owner="second")
    work.go.touch()
    done = ended(tmp_path)
    assert done.state == job.DIED
    with pytest.raises(JobError, match=f"process {running.pid} was killed by signal 9") as caught:
        done.outcome()
    assert caught.value.details == {"repaired": True, "job_id": running.id}


def test_guardian_ends_with_the_work_and_frees_the_lock(tmp_path: Path) -> None:
    work = Rescued(tmp_path)
    job.start(tmp_path, "edit", work, about={}, owner="first")
    state = json.loads((tmp_path / "edit" / "state.json").read_bytes())
    assert len(state["processes"]) == 2
    work.go.touch()
    assert ended(tmp_path).result == {"answer": 42, "stopped": False}
    for pid, identity in state["processes"]:
        until(lambda pid=pid, identity=identity: job.process_start(pid) != identity)
    with (tmp_path / "edit.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
