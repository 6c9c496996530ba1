# SPDX-License-Identifier: GPL-3.0-or-later
"""A program is ended with all that it started, and its output never fills the disk or the memory."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import types
from pathlib import Path

import pytest

from standalone.kerio_enforce import process
from standalone.kerio_enforce.process import TAIL_BYTES, Ended, Stop, run
from tests.lab.service import wait_until
from tests.unit.standalone.enforce_scene import clock_of


def play(
    tmp_path: Path, code: str, *, limit: float = 60, grace: float = 5, log_bytes: int = 1 << 20, stop: Stop | None = None
) -> Ended:
    how = {"limit": limit, "grace": grace, "log_bytes": log_bytes, "stop": stop or Stop()}
    return run([sys.executable, "-c", code], tmp_path, os.environ, tmp_path / "logs" / "a.log", **how)


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit is over as soon as the program has written the file ``began``."""
    monkeypatch.setattr(process, "time", clock_of(tmp_path / "began"))


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_ends_by_itself(tmp_path: Path) -> None:
    ended = play(tmp_path, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (ended.rc, ended.why, sorted(ended.tail)) == (3, "", ["err", "out"])
    assert sorted((tmp_path / "logs/a.log").read_text().split()) == ["err", "out"]


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("stubborn", [False, True], ids=["ends at SIGTERM", "ignores SIGTERM"])
def test_at_the_limit_all_of_it_is_ended(tmp_path: Path, stubborn: bool) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    child = f"import signal, time; {ignore} time.sleep(100)"
    code = (
        f"import signal, subprocess, sys, time; {ignore}"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}]);"
        "open('pid', 'w').write(str(child.pid)); print('began', flush=True); open('began', 'w').close(); time.sleep(100)"
    )
    ended = play(tmp_path, code, grace=0.5 if stubborn else 30)
    assert (ended.why, ended.rc) == ("time", -9 if stubborn else -15)
    assert ended.tail == ["began"]
    # It is killed, but nobody waits for its end: that is init's business.
    assert wait_until(lambda: not alive(int((tmp_path / "pid").read_text())), 30)


@pytest.mark.usefixtures("late")
def test_a_clean_end_within_the_grace_is_waited_for(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time;"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), print('clean', flush=True), sys.exit(7)));"
        "print('began', flush=True); open('began', 'w').close(); time.sleep(100)"
    )
    ended = play(tmp_path, code, grace=60)
    assert (ended.rc, ended.why, ended.tail) == (7, "time", ["began", "clean"])


def test_a_stop_ends_it(tmp_path: Path) -> None:
    stop = Stop()
    timer = threading.Timer(0.5, lambda: setattr(stop, "asked", True))
    timer.start()
    assert play(tmp_path, "import time; time.sleep(100)", stop=stop).why == "stop"


def test_what_holds_the_pipe_open_is_not_waited_for(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], start_new_session=True);"
        "open('pid', 'w').write(str(child.pid)); print('done')"
    )
    ended = play(tmp_path, code)
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert (ended.rc, ended.why, ended.tail) == (0, "", ["done"])


def test_a_flood_is_cut_and_its_end_is_known(tmp_path: Path) -> None:
    ended = play(tmp_path, "for number in range(300_000): print('flood', number)", log_bytes=100_000)
    kept = (tmp_path / "logs/a.log").read_bytes()
    assert 100_000 < len(kept) < 100_200
    assert b"no more than 100,000 bytes" in kept and kept.startswith(b"flood 0\n")
    assert ended.tail[-1] == "flood 299999"
    assert sum(map(len, ended.tail)) <= TAIL_BYTES


def test_a_flood_does_not_put_the_limit_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that is never empty is left after a moment, so that the limit is looked at."""
    clock = itertools.count(0, 0.01)
    monkeypatch.setattr(process, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    taken: list[bytes] = []

    def add(data: bytes) -> None:
        taken.append(data)
        assert len(taken) < 1000, "it never ends"

    with Path("/dev/zero").open("rb") as zeros:
        process._drain(types.SimpleNamespace(stdout=zeros), types.SimpleNamespace(add=add), process.LOOK)  # type: ignore[arg-type]
    assert taken


def test_a_full_disk_ends_no_program() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        output = process._Output(full, 1 << 20)
        output.add(b"one\n")
        output.add(b"two\n")
    assert "No space left on device" in output.unwritten
    assert output.lines() == ["one", "two"]


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    play(tmp_path, "print(1)")
    play(tmp_path, "print(2)")
    assert (tmp_path / "logs/a.log").read_text() == "2\n"
    assert (tmp_path / "logs/a.1.log").read_text() == "1\n"
