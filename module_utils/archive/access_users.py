# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in to the archive, how, and who reads what: the rows of the catalog as Dovecot has to know them. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import access_names, users_rights
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import CATCHALL
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import INTEGRATED, KERIO, named

_NAMED = 20  # users in one warning

_REASONS = {
    "name": "cannot log in, because no file of Dovecot can hold the name. Rename them in Kerio or in the inventory",
    "password": "cannot log in, because no password is declared. Give one in passwords, or take the privilege login from them",
    "way": "cannot log in, because neither a Kerio login is known nor integrated authentication declared. Synchronise the users",
    "same": "are left out, because their names are the same to Dovecot, which knows no upper case. Rename one of them",
    "unused": "have a password here and are no integrated users who may log in. Take it out of passwords, or correct the name",
}


@dataclass(frozen=True)
class Account:
    """An archive that exists and, unless ``way`` is empty, the person who may log in to it.

    ``reads``: labels of other archives, empty for who audits. ``server`` and ``login``: whom Kerio is asked for, and where.
    """

    id: int
    name: str
    key: str
    label: str
    tree: str
    way: str = ""
    server: str = ""
    login: str = ""
    own: bool = False
    audits: bool = False
    reads: tuple[str, ...] = ()


def decide(users: t.Sequence[User], passwords: t.Collection[str]) -> tuple[list[Account], list[str]]:
    """The accounts, and a sentence for each reason why somebody is not served as the catalog says.

    ``users``: all of them, leavers too. ``passwords``: the names that a password is declared for.
    """
    told: dict[str, list[str]] = {}
    served, left_out = _without_collisions(users)
    told["same"] = left_out
    labels = {user.name: access_names.label(user.name) for user in served}
    catchall = [user for user in served if user.name == CATCHALL]
    given = {access_names.key(name): name for name in passwords}
    accounts = []
    for user in served:
        key = access_names.key(user.name)
        way, reason = _way(user, key in given)
        if reason:
            told.setdefault(reason, []).append(user.name)
        if way == INTEGRATED:
            given.pop(key)
        accounts.append(_account(user, way, labels, catchall))
    told["unused"] = sorted(given.values())
    return accounts, [sentence(names, _REASONS[reason]) for reason, names in told.items() if names]


def _without_collisions(users: t.Sequence[User]) -> tuple[list[User], list[str]]:
    """Those whose names Dovecot can tell apart; of several with one name, the only one who has not left."""
    claims: dict[str, list[User]] = {}
    for user in users:
        for name in {access_names.key(user.name), access_names.label(user.name)}:
            claims.setdefault(name, []).append(user)
    out: set[int] = set()
    for claimed in claims.values():
        here = [user for user in claimed if user.deleted is None]
        if len(claimed) > 1:
            out |= {user.id for user in claimed if len(here) != 1 or user is not here[0]}
    return [user for user in users if user.id not in out], [user.name for user in users if user.id in out]


def _way(user: User, has_password: bool) -> tuple[str, str]:
    """How the user's password is checked, or the reason to tell why nobody logs in by that name."""
    if not users_rights.may_log_in(user):
        return "", ""
    if not access_names.can_log_in(user.name):
        return "", "name"
    if user.authentication == INTEGRATED:
        return (INTEGRATED, "") if has_password else ("", "password")
    return (KERIO, "") if user.server and user.kerio_login else ("", "way")


def _account(user: User, way: str, labels: t.Mapping[str, str], catchall: t.Sequence[User]) -> Account:
    given = user.privileges
    audits = bool(way) and users_rights.holds(given, users_rights.AUDIT)
    # Auditors read by their group; of the others, nobody needs to be compared with everybody.
    reads = () if audits or not way else users_rights.readable(user, catchall)
    return Account(
        id=user.id,
        name=user.name,
        key=access_names.key(user.name),
        label=labels[user.name],
        tree=user.tree,
        way=way,
        server=user.server if way == KERIO else "",
        login=user.kerio_login if way == KERIO else "",
        own=bool(way) and users_rights.holds(given, users_rights.READ),
        audits=audits,
        reads=tuple(sorted(labels[name] for name in reads if name in labels)),
    )


def sentence(names: t.Sequence[str], reason: str) -> str:
    """A warning that names people, and not hundreds of them."""
    return f"{named(names, _NAMED)} {reason}"
