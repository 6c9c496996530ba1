# SPDX-License-Identifier: GPL-3.0-or-later
"""Which user of this archive somebody of another archive is. Pure: no I/O.

A user is known by the id that Kerio gives, as for archive_users; who has none, by the name. Nobody's mail is put to that of
somebody else because the names are the same.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_directory import described
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import values_of

_OTHER = (
    "Have users.yml run on this archive host, so that its users are known by the ids of Kerio; if they are two people,"
    " rename one of them"
)


@dataclass(frozen=True)
class Pair:
    """A user of the other archive, who this is here (None: somebody new), or ``why`` the user cannot be taken."""

    there: User
    here: User | None = None
    why: str = ""
    remedy: str = _OTHER


def match(users: t.Iterable[User], current: t.Iterable[User]) -> list[Pair]:
    """Find each of ``users`` among all users of this archive, leavers included."""
    current = list(current)
    by_id = {(user.server, user.kerio_id): user for user in current if user.kerio_id}
    by_name = {user.name.lower(): user for user in current}
    return [_pair(user, by_id.get((user.server, user.kerio_id)), by_name.get(user.name.lower())) for user in users]


def _pair(user: User, same: User | None, namesake: User | None) -> Pair:
    if same is not None or namesake is None:
        return Pair(user, same)
    if not user.kerio_id and not namesake.kerio_id:
        return Pair(user, namesake)
    here, there = (described(values_of(one)) for one in (namesake, user))
    return Pair(user, None, f"this archive has {here} by the name of {there}, and nothing says that they are one person")


def steps(
    pairs: t.Sequence[Pair], others: t.Iterable[Pair], current: t.Iterable[User]
) -> tuple[list[UserStep], list[UserStep], list[str]]:
    """What makes those who are new: users, then which of them left; and what is not as it was there.

    An address that somebody here has stays with that user. Who would log in with the login of somebody here cannot log in: Kerio
    would be asked for the password of the one here, who would read the archive of the other. Of the archives that a user may read
    those count whose owners are here (``others``: who is not taken). ``current``: the users of this archive.
    """
    current = list(current)
    taken = {address for user in current for address in user.addresses}
    logins = {user.kerio_login: user.name for user in current if user.kerio_login and user.deleted is None}
    names = {pair.there.name: pair.here.name for pair in (*pairs, *others) if pair.here}
    new = [pair.there for pair in pairs if pair.here is None and not pair.why]
    names |= {user.name: user.name for user in new}
    made, left, told = [], [], []
    for user in new:
        values = values_of(user)
        if lost := sorted(taken.intersection(values.addresses)):
            told.append(f"{user.name}: the address {', '.join(lost)} is another user's in this archive, and stays there")
        if user.deleted is None and user.kerio_login in logins:
            told.append(
                f"{user.name}: cannot log in, because the login {user.kerio_login} is that of {logins[user.kerio_login]} in this"
                " archive. Have users.yml run on this archive host"
            )
            values = dataclasses.replace(values, enabled=False)
        if lost := sorted(set(values.reads) - set(names)):
            told.append(f"{user.name}: the archive of {', '.join(lost)} cannot be read here, because nobody here is that user")
        addresses = tuple(address for address in values.addresses if address not in taken)
        values = dataclasses.replace(
            values, addresses=addresses, reads=tuple(names[name] for name in values.reads if name in names)
        )
        made.append(UserStep(None, values))
        if user.deleted is not None:
            left.append(UserStep(None, values, delete=True, deleted=user.deleted))
    return made, left, told
