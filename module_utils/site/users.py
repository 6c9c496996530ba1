# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the archive users of an archive host come from, and whom other archive hosts take. docs/users.md"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.mailops.kerio.plugins.module_utils.site import assigned, reached
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader


class Sources(t.TypedDict):
    """Options of archive_users, from the servers that the archive host archives."""

    directories: list[Json]
    # Servers whose directory could not be read now, or that --limit left out. Their users stay as they are.
    unread: list[Json]
    elsewhere: dict[str, Json]


def sources(reader: Reader, groups: assigned.Groups, archive_host: str) -> Sources:
    """Return them for one archive host."""
    scope = assigned.scope(reader, groups, archive_host, ())
    read = {server: reader.value(reader.host(server), "kerio_connect_directory") for server in scope["named"]}
    others = [host for host in groups.get("archive_hosts", []) if host != archive_host]
    return {
        "directories": [directory for directory in read.values() if directory is not None],
        "unread": [reached.name_of(reader, server) for server, directory in read.items() if directory is None],
        "elsewhere": {
            "servers": scope["elsewhere"],
            "scopes": [found for host in others if (found := _shared(reader, scope, host))],
        },
    }


def _shared(reader: Reader, scope: assigned.Scope, other: str) -> dict[str, Json]:
    """Return whom another archive host takes of the same servers. Of one whose variables cannot be used it may be everybody."""
    servers = [reached.name_of(reader, server) for server in scope["named"] if other in scope["taken_by"][server]]
    if not servers:
        return {}
    known = reader.host(other)
    users = reader.value(known, "archive_users_scope") if "archive_variables_wrong" not in known else None
    return {"servers": servers, **(users if isinstance(users, Mapping) else {})}
