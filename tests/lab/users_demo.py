# SPDX-License-Identifier: GPL-3.0-or-later
"""Who works at the lab's mail servers: nobody real, passwords obviously fake."""

from __future__ import annotations

import dataclasses

from tests.lab import state_defaults
from tests.lab.state import ServerState
from tests.lab.users import Record, guid, new_id

PEOPLE = (
    (
        ("alice", "Alice Ångström"),
        ("bob", "Bob Builder"),
        ("carol", "Carol Çelik"),
        ("dora", "Dora Dvořáková"),
        ("emil", "Emil Example"),
        ("fay", "Fay Fictive"),
    ),
    (
        ("gina", "Gina Garcés"),
        ("henri", "Henri Hôtel"),
        ("ines", "Inês Invented"),
        ("joerg", "Jörg Jäger"),
        ("karl", "Karl Kovář"),
        ("lena", "Лена Ленина"),
    ),
)
DOMAINS = (("example.com", ("example.net",)), ("example.org", ()))
# Further addresses (local parts) of the first user of each server.
MORE_ADDRESSES = (("a.angstrom",), ("g.garces",))
ARCHIVE_LOGIN = "archive"
# The one group that the operator made by hand: where the archive host logs in from.
ARCHIVE_GROUP = "Archive hosts"


@dataclasses.dataclass(frozen=True)
class Site:
    """What server number `index` (0-based) looks like with `count` people."""

    domain: str
    aliases: tuple[str, ...]
    people: tuple[tuple[str, str], ...]
    more: tuple[str, ...]


def site(index: int, count: int) -> Site:
    """The first two are written out; further servers and further people are numbered."""
    written = index < len(DOMAINS)
    domain, aliases = DOMAINS[index] if written else (f"site{index + 1}.example", ())
    people = list(PEOPLE[index]) if written else []
    people += [(f"user{number}", f"User Número {number}") for number in range(len(people) + 1, count + 1)]
    return Site(domain, aliases, tuple(people[:count]), MORE_ADDRESSES[index] if written else ())


def password(login: str) -> str:
    return f"not-a-secret-{login}"


def people(state: ServerState, where: Site) -> None:
    """A server right after installation, plus its hand-made domain, users, groups and aliases."""
    directory = state.directory
    domain_id = new_id("domain")
    members = {"isPrimary": True, "aliasList": list(where.aliases)}
    directory.domains.append(state_defaults.domain(domain_id, where.domain, **members))
    sales = _group(domain_id, "sales", "Sales", ["sales"])
    staff = _group(domain_id, "staff", "Everybody", [])
    directory.groups += [sales, staff]
    for number, (login, full_name) in enumerate((*where.people, (ARCHIVE_LOGIN, "Mail archive"))):
        user = state_defaults.user(new_id("user", guid(domain_id)), domain_id, login, fullName=full_name)
        user["password"] = password(login)
        user["emailAddresses"] = list(where.more) if number == 0 else []
        if login != ARCHIVE_LOGIN:
            user["groupIds"] = [staff["id"], *([sales["id"]] if number in (1, 2) else [])]
        directory.users.append(user)
    archive_host = state_defaults.address_entry(new_id("ipaddressgroup"), ARCHIVE_GROUP, type="Host", host="127.0.0.1")
    state.settings["IpAddressGroups"].append(archive_host)
    if where.people:
        first = where.people[0][0]
        directory.aliases.append(_alias(domain_id, "info", first))
        directory.aliases.append(_alias(domain_id, "orders", f"sales@{where.domain}"))


def _group(domain_id: str, name: str, description: str, addresses: list[str]) -> Record:
    kid = new_id("group", guid(domain_id))
    return state_defaults.group(kid, domain_id, name, description=description, emailAddresses=addresses)


def _alias(domain_id: str, name: str, target: str) -> Record:
    return state_defaults.alias(new_id("alias", guid(domain_id)), domain_id, name, target)
