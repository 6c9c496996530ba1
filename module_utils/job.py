# SPDX-License-Identifier: GPL-3.0-or-later
"""A long piece of work on a host that outlives the connection, the controller and the module that started it.

``<state_dir>/<name>/`` holds ``state.json``, ``progress.json``, ``result.json``, ``attendant.json`` and ``log``, all mode 0600,
and ``unheard-<id>.json`` for each earlier job whose end nobody has confirmed to have heard. ``<state_dir>/<name>.lock`` is held
(flock) by the job as long as it, or a worker that it forked, lives. Every file carries the id of its job, so a leftover of an
older job is never taken for the answer. Secrets reach the work in memory only.

The process that starts a job forks, so everything that the work needs must have been imported before: the archive that Ansible
ships a module in is deleted when the module ends.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import time
import typing as t
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import errors, job_unit
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, BusyError, JobError
from ansible_collections.mailops.kerio.plugins.module_utils.job_process import (
    Reporter,
    Task,
    boot_id,
    launch,
    process_start,
    sync_folder,
    write_record,
)

NONE, RUNNING, FINISHED, DIED = "none", "running", "finished", "died"
ATTENDED_SECONDS = 60.0
LOCK_PATIENCE_SECONDS = 2.0
UNHEARD_KEPT = 20
POLL_SECONDS = 0.1
_STATE_KEYS = {"id", "pid", "owner", "started", "about", "processes"}
# Of what can stand in these files.
_KINDS = {"id": str, "pid": int, "owner": str, "about": dict, "processes": list, "counter": int, "line": str, "data": dict}

Data = t.Dict[str, t.Any]
Work = t.Callable[[Reporter], Data]

__all__ = [
    "DIED",
    "FINISHED",
    "NONE",
    "RUNNING",
    "JobStatus",
    "Progress",
    "Reporter",
    "Work",
    "acknowledge",
    "boot_id",
    "keep_unheard",
    "process_start",
    "request_stop",
    "start",
    "status",
    "sync_folder",
    "touch",
    "unheard",
    "wait",
    "write_record",
]


@dataclass(frozen=True)
class Progress:
    """The last thing that a job said; ``counter`` grows with each line."""

    counter: int = 0
    line: str = ""
    data: Data = field(default_factory=dict)


@dataclass(frozen=True)
class JobStatus:
    """What is known of the last job of this name. ``started``, ``finished`` and ``attended_at`` are seconds since the epoch.

    ``error`` is the ``as_result()`` of what the work raised; a job that died has one too (kind ``job``).
    """

    state: str
    name: str = ""
    id: str = ""
    pid: int = 0
    owner: str = ""
    started: float = 0.0
    finished: float | None = None
    about: Data = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    result: Data | None = None
    error: Data | None = None
    acknowledged: bool = False
    attendant: str = ""
    attended_at: float = 0.0

    def attended_by(self, other_than: str, within: float = ATTENDED_SECONDS) -> str | None:
        """Return who else has asked for this running job in the last ``within`` seconds."""
        recent = abs(time.time() - self.attended_at) <= within
        return self.attendant if self.state == RUNNING and recent and self.attendant not in ("", other_than) else None

    def outcome(self) -> Data:
        """Return the result of a finished job; raises the error that its work ended with, its detail ``job_id`` added."""
        if self.error is not None:
            raise _revived(dict(self.error, job_id=self.id))
        return self.result or {}

    def report(self) -> Data:
        """Return the plain data that tells a later caller how this job ended."""
        keys = ("state", "id", "owner", "started", "finished", "about", "result", "error")
        return {key: value for key, value in asdict(self).items() if key in keys}


def status(state_dir: str | Path, name: str) -> JobStatus:
    """Return the state of the last job ``name``; raises ``JobError`` when its files cannot be read."""
    folder = Path(state_dir, name)
    while True:
        begun = _read(folder / "state.json")
        # Whether it lives is asked first: a job that ends in between has written its result by then.
        alive = _alive(begun)
        ended, progress, attendant, acknowledged = (
            _read(folder / file, begun.get("id"))
            for file in ("result.json", "progress.json", "attendant.json", "acknowledged.json")
        )
        if _read(folder / "state.json").get("id") == begun.get("id"):
            break
    if not begun.keys() >= _STATE_KEYS:
        return JobStatus(NONE, name)
    state = ended.get("state") or (RUNNING if alive else DIED)
    return JobStatus(
        state=state,
        name=name,
        id=begun["id"],
        pid=begun["pid"],
        owner=begun["owner"],
        started=begun["started"],
        finished=ended.get("finished"),
        about=begun["about"],
        progress=Progress(progress.get("counter", 0), progress.get("line", ""), progress.get("data", {})),
        result=ended.get("result"),
        error=ended.get("error") or (_lost(folder, begun) if state == DIED else None),
        acknowledged=bool(acknowledged),
        attendant=attendant.get("owner", ""),
        attended_at=attendant.get("at", 0.0),
    )


def start(
    state_dir: str | Path,
    name: str,
    work: Work,
    *,
    about: Data,
    owner: str,
    secrets: t.Sequence[str] = (),
    service: job_unit.Service | None = None,
) -> JobStatus:
    """Start ``work`` as a detached process, or as the unit that ``service`` asks for, and return once it runs.

    A work with a method ``rescue(reporter, cause) -> ArchiveToolError`` gets a guardian process: when the work's process is
    killed, the guardian calls it, and what it returns is the job's error. ``about`` says what the job is for (written to disk: no
    secrets); ``secrets`` are masked in a trace, and refused in ``about``.
    Raises ``BusyError`` (``details['holder']``) while another job of this name lives, ``JobError`` when it cannot be started.
    A unit takes its work over in a pickle: functions of modules, ``functools.partial`` of them, and data.
    """
    unit = service if service is not None and service.in_unit else None
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise JobError(f"job {name!r}", "the name is not usable as a file name", "Use letters, digits, dots and dashes")
    text = json.dumps(about)
    if any(secret and secret in text for secret in secrets):
        raise JobError(f"job {name}", "its description contains a password", "Report this as a bug")
    folder = Path(state_dir, name)
    lock = _take_lock(folder, owner)
    try:
        task = Task(folder, uuid.uuid4().hex, work, json.loads(text), owner, tuple(secrets))
        reason = job_unit.launch(task, lock, unit) if unit else launch(task, lock)
    finally:
        os.close(lock)
    if reason:
        raise JobError(f"job {name} in {state_dir}", reason, "See the cause and start it again")
    return status(state_dir, name)


def wait(state_dir: str | Path, name: str, seconds: float, seen: int) -> JobStatus:
    """Return when the job has said something after line number ``seen``, has ended, or ``seconds`` are over."""
    deadline = time.monotonic() + seconds
    while True:
        now = status(state_dir, name)
        left = deadline - time.monotonic()
        if now.state != RUNNING or now.progress.counter > seen or left <= 0:
            return now
        time.sleep(min(POLL_SECONDS, left))


def touch(state_dir: str | Path, name: str, owner: str) -> None:
    """Record that ``owner`` attends the job."""
    _note(state_dir, name, "attendant.json", status(state_dir, name).id, owner=owner, at=time.time())


def acknowledge(state_dir: str | Path, name: str, job_id: str) -> None:
    """Record that whoever had to hear of the end of ``job_id`` has heard; nobody is told again."""
    if status(state_dir, name).id == job_id:
        _note(state_dir, name, "acknowledged.json", job_id)
    _unheard_file(state_dir, name, job_id).unlink(missing_ok=True)


def unheard(state_dir: str | Path, name: str) -> tuple[Data, ...]:
    """Return the reports of ended jobs that nobody has confirmed to have heard, oldest first."""
    reports = [_read(file) for file in Path(state_dir, name).glob("unheard-*.json")]
    return tuple(sorted((report for report in reports if report), key=lambda report: report["started"]))


def request_stop(state_dir: str | Path, name: str) -> None:
    """Ask the job to end at the next point where it can; it sees ``Reporter.stop_requested``."""
    _note(state_dir, name, "stop.json", status(state_dir, name).id)


def keep_unheard(state_dir: str | Path, name: str, ended: JobStatus) -> None:
    """Keep the report of a job in a file of its own, since the next job replaces the others; the oldest go at last."""
    file = _unheard_file(state_dir, name, ended.id)
    _write(file, ended.report())
    for report in unheard(state_dir, name)[:-UNHEARD_KEPT]:
        _unheard_file(state_dir, name, report["id"]).unlink(missing_ok=True)


def _unheard_file(state_dir: str | Path, name: str, job_id: str) -> Path:
    return Path(state_dir, name, f"unheard-{job_id}.json")


def _take_lock(folder: Path, owner: str) -> int:
    """Return the descriptor that holds the lock; the flock belongs to the open file, so the job inherits it by the fork."""
    path = folder.with_name(f"{folder.name}.lock")
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JobError(str(folder), str(error), "Give the user that runs the module a state folder that it can write") from error
    # A job that has just written its result holds the lock for another moment.
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            now = status(folder.parent, folder.name)
            if now.state == RUNNING or time.monotonic() > deadline:
                os.close(lock)
                raise _busy(now, folder, owner) from None
        time.sleep(POLL_SECONDS)


def _busy(now: JobStatus, folder: Path, owner: str) -> BusyError:
    if now.state == RUNNING:
        holder = now.attended_by(owner) or now.owner
        return BusyError(
            f"job {now.name}",
            f"it has been running as process {now.pid} for {holder}",
            "Wait until it is done",
            holder=holder,
            id=now.id,
        )
    return BusyError(
        f"job {now.name}",
        f"a process of an earlier job still holds {folder}.lock",
        f"Find it with: fuser {folder}.lock",
        holder=now.owner or "unknown",
        id=now.id,
    )


def _alive(begun: Data) -> bool:
    """Tell whether the very process, or its guardian, still lives: a number is reused, and all of them are after a reboot."""
    return any(identity is not None and process_start(pid) == identity for pid, identity in begun.get("processes", ()))


def _lost(folder: Path, begun: Data) -> Data:
    unit = begun.get("unit")
    if unit and job_unit.end_of(folder.with_name(f"{folder.name}.lock")) == "oom-kill":
        # systemd says the same of a host that had no memory left.
        cause = f"it needed more memory than its limit or the host has, so {unit} was killed; what it had committed is safe"
        remedy = "Raise archive_host_memory_max, or give the host more memory, and run it again"
    elif not any(identity and identity.startswith(f"{boot_id()} ") for _pid, identity in begun["processes"]):
        cause = "the host was restarted before it had ended"
        remedy = "Run it again"
    else:
        cause = f"its process {begun['pid']} ended without a result: it was killed, or the disk is full"
        remedy = f"See {folder / 'log'}{f' and journalctl -u {unit}' if unit else ''} on the host and run it again"
    return JobError(f"job {folder.name}", cause, remedy, id=begun["id"]).as_result()


def _revived(error: Data) -> ArchiveToolError:
    """Return the error that ``as_result`` described."""
    kinds = {cls.kind: cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ArchiveToolError)}
    details = {key: value for key, value in error.items() if key not in ("kind", "subject", "cause", "remedy")}
    return kinds.get(error["kind"], ArchiveToolError)(error["subject"], error["cause"], error["remedy"], **details)


def _read(path: Path, job_id: str | None = None) -> Data:
    """Return what is in the file; empty when it is missing, broken or, given ``job_id``, of another job."""
    try:
        # A pipe in its place, which nobody writes to, would be waited for without an end.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
            data = json.loads(file.read() or b"")
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        return {}
    except OSError as error:
        raise JobError(str(path), str(error), "Run the module as the user that runs the job") from error
    whole = isinstance(data, dict) and all(isinstance(data.get(key, kind()), kind) for key, kind in _KINDS.items())
    return data if whole and job_id in (None, data.get("id")) else {}


def _note(state_dir: str | Path, name: str, file: str, job_id: str, **data: t.Any) -> None:
    if job_id:
        _write(Path(state_dir, name, file), dict(data, id=job_id))


def _write(path: Path, data: Data) -> None:
    try:
        write_record(path, data)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Make room on its file system and run again" if full else "Make the state folder writable"
        raise JobError(str(path), str(error), remedy) from error
