# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the directories of an export are. Root must not work where somebody else could put a symbolic link just then."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import Rights
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, InputError, StoreError

# The user who may do more than those whose directories it meets.
ROOT = 0
# What the file system itself has at the top.
SYSTEMS = "lost+found"
CLOSED = 0o700
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Facts = dict[tuple[int, int], os.stat_result]


def place_of(dest: str) -> str:
    """``dest`` without symbolic links. Raises InputError for root when somebody else could swap it on the way there."""
    at, left = Path("/"), list(reversed(Path(dest).parts[1:]))
    while left:
        if _theirs(facts := at.stat()) and not (_owned(facts) and facts.st_mode & stat.S_ISVTX):
            _refuse_ancestor(at)
        name = left.pop()
        path = at / name
        if name == "..":
            at = at.parent
        elif path.is_symlink():
            if _theirs(path.lstat(), 0):
                _refuse_ancestor(path)
            target = path.readlink()
            at = Path("/") if target.is_absolute() else at
            left += reversed(target.parts[target.is_absolute() :])
        else:
            at = path
    return str(at)


def _refuse_ancestor(path: Path) -> t.NoReturn:
    cause = f"others than root own {path} or may write to it, and so could put another directory in its place"
    raise InputError("dest", cause, f"Give a dest elsewhere, or make {path} root's, with mode 0755")


def _theirs(facts: os.stat_result, written_by: int = stat.S_IWGRP | stat.S_IWOTH) -> bool:
    """Whether root meets something that somebody else owns or may write. The bits of the group are those of ACLs as well."""
    return os.geteuid() == ROOT and (not _owned(facts) or bool(facts.st_mode & written_by))


def _owned(facts: os.stat_result) -> bool:
    return facts.st_uid in (0, ROOT)


def has_theirs(dest: str) -> bool:
    """Whether dest, or a directory below it, has to be taken back before root writes. It only looks; raises for links."""
    if not Path(dest).exists():
        return False
    refuse_links(dest)
    return os.geteuid() == ROOT and any(_theirs(os.fstat(descriptor)) for *_names, descriptor in os.fwalk(dest))


def take_back(dest: str, place: str, descriptor: int) -> Facts:
    """Have dest and all directories below it be root's; return what they were, by device and inode.

    A directory is listed once it is root's: what is in it stays there from then on.
    """
    facts: Facts = {}
    if os.geteuid() == ROOT:
        _take_back(dest, descriptor, facts, but=SYSTEMS)
        if not os.path.samestat(os.fstat(descriptor), os.lstat(place)):
            raise BusyError(dest, "somebody put something else in its place just now", "See who does that, then export again")
    return facts


def _take_back(path: str, descriptor: int, facts: Facts, but: str = "") -> None:
    before = os.fstat(descriptor)
    if _theirs(before):
        # The owner first: who owns it could take a mode back.
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, ROOT, os.getegid())
            os.fchmod(descriptor, CLOSED)
        if not _theirs(os.fstat(descriptor)):
            facts[before.st_dev, before.st_ino] = before
        elif _holds_links(descriptor):
            cause = "others than root own it or may write to it, and the file system does not let that be changed"
            raise StoreError(path, cause, "Mount it so that it is root's (uid=0,umask=022), or give another dest")
    with os.scandir(descriptor) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name != but]
    for name in names:
        below = os.open(name, _DIRECTORY, dir_fd=descriptor)
        try:
            _take_back(f"{path}/{name}", below, facts)
        finally:
            os.close(below)


def _holds_links(descriptor: int) -> bool:
    """Whether the file system has symbolic links at all: FAT has none, so nothing leads out of it."""
    name = f".kerio-archive-link-{os.getpid()}"
    try:
        os.symlink(name, name, dir_fd=descriptor)
    except OSError:
        return False
    os.unlink(name, dir_fd=descriptor)
    return True


def refuse_links(folder: str, but: str = SYSTEMS) -> None:
    """Raise StoreError: whose files these are could have this process, which may do more, write and change owners elsewhere."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise StoreError(entry.path, "it is a symbolic link, and an export makes none", "Remove it, then export again")
            if entry.is_dir() and entry.name != but:
                with contextlib.suppress(FileNotFoundError):  # the staging directory of an export that just ended
                    refuse_links(entry.path, "")


def left_over(facts: os.stat_result) -> bool:
    """Whether a directory is as it is while an export goes on: one that was killed leaves it like that."""
    return facts.st_uid == os.geteuid() and stat.S_IMODE(facts.st_mode) == CLOSED


def shut_out(dest: str, rights: Rights) -> str | None:
    """A warning when neither the owner nor the group can enter the directory that the operator made for them."""
    if not Path(dest).exists():
        return None
    facts = Path(dest).stat()
    ways = ((rights.uid, facts.st_uid, stat.S_IXUSR), (rights.gid, facts.st_gid, stat.S_IXGRP))
    wanted = [(number == owner, bit) for number, owner, bit in ways if number > 0]
    if not wanted or _theirs(facts) or facts.st_mode & stat.S_IXOTH:
        return None
    if any(same and facts.st_mode & bit for same, bit in wanted):
        return None
    return f"{dest}: neither the owner nor the group of what is exported can enter it, and it is not the export's to change"
