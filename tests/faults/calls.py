# SPDX-License-Identifier: GPL-3.0-or-later
"""The other half of calls.c: building it, arming it from a process into which it was loaded, and reading what it wrote down."""

from __future__ import annotations

import ctypes
import struct
import subprocess
import typing as t
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
_HEAD = struct.Struct("<IIqiIQqqIIQ")
KEPT_BYTES = 1 << 28


class Action(IntEnum):
    """What happens at the call whose number was given, as in calls.c."""

    COUNT = 0
    KILL = 1
    FAIL_ONCE = 2
    FAIL_ON = 3
    HANG_UP = 4


class Record(t.NamedTuple):
    """One call. ``number`` 0 is a mark of the test; ``path`` and ``second`` are absolute, ``result`` below 0 is a failure."""

    number: int
    name: str
    path: str
    second: str
    inode: int
    offset: int
    flags: int
    made: bool
    data: bytes
    result: int


def build(folder: Path) -> Path:
    """Compile calls.c into ``folder``."""
    library = folder / "calls.so"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Calls:
    """The library in this process and in those that it forks; it was loaded with LD_PRELOAD."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.calls_count.restype = ctypes.c_long
        self._library.calls_failed.restype = ctypes.c_long
        self._library.calls_log.restype = ctypes.c_void_p
        assert self._library.calls_keep(ctypes.c_size_t(KEPT_BYTES)) == 0

    def arm(self, root: str, target: int = 0, action: int = Action.COUNT, code: int = 0, kinds: str = "") -> None:
        """Count from here on; at call ``target`` do ``action``: a failure with errno ``code`` hits the first of ``kinds``."""
        assert self._library.calls_arm(root.encode(), ctypes.c_long(target), action, code, f" {kinds} ".encode()) == 0

    def disarm(self) -> None:
        self._library.calls_disarm()

    def count(self) -> int:
        return int(self._library.calls_count())

    def failed(self) -> int:
        return int(self._library.calls_failed())

    def point(self, name: str, text: str) -> None:
        self._library.calls_point(name.encode(), text.encode())

    def mark(self, text: str) -> None:
        self._library.calls_mark(text.encode())

    def log(self) -> bytes:
        """What was kept since the arming, for ``records``."""
        used = ctypes.c_size_t()
        address = self._library.calls_log(ctypes.byref(used))
        return ctypes.string_at(address, used.value)


def records(log: bytes) -> t.Iterator[Record]:
    """Read what ``Calls.log`` gave."""
    at = 0
    while at < len(log):
        size, number, result, _code, made, inode, offset, flags, _name, paths, data = _HEAD.unpack_from(log, at)
        texts = log[at + _HEAD.size : at + _HEAD.size + paths].split(b"\0")
        name, path, second = (text.decode() for text in texts[:3])
        begin = at + _HEAD.size + paths
        yield Record(number, name, path, second, inode, offset, flags, bool(made), log[begin : begin + data], result)
        at += size
