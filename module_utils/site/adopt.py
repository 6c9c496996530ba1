# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings of a server are taken over into the inventory. docs/adopt-and-drift.md"""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json

KINDS = ("ip_address_groups", "security_policy", "master_authentication", "advanced_options", "archiving")

Settings = t.Mapping[str, Json]


def settings(read: Settings, of_file: Settings, services: t.Container[str]) -> dict[str, Json]:
    """Return the variables of the roles for what is read of a server.

    ``of_file`` are those for its mailserver.cfg; ``services`` are names.
    """
    found = {**of_file, **{f"kerio_connect_{kind}": read[kind] for kind in KINDS if kind in read}}
    if "services" in read:
        found["kerio_connect_services"] = [service for service in read["services"] if service["name"] in services]
    users = _archive_mailboxes(read)
    if users:
        found["kerio_connect_users"] = users
    return found


def _archive_mailboxes(read: Settings) -> list[Settings]:
    """Return the accounts of the archive mailboxes. One is known by its login name and domain, and its addresses have none."""
    archiving = read.get("archiving", {})
    places = (archiving, *archiving.get("domains", []))
    wanted = {place["remote_address"].lower() for place in places if place.get("remote_address")}
    return [user for user in read.get("users", []) if wanted & _addresses(user)]


def _addresses(user: Settings) -> set[str]:
    login, _at, domain = user["address"].rpartition("@")
    return {f"{name.partition('@')[0]}@{domain}".lower() for name in (login, *user.get("addresses", []))}
