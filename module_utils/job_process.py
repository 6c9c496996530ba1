# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job becomes a process of its own, and what runs inside that process; ``job`` is the way in."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import time
import traceback
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job_account
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, JobError

if t.TYPE_CHECKING:
    from types import TracebackType

LINES_PER_SECOND = 4.0
BURST_LINES = 8.0
# No program says so by chance.
RUNS = b"\0runs"

Data = t.Dict[str, t.Any]


@dataclass(frozen=True)
class Task:
    """What the new process is to do. ``unit``: the unit of systemd that it is, "" for none; ``boot``: of the caller, if known."""

    folder: Path
    id: str
    work: t.Callable[[Reporter], Data]
    about: Data
    owner: str
    secrets: tuple[str, ...]
    unit: str = ""
    boot: str = ""

    @property
    def rescue(self) -> t.Callable[[Reporter, str], ArchiveToolError] | None:
        """What is to be done when the process of the work was killed; most work needs nothing."""
        return getattr(self.work, "rescue", None)


class Reporter:
    """The work's side of its job."""

    def __init__(self, folder: Path, job_id: str, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._id = job_id
        self._clock = clock
        self._counter = 0
        self._pending: Data | None = None
        self._budget = BURST_LINES
        self._refilled = clock()
        self._signalled = False

    def progress(self, line: str, **data: t.Any) -> None:
        """Say where the work is. Lines beyond a burst of 8 and 4 a second are replaced by later ones."""
        self._counter += 1
        self._pending = {"id": self._id, "counter": self._counter, "line": line, "data": data}
        now = self._clock()
        self._budget = min(BURST_LINES, self._budget + (now - self._refilled) * LINES_PER_SECOND)
        self._refilled = now
        if self._budget >= 1:
            self._budget -= 1
            self.flush()

    def resume(self) -> None:
        """Count on from the last line that another process wrote."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            self._counter = json.loads((self._folder / "progress.json").read_bytes())["counter"]

    def flush(self) -> None:
        """Write the last line if it was held back."""
        if self._pending is not None:
            # A full disk must not end the work for the sake of a progress line.
            with contextlib.suppress(OSError):
                write_record(self._folder / "progress.json", self._pending, durable=False)
            self._pending = None

    @property
    def stop_requested(self) -> bool:
        """Whether the work should end at the next point where it leaves nothing half done."""
        if not self._signalled:
            with contextlib.suppress(OSError, ValueError):
                self._signalled = json.loads((self._folder / "stop.json").read_bytes()).get("id") == self._id
        return self._signalled

    def stop_on_signal(self, _number: int, _frame: t.Any) -> None:
        """Signal handler for SIGTERM and SIGINT."""
        self._signalled = True


def launch(task: Task, lock: int) -> str:
    """Run ``task`` in a process of its own that inherits ``lock``; return "" once it runs, or the reason why it does not."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        return str(error)
    if child == 0:
        _leave(task, lock, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    # The caller may have told the kernel to reap its children by itself.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
    if answer == RUNS:
        return ""
    return answer.decode("utf-8", "replace") or "its process ended before the work began"


def process_start(pid: int, boot: str = "") -> str | None:
    """Return what tells this process from all others that had or will have its number; None when it does not live.

    That is the boot (``boot_id`` unless given) and the start in clock ticks since then: field 22 of /proc/<pid>/stat (field 2,
    the name, may hold blanks and parentheses). A zombie does not live.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else f"{boot or boot_id()} {int(fields[19])}"


def boot_id() -> str:
    """Return what tells this boot of the host from all others."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def write_record(path: Path, data: Data, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data`` as JSON, mode 0600, so that a reader sees the old or the new content; raises ``OSError``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(data).encode())
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _OneWay:
    """Nothing gets out of a forked process: not its return, not an exception, or the module would run on twice."""

    def __init__(self, pipe: int) -> None:
        self.pipe: int | None = pipe

    def __enter__(self) -> _OneWay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> t.NoReturn:
        try:
            if kind is not None and self.pipe is not None:
                os.write(self.pipe, f"{kind.__name__}: {error}".encode())
            elif kind is not None:
                os.write(2, "".join(traceback.format_exception(kind, error, trace)).encode())
        finally:
            os._exit(0 if kind is None else 1)


def _leave(task: Task, lock: int, pipe: int) -> t.NoReturn:
    """Continue as a grandchild in a new session, so that no terminal, no connection and no parent is left."""
    with _OneWay(pipe) as way:
        os.setsid()
        job_account.for_good()
        if os.fork() == 0:
            with way:
                _begin(task, lock, way)
    raise AssertionError("unreachable")


def run_unit(task: Task) -> t.NoReturn:
    """Be the job, as the process of a unit (see ``job_unit``): its standard output is the lock, its standard error the pipe."""
    os.ftruncate(0, 0)  # the secrets were there
    with _OneWay(os.dup(2)) as way:
        _begin(task, os.dup(1), way)
    raise AssertionError("unreachable")


def _begin(task: Task, lock: int, way: _OneWay) -> None:
    if task.rescue is None:
        _run(task, lock, way, [os.getpid()])
    else:
        _guard(task, lock, way)


def _guard(task: Task, lock: int, way: _OneWay) -> None:
    """Run the task in a child and rescue it when it is killed: by the kernel for want of memory, or by an operator."""
    guardian = os.getpid()
    child = os.fork()
    if child == 0:
        with way:
            _run(task, lock, way, [os.getpid(), guardian])
    os.close(t.cast("int", way.pipe))
    way.pipe = None
    reporter = Reporter(task.folder, task.id)
    _reset_signals(reporter)
    _redirect(task.folder / "log", keep=(lock,))
    end = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(end) or json.loads((task.folder / "state.json").read_bytes())["id"] != task.id:
        return
    reporter.resume()
    with _Verdict(task) as verdict:
        raise t.cast("t.Callable[[Reporter, str], ArchiveToolError]", task.rescue)(
            reporter, f"its process {child} was killed by signal {os.WTERMSIG(end)}"
        )
    reporter.flush()
    write_record(task.folder / "result.json", dict(verdict.record(), state="died", id=task.id, finished=time.time()))


def _run(task: Task, lock: int, way: _OneWay, processes: list[int]) -> None:
    pipe = t.cast("int", way.pipe)
    # What the work starts (a mail server) must create its files as it would at boot; our own files have their mode anyway.
    os.umask(0o022)
    os.chdir("/")
    reporter = Reporter(task.folder, task.id)
    _reset_signals(reporter)
    (task.folder / "log").unlink(missing_ok=True)
    _redirect(task.folder / "log", keep=(lock, pipe))
    begun = {"id": task.id, "owner": task.owner}
    alive = [process_start(pid, task.boot) for pid in processes]
    started = {"pid": os.getpid(), "processes": list(zip(processes, alive)), "started": time.time(), "about": task.about}
    if task.unit:
        started["unit"] = task.unit
    write_record(task.folder / "attendant.json", dict(begun, at=time.time()), durable=False)
    write_record(task.folder / "state.json", dict(begun, **started))
    # Who started it may be gone by now, with the connection. The next one who asks finds it running.
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, RUNS)
    os.close(pipe)
    way.pipe = None
    with _Verdict(task) as verdict:
        verdict.result = json.loads(json.dumps(task.work(reporter)))
    reporter.flush()
    write_record(task.folder / "result.json", dict(verdict.record(), id=task.id, finished=time.time()))


class _Verdict:
    """Turns the end of the work, whatever it is, into what ``result.json`` says."""

    def __init__(self, task: Task) -> None:
        self.result: Data | None = None
        self._task = task
        self._state = "finished"
        self._error: Data | None = None

    def __enter__(self) -> _Verdict:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if isinstance(error, ArchiveToolError):
            self._error = json.loads(json.dumps(error.as_result(), default=str))
        elif kind is not None:
            text = self._masked("".join(traceback.format_exception(kind, error, trace)))
            sys.stderr.write(text)
            self._state = "died"
            cause = self._masked(f"{kind.__name__}: {error}")
            remedy = f"Report this bug with {self._task.folder / 'log'}"
            self._error = JobError(f"job {self._task.folder.name}", cause, remedy, id=self._task.id, trace=text).as_result()
        return True

    def record(self) -> Data:
        return {"state": self._state, "result": self.result, "error": self._error}

    def _masked(self, text: str) -> str:
        for secret in filter(None, self._task.secrets):
            text = text.replace(secret, "********")
        return text


def _reset_signals(reporter: Reporter) -> None:
    """SIGTERM and SIGINT ask the work to stop; a hangup concerns nobody. Handlers, not SIG_IGN: programs that the work starts
    would inherit that, and a daemon wants its SIGHUP."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, reporter.stop_on_signal)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _redirect(log: Path, keep: tuple[int, ...]) -> None:
    """Let go of every inherited descriptor. They are pointed at /dev/null rather than closed: an object of the old process may
    still close its number one day, and that must not be a file that was opened since."""
    inherited = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    null = os.open(os.devnull, os.O_RDWR)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    for number in inherited:
        if number > 2 and number not in keep and number not in (null, output):
            os.dup2(null, number, inheritable=False)
    for target, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, target)
    for number in {null, output} - {0, 1, 2}:
        os.close(number)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
        for number in (1, 2)
    )
