# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive that is served to people says of the Kerio servers that check their passwords. docs/access.md"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json
from ansible_collections.mailops.kerio.plugins.module_utils.site.summary import is_yes

Servers = t.Iterable[Mapping[str, Json]]


def refusals(servers: Servers, in_clear: t.Container[Json], per_account: Json, per_server: Json) -> list[str]:
    """Return a sentence for everything that must not be.

    ``in_clear`` are the servers that passwords may be sent to without encryption. Guesses (``per_account``, ``per_server``) end
    here before Kerio locks an account, or blocks this host with everybody's logins.
    """
    found = []
    for server in servers:
        name = server["name"]
        if _in_clear(server) and name not in in_clear:
            found.append(
                f"{name}: its access is IMAP, so passwords of people would be sent to it without encryption."
                " Say IMAP-SSL or IMAP-TLS in kerio_connect_imap_access, or name it in archive_access_servers_in_clear."
            )
        for option, limit, acts in (
            ("archive_access_guesses_per_account", per_account, server.get("failed_logins_to_lock")),
            ("archive_access_guesses_per_server", per_server, server.get("failed_logins_to_block")),
        ):
            if acts is not None and not 0 < int(limit) < int(acts):
                found.append(
                    f"{name}: {option} is {limit}, but Kerio acts at the failed login number {acts}."
                    f" Set {option} to less, and not to 0."
                )
    return found


def dangers(servers: Servers) -> list[str]:
    """Return a warning for each server where somebody between could read passwords."""
    found = []
    for server in servers:
        if _in_clear(server):
            found.append(f"WARNING: passwords of people are sent to {server['name']} without encryption.")
        elif not is_yes(server.get("validate_certs", True)):
            found.append(f"WARNING: passwords of people are sent to {server['name']}, whose certificate is not verified.")
    return found


def _in_clear(server: Mapping[str, Json]) -> bool:
    return bool(server.get("access") == "IMAP")
