# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of archive users: the whole desired set against the catalog. Pure: no I/O.

Accounts of the directories (users_directory) are one candidate for each person (users_homes), the users of the inventory join
them (users_declared), each is matched with a row of the catalog (users_match), and who is left over may leave (users_leavers).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils import plan
from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    users_declared,
    users_directory,
    users_guard,
    users_hold,
    users_homes,
    users_leavers,
    users_match,
    users_people,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_match import Match
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import (
    DIRECTORY,
    INVENTORY,
    PROFILE,
    Gone,
    Scope,
    Wish,
    named,
)
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

__all__ = ["DIRECTORY", "INVENTORY", "PROFILE", "Gone", "Scope", "UserPlan", "Wish", "listed", "plan_users"]
_MASKABLE = ("directories", "users", "rights")
_TOLD = 8  # users whom the sentence of a plan names


@dataclass(frozen=True)
class UserPlan:
    """What to write (``steps``), the same to show (``shown``), and ``why`` of each who is touched, by name.

    ``left_out``: accounts that are not wanted. ``waiting``: users who stay as they are, or are not made yet, and why.
    ``staying``: who would leave if leaving was asked for, and why.
    """

    steps: tuple[UserStep, ...]
    shown: plan.Plan
    left_out: tuple[str, ...]
    why: t.Mapping[str, str]
    waiting: t.Mapping[str, str]
    staying: t.Mapping[str, str]
    warnings: tuple[str, ...]

    def touched(self) -> list[dict[str, str]]:
        """Each user who is touched, what is done and why."""
        return [{"name": change.key, "action": change.action, "why": self.why[change.key]} for change in self.shown.changes]

    def sentence(self, check_mode: bool) -> str:
        """What was done, or would be, and why."""
        told = [f"{user['action']} {user['name']}: {user['why']}" for user in self.touched()]
        verb = "would change" if check_mode else "changed"
        done = f"{verb} archive users ({some(told, _TOLD, '; ')})" if told else "nothing to change in archive users"
        left = f"; {len(self.staying):,} would leave with delete: true ({named(sorted(self.staying))})" if self.staying else ""
        return f"{self.shown.subject}: {done}{left}"


def listed(reasons: t.Mapping[str, str]) -> list[dict[str, str]]:
    """Names and reasons as a module returns them."""
    return [{"name": name, "why": reasons[name]} for name in sorted(reasons)]


def plan_users(root: str, wish: Wish, current: t.Sequence[User], now: int = 0) -> UserPlan:
    """Plan the whole set; ``current`` holds the leavers too. After UserPlanError or InputError nothing of it may be written.

    ``now``: seconds since the epoch. Who left within the day before counts for the limits of deletions; with 0, who ever left.
    """
    for name in _MASKABLE:
        users_declared.refuse_masked(getattr(wish, name), name)
    accounts = users_directory.accounts_of(wish)
    homes = users_homes.settle(accounts, wish, current)
    entries, absent = users_declared.entries_of(wish)
    candidates = users_declared.merge(homes.candidates, entries)
    users_declared.refuse_collisions(candidates)
    waiting = [Match(candidate, waits=why) for why, candidate in homes.waiting]
    matches = users_match.by_identity(candidates, current, wish)
    users_leavers.refuse_incomplete(users_leavers.unmatched(current, matches + waiting), accounts, wish)
    users_match.by_name(matches, current, wish)
    rest = users_leavers.unmatched(current, matches + waiting)
    displaced = users_leavers.displaced(rest, matches)
    out = {leaver.user.id for leaver in displaced}
    leaving = users_leavers.leavers((user for user in rest if user.id not in out), accounts, matches, wish)
    going = displaced + (leaving if wish.delete else [])
    users_guard.refuse_too_many(going, current, wish, now, users_leavers.elsewhere(rest, accounts, wish))
    gone = users_leavers.dismissed(rest, matches, absent) + going
    held = {} if wish.delete else users_hold.taken(leaving, accounts)
    people, warnings = users_people.people_of(current, matches, rest, gone, held, wish)
    warnings += users_declared.apply_rights(people, wish, entries)
    warnings += homes.warnings() + users_directory.scope_warnings(wish) + users_directory.excluded_warnings(accounts, wish)
    warnings += users_leavers.gone_warnings(accounts, rest, wish)
    warnings += users_people.undeclared_warnings(rest, gone, wish)
    steps, shown, why = users_people.compare(root, people)
    waits = {match.values.name: match.waits for match in (*matches, *waiting) if match.waits}
    staying = {} if wish.delete else {leaver.user.name: leaver.why for leaver in leaving}
    return UserPlan(steps, shown, tuple(sorted(homes.left_out)), why, waits, staying, tuple(warnings))
