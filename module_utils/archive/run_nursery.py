# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that every worker is forked from.

It begins before the store and the catalog are opened and before any thread runs, and does nothing but fork and wait. So a worker
that takes the place of a dead one inherits neither the catalog's descriptors nor the lock nor half a lock of another thread.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import traceback
import typing as t
from multiprocessing.connection import Connection

from ansible_collections.mailops.kerio.plugins.module_utils.archive.process_memory import keep_freed_memory
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import die_with
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError

_CRASHED = 70
_FORK, _WAIT = b"F", b"W"
_MOST = 64  # bytes of a request or an answer

Life = t.Callable[["Connection[t.Any, t.Any]"], None]


class Nursery:
    """Forks processes that run ``life`` with their end of a pipe, and tells how they ended."""

    def __init__(self, life: Life) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _end_with(lambda: _serve(parent, theirs, life))
        theirs.close()
        self._socket = ours

    def fork(self) -> tuple[int, Connection[t.Any, t.Any]]:
        """Begin a worker; return its process id and our end of its pipe."""
        ours, theirs = multiprocessing.Pipe()
        try:
            pid = self._ask(_FORK, [theirs.fileno()])
        finally:
            theirs.close()
        if pid < 0:
            ours.close()
            raise JobError(
                "an archiving worker", f"it cannot be started: {os.strerror(-pid)}", "Give the host room for its processes"
            )
        return pid, ours

    def end_of(self, pid: int) -> int:
        """Wait for a worker's end; return its exit status, or the number of the signal as a negative number."""
        return self._ask(_WAIT + str(pid).encode())

    def close(self) -> None:
        """End the nursery; workers that are still there end with it."""
        self._socket.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _ask(self, request: bytes, descriptors: t.Sequence[int] = ()) -> int:
        try:
            socket.send_fds(self._socket, [request], list(descriptors))
            answer = self._socket.recv(_MOST)
        except OSError:
            answer = b""
        if not answer:
            raise JobError(
                "the archiving workers", "the process that starts them died", "Run it again: what was committed is safe"
            )
        return int(answer)


def _serve(parent: int, requests: socket.socket, life: Life) -> None:
    _begin(parent)
    us = os.getpid()
    while True:
        request, descriptors, _flags, _address = socket.recv_fds(requests, _MOST, 1)
        if not request:
            return
        if request == _FORK:
            answer = _fork(us, descriptors[0], requests, life)
        else:
            _pid, status = os.waitpid(int(request[1:]), 0)
            answer = os.waitstatus_to_exitcode(status)
        requests.send(str(answer).encode())


def _fork(parent: int, descriptor: int, requests: socket.socket, life: Life) -> int:
    try:
        pid = os.fork()
        if pid == 0:
            requests.close()
            _end_with(lambda: _live(parent, descriptor, life))
    except OSError as error:
        return -(error.errno or 1)
    finally:
        os.close(descriptor)
    return pid


def _live(parent: int, descriptor: int, life: Life) -> None:
    _begin(parent)
    keep_freed_memory()
    life(Connection(descriptor))


def _begin(parent: int) -> None:
    die_with(parent)
    # systemd and a terminal send these to all processes: the scheduler ends the run in order, and its workers with it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with(work: t.Callable[[], None]) -> t.NoReturn:
    """Work and end the process; never return into the code that forked it."""
    status = _CRASHED
    try:
        work()
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        status = 0
    finally:
        if status:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(status)
