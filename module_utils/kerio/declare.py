# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring settings to what is declared: read, plan, apply unless it is a check, read back."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import kinds, settings
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Reading, Server
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import SettingsKind
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_mailbox import idle_domains
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Change, Plan, item_changes, settings_change

Options = t.Mapping[str, t.Any]
DOMAIN_ARCHIVING = "domain_archiving"


def declare_settings(server: Server, kind: SettingsKind, options: Options, check_mode: bool) -> Plan:
    """Bring one kind of settings to what its module declares."""
    settings.check_options(server.name, kind.fields, options)
    return settle(server, kind, server.read(kind), options, check_mode)


def settle(server: Server, kind: SettingsKind, reading: Reading, options: Options, check_mode: bool) -> Plan:
    """Bring settings that were just read to what is declared."""
    plan = Plan(server.name, tuple(_settings_changes(server, kind, reading, options)))
    for change in plan.changes:
        if not check_mode:
            server.write(kind, reading, change.values)
        _warn_after(server, kind, change)
    outcome = {**reading.options, **(plan.changes[0].values if plan.changes else {})}
    caution = kind.caution(outcome) if kind.caution else ""
    server.warnings.extend([f"{server.name}: {caution}"] if caution else [])
    return plan


def declare_archiving(server: Server, options: Options, check_mode: bool) -> Plan:
    """Bring archiving to what is declared: of the whole server, and of single domains."""
    kind, fields = kinds.ARCHIVING, kinds.DOMAIN_ARCHIVING_FIELDS
    declared = _by_name(server.name, options.get("domains") or [])
    settings.check_options(server.name, kind.fields, options)
    for name, entry in declared.items():
        settings.check_options(f"{server.name}: domain {name}", fields, entry)
    reading = server.read(kind)
    changes = _settings_changes(server, kind, reading, options)
    domains = _domains(server) if declared else {}
    changes += _domain_changes(server, domains, declared)
    plan = Plan(server.name, tuple(changes))
    if not check_mode:
        _apply_archiving(server, reading, domains, plan)
    _warn_of_domains(server, {**reading.options, **_present(options)}, declared)
    return plan


def domain_archiving(server: Server) -> list[Object]:
    """Return the archiving settings of every domain, as the option ``domains`` takes them; empty where the server has none."""
    read = {name: settings.read_options(kinds.DOMAIN_ARCHIVING_FIELDS, received) for name, received in _domains(server).items()}
    return [{"name": name, **options} for name, options in sorted(read.items()) if options]


def _warn_after(server: Server, kind: SettingsKind, change: Change) -> None:
    for field in kind.fields:
        if field.after_change and field.option in change.values:
            server.warnings.append(f"{server.name}: {field.option} {field.after_change}")


def _settings_changes(server: Server, kind: SettingsKind, reading: Reading, options: Options) -> list[Change]:
    wanted = server.wanted(kind.name, kind.fields, options, reading.options)
    change = settings_change(kind.name, reading.options, wanted, settings.rules(kind.fields))
    return [] if change is None else [change]


def _domain_changes(server: Server, domains: t.Mapping[str, Object], declared: t.Mapping[str, Options]) -> list[Change]:
    fields = kinds.DOMAIN_ARCHIVING_FIELDS
    current = {name: settings.read_options(fields, received) for name, received in domains.items()}
    unknown = sorted(set(declared) - set(current))
    if unknown:
        raise InputError(
            f"{server.name}: domain {', '.join(unknown)}",
            f"the server has {', '.join(sorted(current))}",
            "Correct the name, or remove the entry for this server",
        )
    wanted = {
        name: settings.managed(f"{server.name}: domain {name}", fields, entry, current[name]) for name, entry in declared.items()
    }
    return item_changes(DOMAIN_ARCHIVING, current, wanted, settings.rules(fields))


def _apply_archiving(server: Server, reading: Reading, domains: t.Mapping[str, Object], plan: Plan) -> None:
    for change in plan.of(kinds.ARCHIVING.name):
        server.write(kinds.ARCHIVING, reading, change.values)
    changed = plan.of(DOMAIN_ARCHIVING)
    for change in changed:
        received = domains[change.key]
        server.set_object(kinds.DOMAIN, received["id"], received, change.values)
    if changed:
        fields = kinds.DOMAIN_ARCHIVING_FIELDS
        read_back = {name: settings.read_options(fields, received) for name, received in _domains(server).items()}
        server.prove_objects(kinds.DOMAIN, read_back, {change.key: change.values for change in changed})


def _warn_of_domains(server: Server, outcome: Options, declared: t.Mapping[str, Options]) -> None:
    problem = idle_domains(server.name, outcome, declared)
    if problem is not None:
        server.warnings.append(f"{problem.subject}: {problem.cause}")


def _domains(server: Server) -> dict[str, Object]:
    return {str(entry.get("name", "")).lower(): entry for entry in server.objects(kinds.DOMAIN)}


def _by_name(where: str, entries: t.Sequence[Options]) -> dict[str, Options]:
    named: dict[str, Options] = {}
    for entry in entries:
        name = entry["name"].strip().lower()
        if name in named:
            raise InputError(f"{where}: domain {name}", "it is declared twice", "Merge the two entries of domains")
        named[name] = {option: value for option, value in entry.items() if option != "name"}
    return named


def _present(options: Options) -> Object:
    return {name: value for name, value in options.items() if value is not None}
