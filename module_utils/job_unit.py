# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as a transient unit of systemd: under its own account, with limits, and with nothing writable but its own folders.

The unit gets the code that the module came with, and its secrets, in memory: its standard input is a file without a name. Its
standard output is the lock of the job, which so passes from hand to hand without a gap; its standard error is the pipe for the
answer. systemd keeps all three open until the unit has ended, with what it started.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job_account
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError
from ansible_collections.mailops.kerio.plugins.module_utils.job_process import RUNS, Task, boot_id, run_unit

SYSTEMD_RUN = "/usr/bin/systemd-run"
# It is there where systemd is the first process.
BOOTED = Path("/run/systemd/system")
START_SECONDS = 60.0
_NO_BUS = "Failed to connect to bus"
AUTO, ALWAYS, NEVER = "auto", "true", "false"

# The code is a folder's name, or the archive that Ansible ships a module in: that is deleted when the module ends.
_BOOTSTRAP = """\
import os, pickle, sys
code = pickle.load(sys.stdin.buffer)
if isinstance(code, bytes):
    memory = os.memfd_create("code")
    with open(memory, "wb", closefd=False) as file:
        file.write(code)
    code = f"/proc/self/fd/{memory}"
sys.path.insert(0, code)
pickle.load(sys.stdin.buffer)()
"""

# What a job of the archive never needs. Not RestrictSUIDSGID: the folders of the archive have the setgid bit.
_SANDBOX = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "PrivateDevices": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    # A dump would hold passwords.
    "LimitCORE": "0",
    "LimitNOFILE": "65536",
    # The work is asked to stop; its workers end with it. A silent server takes a minute to be given up.
    "KillMode": "mixed",
    "TimeoutStopSec": "180",
    # All or none: the rest of a job that lost a process at random would tell something else than the limit.
    "OOMPolicy": "kill",
    # Into the lock, which is the standard output: how the unit ended, for ``end_of``.
    "ExecStopPost": "-/usr/bin/printenv SERVICE_RESULT EXIT_STATUS",
}
# Root without an account of its own, for what gives files away: it may change owners and read everything, no more.
_ROOTS = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID"


@dataclass(frozen=True)
class Service:
    """How the jobs of a host run. ``user``: "" or root for the user of the module. ``systemd``: auto, true or false.

    ``limits``: properties of the unit by name. ``writes``: the folders that stay writable. ``sees``: what else it must see.
    """

    user: str = ""
    systemd: str = NEVER
    limits: t.Mapping[str, str] | None = None
    writes: t.Sequence[str] = ()
    sees: t.Sequence[str] = ()

    @property
    def in_unit(self) -> bool:
        """Whether jobs become units; raises ``JobError`` when they are to, and cannot."""
        if self.systemd == NEVER:
            return False
        cause = ""
        if not BOOTED.is_dir() or not Path(SYSTEMD_RUN).exists():
            cause = "systemd does not run on this host"
        elif not job_account.may_be_root():
            cause = "only root can start a unit"
        if cause and self.systemd == ALWAYS:
            remedy = "Set archive_host_become to true where systemd runs, or archive_host_systemd to false or auto"
            raise JobError("archive_host_systemd is true", cause, remedy)
        return not cause

    def properties(self) -> dict[str, str]:
        """What the unit is told, by the names of systemd."""
        # Without an account it is root, who must be able to read what others own.
        own = {"User": self.user, "CapabilityBoundingSet": ""}
        if self.user in ("", "root"):
            own = {"CapabilityBoundingSet": _ROOTS}
        return {
            **_SANDBOX,
            **own,
            "ProtectHome": "read-only" if self._needs("/home", "/root", "/run/user") else "yes",
            "PrivateTmp": "no" if self._needs("/tmp", "/var/tmp") else "yes",  # noqa: S108 - nothing is made there
            "ReadWritePaths": " ".join(map(_quoted, self.writes)),
            **(self.limits or {}),
        }

    def _needs(self, *hidden: str) -> bool:
        # Also where links lead, by which an archive on a large disk may have its short name.
        needed = [place for path in (*self.writes, *self.sees) for place in (Path(path), Path(path).resolve())]
        return any(Path(folder) in (place, *place.parents) for place in needed for folder in hidden)


