# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive users may do, and whose archives they read. Pure: no I/O."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import CATCHALL
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import PROFILE
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError

LOGIN, READ, EXPORT, ARCHIVE, AUDIT, ADMINISTER, NONE = "login", "read", "export", "archive", "audit", "administer", "none"
PRIVILEGES = (LOGIN, READ, EXPORT, ARCHIVE, AUDIT, ADMINISTER, NONE)
OVER_OTHERS = (AUDIT, ADMINISTER)  # what reaches the mail of others
# What a privilege holds besides itself. Who reads every archive reads the own one.
IMPLIED = {AUDIT: (READ,), ADMINISTER: (LOGIN, READ, EXPORT, ARCHIVE)}


def holds(privileges: t.Collection[str], name: str) -> bool:
    """Whether these privileges are or imply the named one."""
    return name in privileges or any(name in IMPLIED.get(given, ()) for given in privileges)


def may_log_in(user: User) -> bool:
    """Whether the user may log in to the archive: is a person, is enabled, did not leave, and has the privilege."""
    return user.origin != PROFILE and user.enabled and user.deleted is None and holds(user.privileges, LOGIN)


def readable(user: User, users: t.Iterable[User]) -> tuple[str, ...]:
    """Whose archives the user reads besides the own one, by name; ``users``: all of them, leavers too.

    It says nothing of logging in (``may_log_in``) or of the own archive (the privilege ``read``).
    """
    if holds(user.privileges, AUDIT):
        named = {other.name for other in users}
    else:
        named = {other.name for other in users if other.name == CATCHALL and holds(user.privileges, ADMINISTER)}
    return tuple(sorted((named | set(user.reads)) - {user.name}))


def refuse_unsound(privileges: t.Collection[str], subject: str = "privileges") -> None:
    """Raise InputError for a privilege that there is not, and for "none" beside others; ``subject``: whose they are."""
    unknown = sorted(set(privileges) - set(PRIVILEGES))
    if unknown:
        raise InputError(subject, f"{unknown[0]!r} is no privilege", f"Give some of {', '.join(PRIVILEGES)}")
    if NONE in privileges and len(set(privileges)) > 1:
        raise InputError(subject, "none stands beside others", "Give none alone, or the others")


def refuse_unknown(reads: t.Mapping[str, t.Iterable[str]], users: t.Container[str]) -> None:
    """Raise UserPlanError for a reader whose ``reads`` name somebody who is none of ``users`` (all names, leavers too)."""
    for reader, owners in reads.items():
        unknown = sorted(owner for owner in owners if owner not in users)
        if unknown:
            raise UserPlanError(
                f"the user {reader}",
                f"reads names {', '.join(unknown)}, and no archive user is called so",
                "Correct the name, or take it out",
                users=[reader],
            )
