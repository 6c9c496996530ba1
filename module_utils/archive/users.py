# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of archive users: the whole desired set against the catalog. Pure: no I/O.

A user is known by the id that Kerio gives: one who is renamed keeps row and tree. Somebody new under the name of one who left is
somebody else, and what happens to the leaver's archive is for the operator to say.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils import plan
from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError

DIRECTORY = "directory"
INVENTORY = "inventory"
PROFILE = "profile"
PRIVILEGES = ("login", "read", "export", "none")
MASKS = ("********", "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
RULES = {
    "addresses": plan.Rule(),
    "groups": plan.Rule(unordered=True),
    "privileges": plan.Rule(unordered=True),
}
_NEEDED = ("id", "login", "address")
_MASK_REMEDY = "Choose a password that is not part of a name or an address, then read the directory again"


@dataclass(frozen=True)
class Scope:
    """Who is wanted: members of the domains or of the groups (``name`` or ``name@domain``); both empty: all."""

    domains: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def takes(self, user: t.Mapping[str, t.Any]) -> bool:
        """Whether a user of a directory is wanted."""
        if not self.domains and not self.groups:
            return True
        domain = str(user.get("domain", "")).lower()
        groups = {str(group).lower() for group in user.get("groups") or ()}
        return domain in self.domains or bool((groups | {f"{group}@{domain}" for group in groups}) & self.groups)


@dataclass(frozen=True)
class Wish:
    """What the operator declares about archive users; ``reused_names``: name -> "adopt" or "separate"."""

    directories: t.Sequence[t.Mapping[str, t.Any]] = ()
    users: t.Sequence[t.Mapping[str, t.Any]] = ()
    scope: Scope = field(default_factory=Scope)
    user_name: str = "address"
    not_users: frozenset[str] = frozenset()
    default_privileges: tuple[str, ...] = ("login", "read")
    delete: bool = False
    reused_names: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UserPlan:
    """What to write (``steps``), the same to show (``shown``), and whom the scope left out."""

    steps: tuple[UserStep, ...]
    shown: plan.Plan
    left_out: tuple[str, ...]
    why: t.Mapping[str, str]


def scope_warnings(wish: Wish) -> list[str]:
    """One sentence for each name of the scope that takes nobody: with ``delete``, a typing error costs archive users."""
    entries = [entry for directory in wish.directories for entry in directory["users"]]
    alone = [("domain", name, Scope(domains=frozenset({name}))) for name in sorted(wish.scope.domains)]
    alone += [("group", name, Scope(groups=frozenset({name}))) for name in sorted(wish.scope.groups)]
    return [
        f"scope: no user of the directories is in the {kind} {name}. Correct the name, or take it out"
        for kind, name, scope in alone
        if entries and not any(map(scope.takes, entries))
    ]


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


def plan_users(root: str, wish: Wish, current: t.Sequence[User]) -> UserPlan:
    """Plan the whole set; ``current`` holds the leavers too. After UserPlanError or InputError nothing may be written."""
    for name in ("directories", "users"):
        refuse_masked(getattr(wish, name), name)
    wanted, left_out = _wanted(wish)
    _refuse_collisions(wanted)
    matched = _match(wanted, current, wish.reused_names)
    steps, before, after, why = _compare(matched, wish)
    taken = {user.id for user in matched.values() if user is not None}
    unmatched = [user for user in current if user.id not in taken]
    aside = _set_aside(wanted, unmatched)
    moved = {step.user_id for step, _ in aside}
    gone = _leavers(wish, [user for user in unmatched if user.id not in moved])
    for user in gone:
        steps.append(UserStep(user.id, _values_of(user), delete=True))
        before[user.name] = _show(_values_of(user), present=True)
        why[user.name] = "is not in the directory any more, or not in the scope"
    for step, user in aside:
        steps.append(step)
        before[step.values.name] = _show(_values_of(user), present=user.deleted is None)
        after[step.values.name] = _show(step.values, present=False)
        why[step.values.name] = f"left; somebody else is {user.name} now"
    changes = plan.item_changes("users", before, after, RULES, [user.name for user in gone])
    return UserPlan(tuple(steps), plan.Plan(root, tuple(changes)), tuple(left_out), why)


def _wanted(wish: Wish) -> tuple[list[UserValues], list[str]]:
    wanted: list[UserValues] = []
    left_out: list[str] = []
    for index, directory in enumerate(wish.directories):
        server = directory.get("server")
        if not isinstance(server, str) or not isinstance(directory.get("users"), (list, tuple)):
            remedy = "Pass what kerio_directory_info returned as directory"
            raise InputError(f"directories[{index}]", "it is no directory of a server: server or users is missing", remedy)
        for entry in directory["users"]:
            values = _from_directory(server, entry, wish)
            if wish.scope.takes(entry) and not wish.not_users & {*values.addresses, str(entry["login"]).lower()}:
                wanted.append(values)
            else:
                left_out.append(values.name)
    return wanted + [_from_inventory(entry) for entry in wish.users], sorted(left_out)


def _from_directory(server: str, entry: t.Mapping[str, t.Any], wish: Wish) -> UserValues:
    missing = [key for key in _NEEDED if not entry.get(key)]
    if missing:
        subject = f"{server}: user {entry.get('login') or entry.get('id') or '?'}"
        raise InputError(subject, f"the directory gives no {', '.join(missing)}", "Read the directory with kerio_directory_info")
    name = str(entry["login" if wish.user_name == "login" else "address"])
    return UserValues(
        name=name.lower(),
        origin=DIRECTORY,
        full_name=str(entry.get("full_name") or ""),
        server=server,
        kerio_id=str(entry["id"]),
        authentication=str(entry.get("authentication") or ""),
        enabled=bool(entry.get("enabled", True)),
        addresses=_addresses([entry["address"], *(entry.get("addresses") or ())]),
        groups=tuple(sorted(str(group) for group in entry.get("groups") or ())),
    )


def _from_inventory(entry: t.Mapping[str, t.Any]) -> UserValues:
    return UserValues(
        name=str(entry["name"]),
        origin=INVENTORY,
        full_name=str(entry.get("full_name") or ""),
        authentication=str(entry.get("authentication") or ""),
        privileges=tuple(sorted(entry.get("privileges") or ())),
        enabled=bool(entry.get("enabled", True)),
        addresses=_addresses(entry.get("addresses") or ()),
    )


def _addresses(addresses: t.Iterable[t.Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(address).lower() for address in addresses))


def _describe(values: UserValues) -> str:
    return f"{values.name} ({values.server} id {values.kerio_id})" if values.kerio_id else f"{values.name} (inventory)"


def _refuse_collisions(wanted: t.Iterable[UserValues]) -> None:
    owners: dict[tuple[str, str], UserValues] = {}
    for values in wanted:
        for what in (("name", values.name), *(("address", address) for address in values.addresses)):
            other = owners.setdefault(what, values)
            if other is not values:
                raise UserPlanError(
                    f"the {what[0]} {what[1]}",
                    f"{_describe(other)} and {_describe(values)} both have it",
                    "Take it from one of them on the server, or leave one out with scope or not_users",
                    users=[other.name, values.name],
                )


def _match(
    wanted: t.Sequence[UserValues], current: t.Sequence[User], reused: t.Mapping[str, str]
) -> dict[UserValues, User | None]:
    """For each wanted user the row that is this user already."""
    by_id = {(user.server, user.kerio_id): user for user in current if user.kerio_id}
    by_name = {user.name: user for user in current}
    ids = {(values.server, values.kerio_id) for values in wanted if values.kerio_id}
    matched: dict[UserValues, User | None] = {}
    for values in wanted:
        user = by_id.get((values.server, values.kerio_id)) if values.kerio_id else None
        holder = by_name.get(values.name) or _nameless(values.name, by_name)
        if holder is not None and holder is not user and (holder.server, holder.kerio_id) not in ids:
            user = _name_holder(values, holder, user, reused.get(values.name, ""))
        matched[values] = user
    return matched


def _nameless(name: str, by_name: t.Mapping[str, User]) -> User | None:
    """The user whose name a rebuilt catalog has only as it was cut for the tree, if ``name`` is cut to the same."""
    tree = layout.escape(name)
    return by_name.get(tree) if layout.SHORTENED in tree else None


def _name_holder(values: UserValues, holder: User, known: User | None, rule: str) -> User | None:
    """Decide whether ``holder``, a row under the wanted name that no other wanted user is, is the same person."""
    if known is None and (not holder.kerio_id or not values.kerio_id):
        # Declared in the inventory before, or made as the target of a profile: the name is all that is known of it.
        return holder
    if rule == "separate":
        return known
    if rule == "adopt" and known is None:
        return holder
    other = f"{holder.server} id {holder.kerio_id}"
    cause = f"{_describe(values)} comes under the name of somebody else ({other}) who is not there any more"
    remedy = "Say in reused_names whether the archive of that name is to be taken over (adopt) or kept apart (separate)"
    if rule == "adopt":
        remedy = "A renamed user has an archive already and cannot take over another one: say separate in reused_names"
    raise UserPlanError(f"the user name {values.name}", cause, remedy, users=[values.name])


_Shown = dict[str, dict[str, t.Any]]


def _compare(matched: t.Mapping[UserValues, User | None], wish: Wish) -> tuple[list[UserStep], _Shown, _Shown, dict[str, str]]:
    steps: list[UserStep] = []
    before: _Shown = {}
    after: _Shown = {}
    why: dict[str, str] = {}
    for values, user in matched.items():
        values = _with_privileges(values, user, wish.default_privileges)
        after[values.name] = _show(values, present=True)
        if user is None:
            steps.append(UserStep(None, values))
            why[values.name] = f"is new in {values.server or 'the inventory'}"
            continue
        old = _values_of(user)
        before[values.name] = _show(old, present=user.deleted is None)
        if old != values or user.deleted is not None:
            steps.append(UserStep(user.id, values))
            why[values.name] = _why(user, values)
    return steps, before, after, why


def _with_privileges(values: UserValues, user: User | None, defaults: tuple[str, ...]) -> UserValues:
    """Defaults are for new users; who is there keeps what was given, unless the inventory says otherwise."""
    if values.privileges:
        return values
    known = user is not None and user.origin != PROFILE
    return dataclasses.replace(values, privileges=user.privileges if user is not None and known else tuple(sorted(defaults)))


def _why(user: User, values: UserValues) -> str:
    if user.deleted is not None:
        return "had left and is back"
    if user.name != values.name:
        return f"was {user.name}"
    if (user.server, user.kerio_id) != (values.server, values.kerio_id):
        return "takes over the archive of that name"
    return "changed in " + (values.server or "the inventory")


def _leavers(wish: Wish, unmatched: t.Sequence[User]) -> list[User]:
    """Who is to be deleted: only users of servers whose directory was read, and of the inventory; never a profile's target."""
    if not wish.delete:
        return []
    servers = {str(directory["server"]): directory for directory in wish.directories}
    gone = [
        user
        for user in unmatched
        if user.deleted is None and (user.origin == INVENTORY or (user.origin == DIRECTORY and user.server in servers))
    ]
    for server, directory in servers.items():
        losing = [user.name for user in gone if user.server == server]
        if losing and not directory["users"]:
            raise UserPlanError(
                server,
                f"its directory is empty, and {len(losing)} archive users come from it",
                "Check the account that reads the directory; take the server out of the inventory if it is really gone",
                users=losing,
            )
    return gone


def _set_aside(wanted: t.Iterable[UserValues], unmatched: t.Iterable[User]) -> list[tuple[UserStep, User]]:
    """Leavers whose name somebody else has now ("separate") keep row and tree under another name."""
    names = {values.name for values in wanted}
    aside = []
    for user in unmatched:
        if user.name in names:
            values = dataclasses.replace(_values_of(user), name=f"{user.name} (left, {user.id})", addresses=())
            aside.append((UserStep(user.id, values, delete=True, deleted=user.deleted or 0), user))
    return aside


def _values_of(user: User) -> UserValues:
    names = {item.name for item in dataclasses.fields(UserValues)}
    return UserValues(**{name: getattr(user, name) for name in names})


def _show(values: UserValues, *, present: bool) -> dict[str, t.Any]:
    shown = dataclasses.asdict(values)
    shown["state"] = "present" if present else "left"
    return {key: list(value) if isinstance(value, tuple) else value for key, value in shown.items()}
