# SPDX-License-Identifier: GPL-3.0-or-later
"""Root that works as another account: it keeps the right to come back, and nobody who is not root notices any of this."""

from __future__ import annotations

import contextlib
import os
import pwd
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError


@contextlib.contextmanager
def acting(user: str) -> t.Iterator[None]:
    """Be ``user`` meanwhile, who owns what is worked on: root would follow the links that this account puts in its way.

    The saved user id stays 0, so that ``as_root`` can start a unit, and Ansible can tidy up behind the module. Nothing is done
    for "" and root, or when this process is not root. Raises ``JobError`` when there is no such account.
    """
    account = _account(user)
    if account is None:
        yield
    else:
        with _being(account.pw_uid, os.getgrouplist(account.pw_name, account.pw_gid)):
            yield


@contextlib.contextmanager
def owning(uid: int, gid: int = -1) -> t.Iterator[None]:
    """The same by the number of the user, as a member of the group ``gid`` too: others cannot set the setgid bit for it."""
    if os.geteuid() != 0 or uid <= 0:
        yield
        return
    try:
        account = pwd.getpwuid(uid)
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
    except KeyError:
        groups = [uid]
    with _being(uid, [*groups, gid] if gid >= 0 else groups):
        yield


@contextlib.contextmanager
def _being(uid: int, groups: t.Sequence[int]) -> t.Iterator[None]:
    """Be the user with these groups, of which the first is the own one."""
    before = os.getgroups()
    os.setgroups(groups)
    os.setresgid(groups[0], groups[0], 0)
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(before)


@contextlib.contextmanager
def as_root() -> t.Iterator[None]:
    """Have the rights of root meanwhile, if this process is root that acts as somebody else."""
    before = os.geteuid()
    if not may_be_root() or before == 0:
        yield
        return
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(before)


def may_be_root() -> bool:
    """Whether this process is root, or root that acts as somebody else."""
    return 0 in os.getresuid()


def for_good() -> None:
    """Give up what ``acting`` keeps: this process, a forked one, never comes back."""
    if may_be_root() and os.geteuid() != 0:
        os.setresgid(*[os.getegid()] * 3)
        os.setresuid(*[os.geteuid()] * 3)


def _account(user: str) -> pwd.struct_passwd | None:
    if os.geteuid() != 0 or not user:
        return None
    try:
        account = pwd.getpwnam(user)
    except KeyError as error:
        remedy = "Run configure.yml, whose role archive_host makes it, or correct archive_host_user"
        raise JobError(f"account {user}", "there is none of that name on this host", remedy) from error
    return account if account.pw_uid else None
