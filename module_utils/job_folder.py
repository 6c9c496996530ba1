# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a folder that root believes in can be written by somebody else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError


def refuse_unsafe(folder: str | Path) -> None:
    """Raise ``JobError`` when others could put files of theirs into ``folder``, or a folder of theirs in its place.

    A job believes what it finds there: a forged journal would become the mail server's configuration, a link in place of a log
    would be written to. What does not exist yet is made by us, and for us alone.
    """
    path = Path(folder).absolute()
    for place in (path, path.resolve()):
        reason = _danger(place)
        if reason:
            raise JobError(
                f"state folder {folder}", reason, "Set state_dir to a folder that only root can write, such as the default"
            )


def _danger(path: Path) -> str:
    chain = [*reversed(path.parents), path]
    shared = False
    for place in chain:
        info = _status(place)
        if info is None:
            return ""
        # In a folder such as /tmp, with the sticky bit, everybody keeps what is his own.
        if (shared or place == path) and info.st_uid not in (0, os.geteuid()):
            return f"{place} belongs to user {info.st_uid}"
        shared = not stat.S_ISLNK(info.st_mode) and bool(info.st_mode & stat.S_IWOTH)
        if shared and (place == path or not info.st_mode & stat.S_ISVTX):
            return f"everybody can write to {place} (mode {stat.S_IMODE(info.st_mode):o})"
        if place == path and info.st_mode & stat.S_IWGRP and info.st_gid not in (0, os.getegid()):
            return f"group {info.st_gid} can write to {place} (mode {stat.S_IMODE(info.st_mode):o})"
    return ""


def _status(place: Path) -> os.stat_result | None:
    try:
        return place.lstat()
    except FileNotFoundError:
        return None
