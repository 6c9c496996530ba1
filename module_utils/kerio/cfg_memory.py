# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process of the server read at its start, remembered so that no clock has to be believed.

A clock may be set back or forth between the change of a file and the start of a process, so neither time proves by itself
that the process has read the file. The boot, the clock ticks since then and the bytes of the file do.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.job import boot_id, write_record

Values = t.Mapping[str, t.Optional[str]]


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class FileState:
    """The file at one moment. The inode number and the time of its change tell whether it was touched in between."""

    digest: str
    inode: int
    changed_ns: int


@dataclass(frozen=True)
class Memory:
    """``process`` read a file with ``digest`` and ``values`` (by path) at its start; ``file`` is how the file was when this was
    noted, ``boot`` and ``ticks`` say when that was."""

    process: str
    digest: str
    values: Values
    file: FileState
    boot: str
    ticks: float

    def verdict(self, process: str, file: FileState, values: Values) -> bool | None:
        """Tell whether ``process`` (its identity) has read ``values``, which the file has now; None when this cannot tell."""
        if process != self.process:
            return True if self._is_older_than(process) and file == self.file else None
        if file.digest == self.digest:
            return True
        known = [place for place in values if place in self.values]
        if any(self.values[place] != values[place] for place in known):
            return False
        return True if len(known) == len(values) else None

    def _is_older_than(self, process: str) -> bool:
        """Tell whether ``process`` was started after this was noted: in a later boot, or later in the same one."""
        boot, _blank, ticks = process.rpartition(" ")
        return boot != self.boot or int(ticks) > self.ticks

    def covers(self, process: str, values: Values) -> bool:
        return process == self.process and all(place in self.values for place in values)


def note(path: Path, process: str, digest: str, values: Values, file: FileState) -> None:
    """Write to ``path`` what ``process`` has read; raises ``OSError``."""
    ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_record(path, asdict(Memory(process, digest, dict(values), file, boot_id(), ticks)))


def recall(path: Path) -> Memory | None:
    """Return what was noted last, or None when there is nothing that can be read."""
    try:
        data = json.loads(path.read_bytes())
        return Memory(
            process=str(data["process"]),
            digest=str(data["digest"]),
            values=dict(data["values"]),
            file=FileState(**data["file"]),
            boot=str(data["boot"]),
            ticks=float(data["ticks"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
