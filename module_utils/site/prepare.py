# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the variables of all hosts before anything is done: who is left out, and why.

Plays of other hosts read these variables. There, those of one host would stop the others.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.site import assigned, reached, relations, usable
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader

CANNOT_BE_USED = "Its variables in the inventory cannot be used: "
NAME_CANNOT_BE_USED = "Its name cannot be used: "


class Found(t.TypedDict):
    """What prepare.yml makes facts of: names that several servers have, and what is known of hosts that are left out."""

    doubles: dict[str, list[str]]
    facts: dict[str, dict[str, Json]]
    told: list[str]


def look(reader: Reader, groups: assigned.Groups, hosts: t.Collection[str]) -> Found:
    """Return who of ``hosts`` is left out. Part after part, because what is wrong with one host counts for others.

    Servers that are not among the hosts are looked at for archive hosts, which read them all the same.
    """
    return _Look(reader, groups, hosts).found()


class _Look:
    def __init__(self, reader: Reader, groups: assigned.Groups, hosts: t.Collection[str]) -> None:
        servers = groups.get("kerio_servers", [])
        self._reader = reader
        self._groups = groups
        self._archive_hosts = [host for host in groups.get("archive_hosts", []) if host in hosts]
        self._servers = [server for server in servers if server in hosts]
        self._outside = [server for server in servers if server not in hosts] if self._archive_hosts else []

    def found(self) -> Found:
        for server in [*self._servers, *self._outside]:
            self._name(server)
        doubles = self._doubles()
        for host in self._archive_hosts:
            self._archive_host(host)
        keepers = assigned.Keepers(self._reader, self._groups)
        failures = [failure for server in self._outside for failure in self._outside_server(server, keepers, doubles)]
        for server in self._servers:
            self._assignment(server, keepers)
        for server in self._servers:
            self._server(server, keepers, doubles)
        for host, text in failures:
            self._reader.facts[host].setdefault("archive_failures", []).append(text)
        facts = {host: known for host, known in self._reader.facts.items() if known}
        told = [
            f"{host}: {text}"
            for host, known in facts.items()
            for text in known.get("kerio_failures", []) + known.get("archive_failures", [])
        ]
        return {"doubles": doubles, "facts": facts, "told": told}

    def _reason(self, found: t.Callable[..., str], *values: t.Any) -> str:
        """Return what a look finds wrong, also when it cannot look."""
        try:
            return found(*values)
        except self._reader.error as error:
            return self._reader.told(error)

    def _name(self, server: str) -> None:
        """Leave a server without a name out, which goes by the one of the inventory then."""
        cause = self._reason(usable.name_wrong, self._reader, server)
        if cause:
            self._reader.mark(server, kerio_connect_name=server, kerio_name_wrong=True)
        if cause and server in self._servers:
            self._reader.mark(server, kerio_variables_wrong=True, kerio_failures=[NAME_CANNOT_BE_USED + cause])

    def _doubles(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for server in self._groups.get("kerio_servers", []):
            name = server
            if not self._reason(usable.name_wrong, self._reader, server):
                name = str(reached.name_of(self._reader, server)).strip()
            found.setdefault(name, []).append(server)
        return {name: servers for name, servers in found.items() if len(servers) > 1}

    def _archive_host(self, host: str) -> None:
        """Leave an archive host out of which servers cannot read what they are told of it."""
        cause = self._reason(self._unreadable, self._reader.host(host), *relations.READ_OF_ARCHIVE_HOSTS)
        if cause:
            self._reader.mark(host, archive_variables_wrong=True, archive_failures=[CANNOT_BE_USED + cause])

    def _unreadable(self, known: t.Mapping[str, Json], *names: str) -> str:
        self._reader.plain([self._reader.item(known, name) for name in names if name in known])
        return ""

    def _outside_server(self, server: str, keepers: assigned.Keepers, doubles: usable.Doubles) -> t.Iterator[tuple[str, str]]:
        """Yield what archive hosts tell of a server that the run leaves out; it is left out by them as well then."""
        known = self._reader.host(server)
        cause = "kerio_connect_name cannot be used" if "kerio_name_wrong" in known else ""
        cause = cause or self._reason(self._unreadable_server, server) or self._reason(self._wrong, server, keepers, doubles)
        causes = {host: cause or self._deleted(host, server, keepers) for host in self._archive_hosts}
        if any(causes.values()):
            everybody = list(self._groups.get("archive_hosts", []))
            self._reader.mark(server, kerio_variables_wrong=True, kerio_archived_by=everybody)
        for host, told in causes.items():
            if told:
                yield host, f"{server}, which the run leaves out: {CANNOT_BE_USED}{told}"

    def _deleted(self, host: str, server: str, keepers: assigned.Keepers) -> str:
        """What one archive host deletes on a server, another one may have yet to read."""
        takers = assigned.takers(self._reader, self._groups, server)
        return self._refusal(server, keepers) if host in takers and keepers.deletes(host) else ""

    def _assignment(self, server: str, keepers: assigned.Keepers) -> None:
        """Leave a server out that its archive hosts cannot archive as it is said."""
        known = self._reader.host(server)
        # One of which that cannot be read is told by the next look, with all else that cannot be.
        if "kerio_variables_wrong" in known or self._reason(self._unreadable, known, "kerio_connect_archive_hosts"):
            return
        cause = self._reason(self._refusal, server, keepers)
        if cause:
            self._reader.mark(server, kerio_variables_wrong=True, kerio_failures=[cause])

    def _refusal(self, server: str, keepers: assigned.Keepers) -> str:
        hosts = assigned.takers(self._reader, self._groups, server)
        declared = "kerio_connect_archive_hosts" in self._reader.host(server)
        return assigned.refusal(reached.name_of(self._reader, server), declared, hosts, self._groups, keepers)

    def _server(self, server: str, keepers: assigned.Keepers, doubles: usable.Doubles) -> None:
        """Leave a server out of which other hosts cannot read what they need, or cannot take it."""
        unreadable = self._reason(self._unreadable_server, server)
        refused = "" if unreadable else self._reason(self._wrong, server, keepers, doubles)
        if unreadable or refused:
            self._reader.mark(
                server,
                kerio_variables_wrong=True,
                kerio_values_refused=bool(refused),
                kerio_archived_by=self._takers_or_all(server),
                kerio_failures=[CANNOT_BE_USED + (unreadable or refused)],
            )

    def _takers_or_all(self, server: str) -> list[Json]:
        try:
            return assigned.takers(self._reader, self._groups, server)
        except self._reader.error:
            return list(self._groups.get("archive_hosts", []))

    def _wrong(self, server: str, keepers: assigned.Keepers, doubles: usable.Doubles) -> str:
        return usable.wrong(self._reader, server, assigned.takers(self._reader, self._groups, server), keepers, doubles)

    def _unreadable_server(self, server: str) -> str:
        """Read what other hosts read of a server; raises the reader's error when it cannot be."""
        reader, of_server = self._reader, [server]
        self._unreadable(reader.host(server), "kerio_connect_archive_hosts")
        reader.plain([reached.servers(reader, of_server), reached.mailboxes(reader, of_server)])
        reader.plain([reached.for_logins(reader, of_server), relations.other_servers(reader, of_server)])
        return ""
