# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects whose own file is gone while the message lies whole in a further file of theirs, or in a placement: linked again.

Without it the message has no row, and what is left of it is nobody's.
"""

from __future__ import annotations

import errno
import os
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, rebuild_trees
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_scan import headless, read
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

# The inode takes no more links, or the directory is missing: it stays where it is, and is told by the scan.
_LEFT = {errno.EMLINK, errno.ENOENT}


def bring_back(store: Store, commits: int, report: Report, *, check_mode: bool) -> None:
    """Do it, durably. ``commits``: more than the catalog counts now.

    The marker of a run comes first: until there is a catalog with so many commits no run begins, which might take what was linked
    just now for its own, and sweep it.
    """
    written, seen = Written(), set[bytes]()
    for digest, path in _candidates(store.root):
        if digest in seen or not _is_whole(store.root, path, digest):
            continue
        if not (seen or check_mode):
            store.renew("archive_rebuild", commits)
        seen.add(digest)
        target = layout.object_path(digest)
        if check_mode or _link(store.root, path, target):
            report.figures["objects_linked"] += 1
            report.did(target)
            written.files.append(target)
            written.directories.add(target.rpartition("/")[0])
    if not check_mode:
        store.sync(written)


def _candidates(root: str) -> t.Iterator[tuple[bytes, str]]:
    """Digests without an object, each with a file that may hold the message, relative to the root."""
    yield from headless(root)
    for folder in rebuild_trees.folders(root, Report.unread()):
        for digest, placed in rebuild_trees.placements(root, folder.dir, Report.unread()).items():
            if not os.path.lexists(f"{root}/{layout.object_path(digest)}"):
                yield from ((digest, f"{folder.dir}/cur/{one.name}") for one in placed)


def _is_whole(root: str, path: str, digest: bytes) -> bool:
    try:
        read(root, path, digest)
    except StoreError:
        return False
    return True


def _link(root: str, path: str, target: str) -> bool:
    try:
        if path.startswith(f"{target}."):  # two names of one inode would count as two files of the object
            Path(root, path).rename(Path(root, target))
        else:
            os.link(Path(root, path), Path(root, target))
    except OSError as error:
        if error.errno not in _LEFT:
            raise os_failure(error, target) from error
        return False
    return True
