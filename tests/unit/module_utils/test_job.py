# SPDX-License-Identifier: GPL-3.0-or-later
"""Detached jobs: what a caller sees of them, and what they leave behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job, job_process
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, CfgError, JobError
from tests.unit.module_utils.job_work import Data, Held, ended, until


@pytest.fixture
def held(tmp_path: Path) -> t.Iterator[Held]:
    work = Held(tmp_path)
    yield work
    work.go.touch()
    for name in ("edit", "other"):
        ended(tmp_path, name)


def test_job_without_history_has_state_none(tmp_path: Path) -> None:
    assert job.status(tmp_path, "edit").state == job.NONE


def test_started_job_runs_on_and_its_result_is_kept(tmp_path: Path, held: Held) -> None:
    running = job.start(tmp_path, "edit", held, about={"what": "it"}, owner="first")
    assert (running.state, running.owner, running.about) == (job.RUNNING, "first", {"what": "it"})
    assert running.pid != os.getpid()
    held.go.touch()
    done = ended(tmp_path)
    assert (done.state, done.result, done.error, done.id) == (job.FINISHED, {"answer": 42, "stopped": False}, None, running.id)
    assert done.finished is not None
    assert done.finished >= done.started


def test_job_has_no_tie_to_the_process_that_started_it(tmp_path: Path, held: Held) -> None:
    running = job.start(tmp_path, "edit", held, about={}, owner="first")
    process = Path(f"/proc/{running.pid}")
    session = int((process / "stat").read_text().rpartition(")")[2].split()[3])
    assert session not in (os.getsid(0), running.pid), "own session, and not its leader, so it cannot get a terminal"
    targets = {int(entry.name): os.readlink(entry) for entry in (process / "fd").iterdir()}
    assert (targets[0], targets[1], targets[2]) == ("/dev/null", str(tmp_path / "edit" / "log"), str(tmp_path / "edit" / "log"))
    assert sorted(set(targets.values())) == ["/dev/null", str(tmp_path / "edit.lock"), str(tmp_path / "edit" / "log")]
    assert os.readlink(process / "cwd") == "/"


def test_starter_can_end_while_the_job_runs_and_nobody_waits_for_its_output(tmp_path: Path, held: Held) -> None:
    # What SSH does: it waits until the last writer of its pipes has gone.
    code = (
        "import sys, time, pathlib\n"
        "from ansible_collections.mailops.kerio.plugins.module_utils import job\n"
        "def work(reporter):\n"
        "    while not pathlib.Path(sys.argv[1], 'go').exists(): time.sleep(0.005)\n"
        "    print('seen in the log')\n"
        "    return {}\n"
        "print(job.start(sys.argv[1], 'edit', work, about={}, owner='x').pid)\n"
    )
    environment = dict(os.environ, PYTHONPATH="collections")
    starter = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, env=environment, timeout=20, check=True)
    assert job.status(tmp_path, "edit").pid == int(starter.stdout)
    assert job.status(tmp_path, "edit").state == job.RUNNING
    held.go.touch()
    assert ended(tmp_path).state == job.FINISHED
    assert (tmp_path / "edit" / "log").read_text(encoding="utf-8") == "seen in the log\n"


def test_files_are_for_the_owner_only_and_what_the_work_starts_gets_the_usual_umask(tmp_path: Path) -> None:
    def work(_reporter: job.Reporter) -> Data:
        (tmp_path / "created").touch()
        return {}

    job.start(tmp_path / "state", "edit", work, about={}, owner="first")
    ended(tmp_path / "state")
    modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.rglob("*"))}
    assert modes.pop("created") == 0o644
    assert modes.pop("state") == 0o700
    assert modes.pop("state/edit") == 0o700
    assert len(modes) == 5
    assert set(modes.values()) == {0o600}


def test_error_of_the_work_comes_back_as_what_it_was(tmp_path: Path) -> None:
    def work(_reporter: job.Reporter) -> Data:
        raise CfgError("the file", "it is odd", "Look at it", line=7)

    job.start(tmp_path, "edit", work, about={}, owner="first")
    done = ended(tmp_path)
    assert done.state == job.FINISHED
    with pytest.raises(CfgError) as caught:
        done.outcome()
    assert str(caught.value) == "the file: it is odd. Look at it."
    assert caught.value.details == {"line": 7, "job_id": done.id}


def test_bug_in_the_work_is_a_death_with_a_trace_and_without_the_secret(tmp_path: Path) -> None:
    def work(_reporter: job.Reporter) -> Data:
        raise ValueError("cannot use not-a-secret-1")

    job.start(tmp_path, "edit", work, about={}, owner="first", secrets=["not-a-secret-1"])
    done = ended(tmp_path)
    assert done.state == job.DIED
    assert done.error is not None
    told = [done.error[part] for part in ("subject", "cause", "remedy")]
    assert told == ["job edit", "ValueError: cannot use ********", f"Report this bug with {tmp_path / 'edit' / 'log'}"]
    assert "Traceback" in (tmp_path / "edit" / "log").read_text(encoding="utf-8")
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert not any("not-a-secret-1" in text for text in texts)


def test_result_that_cannot_be_written_is_a_death(tmp_path: Path) -> None:
    job.start(tmp_path, "edit", lambda _reporter: {"bytes": b""}, about={}, owner="first")
    assert ended(tmp_path).state == job.DIED


def test_exit_in_the_work_is_a_death(tmp_path: Path) -> None:
    job.start(tmp_path, "edit", lambda _reporter: sys.exit(3), about={}, owner="first")
    assert ended(tmp_path).state == job.DIED


def test_description_with_a_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="description contains a password"):
        job.start(tmp_path, "edit", lambda _reporter: {}, about={"a": ["not-a-secret-1"]}, owner="x", secrets=["not-a-secret-1"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../edit", "a/b", ".hidden"])
def test_name_that_is_not_a_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(JobError, match="not usable as a file name"):
        job.start(tmp_path, name, lambda _reporter: {}, about={}, owner="x")


def test_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="File exists"):
        job.start(tmp_path / "file", "edit", lambda _reporter: {}, about={}, owner="x")


def test_start_that_fails_after_the_fork_says_why(tmp_path: Path) -> None:
    (tmp_path / "edit" / "log").mkdir(parents=True)
    with pytest.raises(JobError, match=r"IsADirectoryError|Is a directory|PermissionError"):
        job.start(tmp_path, "edit", lambda _reporter: {}, about={}, owner="x")
    (tmp_path / "edit" / "log").rmdir()
    job.start(tmp_path, "edit", lambda _reporter: {}, about={}, owner="x")
    assert ended(tmp_path).state == job.FINISHED


def test_second_starter_is_told_who_holds_the_job(tmp_path: Path, held: Held) -> None:
    running = job.start(tmp_path, "edit", held, about={}, owner="first")
    with pytest.raises(BusyError) as caught:
        job.start(tmp_path, "edit", held, about={}, owner="second")
    assert caught.value.details == {"holder": "first", "id": running.id}


def test_of_many_starters_one_wins(tmp_path: Path, held: Held) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from ansible_collections.mailops.kerio.plugins.module_utils import errors, job\n"
        "def work(reporter):\n"
        "    while not pathlib.Path(sys.argv[1], 'go').exists(): time.sleep(0.005)\n"
        "    return {}\n"
        "try: print(job.start(sys.argv[1], 'edit', work, about={}, owner=sys.argv[2]).owner)\n"
        "except errors.BusyError as error: print('busy', error.details['holder'])\n"
    )
    environment = dict(os.environ, PYTHONPATH="collections")
    starters = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, f"caller{n}"], stdout=subprocess.PIPE, env=environment, text=True)
        for n in range(5)
    ]
    answers = [starter.communicate(timeout=30)[0].strip() for starter in starters]
    winners = [answer for answer in answers if not answer.startswith("busy")]
    assert len(winners) == 1
    assert sorted(set(answers)) == sorted([*winners, f"busy {winners[0]}"])
    held.go.touch()


def test_killed_job_is_dead_and_can_be_followed_by_another(tmp_path: Path, held: Held) -> None:
    running = job.start(tmp_path, "edit", held, about={}, owner="first")
    os.kill(running.pid, signal.SIGKILL)
    dead = ended(tmp_path)
    assert dead.state == job.DIED
    assert dead.error is not None
    assert f"process {running.pid} ended without a result" in dead.error["cause"]
    assert job.start(tmp_path, "edit", held, about={}, owner="second").state == job.RUNNING


def test_job_of_an_earlier_boot_is_told_as_such(tmp_path: Path, held: Held) -> None:
    running = job.start(tmp_path, "edit", held, about={}, owner="first")
    os.kill(running.pid, signal.SIGKILL)
    ended(tmp_path)
    file = tmp_path / "edit" / "state.json"
    file.write_text(file.read_text(encoding="utf-8").replace(job.boot_id(), "an-earlier-boot"), encoding="utf-8")
    dead = job.status(tmp_path, "edit")
    assert dead.state == job.DIED
    assert dead.error is not None
    assert dead.error["cause"] == "the host was restarted before it had ended"


@pytest.mark.parametrize(
    "identity", ["00000000-0000-0000-0000-000000000000 {ticks}", "{boot} 1"], ids=["reboot", "number reused"]
)
def test_living_process_with_the_number_of_the_job_is_not_the_job(tmp_path: Path, held: Held, identity: str) -> None:
    running = job.start(tmp_path, "edit", held, about={}, owner="first")
    file = tmp_path / "edit" / "state.json"
    boot, ticks = str(job.process_start(running.pid)).split()
    was = file.read_bytes()
    state = json.loads(was)
    state["processes"] = [[running.pid, identity.format(boot=boot, ticks=ticks)]]
    file.write_text(json.dumps(state), encoding="utf-8")
    assert job.status(tmp_path, "edit").state == job.DIED
    file.write_bytes(was)
    assert job.status(tmp_path, "edit").state == job.RUNNING


def test_zombie_does_not_live() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    until(lambda: job.process_start(child) is None)
    os.waitpid(child, 0)


OF_OTHER_KINDS = b'{"id": "1", "pid": 1, "owner": "me", "started": 0, "about": {}, "processes": 7}'


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id": 1}', b"[" * 200_000, OF_OTHER_KINDS])
def test_broken_state_file_is_no_job(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "edit").mkdir()
    (tmp_path / "edit" / "state.json").write_bytes(content)
    assert job.status(tmp_path, "edit").state == job.NONE


def test_pipe_in_place_of_a_state_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "edit").mkdir()
    os.mkfifo(tmp_path / "edit" / "state.json")
    assert job.status(tmp_path, "edit").state == job.NONE


def test_worker_that_outlives_its_job_keeps_the_lock(tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "LOCK_PATIENCE_SECONDS", 0.0)

    def work(_reporter: job.Reporter) -> Data:
        worker = os.fork()
        if worker == 0:
            until(held.go.exists)
            os._exit(0)
        return {"worker": worker}

    job.start(tmp_path, "edit", work, about={}, owner="first")
    ended(tmp_path)
    with pytest.raises(BusyError, match=r"still holds .*edit\.lock"):
        job.start(tmp_path, "edit", work, about={}, owner="second")
    held.go.touch()
    monkeypatch.setattr(job, "LOCK_PATIENCE_SECONDS", 20.0)
    job.start(tmp_path, "edit", lambda _reporter: {}, about={}, owner="third")
    ended(tmp_path)


# Signals 32 and 33 are the C library's own; a program can neither set nor reset them, and some launchers leave them ignored.
KEPT_BY_THE_C_LIBRARY = 0b11 << 31


def test_program_that_the_work_starts_does_not_keep_the_lock(tmp_path: Path, held: Held) -> None:
    def work(_reporter: job.Reporter) -> Data:
        return {"pid": subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL).pid}

    job.start(tmp_path, "edit", work, about={}, owner="first")
    result = ended(tmp_path).outcome()
    try:
        again = job.start(tmp_path, "edit", held, about={}, owner="second")
        assert again.state == job.RUNNING
        # A daemon started by the work sees the signals as at boot.
        ignored = next(
            line for line in Path(f"/proc/{result['pid']}/status").read_text().splitlines() if line.startswith("SigIgn")
        )
        assert int(ignored.split()[1], 16) & ~KEPT_BY_THE_C_LIBRARY == 0
    finally:
        os.kill(result["pid"], signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "request"])
def test_asked_to_stop_the_work_ends_by_itself(tmp_path: Path, how: signal.Signals | str) -> None:
    running = job.start(tmp_path, "edit", Held(tmp_path), about={}, owner="first")
    if isinstance(how, str):
        job.request_stop(tmp_path, "edit")
    else:
        os.kill(running.pid, how)
    assert ended(tmp_path).result == {"answer": 42, "stopped": True}


def test_hangup_concerns_nobody(tmp_path: Path, held: Held) -> None:
    running = job.start(tmp_path, "edit", held, about={}, owner="first")
    os.kill(running.pid, signal.SIGHUP)
    held.go.touch()
    assert ended(tmp_path).result == {"answer": 42, "stopped": False}


def test_stop_request_for_an_earlier_job_does_not_stop_the_next(tmp_path: Path, held: Held) -> None:
    job.start(tmp_path, "edit", lambda _reporter: {}, about={}, owner="first")
    ended(tmp_path)
    job.request_stop(tmp_path, "edit")
    job.start(tmp_path, "edit", held, about={}, owner="second")
    held.go.touch()
    assert ended(tmp_path).result == {"answer": 42, "stopped": False}


def test_reporter_holds_lines_back_but_never_the_last(tmp_path: Path) -> None:
    now = [100.0]
    reporter = job_process.Reporter(tmp_path, "id", lambda: now[0])
    written = []
    for number in range(1, 21):
        reporter.progress(f"line {number}", number=number)
        written.append(json.loads((tmp_path / "progress.json").read_bytes())["counter"])
    assert written == [1, 2, 3, 4, 5, 6, 7] + [8] * 13, "a burst of eight, and no time went by"
    now[0] += 0.25
    reporter.progress("line 21", number=21)
    assert json.loads((tmp_path / "progress.json").read_bytes())["counter"] == 21
    reporter.progress("line 22", number=22)
    reporter.flush()
    last = {"id": "id", "counter": 22, "line": "line 22", "data": {"number": 22}}
    assert json.loads((tmp_path / "progress.json").read_bytes()) == last


def test_progress_that_cannot_be_written_does_not_end_the_work(tmp_path: Path) -> None:
    job_process.Reporter(tmp_path / "missing", "id").progress("line")


def test_wait_returns_for_a_new_line_for_the_end_and_for_the_time(tmp_path: Path, held: Held) -> None:
    job.start(tmp_path, "edit", held, about={}, owner="first")
    spoke = job.wait(tmp_path, "edit", 20, seen=0)
    assert (spoke.state, spoke.progress) == (job.RUNNING, job.Progress(1, "waiting", {"step": 1}))
    assert job.wait(tmp_path, "edit", 0, seen=1).state == job.RUNNING
    held.go.touch()
    assert job.wait(tmp_path, "edit", 20, seen=1).state == job.FINISHED


@pytest.mark.parametrize(("number", "remedy"), [(errno.ENOSPC, "Make room"), (errno.EROFS, "Make the state folder writable")])
def test_note_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    job.start(tmp_path, "edit", lambda _reporter: {}, about={}, owner="first")
    now = ended(tmp_path)

    def fail(*_record: t.Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(job, "write_record", fail)
    with pytest.raises(JobError, match=remedy):
        job.keep_unheard(tmp_path, "edit", now)
