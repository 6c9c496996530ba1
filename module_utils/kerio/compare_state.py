# SPDX-License-Identifier: GPL-3.0-or-later
"""The state that relations look at, read from a server only as far as a relation asks for it."""

from __future__ import annotations

import typing as t
from functools import cached_property

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import (
    address_groups,
    api,
    arguments,
    compare_hosts,
    directory,
    kinds,
    relations_people,
    settings,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.address_entries import fold
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field, SettingsKind
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_people import People
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import Host, Options

Object = dict[str, t.Any]


class LiveState:
    """``relations_state.State`` of one session that remembers what it read.

    ``params`` are those of kerio_compare, ``declarations`` the names of those that declare something of the server.
    """

    def __init__(self, server: api.Server, params: Options, declarations: t.Iterable[str]) -> None:
        self._server = server
        self._params = params
        self.server = server.name
        self.archive: Options = params.get("archive") or {}
        declared = [name for name in (*declarations, "archive") if params.get(name) is not None]
        self.given = frozenset([*declared, *(name for name, value in self.archive.items() if value is not None)])

    @cached_property
    def archiving(self) -> Options:
        return self._settings(kinds.ARCHIVING)

    @cached_property
    def master(self) -> Options:
        declared = self._params.get("master_authentication") or {}
        return {**self._settings(kinds.MASTER_AUTHENTICATION), "allow_any_address": declared.get("allow_any_address")}

    @cached_property
    def advanced(self) -> Options:
        return self._settings(kinds.ADVANCED_OPTIONS)

    @cached_property
    def security(self) -> Options:
        return self._settings(kinds.SECURITY_POLICY)

    @property
    def declared_domains(self) -> dict[str, Options]:
        listed = (self._params.get("archiving") or {}).get("domains") or []
        return {str(entry["name"]).strip().lower(): entry for entry in listed}

    @cached_property
    def domains(self) -> dict[str, Options]:
        fields = kinds.DOMAIN_ARCHIVING_FIELDS
        received = {str(entry.get("name", "")).lower(): entry for entry in self._server.objects(kinds.DOMAIN)}
        current = {name: settings.read_options(fields, entry) for name, entry in received.items()}
        return {name: overlaid(fields, options, self.declared_domains.get(name, {})) for name, options in current.items()}

    @cached_property
    def services(self) -> dict[str, Options]:
        fields = kinds.SERVICE_FIELDS
        declared = {entry["name"].strip().lower(): entry for entry in self._params.get("services") or []}
        return {
            str(entry["name"]): overlaid(
                fields, self._server.options(fields, entry), declared.get(str(entry["name"]).lower(), {})
            )
            for entry in self._server.objects(kinds.SERVICE)
        }

    @cached_property
    def people(self) -> People:
        facts = directory.read_directory(self._server, api.PAGE_SIZE)
        raw = {
            domain["id"]: (
                self._server.objects(kinds.USER, domain["id"]),
                self._server.objects(kinds.ALIAS, domain["id"]),
            )
            for domain in facts["domains"]
        }
        return relations_people.with_declared(
            relations_people.people_of(facts, raw, self._server.objects(kinds.DOMAIN)), self._params.get("users") or []
        )

    @cached_property
    def archive_hosts(self) -> list[Host]:
        place = arguments.place(self._params)
        return [compare_hosts.resolve(name, *place) for name in self.archive.get("archive_hosts") or []]

    def admits(self, group: str, address: str) -> bool | None:
        return address_groups.admits(self._groups, group, address)

    @cached_property
    def _groups(self) -> dict[str, list[Options]]:
        """Groups by name: those of the server, with the declared ones in their place."""
        told = len(self._server.warnings)
        groups = {str(group["name"]): list(group["entries"]) for group in address_groups.read_groups(self._server)}
        # What is left out because it cannot be declared matters to whoever adopts a server; here it is a group of unknown shape.
        del self._server.warnings[told:]
        spelling = {fold(name): name for name in groups}
        for group in self._params.get("ip_address_groups") or []:
            name = spelling.get(fold(group["name"]), group["name"].strip())
            if group.get("state") == "absent":
                groups.pop(name, None)
            elif group.get("entries") is not None:
                groups[name] = group["entries"]
        return groups

    def _settings(self, kind: SettingsKind) -> Object:
        return overlaid(kind.fields, self._server.read(kind).options, self._params.get(kind.name) or {})


def overlaid(fields: t.Iterable[Field], current: Options, declared: Options) -> Object:
    """Return options as they are after the declared ones were applied."""
    outcome = dict(current)
    for field in fields:
        value = declared.get(field.option)
        if value is not None:
            merge = field.codec.partial and isinstance(outcome.get(field.option), dict)
            outcome[field.option] = {**outcome[field.option], **value} if merge else value
    return outcome
