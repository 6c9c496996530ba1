# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of the guarded edit at which its job can be killed, named by the step that comes next or was just done."""

from __future__ import annotations

import os
import signal
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job_process
from ansible_collections.mailops.kerio.plugins.module_utils.job import boot_id, write_record
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_file
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_job import GuardedEdit
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_memory import digest_of
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.service import Service
from tests.faults.cfg_host import EDITED, SAVED

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Point:
    """``attribute`` of ``owner`` is where the job dies, before or after the ``call``-th call; ``file`` is what the file says when
    the guardian has done its work. ``linked``: the file has a second name, so that it is written in place."""

    owner: t.Any
    attribute: str
    when: str
    file: bytes
    call: int = 1
    linked: bool = False


POINTS = {
    "before it looks": Point(GuardedEdit, "_do", BEFORE, SAVED),
    "disk and ports are looked at": Point(GuardedEdit, "_refuse_early", AFTER, SAVED),
    "before the stop": Point(Service, "stop", BEFORE, SAVED),
    "before the stop command": Point(Service, "_run", BEFORE, SAVED),
    "stop command done": Point(Service, "_run", AFTER, SAVED),
    "stop proven": Point(Service, "stop", AFTER, SAVED),
    "before a torn file is restored": Point(CfgFile, "restore_torn", BEFORE, SAVED),
    "before the file is read": Point(GuardedEdit, "_edit", BEFORE, SAVED),
    "before the backup": Point(CfgFile, "backup", BEFORE, SAVED),
    "backup written": Point(CfgFile, "backup", AFTER, SAVED),
    "before the write": Point(CfgFile, "write", BEFORE, SAVED),
    "new file beside the old": Point(CfgFile, "_create", AFTER, SAVED, call=3),
    "renamed": Point(cfg_file, "sync_folder", BEFORE, EDITED, call=2),
    "written": Point(CfgFile, "write", AFTER, EDITED),
    "edited": Point(GuardedEdit, "_edit", AFTER, EDITED),
    "before the start": Point(Service, "start", BEFORE, EDITED),
    "before the start command": Point(Service, "_run", BEFORE, EDITED, call=2),
    "start command done": Point(Service, "_run", AFTER, EDITED, call=2),
    "started": Point(Service, "start", AFTER, EDITED),
    "before it remembers": Point(GuardedEdit, "_remember", BEFORE, EDITED),
    "remembered": Point(GuardedEdit, "_remember", AFTER, EDITED),
    "before the result is written": Point(job_process._Verdict, "record", BEFORE, EDITED),
    "before the write in place": Point(CfgFile, "_write_in_place", BEFORE, SAVED, linked=True),
    "half written in place": Point(CfgFile, "_write_in_place", "half", SAVED, linked=True),
    "written in place": Point(CfgFile, "_write_in_place", AFTER, EDITED, linked=True),
}


def deadly(point: Point, marker: Path, with_guardian: bool) -> t.Callable[..., t.Any]:
    """Return what ``point.attribute`` is to be replaced by: it kills the process of the job once, and its guardian first if
    asked. The guardian has the same code, so ``marker`` tells it that the deed is done."""
    real = getattr(point.owner, point.attribute)
    calls: list[None] = []

    def die() -> None:
        try:
            marker.open("x").close()
        except FileExistsError:
            return
        if with_guardian:
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def replacement(*arguments: t.Any, **more: t.Any) -> t.Any:
        calls.append(None)
        if len(calls) != point.call:
            return real(*arguments, **more)
        if point.when == BEFORE:
            die()
        if point.when == "half" and not marker.exists():
            _half(*arguments)
            die()
        answer = real(*arguments, **more)
        if point.when == AFTER:
            die()
        return answer

    return replacement


def _half(file: CfgFile, data: bytes, backup: Path) -> None:
    """Write in place as far as the middle of the data."""
    digests = [digest_of(backup.read_bytes()), digest_of(data)]
    write_record(file._journal, {"backup": str(backup), "digests": digests, "boot": boot_id()})
    with file.path.open("r+b") as target:
        target.write(data[: len(data) // 2])
        target.truncate()
