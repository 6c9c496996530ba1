# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that forks one run of crash_scene after the other, killed or hindered at a call of which it is told.

It is started with calls.so in LD_PRELOAD and reads one JSON object a line: a ``Task``. It answers each with a line. With
``--once`` and a task on its command line it does that task without calls.so: then somebody else may count (strace).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sqlite3
import sys
import threading
import traceback
import typing as t
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import progress, run_pool, store_sync, worker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.wire import Wire
from tests.faults import crash_scene, power_syncs
from tests.faults.calls import Action, Calls

PARCEL = 8  # messages
WRITING = ("BEGIN", "COMMIT", "ROLLBACK", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP")
LIMIT = 20  # seconds for one run


@dataclass(frozen=True)
class Task:
    """One run. ``target``, ``action``, ``code``, ``kinds``: see Calls.arm. ``keep``: the file for what the calls did.

    ``watch``: the folder below which calls count, if not the root. ``make``: create the archive first. ``pool``: sync file by
    file. ``without``: the name of a sync to leave out (power_syncs).
    """

    root: str
    port: int
    ca_file: str
    target: int = 0
    action: int = Action.COUNT
    code: int = 0
    kinds: str = ""
    keep: str = ""
    watch: str = ""
    make: bool = False
    pool: bool = False
    without: str = ""


class Turn:
    """Only one process of a run works at a time: the scheduler, or the worker until it waits for an order. So nothing is left to
    timing: which parcels share a commit, and what happens while somebody else is at the server.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._pid = 0
        self.held = False

    def take(self) -> None:
        if self._pid != os.getpid():
            self._pid, self.held = os.getpid(), False
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        if not self.held:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            self.held = True

    def give(self) -> None:
        if self._pid == os.getpid() and self.held:
            self.held = False
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def take_turns(turn: Turn) -> None:
    """Whoever waits for the other gives the turn away: at either end of a pipe, and in the pool."""
    receive, wait, close = Connection.recv, run_pool.wait, run_pool.WorkerPool.close

    def receiving(pipe: Connection[t.Any, t.Any]) -> t.Any:
        if not pipe.poll():
            turn.give()
        message = receive(pipe)
        turn.take()
        return message

    def waiting(pipes: t.Any, timeout: float) -> t.Any:
        turn.give()
        ready = wait(pipes, timeout)
        turn.take()
        return ready or wait(pipes, 0)

    def closing(pool: run_pool.WorkerPool) -> None:
        turn.give()
        close(pool)

    Connection.recv = receiving  # type: ignore[method-assign]  # in all processes of the run
    run_pool.wait = t.cast("t.Any", waiting)
    run_pool.WorkerPool.close = closing  # type: ignore[method-assign]  # in all processes of the run


class Statements:
    """Tells of each statement that writes to a catalog."""

    def __init__(self, note: t.Callable[[str], None]) -> None:
        self._connect = sqlite3.connect
        self._note = note

    def connect(self, *arguments: t.Any, **more: t.Any) -> sqlite3.Connection:
        connection = self._connect(*arguments, **more)
        connection.set_trace_callback(self._trace)
        return connection

    def _trace(self, statement: str) -> None:
        if statement.lstrip()[:8].upper().startswith(WRITING):
            self._note(statement[:60])


def mark_commands(mark: t.Callable[[str], None]) -> None:
    """Mark what is said to a server: its calls are encrypted."""
    send = Wire.send

    def marking(wire: Wire, data: bytes) -> None:
        mark(f"imap {bytes(data[:80]).decode('ascii', 'replace')}")
        send(wire, data)

    Wire.send = marking  # type: ignore[method-assign]  # in all processes of the run


def prepare() -> Turn:
    """What makes two runs do the same: small parcels, no clock in what is written, one process at a time."""
    worker.PARCEL_MESSAGES = PARCEL
    progress.Stopwatch.seconds = property(lambda _self: 1.0)  # type: ignore[assignment,method-assign]  # its text has a length
    store_sync.POOL_THREADS = 1
    file = os.memfd_create("turn")
    turn = Turn(f"/proc/{os.getpid()}/fd/{file}")
    take_turns(turn)
    return turn


def do(task: Task, turn: Turn, mark: t.Callable[[str], None]) -> str:
    """One run in this process; returns what went wrong, in one line per problem."""
    power_syncs.leave_out(task.without)
    if task.pool:
        store_sync.reports_errors = lambda _kernel: False
    turn.take()
    try:
        if task.make:
            crash_scene.make_archive(Path(task.root))
            mark("made")
        report = Run(crash_scene.options(task.root, task.port, task.ca_file), progress.Silent(), crash_scene.imap(), mark).go()
    except ArchiveToolError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        turn.give()
    return "\n".join(map(str, report.problems()))


class Driver:
    """Forks the runs."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.turn = prepare()
        mark_commands(self.calls.mark)
        statements = Statements(lambda text: self.calls.point("statement", text))
        sqlite3.connect = t.cast("t.Any", statements.connect)

    def serve(self) -> None:
        for line in sys.stdin:
            print(json.dumps(self.run(Task(**json.loads(line)))), flush=True)  # noqa: T201  the answer

    def run(self, task: Task) -> dict[str, t.Any]:
        """Fork a run and wait for its end: ``status`` is an exit code, or minus a signal."""
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._live(task, theirs)
        os.close(theirs)
        timer = threading.Timer(LIMIT, os.killpg, (pid, signal.SIGKILL))
        timer.start()
        with contextlib.closing(os.fdopen(ours, encoding="utf-8")) as words:
            told = words.read()
        _, status = os.waitpid(pid, 0)
        timer.cancel()
        answer = {"status": os.waitstatus_to_exitcode(status), "told": told}
        answer.update(count=self.calls.count(), failed=self.calls.failed())
        self.calls.disarm()
        if task.keep:
            Path(task.keep).write_bytes(self.calls.log())
        return answer

    def _live(self, task: Task, theirs: int) -> t.NoReturn:
        status = 70
        try:
            os.setpgid(0, 0)
            self.calls.arm(task.watch or task.root, task.target, task.action, task.code, task.kinds)
            told = do(task, self.turn, self.calls.mark)
            self.calls.disarm()
            os.write(theirs, told.encode())
            status = 0
        except BaseException:  # noqa: BLE001  whatever it was, the test has to see it
            os.write(theirs, traceback.format_exc().encode())
        finally:
            os._exit(status)


def once(task: Task) -> None:
    """The run without calls.so; prints how many statements there were."""
    counted = 0

    def note(_text: str) -> None:
        nonlocal counted
        counted += 1

    turn = prepare()
    sqlite3.connect = t.cast("t.Any", Statements(note).connect)
    told = do(task, turn, lambda _name: None)
    print(json.dumps({"told": told, "statements": counted}))  # noqa: T201  the answer


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        once(Task(**json.loads(sys.argv[2])))
    else:
        Driver().serve()
