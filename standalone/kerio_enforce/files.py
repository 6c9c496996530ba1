# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are there whole or not at all, and the lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t
from pathlib import Path

PAUSE = 0.5


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step. Not synced: after a power loss an older one does as well."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # node_exporter reads *.prom alone.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # What a server says may have half pairs, which are not UTF-8; as JSON their escape is the same text.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: t.Any) -> None:
    """Replace a file in one step, readable by its owner alone."""
    write(path, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, t.Any]:
    """What a file of ``write_json`` or a report says; nothing when it is not there or is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


@contextlib.contextmanager
def locked(
    path: Path, about: dict[str, t.Any], wait: float, given_up: t.Callable[[], bool] = lambda: False
) -> t.Iterator[dict[str, t.Any] | None]:
    """Hold the lock, as ``about`` says to others; yields what the holder says when another one has it after ``wait`` seconds.

    ``given_up`` ends the wait. The lock ends with this process: programs that it starts do not inherit it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + wait
    with path.open("a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end or given_up():
                    yield read_json(path)
                    return
                time.sleep(PAUSE)
        file.truncate(0)
        file.write(json.dumps(about))
        file.flush()
        yield None
