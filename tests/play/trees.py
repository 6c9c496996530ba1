# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies below folders, to be compared before and after; run as a script it is a step between two tasks of a playbook."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

Tree = dict[str, list[object]]


def tree(*folders: Path | str) -> Tree:
    """Return every path below ``folders`` with kind and mode, inode, links, owner, time of change (ns) and contents.

    A directory's time is not among it, so that a file may come and go; what stays is told by the rest. A folder that is not
    there gives nothing.
    """
    there = [Path(folder) for folder in folders if os.path.lexists(folder)]
    return {str(path): _entry(path) for folder in there for path in sorted([folder, *folder.rglob("*")])}


def _entry(path: Path) -> list[object]:
    status = path.lstat()
    entry: list[object] = [oct(status.st_mode), status.st_ino, status.st_uid, status.st_gid]
    if stat.S_ISREG(status.st_mode):
        entry += [status.st_nlink, status.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()]
    return entry


if __name__ == "__main__":
    json.dump(tree(*sys.argv[1:]), sys.stdout)
