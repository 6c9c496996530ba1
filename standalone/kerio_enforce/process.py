# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a program with a time limit and ends it with everything that it started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
import typing as t
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

LOOK = 0.2
TAIL_BYTES = 64 << 10
CUT = "\n[kerio-archive: the output goes on; no more than {:,} bytes of it are kept]\n"


@dataclass(frozen=True)
class Ended:
    """How it ended. ``why`` is "" for by itself, else "time" or "stop"; ``tail`` are the last lines that it printed.

    ``unwritten`` says why the log does not have all of them.
    """

    rc: int
    seconds: float
    why: str
    tail: list[str]
    unwritten: str = ""


@dataclass
class Stop:
    """Set by SIGTERM and SIGINT, so that a stop of the unit is a clean one."""

    asked: bool = False

    def listen(self) -> None:
        """From now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "asked", True))


@dataclass
class _Output:
    """Keeps the beginning of the output in a file, and its end in memory. The file is not buffered."""

    file: t.BinaryIO
    limit: int
    unwritten: str = ""
    kept: int = 0
    tail: deque[bytes] = field(default_factory=deque)
    tail_size: int = 0

    def add(self, data: bytes) -> None:
        room = self.limit - self.kept
        if room > 0:
            try:
                self.file.write(data[:room])
                if len(data) >= room:
                    self.file.write(CUT.format(self.limit).encode())
            except OSError as error:  # a full disk is no reason to end the playbook
                self.unwritten, self.limit = str(error), 0
            self.kept += min(room, len(data))
        self.tail.append(data)
        self.tail_size += len(data)
        while self.tail_size - len(self.tail[0]) > TAIL_BYTES:
            self.tail_size -= len(self.tail.popleft())

    def lines(self) -> list[str]:
        return b"".join(self.tail)[-TAIL_BYTES:].decode("utf-8", "replace").splitlines()


def run(
    command: t.Sequence[str],
    folder: Path,
    environment: t.Mapping[str, str],
    log: Path,
    *,
    limit: float,
    grace: float,
    log_bytes: int,
    stop: Stop,
) -> Ended:
    """Run ``command``. After ``limit`` seconds, or a stop, its group gets SIGTERM, and ``grace`` seconds later SIGKILL."""
    began = time.monotonic()
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".1.log"))
    with log.open("wb", buffering=0) as file:
        output = _Output(file, log_bytes)
        with subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as child:
            why = _follow(child, output, began + limit, stop)
            if why:
                _end(child, output, grace)
            # What outlives the program, such as a shared SSH connection, may hold the pipe open: it is not waited for.
            _drain(child, output, 0)
            if child.stdout is not None:
                child.stdout.close()
        return Ended(child.returncode, time.monotonic() - began, why, output.lines(), output.unwritten)


def _follow(child: subprocess.Popen[bytes], output: _Output, end: float, stop: Stop) -> str:
    """Until it ends, or has to."""
    while child.poll() is None:
        if stop.asked:
            return "stop"
        if time.monotonic() >= end:
            return "time"
        _drain(child, output, LOOK)
    return ""


def _end(child: subprocess.Popen[bytes], output: _Output, grace: float) -> None:
    end = time.monotonic() + grace
    _signal(child, signal.SIGTERM)
    while time.monotonic() < end and _signal(child, 0):
        child.poll()  # else its own remains would count as a member of the group
        _drain(child, output, LOOK)
    _signal(child, signal.SIGKILL)
    child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> bool:
    """Whether there was a process in its group to send the signal to."""
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):  # gone, or what is left belongs to somebody else
        return False
    return True


def _drain(child: subprocess.Popen[bytes], output: _Output, wait: float) -> None:
    """Take what it printed, for ``wait`` seconds at most until there is something."""
    pipe = child.stdout
    if pipe is None or pipe.closed:
        return
    end = time.monotonic() + LOOK
    while select.select([pipe], [], [], wait)[0]:
        data = os.read(pipe.fileno(), 1 << 16)
        if not data:
            if wait:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(wait)
            return
        output.add(data)
        wait = 0
        if time.monotonic() >= end:  # one that floods must not put its limit off
            return