def launch(task: Task, lock: int, service: Service) -> str:
    """Run ``task`` as a unit that holds ``lock``; return "" once it runs, or the reason why it does not."""
    # In a container a unit may see another boot than the rest of the host.
    task = replace(task, unit=f"kerio-archive-{task.folder.name}-{task.id[:8]}.service", boot=boot_id())
    os.ftruncate(lock, 0)
    reader, writer = os.pipe()
    try:
        with os.fdopen(_payload(task), "rb") as payload, job_account.as_root():
            given = {"stdin": payload, "stdout": lock, "stderr": writer, "cwd": "/", **_identity()}
            process = subprocess.Popen(_command(task, service), start_new_session=True, **given)  # noqa: S603 - systemd-run, no shell
    except OSError as error:
        os.close(reader)
        return str(error)
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        answer = _answer(pipe)
    # It has handed everything over, and would wait for the unit's end.
    with job_account.as_root():
        process.kill()
    process.wait()
    if answer.endswith(RUNS):
        return ""
    told = answer.decode("utf-8", "replace").strip().splitlines()
    if told and told[-1].startswith(_NO_BUS):
        return f"{told[-1]}. Install the package dbus, by which units are started, or set archive_host_systemd to false"
    return told[-1] if told else f"the unit {task.unit} ended before the work began: journalctl -u {task.unit} tells why"


def end_of(lock: Path, patience: float = 2.0) -> str:
    """How the unit that held the lock last has ended, in systemd's word: success, oom-kill, signal; "" if nobody knows."""
    deadline = time.monotonic() + patience
    try:
        with lock.open("rb") as file:
            # systemd writes it a moment after the last process of the unit has gone, and holds the lock until then.
            while not (words := file.read().split()) and _held(file.fileno()) and time.monotonic() < deadline:
                time.sleep(0.02)
            words = words or file.read().split()
    except OSError:
        return ""
    return words[0].decode("ascii", "replace") if words else ""


def _held(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _command(task: Task, service: Service) -> list[str]:
    options = [f"--property={name}={value}" for name, value in service.properties().items()]
    what = f"--description=Mail archive: {task.folder.name} in {task.folder.parent}"
    python = [sys.executable, "-I", "-X", "utf8", "-c", _BOOTSTRAP]
    return [SYSTEMD_RUN, "--quiet", "--pipe", "--collect", f"--unit={task.unit}", what, *options, "--", *python]


def _identity() -> dict[str, t.Any]:
    """Have the program be root as a whole, and inherit nothing of the module's environment."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    return {"env": environment, **({"user": 0, "group": 0, "extra_groups": []} if os.geteuid() == 0 else {})}


def _payload(task: Task) -> int:
    """A file without a name that holds code and task, to be read from its beginning."""
    with job_account.as_root():
        code = _code()
    memory = os.memfd_create("job")
    with os.fdopen(memory, "wb", closefd=False) as file:
        pickle.dump(code, file)
        pickle.dump(_Entry(task), file)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def _code() -> bytes | str:
    """What is on the search path for this module: the content of the archive, or the name of the folder."""
    place = next(folder.parent for folder in Path(__file__).parents if folder.name == "ansible_collections")
    return place.read_bytes() if place.is_file() else str(place)


@dataclass(frozen=True)
class _Entry:
    task: Task

    def __call__(self) -> t.NoReturn:
        run_unit(self.task)


def _answer(pipe: t.BinaryIO) -> bytes:
    """Everything up to the word that the work runs, to the end, or to the end of all patience."""
    deadline = time.monotonic() + START_SECONDS
    answer = b""
    while not answer.endswith(RUNS):
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return f"systemd did not start it within {START_SECONDS:g} seconds".encode()
        some = pipe.read(65536)
        if not some:
            break
        answer += some
    return answer


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
