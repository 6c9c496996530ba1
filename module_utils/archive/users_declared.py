# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of archive users: who there is besides the directories, and who may do what. Pure: no I/O."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users_rights
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_directory import described
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_homes import Candidate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import (
    INTEGRATED,
    INVENTORY,
    KERIO,
    PROFILE,
    Entry,
    Wish,
    lowered,
    named,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError

MASKS = ("********", "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
_NAMED = 20  # users in one warning
_MASK_REMEDY = "Choose a password that is not part of a name or an address, then read the directory again"


@dataclass
class Person:
    """A user as the catalog has him (``user``, None for who is new) and as he is to be; ``why`` says what changes him.

    ``another``: somebody else takes over the archive. ``deleted``: when one who is not present left, 0 for now.
    """

    user: User | None
    values: UserValues
    why: str = ""
    another: bool = False
    present: bool = True
    deleted: int = 0


def refuse_masked(value: t.Any, path: str) -> None:
    """Raise InputError when Ansible masked something in ``value``: believing it would make a user of the mask."""
    if isinstance(value, str):
        if any(mask in value for mask in MASKS):
            raise InputError(path, f"the value {value!r} was masked by Ansible, because it contains a password", _MASK_REMEDY)
    elif isinstance(value, t.Mapping):
        for key, entry in value.items():
            refuse_masked(key, f"a key of {path}")
            refuse_masked(entry, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            refuse_masked(entry, f"{path}[{index}]")


def entries_of(wish: Wish) -> tuple[list[Entry], dict[str, Entry]]:
    """The users of the inventory, and by name in lower case those that are declared to be absent; raises InputError."""
    entries: dict[str, Entry] = {}
    for entry in wish.users:
        name = str(entry["name"])
        _refuse_wrong(name, entry, wish)
        if entries.setdefault(name.lower(), entry) is not entry:
            raise InputError(f"users: {name}", "two entries have this name", "Make one of them")
    absent = {name: entry for name, entry in entries.items() if entry.get("state") == "absent"}
    return [entry for name, entry in entries.items() if name not in absent], absent


def _refuse_wrong(name: str, entry: Entry, wish: Wish) -> None:
    subject = f"users: {name if name.strip() else '(no name)'}"
    if not name.strip() or not name.isprintable() or name.startswith("@"):
        raise InputError(subject, "it is no name for a user", "Give a name that can be printed and does not begin with @")
    authentication, server, login = _authentication(entry), str(entry.get("server") or ""), str(entry.get("kerio_login") or "")
    if authentication not in (INTEGRATED, KERIO):
        raise InputError(subject, f"{authentication!r} is no authentication", f"Give {INTEGRATED} or {KERIO}")
    if authentication == KERIO and not (server and all(login.partition("@"))):
        cause = "authentication: kerio needs the server and the login there"
        raise InputError(subject, cause, "Give server and kerio_login (login@domain)")
    if authentication == INTEGRATED and login:
        raise InputError(subject, "kerio_login is for authentication: kerio", "Say authentication: kerio, or take it out")
    known = wish.read | wish.away
    if server and known and server not in known:
        raise InputError(subject, f"{server!r} is no server of this run", f"Give one of {', '.join(sorted(known))}")


def _authentication(entry: Entry) -> str:
    return str(entry.get("authentication") or INTEGRATED)


def merge(candidates: t.Iterable[Candidate], entries: t.Iterable[Entry]) -> list[Candidate]:
    """Add the users of the inventory. One who has the name of a user of a directory is that user, declared further."""
    merged = list(candidates)
    places = {candidate.values.name: place for place, candidate in enumerate(merged)}
    for entry in entries:
        place = places.get(str(entry["name"]).lower())
        if place is None:
            merged.append(Candidate(_from_inventory(entry), entry=entry))
        else:
            candidate = merged[place]
            _refuse_other(candidate.values, entry)
            merged[place] = dataclasses.replace(candidate, values=overlay(candidate.values, entry), entry=entry)
    return merged


def _from_inventory(entry: Entry) -> UserValues:
    return UserValues(
        name=str(entry["name"]),
        origin=INVENTORY,
        full_name=str(entry.get("full_name") or ""),
        server=str(entry.get("server") or ""),
        authentication=_authentication(entry),
        enabled=bool(entry.get("enabled", True)),
        addresses=lowered(entry.get("addresses") or ()),
        kerio_login=str(entry.get("kerio_login") or "").lower(),
    )


def _refuse_other(values: UserValues, entry: Entry) -> None:
    """Raise UserPlanError where the inventory speaks of another account than the directory."""
    server, login = str(entry.get("server") or ""), str(entry.get("kerio_login") or "").lower()
    if (server and server != values.server) or (login and login != values.kerio_login):
        raise UserPlanError(
            f"the name {values.name}",
            f"{described(values)} and {entry['name']} (inventory, {login or 'its mailbox'} on {server}) both have it",
            "Give the user of the inventory another name, or the server and login that the directory gives",
            users=[values.name, str(entry["name"])],
        )


def overlay(values: UserValues, entry: Entry) -> UserValues:
    """A user of a directory as the inventory declares him further. The password of an integrated one is no matter of Kerio's."""
    integrated = _authentication(entry) == INTEGRATED
    enabled = bool(entry.get("enabled", True))
    return dataclasses.replace(
        values,
        full_name=str(entry.get("full_name") or "") or values.full_name,
        authentication=INTEGRATED if integrated else values.authentication,
        enabled=enabled if integrated else enabled and values.enabled,
        addresses=lowered((*values.addresses, *(entry.get("addresses") or ()))),
    )


def refuse_collisions(candidates: t.Sequence[Candidate]) -> None:
    """Raise UserPlanError for two users with one name or address, or one whose name is an address of the other."""
    owners: dict[tuple[str, str], UserValues] = {}
    for values in (candidate.values for candidate in candidates):
        for what in (("name", values.name), *(("address", address) for address in values.addresses)):
            other = owners.setdefault(what, values)
            if other is not values:
                raise UserPlanError(
                    f"the {what[0]} {what[1]}",
                    f"{described(other)} and {described(values)} both have it",
                    "Take it from one of them on the server, or leave one out with scope or not_users",
                    users=[other.name, values.name],
                )
    for values in (candidate.values for candidate in candidates if candidate.values.origin == INVENTORY):
        other = owners.get(("address", values.name.lower()), values)
        if other is not values:
            raise declared_under_former_name(values, other, "it is an address of")


def declared_under_former_name(values: UserValues, other: UserValues, relation: str) -> UserPlanError:
    """The error of an entry of the inventory that ``other``, who is called otherwise, is or may be."""
    return UserPlanError(
        f"users: {values.name}",
        f"{relation} {described(other)}, so that one person would become two users",
        f"Declare the name {other.name} if that is meant; if not, give the entry another one",
        users=[values.name, other.name],
    )


def apply_rights(people: t.Sequence[Person], wish: Wish, entries: t.Iterable[Entry]) -> list[str]:
    """Give what is declared, and defaults to who is new; return warnings. Who is not named keeps what was given."""
    names = _Names(people, wish)
    declared: set[tuple[int, str]] = set()
    for person in people:
        person.values = _as_given(person, names, wish)
    for subject, name, right in _rights(wish, entries):
        found = names.find(subject, name, "no archive user is called so")
        if found is None or not _may_be_given(subject, found, names):
            continue
        keys = [key for key in ("privileges", "reads") if right.get(key) is not None]
        for key in keys:
            if (id(found), key) in declared:
                raise InputError(subject, f"{key} are declared twice for {found.values.name}", "Make one declaration of them")
            declared.add((id(found), key))
        if "privileges" in keys:
            found.values = dataclasses.replace(found.values, privileges=tuple(sorted(set(right["privileges"]))))
        if "reads" in keys:
            found.values = dataclasses.replace(found.values, reads=names.owners(subject, right["reads"], found))
    return names.told() + _lost_grants(people)


def _lost_grants(people: t.Sequence[Person]) -> list[str]:
    """One sentence about who could read an archive that is somebody else's now, and cannot any more; they get it as their why."""
    taken = {person.user.name: person.values.name for person in people if person.user is not None and person.another}
    told = []
    for person in people:
        if person.user is None or not person.present or person.another:
            continue
        lost = [taken[name] for name in person.user.reads if name in taken and taken[name] not in person.values.reads]
        if lost:
            person.why = f"may not read {named(lost)} any more, whose archive somebody else took over"
            told.append(f"{person.values.name} that of {named(lost)}")
    if not told:
        return []
    return [f"reused_names: with adopt, these may not read an archive any more: {named(told, _NAMED)}. Declare in reads who may"]


def _may_be_given(subject: str, person: Person, names: _Names) -> bool:
    if person.values.origin == PROFILE:
        raise UserPlanError(subject, "it is the target of profiles, and nobody logs in as that", "Take the entry out")
    if not person.present:
        names.warnings.append(f"{subject}: {person.values.name} has left, so that this gives nothing. Take the entry out")
    return person.present


def _rights(wish: Wish, entries: t.Iterable[Entry]) -> t.Iterator[tuple[str, str, Entry]]:
    """Subject of errors, whose, and what, of everything that is declared."""
    declared = [("users", "name", entry) for entry in entries] + [("rights", "user", entry) for entry in wish.rights]
    for option, key, entry in declared:
        subject = f"{option}: {entry[key]}"
        users_rights.refuse_unsound(entry.get("privileges") or (), subject)
        yield subject, str(entry[key]), entry


def _as_given(person: Person, names: _Names, wish: Wish) -> UserValues:
    user = person.user
    if user is None or (person.present and _begins_anew(person, user)):
        return dataclasses.replace(person.values, privileges=tuple(sorted(set(wish.default_privileges))), reads=())
    return dataclasses.replace(person.values, privileges=user.privileges, reads=names.renamed(user.reads))


def _begins_anew(person: Person, user: User) -> bool:
    """Whether what the row could do is nothing that the person of now was given."""
    by_name_alone = user.deleted is not None and not user.kerio_id and not person.values.kerio_id
    return person.another or by_name_alone or (user.origin == PROFILE and person.values.origin != PROFILE)


class _Names:
    """Finds users by the name or address that they have after the plan."""

    def __init__(self, people: t.Iterable[Person], wish: Wish) -> None:
        people = list(people)
        present = [person for person in people if person.present]
        self._found = {person.values.name.lower(): person for person in people}
        self._found |= {address: person for person in present for address in person.values.addresses}
        self._found |= {person.values.name.lower(): person for person in present}
        self._after = {person.user.name: person.values.name for person in people if person.user is not None}
        self._another = {person.user.name for person in people if person.user is not None and person.another}
        self._unread = ", ".join(sorted(wish.unread))
        # Who is called as somebody else was before the plan -> what that one is called now, "" where the archive was taken over.
        self._newcomers = {
            person.user.name.lower(): "" if person.another else f" ({person.values.name} is the one before)"
            for person in people
            if person.user is not None and (person.another or (not person.present and person.values.name != person.user.name))
        }
        self._of_newcomers: list[str] = []
        self._by_address: list[str] = []
        self.warnings: list[str] = []

    def find(self, subject: str, name: str, unknown: str) -> Person | None:
        """The user; of a name that nobody has, a warning while a directory could not be read, else UserPlanError."""
        person = self._found.get(name.lower())
        if person is None and self._unread:
            self.warnings.append(f"{subject}: {unknown}, but {self._unread} could not be read, so that this waits")
        elif person is None:
            raise UserPlanError(subject, unknown, "Correct the name, or take it out", users=[name])
        else:
            self._look_at(subject, name, person.values.name)
        return person

    def _look_at(self, subject: str, name: str, called: str) -> None:
        """Remember what is declared for somebody whom the operator may not have meant."""
        place = subject if subject.endswith(name) else f"{subject} reads {name}"
        if called.lower() in self._newcomers:
            self._of_newcomers.append(f"{place}{self._newcomers[called.lower()]}")
        if name.lower() != called.lower():
            self._by_address.append(f"{place}, which is {called}")

    def told(self) -> list[str]:
        """What is to be told about the declarations that were looked at."""
        warnings = list(self.warnings)
        if self._of_newcomers:
            whose = named(self._of_newcomers, _NAMED)
            warnings.append(f"declared for a name that somebody else has now: {whose}. Check that the newcomer is meant")
        if self._by_address:
            by = named(self._by_address, _NAMED)
            warnings.append(f"declared by an address, so that it goes to whoever gets the address: {by}. Declare the name")
        return warnings

    def renamed(self, names: t.Iterable[str]) -> tuple[str, ...]:
        """What users are called after the plan who are called so now; not those whose archive somebody else takes over."""
        return tuple(sorted(self._after[name] for name in names if name not in self._another))

    def owners(self, subject: str, names: t.Iterable[str], reader: Person) -> tuple[str, ...]:
        """The names of the users whose archives are to be read, sorted."""
        unknown = "reads names {}, and no archive user, leavers included, has this name or address"
        owners = [self.find(subject, name, unknown.format(name)) for name in names]
        return tuple(sorted({owner.values.name for owner in owners if owner is not None and owner is not reader}))
