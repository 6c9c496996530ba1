# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archive host archives which server, and with which of its profiles. docs/several-archive-hosts.md"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.mailops.kerio.plugins.module_utils.site import reached
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader, Variables, entries, flat

Groups = Mapping[str, t.Sequence[str]]


class Scope(t.TypedDict):
    """What an archive host has to do with the servers of the inventory."""

    taken_by: dict[str, list[Json]]  # archive hosts of each server
    named: list[str]  # its servers
    elsewhere: list[Json]  # names of the servers that other archive hosts archive and this one does not
    left_out: list[Json]  # names of its servers of which it cannot be said how they are reached, or which of them is meant


def takers(reader: Reader, groups: Groups, server: str) -> list[Json]:
    """Return the archive hosts that are to archive a server: all of them, unless it says so itself."""
    everybody = groups.get("archive_hosts", [])
    return flat(reader.first(reader.host(server), "kerio_archived_by", "kerio_connect_archive_hosts", default=everybody))


def taken_by(reader: Reader, groups: Groups) -> dict[str, list[Json]]:
    """Return the archive hosts of every server."""
    return {server: takers(reader, groups, server) for server in groups.get("kerio_servers", [])}


def scope(reader: Reader, groups: Groups, archive_host: str, doubles: t.Container[str]) -> Scope:
    """Return what an archive host has to do with the servers; ``doubles`` are names that several servers have."""
    taken = taken_by(reader, groups)
    named = [server for server, hosts in taken.items() if archive_host in hosts]
    names = {server: reached.name_of(reader, server) for server in taken}
    return {
        "taken_by": taken,
        "named": named,
        "elsewhere": [names[server] for server in taken if server not in named],
        "left_out": [
            names[server]
            for server in named
            if "kerio_variables_wrong" in reader.host(server) or str(names[server]).strip() in doubles
        ],
    }


def profiles(declared: t.Iterable[Json], absent: t.Collection[Json], some_read: bool) -> list[Json]:
    """Return the profiles that read one of the servers of an archive host, of these servers alone.

    They may stand in the inventory for all archive hosts. ``absent`` are servers that this one does not read; ``some_read`` says
    whether there are others.
    """
    found = []
    for profile in declared:
        named = _servers_of(profile)
        own = [server for server in named if server not in absent]
        if own == named and (named or some_read or not absent):
            found.append(profile)
        elif own:
            found.append({**profile, "servers": own})
    return found


def only(asked: Json, declared: t.Iterable[Json], absent: t.Collection[Json]) -> list[Json]:
    """Return the profiles that were asked for, in any case, without those that another archive host has."""
    elsewhere = {
        str(profile["name"]).strip().lower()
        for profile in declared
        if isinstance(profile, Mapping) and "name" in profile
        if (named := _servers_of(profile)) and all(server in absent for server in named)
    }
    return [name for name in names_asked(asked) if str(name).strip().lower() not in elsewhere]


def acknowledged(declared: Json, elsewhere: t.Collection[Json]) -> list[Json]:
    """Return the messages that are acknowledged, without those of servers that other archive hosts archive."""
    return [entry for entry in entries(declared) if not (isinstance(entry, Mapping) and entry.get("server", "") in elsewhere)]


def names_asked(asked: Json) -> list[Json]:
    """Return names that are given as a list, or as a text with commas."""
    return [name.strip() for name in asked.split(",")] if isinstance(asked, str) else entries(asked)


def _servers_of(profile: Json) -> list[Json]:
    return flat(profile.get("servers") or []) if isinstance(profile, Mapping) else []


class Profile(t.NamedTuple):
    """What has to be known of a profile of an archive host to tell what it does to a server."""

    name: Json
    method: Json
    mailbox: str
    servers: list[Json]
    deletes: bool
    by_master: bool

    def reads(self, server: Json) -> bool:
        """Whether it reads the server of this name."""
        return not self.servers or server in self.servers


class Keepers:
    """The archive hosts whose variables can be used; their profiles are read once."""

    def __init__(self, reader: Reader, groups: Groups) -> None:
        self._reader = reader
        self._profiles: dict[str, list[Profile]] = {}
        self.known = [host for host in groups.get("archive_hosts", []) if "archive_variables_wrong" not in reader.host(host)]

    def profiles(self, host: str) -> list[Profile]:
        """Return the profiles of an archive host that are dictionaries."""
        if host not in self._profiles:
            declared = entries(self._reader.value(self._reader.host(host), "archive_profiles"))
            self._profiles[host] = [self._profile(one) for one in declared if isinstance(one, Mapping)]
        return self._profiles[host]

    def deleting(self, server: Json, hosts: t.Container[Json]) -> list[str]:
        """Return the profiles that delete in a mailbox of a server that another of the archive hosts reads."""
        readers = [
            (host, profile)
            for host in self.known
            if host in hosts
            for profile in self.profiles(host)
            if profile.method in ("multidrop", "single_mailbox") and profile.reads(server)
        ]
        return [
            f"the profile {profile.name or 'multidrop'} of {host}"
            for host, profile in readers
            if profile.deletes and any(other != host and read.mailbox == profile.mailbox for other, read in readers)
        ]

    def unencrypted(self, server: Json, hosts: t.Container[Json]) -> list[Profile]:
        """Return the profiles that log in to a server with the master password."""
        return [
            profile
            for host in self.known
            if host in hosts
            for profile in self.profiles(host)
            if profile.by_master and profile.reads(server)
        ]

    def deletes(self, host: str) -> bool:
        """Whether an archive host deletes anything on a server."""
        return host in self.known and any(profile.deletes for profile in self.profiles(host))

    def _profile(self, declared: Variables) -> Profile:
        value = self._reader.value
        method = value(declared, "method", default="")
        usual = "master" if method == "multiple_mailboxes" else ""
        return Profile(
            name=value(declared, "name"),
            method=method,
            mailbox=str(value(declared, "mailbox", default="")).strip().lower(),
            servers=flat(value(declared, "servers") or []),
            deletes=bool(value(declared, "delete")),
            by_master=value(declared, "credentials", default=usual) == "master",
        )


def refusal(server: Json, declared: bool, hosts: list[Json], groups: Groups, keepers: Keepers) -> str:
    """Return why the archive hosts that are to archive a server cannot, and what to do; empty when they can.

    ``declared`` says whether the server names them itself.
    """
    strange = ", ".join(str(host) for host in hosts if host not in groups.get("archive_hosts", []))
    if strange:
        return f"kerio_connect_archive_hosts names {strange}, which is no host of the group archive_hosts. Correct the name"
    if not hosts and declared:
        cause = "kerio_connect_archive_hosts is empty, so that no archive host archives the server"
        return f"{cause}. Name one, or take it out for all of them"
    for profile in keepers.deleting(server, hosts):
        cause = f"{profile} deletes in a mailbox that several archive hosts read ({', '.join(map(str, hosts))}), and would delete"
        return f"{cause} what another one has yet to read. Let one of them archive the server, or take delete out of the profile"
    return ""
