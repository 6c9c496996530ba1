# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that gets another owner: all of it or none, because nobody can make hard links to objects of somebody else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job_account
from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_lock import RootLock
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, StoreError


def refused(root: str, found: int, wanted: int) -> StoreError:
    """The error of an archive that belongs to somebody else, and is not to be handed over."""
    remedy = (
        "Run configure.yml with -e archive_host_take_over=true once, while no run is under way, to hand it over; or set "
        "archive_host_user to the owner that it has"
    )
    return StoreError(root, f"the archive belongs to {_name(found)} and is to belong to {_name(wanted)}", remedy)


def refuse_of_another(root: str) -> None:
    """Raise StoreError when root acts as an account that does not own the archive, which would fail at some file in it."""
    if not job_account.may_be_root() or os.geteuid() == 0:
        return
    with contextlib.suppress(OSError):  # the module tells what it does not find
        found = owner_of(root, os.geteuid())
        if found != os.geteuid():
            raise refused(root, found, os.geteuid())


def owner_of(root: str, wanted: int) -> int:
    """Who owns the root; but of the catalog, when the root belongs to ``wanted`` already: a copy may have kept its owner."""
    found = Path(root).stat().st_uid
    catalog = Path(root, layout.CATALOG_FILE)
    return catalog.lstat().st_uid if found == wanted and os.path.lexists(catalog) else found


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def hand_over(root: str, uid: int, gid: int) -> int:
    """Give everything below ``root`` to ``uid`` and ``gid`` (-1: keep it); return how many files and directories that were.

    The root itself is the caller's, and comes last: as long as it has the old owner, the next call goes on. Raises BusyError
    while a run or another job is under way, OSError.
    """
    lock = RootLock(f"{root}/{layout.LOCK_FILE}", "handing it over to another owner")
    try:
        _refuse_jobs(root)
        tree = os.fwalk(root, topdown=False, follow_symlinks=False, onerror=_fail)
        given = sum(_give(name, folder, uid, gid) for _path, folders, files, folder in tree for name in (*folders, *files))
        # Before the root tells that all is done.
        os.sync()
    finally:
        lock.release()
    return given


def _fail(error: OSError) -> None:
    raise error


def _give(name: str, folder: int, uid: int, gid: int) -> bool:
    """A file with many names is given once: it has its owner when the next name comes."""
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    wanted = (uid, facts.st_gid if gid < 0 else gid)
    if (facts.st_uid, facts.st_gid) == wanted:
        return False
    os.chown(name, *wanted, dir_fd=folder, follow_symlinks=False)
    return True


def _refuse_jobs(root: str) -> None:
    """A job that reads alone has no lock of the archive, but one of its own; its files would stay the old owner's."""
    for path in Path(root, layout.JOBS).glob("*.lock"):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(str(path), "a job is under way", "Hand the archive over when it has ended") from None
        finally:
            os.close(descriptor)
