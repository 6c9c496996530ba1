# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time per archive root: a lock whose file names its holder; and short turns, for which others wait."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError

# Planning for tens of thousands of users takes a fraction of that.
TURN_SECONDS = 120.0


class RootLock:
    """An flock on ``path``, held until ``release`` or the end of the process and of the children that it forked."""

    def __init__(self, path: str, what: str) -> None:
        """Take the lock for ``what``, or raise BusyError with the holder in ``details['holder']``."""
        # Root takes it too, when it hands the archive over; a link would have it write elsewhere.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise BusyError(
                path,
                "the archive is in use by " + _describe(holder),
                "Wait until that run is over; the next playbook run archives what is new then",
                holder=holder,
            ) from None
        self._descriptor = descriptor
        self.holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": int(time.time()), "what": what}
        try:
            self._write(json.dumps(self.holder).encode() + b"\n")
        except OSError:
            os.close(descriptor)
            raise

    def release(self) -> None:
        """Give the lock back; never raises."""
        with contextlib.suppress(OSError):  # a full disk, one that became read-only: the name of the holder is for people alone
            self._write(b"")
        os.close(self._descriptor)

    def _write(self, content: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)


@contextlib.contextmanager
def turn(folder: str, seconds: float = TURN_SECONDS) -> t.Iterator[None]:
    """Wait for an flock on ``folder`` itself, which leaves nothing behind; raise BusyError when it is kept for ``seconds``."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + seconds
        while not _taken(descriptor):
            if time.monotonic() > end:
                raise BusyError(
                    folder, f"somebody else has been at it for {seconds:.0f} seconds", "Try again when that has ended"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(descriptor: int) -> dict[str, t.Any]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:  # between its flock and its write
        return {}
    return holder if isinstance(holder, dict) else {}


def _describe(holder: dict[str, t.Any]) -> str:
    if not {"what", "pid", "host", "started"} <= holder.keys():
        return "another process that has just begun"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(holder["started"]))
    return f"{holder['what']} (process {holder['pid']} on {holder['host']}) since {since}"
