# SPDX-License-Identifier: GPL-3.0-or-later
"""IP address groups as declared against those that a server has: what is to be created, set and removed. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import address_entries
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.address_entries import Value, fold, key_of
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Change

KIND = "ip_address_groups"
Object = dict[str, t.Any]
Options = t.Mapping[str, t.Any]
Graph = t.Mapping[str, t.Collection[str]]


@dataclass(frozen=True)
class Entry:
    """A declared entry; a ``description`` of ``None`` is not managed."""

    value: Value
    description: str | None
    enabled: bool


@dataclass(frozen=True)
class Declared:
    """A declared group; ``entries`` of ``None``: it must exist, whatever it holds."""

    name: str
    present: bool
    entries: tuple[Entry, ...] | None


@dataclass(frozen=True)
class Row:
    """An entry that the server has; ``value`` is ``None`` when the option cannot say it."""

    value: Value | None
    received: Object

    @property
    def id(self) -> str:
        return str(self.received["id"])

    @property
    def description(self) -> str:
        return str(self.received.get("description") or "")

    @property
    def enabled(self) -> bool:
        return self.received.get("enabled") is not False


@dataclass(frozen=True)
class Group:
    """A group that the server has. Several ``ids`` mean several groups whose names differ in nothing but case."""

    name: str
    ids: tuple[str, ...]
    rows: tuple[Row, ...]


Groups = t.Mapping[str, Group]


@dataclass(frozen=True)
class Work:
    """What is to be done in one group; ``sets`` are rows and the members that change."""

    group: str
    change: Change
    creates: tuple[Entry, ...] = ()
    sets: tuple[tuple[Row, Object], ...] = ()
    removes: tuple[Row, ...] = ()


def check(where: str, groups: t.Sequence[Options]) -> dict[str, Declared]:
    """Return the declared groups by folded name; raises ``InputError`` on what cannot be meant, whatever the server has."""
    declared: dict[str, Declared] = {}
    for number, group in enumerate(groups, 1):
        name = str(group["name"]).strip()
        subject = f"{where}: IP address group {name or number}"
        if not name:
            raise InputError(subject, "its name is empty", "Give it a name")
        if fold(name) in declared:
            raise InputError(subject, "it is declared twice", "Merge the two entries of groups")
        declared[fold(name)] = _declared(subject, name, group)
    _check_children(where, declared)
    return declared


def _declared(subject: str, name: str, group: Options) -> Declared:
    present = group.get("state") != "absent"
    listed = group.get("entries")
    if not present or listed is None:
        return Declared(name, present, None)
    if not listed:
        raise InputError(
            subject, "a group exists through its entries, and none is declared", "Declare state: absent to remove it"
        )
    entries: list[Entry] = []
    for number, entry in enumerate(listed, 1):
        value = address_entries.value_of(f"{subject}: entry {number}", entry)
        if key_of(value) in [key_of(known.value) for known in entries]:
            raise InputError(f"{subject}: entry {number}", f"{spoken(value)} is declared twice", "Remove one of the two entries")
        entries.append(Entry(value, entry.get("description"), entry.get("enabled") is not False))
    return Declared(name, present, tuple(entries))


def _check_children(where: str, declared: t.Mapping[str, Declared]) -> None:
    for group in declared.values():
        for child in _children(group.entries or ()):
            if child in declared and not declared[child].present:
                raise InputError(
                    f"{where}: IP address group {group.name}",
                    f"it has the group {declared[child].name} as an entry, which is declared absent",
                    "Remove the entry, or keep the group",
                )
    _refuse_circles(where, declared, {name: _children(group.entries or ()) for name, group in declared.items()})


def _refuse_circles(where: str, declared: t.Mapping[str, Declared], graph: Graph) -> None:
    for name, group in declared.items():
        if group.entries and reaches_itself(graph, name):
            raise InputError(
                f"{where}: IP address group {group.name}",
                f"it would contain itself through {', '.join(sorted(set(_children(group.entries))))}",
                "Remove the entry that closes the circle",
            )


def _children(entries: t.Iterable[Entry | Row]) -> list[str]:
    return [fold(entry.value[1]) for entry in entries if entry.value and entry.value[0] == "group"]


def reaches_itself(graph: Graph, name: str) -> bool:
    seen: set[str] = set()
    waiting = list(graph.get(name, ()))
    while waiting:
        reached = waiting.pop()
        if reached == name:
            return True
        if reached not in seen:
            seen.add(reached)
            waiting.extend(graph.get(reached, ()))
    return False


def current_groups(listed: t.Iterable[Object], received: t.Iterable[Object]) -> dict[str, Group]:
    """Return by folded name the groups of ``getGroupList`` with their rows of ``get``."""
    rows = list(received)
    spelled: dict[str, dict[str, str]] = {}
    pairs = [(str(group["name"]), str(group["id"])) for group in listed]
    pairs += [(str(row.get("groupName") or ""), str(row.get("groupId") or "")) for row in rows]
    for name, group_id in pairs:
        spelled.setdefault(fold(name), {}).setdefault(group_id, name)
    names = {next(iter(ids)): next(iter(ids.values())) for ids in spelled.values() if len(ids) == 1}
    found: dict[str, list[Row]] = {name: [] for name in spelled}
    for row in rows:
        found[fold(str(row.get("groupName") or ""))].append(Row(address_entries.read_value(row, names), row))
    return {name: Group(next(iter(ids.values())), tuple(ids), tuple(found[name])) for name, ids in spelled.items()}


def graph_of(groups: Groups) -> dict[str, list[str]]:
    return {name: _children(group.rows) for name, group in groups.items()}


def plan_work(where: str, declared: t.Mapping[str, Declared], current: Groups, expected: t.Collection[str] = ()) -> list[Work]:
    """Return what is to be done, child groups before those that contain them; ``expected`` are groups that will exist.

    Raises ``InputError`` on what does not fit the server.
    """
    for name, group in declared.items():
        _refuse_unfit(f"{where}: IP address group {group.name}", group, current.get(name))
    graph = {**graph_of(current), **{name: _children(group.entries) for name, group in declared.items() if group.entries}}
    _refuse_unknown_children(where, declared, {*current, *(fold(name) for name in expected)}, current)
    _refuse_circles(where, declared, graph)
    spelling = {name: group.name for name, group in declared.items()} | {name: group.name for name, group in current.items()}
    done = (_work(declared[name], current.get(name), spelling) for name in _children_first(declared, graph))
    return [work for work in done if work is not None]


def _refuse_unfit(subject: str, group: Declared, current: Group | None) -> None:
    if current is not None and len(current.ids) > 1:
        raise InputError(
            subject, "the server has several groups whose names differ in nothing but case", "Remove or rename one of them there"
        )
    if group.present and group.entries is None and current is None:
        raise InputError(
            subject,
            "the server does not have it, and a group exists through its entries",
            "Declare its entries, or remove it here",
        )


def _refuse_unknown_children(where: str, declared: t.Mapping[str, Declared], known: t.Collection[str], current: Groups) -> None:
    names = ", ".join(sorted(group.name for group in current.values())) or "none at all"
    single = {name for name in (*known, *declared) if name not in current or len(current[name].ids) == 1}
    for group in declared.values():
        for child in _children(group.entries or ()):
            if child not in single:
                raise InputError(
                    f"{where}: IP address group {group.name}",
                    f"its entry is the group {child!r}, and the server has {names}",
                    "Correct the name, or declare the other group as well",
                )


def _children_first(names: t.Iterable[str], graph: Graph) -> list[str]:
    """Return names with children first. Circles of the server among groups whose entries are not declared have no first."""
    ordered: list[str] = []
    begun: set[str] = set()

    def visit(name: str) -> None:
        if name not in begun:
            begun.add(name)
            for child in graph.get(name, ()):
                if child in wanted:
                    visit(child)
            ordered.append(name)

    wanted = sorted(names)
    for name in wanted:
        visit(name)
    return ordered


def _work(declared: Declared, current: Group | None, spelling: t.Mapping[str, str]) -> Work | None:
    rows = current.rows if current else ()
    before = _shown(rows, spelling)
    if not declared.present:
        return (
            Work(current.name, Change(KIND, "delete", current.name, before, {}, {}), removes=rows) if current and rows else None
        )
    if declared.entries is None:
        return None
    wanted = {key_of(entry.value): entry for entry in declared.entries}
    there = [(row, wanted.get(key_of(row.value)) if row.value else None) for row in rows]
    kept = {key_of(entry.value) for _row, entry in there if entry}
    creates = tuple(entry for key, entry in wanted.items() if key not in kept)
    sets = tuple((row, details) for row, entry in there if entry and (details := _details(row, entry)))
    removes = tuple(row for row, entry in there if entry is None)
    if not (creates or sets or removes):
        return None
    name = spelling[fold(declared.name)]
    after = _shown([*creates, *(_Merged(row, entry) for row, entry in there if entry)], spelling)
    action = "change" if rows else "create"
    return Work(name, Change(KIND, action, name, before if rows else {}, after, {}), creates, sets, removes)


def _details(row: Row, entry: Entry) -> Object:
    """Return the members of a row that are not as declared: a pattern may be sparse, and the value stays with its type."""
    wanted: Object = {"enabled": entry.enabled}
    if entry.description is not None:
        wanted["description"] = entry.description
    current = {"enabled": row.enabled, "description": row.description}
    return {member: value for member, value in wanted.items() if value != current[member]}


class _Shown(t.Protocol):
    @property
    def value(self) -> Value | None: ...
    @property
    def description(self) -> str | None: ...
    @property
    def enabled(self) -> bool: ...


class _Merged:
    """A row as it will be."""

    def __init__(self, row: Row, entry: Entry) -> None:
        self.value = row.value
        self.description = row.description if entry.description is None else entry.description
        self.enabled = entry.enabled


def _shown(entries: t.Iterable[_Shown], spelling: t.Mapping[str, str]) -> Object:
    """Return entries as the option takes them, in order, each once."""
    shown: list[Object] = []
    for entry in sorted(entries, key=_order):
        option = as_option(entry, spelling)
        if option not in shown:
            shown.append(option)
    return {"entries": shown}


def _order(entry: _Shown) -> tuple[t.Any, ...]:
    return (0, address_entries.order_of(entry.value)) if entry.value else (1, _unreadable(entry))


def as_option(entry: _Shown, spelling: t.Mapping[str, str]) -> Object:
    """Return an entry as the option takes it, without what is so by default."""
    if entry.value is None:
        option: Object = {"unreadable": _unreadable(entry)}
    else:
        name, text = entry.value
        option = {name: {"group": spelling.get(fold(text), text), "this_machine": True}.get(name, text)}
    if entry.description:
        option["description"] = entry.description
    return option if entry.enabled else {**option, "enabled": False}


def _unreadable(entry: t.Any) -> str:
    members = ("type", "host", "addr1", "addr2", "childGroupName", "childGroupId")
    return " ".join(str(entry.received[member]) for member in members if entry.received.get(member))


def spoken(value: Value) -> str:
    return "this machine" if value[0] == "this_machine" else " ".join(value)


def spoken_row(row: Row) -> str:
    return spoken(row.value) if row.value else _unreadable(row)


def spoken_work(work: Work) -> str:
    """Say what is left to be done in a group as what is wrong with it."""
    wrong = [f"no {spoken(entry.value)}" for entry in work.creates]
    wrong += [f"{spoken_row(row)} otherwise ({', '.join(sorted(details))})" for row, details in work.sets]
    wrong += [f"{spoken_row(row)} still there" for row in work.removes]
    return f"{work.group}: {', '.join(wrong)}"


def undeclarable(group: Group, graph: Graph) -> str:
    """Return why a group cannot be declared as it is, or the empty string."""
    values = [key_of(row.value) for row in group.rows if row.value]
    enabled = {key_of(row.value): row.enabled for row in group.rows if row.value}
    if not fold(group.name):
        return "it has no name"
    if len(group.ids) > 1:
        return "the server has several groups whose names differ in nothing but case"
    if len(values) < len(group.rows):
        return f"it has entries that no option can say: {'; '.join(_unreadable(row) for row in group.rows if not row.value)}"
    if any(row.enabled != enabled[key_of(row.value)] for row in group.rows if row.value):
        return "it has an entry twice, enabled and disabled"
    if reaches_itself(graph, fold(group.name)):
        return "it contains itself"
    return ""


def as_declared(group: Group) -> Object:
    """Return a group as the option takes it; of an entry that is there twice, the description only if both have the same."""
    entries: dict[Value, Object] = {}
    for row in sorted(group.rows, key=_order):
        if row.value is None:
            continue
        option = as_option(row, {})
        known = entries.setdefault(key_of(row.value), option)
        if known != option:
            known.pop("description", None)
    return {"name": group.name.strip(), **({"entries": list(entries.values())} if entries else {})}
