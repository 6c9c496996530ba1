# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of a server: start-up, listeners and limits are written to the object, running or not is a call of its own."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import kinds, settings
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import BAD_MEMBERS
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Plan, item_changes

Options = t.Mapping[str, t.Any]
KIND = "services"
FIELDS = kinds.SERVICE_FIELDS
# What a server may be thought to set by itself alone; it would refuse to be told with the code BAD_MEMBERS.
OWN = ("isRunning", "defaultPort")
# Seconds between looks at a service that was told to start or stop; the sheet does not say whether the answer waits for it.
PATIENCE = (0.2, 0.4, 0.8, 1.6, 3.2)


def declare_services(server: Server, options: Options, check_mode: bool) -> Plan:
    """Bring the named services to what is declared; those that are not named are not touched, and that is proved as well."""
    declared = _by_name(server.name, options["services"])
    received = _received(server)
    current = {name: server.options(FIELDS, entry) for name, entry in received.items()}
    known = _known(server.name, declared, current)
    wanted = {name: server.wanted(f"service {name}", FIELDS, entry, current[name]) for name, entry in known.items()}
    plan = Plan(server.name, tuple(item_changes(KIND, current, wanted, settings.rules(FIELDS))))
    if not check_mode:
        _apply(server, received, current, plan)
    _warn(server, current, wanted)
    return plan


def read_services(server: Server) -> list[Object]:
    """Return every service as the option ``services`` takes it, by name."""
    current = {name: server.options(FIELDS, entry) for name, entry in _received(server).items()}
    return [{"name": name, **settings.declarable(FIELDS, current[name])} for name in sorted(current)]


def _by_name(where: str, entries: t.Sequence[Options]) -> dict[str, Options]:
    """Return what is declared by name; raises ``InputError`` on what cannot be meant."""
    declared: dict[str, Options] = {}
    for entry in entries:
        name = entry["name"].strip()
        if name.lower() in map(str.lower, declared):
            raise InputError(f"{where}: service {name}", "it is declared twice", "Merge the two entries of services")
        settings.check_options(f"{where}: service {name}", FIELDS, entry)
        declared[name] = entry
    return declared


def _received(server: Server) -> dict[str, Object]:
    """Return the services by name; their ids may differ from one installation to the next."""
    return {str(entry.get("name", "")): entry for entry in server.objects(kinds.SERVICE)}


def _known(where: str, declared: t.Mapping[str, Options], current: t.Mapping[str, Object]) -> dict[str, Options]:
    """Return what is declared under the server's spelling of the names."""
    spelling = {name.lower(): name for name in current}
    unknown = sorted(name for name in declared if name.lower() not in spelling)
    if unknown:
        raise InputError(
            f"{where}: service {', '.join(unknown)}",
            f"the server has {', '.join(sorted(current)) or 'none at all'}",
            "Correct the name, or remove the entry for this server",
        )
    return {spelling[name.lower()]: entry for name, entry in declared.items()}


def _apply(server: Server, received: t.Mapping[str, Object], current: t.Mapping[str, Object], plan: Plan) -> None:
    """Write the objects, then start and stop: a service starts with its new listeners."""
    changes = {change.key: change.values for change in plan.changes}
    stored = [name for name, values in changes.items() if set(values) != {"running"}]
    if stored:
        _store(server, {name: _object(server, received[name], changes[name]) for name in stored})
    for name, values in changes.items():
        if "running" in values:
            method = "Services.start" if values["running"] else "Services.stop"
            server.call(method, {"service": received[name]["id"]}, items=[name])
    if changes:
        expected = {name: {**options, **changes.get(name, {})} for name, options in current.items()}
        server.prove_objects(kinds.SERVICE, _read_back(server, changes), expected)


def _store(server: Server, whole: t.Mapping[str, Object]) -> None:
    """Write services by name; those that the server refuses for their members again, without what it may set by itself alone.

    A server that refuses such a member does not take its absence for a value.
    """
    names = list(whole)
    try:
        server.call(kinds.SERVICE.set, {kinds.SERVICE.set_whole: list(whole.values())}, items=names)
    except ApiError as error:
        failed = error.details.get("errors", [{**error.details, "index": index} for index in range(len(names))])
        if any(entry["code"] != BAD_MEMBERS or entry["index"] not in range(len(names)) for entry in failed):
            raise
        again = [names[entry["index"]] for entry in failed]
        rest = [{member: value for member, value in whole[name].items() if member not in OWN} for name in again]
        server.call(kinds.SERVICE.set, {kinds.SERVICE.set_whole: rest}, items=again)


def _object(server: Server, received: Object, values: Options) -> Object:
    """Return the whole object, all of it as received except ``values``.

    No source marks the members of ``OWN`` as read-only. Left out, they might be taken for false and 0.
    """
    stored = [field for field in FIELDS if field.option != "running"]
    changed: Object = settings.without_empty_passwords(server.changed(stored, received, values))
    return changed


def _read_back(server: Server, changes: t.Mapping[str, Options]) -> dict[str, Object]:
    """Read all services, again for a few seconds while one that was started or stopped is not there yet."""
    for delay in (*PATIENCE, 0.0):
        current = {name: server.options(FIELDS, entry) for name, entry in _received(server).items()}
        waiting = any(
            "running" in values and current.get(name, {}).get("running") != values["running"] for name, values in changes.items()
        )
        if not waiting:
            break
        time.sleep(delay)
    return current


def _warn(server: Server, current: t.Mapping[str, Object], wanted: t.Mapping[str, Object]) -> None:
    for name in sorted(wanted):
        outcome = {**current[name], **wanted[name]}
        if "running" not in wanted[name] or outcome.get("start_up") not in ("automatic", "manual"):
            continue
        if outcome["running"] != (outcome["start_up"] == "automatic"):
            state = "runs" if outcome["running"] else "is stopped"
            server.warnings.append(
                f"{server.name}: {name} {state} only until the server is restarted, because start_up is {outcome['start_up']}"
            )
