# SPDX-License-Identifier: GPL-3.0-or-later
"""Users whose name somebody else has now cannot log in until the operator has said who it is. Pure: no I/O.

Kerio is asked for a password by name. It would take that of the newcomer, who would read the archive of the one before.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users_rights
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_directory import Account
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_leavers import Leaver
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import INTEGRATED, PROFILE, named, values_of
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError


def steps_of(error: UserPlanError, current: t.Iterable[User]) -> tuple[UserStep, ...]:
    """What keeps the newcomers out: nothing after a refusal for another reason, or where nobody gets in anyway."""
    users = [user for user in _concerned(error, current) if users_rights.may_log_in(user)]
    return tuple(UserStep(user.id, dataclasses.replace(values_of(user), enabled=False)) for user in users)


def told(error: UserPlanError, current: t.Iterable[User], steps: t.Sequence[UserStep], *, written: bool) -> UserPlanError:
    """The refusal, with who cannot log in meanwhile; ``written``: whether ``steps`` are in the catalog, as in no check mode."""
    details = {name: value for name, value in error.details.items() if name != "rows"}
    names = [user.name for user in _concerned(error, current)]
    if not names:
        return UserPlanError(error.subject, error.cause, error.remedy, **details)
    if written or not steps:
        meanwhile = "cannot log in to the archive meanwhile, from the next access.yml or site.yml on"
    else:
        meanwhile = "could not log in to the archive meanwhile, if this were not check mode"
    details.update(held=names, done=written and bool(steps))
    return UserPlanError(error.subject, f"{error.cause}; {named(names)} {meanwhile}", error.remedy, **details)


def taken(leaving: t.Iterable[Leaver], accounts: t.Iterable[Account]) -> dict[int, str]:
    """Who stays although gone from the directory, while another account, wanted or not, has the login: by id of the row."""
    ids = {(account.server, account.values.kerio_login): account.id for account in accounts}
    found = {}
    for leaver in leaving:
        user = leaver.user
        now = ids.get((user.server, user.kerio_login), (user.server, user.kerio_id))
        if now != (user.server, user.kerio_id) and user.authentication != INTEGRATED:
            found[user.id] = f"cannot log in: another account (id {now[1]}) has the login {user.kerio_login} now"
    return found


def _concerned(error: UserPlanError, current: t.Iterable[User]) -> list[User]:
    """Who had the names. No password of Kerio's opens the archive of a leaver, a target, or a user with one of the archive's."""
    rows = set(error.details.get("rows", ()))
    return [
        user
        for user in current
        if user.id in rows and user.deleted is None and user.origin != PROFILE and user.authentication != INTEGRATED
    ]
