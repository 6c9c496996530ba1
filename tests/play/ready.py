# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that has imported what others import, and forks for each of them: ``python -m tests.play.ready KIND SOCKET``.

hand_over.py asks for it in processes that are in the same situation as this one. The fork does the work with the standard files,
the environment, the folder and the path of the one that asked, which waits and ends as it ended. If that is killed, the fork is.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import marshal
import os
import selectors
import signal
import socket
import sys
import threading
import time
import types
import typing as t

from hand_over import LONGEST, TAKEN, situation

KINDS = {"modules": "tests.play.ready_modules:Modules", "playbooks": "tests.play.ready_playbooks:Playbooks"}


class Kind(t.Protocol):
    """What a process can be ready for; all of it was imported when one is made."""

    def become(self, argv: t.Sequence[str]) -> t.NoReturn:
        """Do what Python was started for with ``argv``."""


class Ready:
    """Forks for one process after the other."""

    def __init__(self, name: str, path: str) -> None:
        # Before anything is imported: Ansible may change its process when it is.
        self._situation = situation(name)
        module, _, kind = KINDS[name].partition(":")
        self._kind: Kind = getattr(importlib.import_module(module), kind)()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(path)
        self._listening.listen(64)
        self._look = selectors.DefaultSelector()
        self._look.register(self._listening, selectors.EVENT_READ, self._accept)
        self._look.register(0, selectors.EVENT_READ, self._end)

    def serve(self) -> t.NoReturn:
        """Until the standard input ends."""
        gc.collect()
        gc.freeze()
        while True:
            for key, _ in self._look.select():
                key.data()

    def _end(self) -> t.NoReturn:
        os._exit(0)

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        asked, descriptors = _asked(client)
        try:
            if asked is None or asked["situation"] != self._situation:
                client.close()
                return
            pid = os.fork()
            if pid == 0:
                _resemble(asked, descriptors)
                self._kind.become(asked["argv"])
            self._attend(pid, client)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _attend(self, pid: int, client: socket.socket) -> None:
        ended = os.pidfd_open(pid)

        def done() -> None:
            _, status = os.waitpid(pid, 0)
            self._look.unregister(ended)
            os.close(ended)
            with contextlib.suppress(KeyError):  # it has left
                self._look.unregister(client)
            with contextlib.suppress(OSError):
                client.send(str(os.waitstatus_to_exitcode(status)).encode())
            client.close()

        def left() -> None:
            self._look.unregister(client)
            os.kill(pid, signal.SIGKILL)

        self._look.register(ended, selectors.EVENT_READ, done)
        self._look.register(client, selectors.EVENT_READ, left)
        with contextlib.suppress(OSError):
            client.send(TAKEN)


def _asked(client: socket.socket) -> tuple[dict[str, t.Any] | None, list[int]]:
    """Return what a process wants, and its standard files."""
    descriptors = array.array("i")
    words, ancillary, _, _ = client.recvmsg(LONGEST, socket.CMSG_LEN(3 * descriptors.itemsize))
    for _level, _type, data in ancillary:
        descriptors.frombytes(data)
    return (marshal.loads(words) if words else None), list(descriptors)  # noqa: S302  from hand_over.py


def _resemble(asked: dict[str, t.Any], descriptors: list[int]) -> None:
    """Be like the process that asked."""
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)  # noqa: PTH208  this needs no objects
    os.environ.clear()
    os.environ.update(asked["environ"])
    os.chdir(asked["cwd"])
    os.umask(asked["umask"])
    time.tzset()
    sys.path[:] = asked["path"]
    sys.orig_argv[:] = asked["argv"]


def run(work: t.Callable[[types.ModuleType], None]) -> t.NoReturn:
    """Do the work of a new main module, and end as Python ends."""
    main = types.ModuleType("__main__")
    vars(main)["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    status = 1
    try:
        work(main)
        status = 0
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status = end.code or 0
        else:
            print(end.code, file=sys.stderr)  # noqa: T201  as Python does
    except BaseException:  # noqa: BLE001  as Python does
        sys.excepthook(*sys.exc_info())
    threading._shutdown()  # type: ignore[attr-defined]  # private to CPython
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    Ready(*sys.argv[1:]).serve()
