# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that has just begun has its work done by one that has imported everything (tests/play/ready.py)."""

from __future__ import annotations

import _socket
import contextlib
import marshal
import os
import sys

READY = os.environ.get("TESTS_READY", "")
LONGEST = 1 << 17  # bytes of what is said to the process that is ready
TAKEN = b"taken"
# Of /proc/self/status, and of /proc/self/ns: what a process that was forked elsewhere could not have.
STATUS = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp", "SigIgn", "SigBlk", "TracerPid")
VARIABLES = {"modules": ("PYTHON", "LD_", "TESTS_")}
# What Ansible reads when it is imported.
VARIABLES["playbooks"] = (*VARIABLES["modules"], "ANSIBLE_", "HOME", "TMP", "TEMP", "LC_", "LANG", "XDG_")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def kind() -> str:
    """Return which of the processes that are ready can take this one over, if any."""
    if len(sys.orig_argv) == 1:
        return "modules"
    return "playbooks" if sys.orig_argv[1:4] == ["-m", "ansible", "playbook"] else ""


def situation(kind: str) -> list[object]:
    """Return all in which the process that is ready has to be like this one."""
    with open("/proc/self/status") as file:  # noqa: PTH123  pathlib is not loaded for this
        status = [line for line in file if line.startswith(STATUS)]
    with open("/proc/self/limits") as file:  # noqa: PTH123  the same
        limits = file.read()
    spaces = [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES]  # noqa: PTH115  the same
    variables = sorted(one for one in os.environ.items() if one[0].startswith(VARIABLES[kind]))
    streams = [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)]
    own = [sys.executable, sys.version, tuple(sys.flags), sys.warnoptions, sys.getfilesystemencoding(), streams]
    return [status, limits, spaces, os.readlink("/proc/self/root"), variables, own, os.nice(0)]  # noqa: PTH115  the same


def hand_over(kind: str) -> None:
    """Have the process that is ready do what this one was started for, if it can be like this one, and end as that ended."""
    with contextlib.closing(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)) as talk:
        try:
            talk.connect(f"{READY}/{kind}")
            os.umask(umask := os.umask(0o77))
            asked = {"situation": situation(kind), "environ": dict(os.environ), "cwd": os.getcwd(), "umask": umask}  # noqa: PTH109
            asked |= {"path": ["", *sys.path], "argv": sys.orig_argv}
            standard = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
            talk.sendmsg([marshal.dumps(asked)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, standard)])
            taken = talk.recv(LONGEST) == TAKEN
        except OSError:
            return
        if not taken:
            return
        status = int(talk.recv(LONGEST) or b"70")
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status)
