# SPDX-License-Identifier: GPL-3.0-or-later
"""Everybody as the catalog is to have them, and the steps that lead there. Pure: no I/O."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils import plan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_declared import Person, overlay
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_leavers import Leaver
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_match import Match
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import (
    DIRECTORY,
    INVENTORY,
    PROFILE,
    Wish,
    from_kerio,
    named,
    values_of,
)

RULES = {name: plan.Rule(unordered=True) for name in ("groups", "privileges", "reads")}
# What the inventory alone says of a user.
_RIGHTS = {"privileges", "reads"}


def people_of(
    current: t.Sequence[User],
    matches: t.Iterable[Match],
    rest: t.Sequence[User],
    gone: t.Iterable[Leaver],
    barred: t.Mapping[int, str],
    wish: Wish,
) -> tuple[list[Person], list[str]]:
    """Everybody, and warnings about addresses that two users claim while the directory of one could not be read.

    ``barred``: why somebody who stays may not log in, by the id of the row.
    """
    matches = [match for match in matches if not match.waits]
    leaving = {leaver.user.id: leaver.why for leaver in gone}
    matched = {match.user.id for match in matches if match.user is not None}
    unsure = {user.id for user in current} - matched - {user.id for user in rest}
    unsure |= {user.id for user in rest if user.server in wish.unread and user.id not in leaving}
    held = {address: user.name for user in current if user.id in unsure for address in user.addresses}
    people, warnings = [], []
    for match in matches:
        values = _values(match, wish)
        contested = [address for address in values.addresses if address in held]
        warnings += [
            f"{values.name}: the address {address} stays with {held[address]}, whose directory could not be read"
            for address in contested
        ]
        addresses = tuple(address for address in values.addresses if address not in held)
        people.append(Person(match.user, dataclasses.replace(values, addresses=addresses), another=match.another))
    names = {person.values.name.lower(): person.values.name for person in people}
    owners = {address: person.values.name for person in people for address in person.values.addresses}
    left = [_left_over(user, leaving.get(user.id, ""), names, owners) for user in current if user.id not in matched]
    return people + [_barred(person, barred) for person in left], warnings


def _values(match: Match, wish: Wish) -> UserValues:
    """What is known of a candidate, together with what the catalog alone has: who a user of the inventory is at Kerio."""
    values, user, entry = match.values, match.user, match.candidate.entry
    if entry is None or user is None or values.kerio_id or not user.kerio_id:
        return values
    if user.origin == DIRECTORY and user.server in wish.away and user.deleted is None:
        return overlay(values_of(user), entry)
    return dataclasses.replace(values, server=values.server or user.server, kerio_id=user.kerio_id)


def _left_over(user: User, why: str, names: t.Mapping[str, str], owners: t.Mapping[str, str]) -> Person:
    """A user whom nobody of the plan is. Who has the name or an address now takes it."""
    values = values_of(user)
    name = names.get(user.name.lower())
    if name is not None:
        values = dataclasses.replace(values, name=f"{user.name} (left, {user.id})", addresses=())
        return Person(user, values, f"left; somebody else is {name} now", present=False, deleted=user.deleted or 0)
    if why or user.deleted is not None:
        return Person(user, values, why, present=False, deleted=user.deleted or 0)
    lost = [address for address in user.addresses if address in owners]
    kept = tuple(address for address in user.addresses if address not in owners)
    told = ", ".join(f"{address} is an address of {owners[address]} now" for address in lost)
    return Person(user, dataclasses.replace(values, addresses=kept), told)


def _barred(person: Person, barred: t.Mapping[int, str]) -> Person:
    why = barred.get(person.user.id) if person.user is not None and person.present else None
    if why is None:
        return person
    return dataclasses.replace(person, values=dataclasses.replace(person.values, enabled=False), why=person.why or why)


def undeclared_warnings(rest: t.Iterable[User], gone: t.Iterable[Leaver], wish: Wish) -> list[str]:
    """One sentence about users of the inventory who are declared no more: nothing but the inventory takes them away."""
    leaving = {leaver.user.id for leaver in gone}
    names = [
        user.name
        for user in rest
        if user.deleted is None and user.id not in leaving and user.server not in wish.away
        if user.origin != PROFILE and not from_kerio(user)
    ]
    if not names:
        return []
    return [f"users: declared no more, and still there: {named(names)}. Declare them with state: absent to have them leave"]


def compare(root: str, people: t.Iterable[Person]) -> tuple[tuple[UserStep, ...], plan.Plan, dict[str, str]]:
    """The steps, the same to show, and why, by name."""
    people = list(people)
    called = {person.user.name: person.values.name for person in people if person.user is not None}
    steps: list[UserStep] = []
    before: dict[str, dict[str, t.Any]] = {}
    after: dict[str, dict[str, t.Any]] = {}
    why: dict[str, str] = {}
    deleted: list[str] = []
    for person in people:
        user, values = person.user, person.values
        old = None if user is None else _renamed(values_of(user), called)
        if user is not None and old == values and person.present == (user.deleted is None):
            continue
        steps.append(UserStep(user.id if user else None, values, delete=not person.present, deleted=person.deleted))
        why[values.name] = person.why or _why(user, old, person)
        if user is not None and old is not None:
            before[values.name] = _show(old, present=user.deleted is None)
        if person.present or user is None or user.deleted is not None:
            after[values.name] = _show(values, present=person.present)
        else:
            deleted.append(values.name)
    changes = plan.item_changes("users", before, after, RULES, deleted)
    return tuple(steps), plan.Plan(root, tuple(changes)), why


def _renamed(values: UserValues, called: t.Mapping[str, str]) -> UserValues:
    """Old values that name users as they are called after the plan: the grants are the same."""
    return dataclasses.replace(values, reads=tuple(sorted(called[name] for name in values.reads)))


def _why(user: User | None, old: UserValues | None, person: Person) -> str:
    values = person.values
    place = values.server if values.origin == DIRECTORY else "the inventory"
    if user is None or old is None:
        return f"is new in {place}"
    if user.deleted is not None or (user.origin == PROFILE and user.kerio_id):
        return "had left and is back" if not person.another else "takes over the archive of that name"
    if user.name != values.name:
        return f"was {user.name}"
    if person.another:
        return "takes over the archive of that name"
    if user.origin != values.origin:
        return {DIRECTORY: f"is in the directory of {values.server} now", INVENTORY: "comes from the inventory now"}[
            values.origin
        ]
    if user.server != values.server:
        return f"the mailbox is on {values.server} now" + (f", was on {user.server}" if user.server else "")
    touched = [item.name for item in dataclasses.fields(values) if getattr(old, item.name) != getattr(values, item.name)]
    where = "as the inventory declares" if set(touched) <= _RIGHTS else f"changed in {place}"
    return f"{', '.join(touched).replace('_', ' ')} {where}"


def _show(values: UserValues, *, present: bool) -> dict[str, t.Any]:
    shown = dataclasses.asdict(values)
    shown["state"] = "present" if present else "left"
    return {key: list(value) if isinstance(value, tuple) else value for key, value in shown.items()}
