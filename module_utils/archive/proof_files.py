# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are handed out: compared, planned, and written only where they differ. Bounded in memory."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import plan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import sync_path, write_all

KIND = "files"
MODE = 0o600  # they hold mail
FOLDER_MODE = 0o700
CHUNK = 1 << 20


@dataclass(frozen=True)
class Handout:
    """A file: ``pieces`` gives its content, anew with every call, ``sha256`` are the hexadecimal digits of that."""

    name: str
    sha256: str
    pieces: t.Callable[[], t.Iterable[bytes]]


def text_file(name: str, text: str) -> Handout:
    """A file of text."""
    content = text.encode()
    return Handout(name, hashlib.sha256(content).hexdigest(), lambda: [content])


def settle(folder: str, files: t.Sequence[Handout], *, check_mode: bool) -> plan.Plan:
    """Have the files in the folder, which is made unless it is there; return what was, or would be, changed.

    Everything that is to be written is read before anything is written. Raises StoreError, and what ``pieces`` raises.
    """
    desired = {file.name: _state(file.sha256, MODE) for file in files}
    try:
        current = {name: found for name in desired if (found := _found(Path(folder, name))) is not None}
        planned = plan.Plan(folder, tuple(plan.item_changes(KIND, current, desired, {})))
        touched = {change.key: change.values for change in planned.changes}
        writing = [file for file in files if "sha256" in touched.get(file.name, {})]
        for file in writing:
            for _piece in file.pieces():
                pass
        if planned.changed and not check_mode:
            _write(folder, writing, touched)
    except OSError as error:
        raise os_failure(error, error.filename or folder) from error
    return planned


def _write(folder: str, writing: t.Sequence[Handout], touched: t.Iterable[str]) -> None:
    Path(folder).mkdir(mode=FOLDER_MODE, exist_ok=True)
    for file in writing:
        _replace(folder, file)
    for name in touched:
        Path(folder, name).chmod(MODE)
    sync_path(folder)


def _replace(folder: str, file: Handout) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        try:
            for piece in file.pieces():
                write_all(descriptor, piece)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        Path(temporary).replace(Path(folder, file.name))
    finally:
        Path(temporary).unlink(missing_ok=True)


def sha256_of(pieces: t.Iterable[bytes]) -> str:
    """The hexadecimal digits of the SHA-256 of all pieces."""
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()


def pieces_of(path: Path) -> t.Iterator[bytes]:
    """The content of a file."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _found(path: Path) -> dict[str, str] | None:
    """What is there; None for nothing, and for what is no file, which is replaced."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return _state(sha256_of(pieces_of(path)), stat.S_IMODE(facts.st_mode))


def _state(sha256: str, mode: int) -> dict[str, str]:
    return {"sha256": sha256, "mode": f"{mode:04o}"}
