# SPDX-License-Identifier: GPL-3.0-or-later
"""IP address groups: whole groups are declared, while the API works on their entries, one row per address.

A group comes into being by name with its first entry and, by all that is known, goes with its last. So entries are created first,
then set, then removed: a group that stays is never empty, and its id stays that which other settings hold.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ApiError, ArchiveToolError, InputError, ItemError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import address_entries, address_plan, kinds, settings
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.address_entries import fold, key_of
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.address_plan import Declared, Entry, Groups, Row, Work
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc import Effect
from ansible_collections.mailops.kerio.plugins.module_utils.plan import ACTIONS, Plan

# Entries per call: what a server answers within the time-out of a call.
BATCH = 100
GROUP, ENTRY = kinds.IP_ADDRESS_GROUP, kinds.IP_ADDRESS_ENTRY
# They answer with an error when a change would cut the administrator off, and change nothing.
VALIDATE_SET, VALIDATE_REMOVE = "IpAddressGroups.validateSet", "IpAddressGroups.validateRemove"
LET_US_IN = "Keep an enabled entry that admits the address from which the server is administered"

admits = address_entries.admits
Batch = tuple[Object, list[tuple[str, Row]]]


def declare_groups(server: Server, options: t.Mapping[str, t.Any], check_mode: bool) -> Plan:
    """Bring IP address groups to what is declared; those that are not named stay as they are.

    The server is asked before each set and remove whether it would cut us off, and a refusal takes back what was done before. A
    check run asks as well, as far as it can: ``_foresee``.
    """
    declared = address_plan.check(server.name, options.get("groups") or [])
    if not declared:
        return Plan(server.name)
    before = _read(server)
    expected = server.expected.get(GROUP.name, ()) if check_mode else ()
    work = address_plan.plan_work(server.name, declared, before, expected)
    _refuse_used(server, declared, before, work, check_mode)
    if work and check_mode:
        _foresee(server, work)
    elif work:
        _apply(server, before, work)
        _prove(server, declared, before)
    changes = sorted((item.change for item in work), key=lambda change: (ACTIONS.index(change.action), change.key))
    return Plan(server.name, tuple(changes))


def read_groups(server: Server) -> list[Object]:
    """Return all groups as the option takes them; one that cannot be declared as it is gets a warning instead."""
    groups = _read(server)
    graph = address_plan.graph_of(groups)
    found = []
    for _name, group in sorted(groups.items()):
        reason = address_plan.undeclarable(group, graph)
        if reason:
            server.warnings.append(f"{server.name}: IP address group {group.name} is left out: {reason}")
        else:
            found.append(address_plan.as_declared(group))
    return found


def _read(server: Server) -> Groups:
    return address_plan.current_groups(server.objects(GROUP), server.objects(ENTRY))


def _refuse_used(
    server: Server, declared: t.Mapping[str, Declared], before: Groups, work: t.Sequence[Work], check_mode: bool
) -> None:
    """Refuse to remove a group that something refers to: what the server does with the reference then is not known.

    In a check run it is a warning, because what refers to the group today may be declared otherwise in the same playbook.
    """
    leaving = [item for item in work if item.change.action == "delete"]
    references = _references(server) if leaving else []
    for item in leaving:
        group = before[fold(item.group)]
        users = [user for user, group_id in references if group_id and group_id in group.ids]
        users += [f"IP address group {name}" for name in _parents(fold(item.group), declared, before)]
        subject, cause = f"{server.name}: IP address group {item.group}", f"it is still used by {', '.join(users)}"
        if users and check_mode:
            server.warnings.append(f"{subject}: {cause}; it is not removed while that is so")
        elif users:
            raise InputError(subject, cause, "Declare another group there first, or none")


def _references(server: Server) -> list[tuple[str, str]]:
    """Return who refers to which group: readable name and id. A reference that is switched off may keep its id, and is none."""
    found: list[tuple[str, str]] = []
    for kind in kinds.SETTINGS.values():
        fields = [field for field in kind.fields if field.reference == GROUP.name]
        options = settings.read_options(fields, server.receive(kind.source)) if fields else {}
        found += [(f"{kind.name.replace('_', ' ')} ({option})", str(group_id)) for option, group_id in options.items()]
    fields = [field for field in kinds.SERVICE_FIELDS if field.reference == GROUP.name]
    for service in server.objects(kinds.SERVICE):
        options = settings.read_options(fields, service)
        found += [(f"service {service.get('name')}", str(group_id)) for group_id in options.values()]
    return found


def _parents(name: str, declared: t.Mapping[str, Declared], before: Groups) -> list[str]:
    """Return the groups that keep this one as an entry: those that are declared with entries do not, or were refused."""
    graph = address_plan.graph_of(before)
    stay = [key for key in before if key not in declared or (declared[key].present and declared[key].entries is None)]
    return sorted(before[key].name for key in stay if name in graph[key])


def _foresee(server: Server, work: t.Sequence[Work]) -> None:
    """Ask in a check run what can be asked of the groups as they are today.

    New and newly enabled entries only let more in. So what the server lets pass without them passes with them as well; but what
    it refuses without them may pass with them, and is then a warning. With none to come, a refusal is the one that the run would
    get. What only several changes together do, each of them harmless, shows in the run alone, which then takes back what it did.
    """
    hopeful = any(entry.enabled for item in work for entry in item.creates)
    for details, rows in _batches(work):
        _ask(server, VALIDATE_SET, _setting(details, rows), rows, hopeful)
        hopeful = hopeful or details.get("enabled") is True
    removes = _removes(work)
    if removes:
        _ask(server, VALIDATE_REMOVE, _removing(removes), removes, hopeful)


def _ask(server: Server, method: str, parameters: Object, rows: t.Sequence[tuple[str, Row]], hopeful: bool) -> None:
    try:
        server.call(method, parameters, Effect.READ, _labels(rows))
    except ItemError as error:
        if not hopeful:
            raise _told(error, "Nothing was changed") from None
        server.warnings.append(
            f"{error.subject}: {error.cause}. That is without the new entries; a run asks again when they exist"
        )


def _told(error: ApiError, truth: str) -> ApiError:
    """Return ``error`` with what is true now, and with the remedy for being cut off if it is about that."""
    cut_off = error.details.get("method") in (VALIDATE_SET, VALIDATE_REMOVE) and isinstance(error, ItemError)
    remedy = LET_US_IN if cut_off else error.remedy
    error.remedy = f"{remedy.rstrip('. ')}. {truth}"
    return error


def _apply(server: Server, before: Groups, work: t.Sequence[Work]) -> None:
    """Create, set, remove; whatever is refused before the removal, which is one call, takes back what was done."""
    wrote = False
    removes = _removes(work)
    try:
        for item in work:
            if item.creates:
                wrote = True
                _create(server, before, item)
        for details, rows in _batches(work):
            server.call(VALIDATE_SET, _setting(details, rows), Effect.READ, _labels(rows))
            wrote = True
            server.call(ENTRY.set, _setting(details, rows), items=_labels(rows))
        if removes:
            server.call(VALIDATE_REMOVE, _removing(removes), Effect.READ, _labels(removes))
    except ApiError as error:
        raise _told(error, _take_back(server, before, work) if wrote else "Nothing was changed") from None
    if removes:
        # Harmless to repeat as well: an id is never given again.
        server.call(ENTRY.remove, _removing(removes), items=_labels(removes))


def _create(server: Server, before: Groups, item: Work) -> None:
    """Create the missing entries of a group: by its name, as the vendor's sample does, whether or not it exists.

    Repeating this after a session that ended is harmless: the server refuses an entry that it has.
    """
    ids = {name: group.ids[0] for name, group in before.items()}
    children = {fold(entry.value[1]) for entry in item.creates if entry.value[0] == "group"}
    if not children <= set(ids):
        ids = {fold(str(group[GROUP.identity])): group["id"] for group in server.objects(GROUP)}
    missing = children - set(ids)
    if missing:
        raise ApiError(
            f"{server.name}: IP address group {item.group}",
            f"{GROUP.get} does not have {', '.join(sorted(missing))}, although it was created a moment before",
            "Look into the server's error log",
            method=GROUP.get,
        )
    in_host = address_entries.prefix_in_host(row.received for group in before.values() for row in group.rows)
    rows = [_row(item.group, entry, ids, in_host) for entry in item.creates]
    labels = [f"{item.group}: {address_plan.spoken(entry.value)}" for entry in item.creates]
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        server.call(ENTRY.create, {"groups": rows[part]}, items=labels[part])


def _row(group: str, entry: Entry, ids: t.Mapping[str, str], in_host: bool) -> Object:
    child = ids.get(fold(entry.value[1]), "") if entry.value[0] == "group" else ""
    return {
        "groupId": "",
        "groupName": group,
        **address_entries.written(entry.value, child, in_host),
        "description": entry.description or "",
        "enabled": entry.enabled,
    }


def _batches(work: t.Sequence[Work]) -> list[Batch]:
    """Return the rows that get the same members, those first that are enabled and those last that are disabled."""
    batches: dict[tuple[tuple[str, t.Any], ...], Batch] = {}
    for item in work:
        for row, details in item.sets:
            batches.setdefault(tuple(sorted(details.items())), (details, []))[1].append((item.group, row))
    return sorted(batches.values(), key=lambda batch: {True: 0, None: 1, False: 2}[batch[0].get("enabled")])


def _removes(work: t.Sequence[Work]) -> list[tuple[str, Row]]:
    """Return the rows to remove, those first that are groups: a group goes after what refers to it."""
    rows = [(item.group, row) for item in work for row in item.removes]
    return sorted(rows, key=lambda pair: pair[1].received.get("type") != "ChildGroup")


def _setting(details: Object, rows: t.Iterable[tuple[str, Row]]) -> Object:
    return {ENTRY.set_ids: [row.id for _group, row in rows], ENTRY.set_pattern: details}


def _removing(rows: t.Iterable[tuple[str, Row]]) -> Object:
    return {ENTRY.set_ids: [row.id for _group, row in rows]}


def _labels(rows: t.Iterable[tuple[str, Row]]) -> list[str]:
    return [f"{group}: {address_plan.spoken_row(row)}" for group, row in rows]


def _take_back(server: Server, before: Groups, work: t.Sequence[Work]) -> str:
    """Undo what was created and set, look, and say what is true now."""
    names = ", ".join(item.group for item in work)
    # The error that is taken back for has told it already.
    done, server.done = server.done, []
    try:
        _undo(server, work)
        now = _read(server)
    except ArchiveToolError as error:
        server.done = done
        return f"Taking back what was done before failed as well ({error.cause}): look at {names} on the server"
    if all(_state(now, item.group) == _state(before, item.group) for item in work):
        server.done = []
        return "What was done before was taken back, so that nothing is changed"
    server.done = done
    return f"Not everything that was done before could be taken back: look at {names} on the server"


def _undo(server: Server, work: t.Sequence[Work]) -> None:
    now = _read(server)
    there = {row.id: row for group in now.values() for row in group.rows}
    for item in work:
        for row, details in item.sets:
            old = {member: getattr(row, member) for member in details}
            if row.id in there and old != {member: getattr(there[row.id], member) for member in details}:
                server.call(ENTRY.set, _setting(old, [(item.group, row)]), items=_labels([(item.group, row)]))
    # None of these was there before, or it would not have been created; what somebody else created meanwhile stays.
    ours = {(fold(item.group), key_of(entry.value)) for item in work for entry in item.creates}
    created = [
        (group.name, row) for name, group in now.items() for row in group.rows if row.value and (name, key_of(row.value)) in ours
    ]
    if created:
        created.sort(key=lambda pair: pair[1].received.get("type") != "ChildGroup")
        server.call(ENTRY.remove, _removing(created), items=_labels(created))


def _state(groups: Groups, name: str) -> t.Any:
    group = groups.get(fold(name))
    return sorted((row.id, row.description, row.enabled) for row in group.rows) if group else []


def _prove(server: Server, declared: t.Mapping[str, Declared], before: Groups) -> None:
    """Compare what is read back with what is declared; raises ``ApiError`` naming the groups and entries that differ."""
    now = _read(server)
    wrong = [address_plan.spoken_work(item) for item in address_plan.plan_work(server.name, declared, now)]
    moved = [before[name].name for name in declared if name in before and name in now and before[name].ids != now[name].ids]
    wrong += [f"{name} has another id, so that what referred to it leads nowhere" for name in moved]
    if wrong:
        raise ApiError(
            f"{server.name}: IP address groups",
            f"all calls were answered with success, but read back {'; '.join(wrong)}",
            "Look into the server's error log; somebody else may have changed it at the same moment",
            groups=wrong,
        )
