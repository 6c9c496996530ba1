# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be known of the archive to tell whether the settings of a server serve it. docs/relations.md

It comes from the variables of the archive hosts and of the other servers. A part that nobody declares is left out, and so is what
depends on it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.site import assigned, reached
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader, entries, flat

# What is read of archive hosts. prepare.yml leaves out those of which it cannot be read.
READ_OF_ARCHIVE_HOSTS = (
    "archive_profiles",
    "archive_users_scope",
    "archive_users_declared",
    "archive_users_excluded",
    "archive_interval_hours",
    "archive_host_address",
)
SCOPES = ("domains", "groups", "users")


def archive_side(reader: Reader, groups: assigned.Groups, server: str) -> dict[str, Json]:
    """Return it for one server."""
    own = reader.host(server)
    takers = assigned.takers(reader, groups, server)
    keepers = assigned.Keepers(reader, groups)
    takers_known = [host for host in keepers.known if host in takers]
    here = [host for host in takers_known if _may_read(reader, keepers, host, reached.name_of(reader, server))]
    found: dict[str, Json] = {
        "other_servers": other_servers(reader, [name for name in groups.get("kerio_servers", []) if name != server])
    }
    if here:
        found |= {
            "archive_hosts": [address(reader, host) for host in here],
            "imap_access": reader.value(own, "kerio_connect_imap_access", default="IMAP-SSL"),
            "interval_hours": max(float(reader.value(reader.host(host), "archive_interval_hours", default=24)) for host in here),
            "users_scope": users_scope(reader, here),
            "users_declared": _of_all(reader, here, "archive_users_declared"),
            "users_excluded": _of_all(reader, here, "archive_users_excluded"),
        }
    if any("archive_profiles" in reader.host(host) for host in takers_known):
        found["profiles"] = _of_all(reader, takers_known, "archive_profiles")
    if "kerio_mailserver_cfg_permanent_delete" in own:
        found["permanent_delete"] = reader.item(own, "kerio_mailserver_cfg_permanent_delete")
    return found


def _may_read(reader: Reader, keepers: assigned.Keepers, host: str, name: Json) -> bool:
    """Of an archive host that declares no profiles nobody knows, so it may read every server."""
    return "archive_profiles" not in reader.host(host) or any(profile.reads(name) for profile in keepers.profiles(host))


def _of_all(reader: Reader, hosts: t.Iterable[str], *path: str) -> list[Json]:
    return [entry for host in hosts for entry in entries(reader.value(reader.host(host), *path))]


def users_scope(reader: Reader, hosts: t.Sequence[str]) -> dict[str, Json]:
    """Return whom several archive hosts take together; empty when one of them takes everybody."""
    scopes = [reader.value(reader.host(host), "archive_users_scope") for host in hosts]
    if any(not any(reader.value(scope, key) for key in SCOPES) for scope in scopes):
        return {}
    return {key: _of_all(reader, hosts, "archive_users_scope", key) for key in SCOPES}


def address(reader: Reader, archive_host: str) -> Json:
    """Return an archive host as servers see it. One that is reached without a connection is the controller."""
    known = reader.host(archive_host)
    here = reader.value(known, "ansible_connection") == "local"
    own = "localhost" if here else reader.value(known, "ansible_host", default=archive_host)
    return reader.value(known, "archive_host_address", default=own)


def other_servers(reader: Reader, servers: t.Iterable[str]) -> list[dict[str, Json]]:
    """Return the servers that archive into a mailbox, each with its name, the mailbox and the domains that are declared of it."""
    found = []
    for server in servers:
        known = reader.host(server)
        if "kerio_variables_wrong" in known:
            continue
        remote = reader.value(known, "kerio_connect_archiving", "remote_address")
        if remote:
            domains = [reader.value(one, "name") for one in entries(reader.value(known, "kerio_connect_archiving", "domains"))]
            users = [reader.value(one, "address") for one in flat(reader.value(known, "kerio_connect_users"))]
            domains += [str(address).rpartition("@")[2] for address in users if address is not None]
            lowered = dict.fromkeys(str(domain).lower() for domain in domains if domain is not None)
            found.append({"name": reached.name_of(reader, server), "remote_address": remote, "domains": list(lowered)})
    return found
