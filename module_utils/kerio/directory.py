# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains, users, groups and aliases of one server, as archive users are planned from them."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import addresses, kinds
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.api import Object, Server

# Alias types by literal; one that is new is passed on as it is.
ALIAS_TYPES = {"TypeEmailAddress": "address", "TypePublicFolder": "public_folder"}

# What the server removes for good by itself, by the member that says after how many days.
CLEAN_OUT = {"deletedItems": "deleted_items", "junkEmail": "junk_email", "sentItems": "sent_items", "autoDelete": "all_items"}


class _Domain(t.NamedTuple):
    """A domain with all that the server says about it; ``names`` are its name and its aliases, lower-case."""

    facts: Object
    names: list[str]
    users: list[Object]
    groups: list[Object]
    aliases: list[Object]


def read_directory(server: Server, page_size: int) -> Object:
    """Return the whole directory; whatever is missing or contradicts itself is an error, because a user who is missing by mistake
    would be taken for one who left.
    """
    version = server.version()["version"]
    received = server.objects(kinds.DOMAIN, page_size=page_size)
    domains = [_read_domain(server, entry, page_size) for entry in received]
    aliases = [alias for domain in domains for alias in read_aliases(server.name, domain.aliases, domain.names)]
    own = {
        user["id"]: addresses.of_user(text_of(server.name, "user", user, "loginName"), user.get("emailAddresses"), domain.names)
        for domain in domains
        for user in domain.users
    }
    delivered = addresses.delivered(own, aliases)
    return {
        "server": server.name,
        "host": server.host,
        "version": version,
        "domains": [domain.facts for domain in domains],
        "users": [_user(user, domain, own[user["id"]], delivered[user["id"]]) for domain in domains for user in domain.users],
        "groups": [_group(server.name, group, domain, domains) for domain in domains for group in domain.groups],
        "aliases": [{name: alias[name] for name in ("address", "deliver_to", "type")} for alias in aliases],
    }


def _read_domain(server: Server, entry: Object, page_size: int) -> _Domain:
    names = names_of(server.name, entry)
    facts = {
        "id": entry["id"],
        "name": names[0],
        "is_primary": bool(entry.get("isPrimary")),
        "aliases": names[1:],
        "clean_out": _clean_out(entry),
    }
    users, groups, aliases = (server.objects(kind, entry["id"], page_size) for kind in (kinds.USER, kinds.GROUP, kinds.ALIAS))
    return _Domain(facts, names, users, groups, aliases)


def names_of(where: str, domain: Object) -> list[str]:
    """Return a domain's name, then its aliases, lower-case."""
    return [text_of(where, "domain", domain, "name").lower(), *(str(alias).lower() for alias in domain.get("aliasList") or [])]


def _user(user: Object, domain: _Domain, own: list[str], delivered: list[str]) -> Object:
    return {
        "id": user["id"],
        "login": user["loginName"],
        "domain": domain.facts["name"],
        "address": own[0],
        "addresses": list(dict.fromkeys([*own, *delivered])),
        "full_name": user.get("fullName") or "",
        "enabled": bool(user.get("isEnabled", True)),
        "authentication": _authentication(user),
        "password_reversible": _truth(user.get("isPasswordReversible")),
        "groups": sorted(group["name"] for group in user.get("userGroups") or []),
        "role": _role(user),
        "home_server": (user.get("homeServer") or {}).get("name") or None,
        "clean_out": _own_clean_out(user.get("cleanOutItems")),
    }


def _truth(value: t.Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _clean_out(holder: t.Any) -> Object:
    """Return after how many days mail of each folder is removed; ``None`` is never, also where the server does not have it."""
    return {option: _days(holder.get(member)) for member, option in CLEAN_OUT.items()}


def _days(action: t.Any) -> int | None:
    on = _is_action(action) and action["isEnabled"]
    return action["days"] if on and isinstance(action["days"], int) else None


def _is_action(value: t.Any) -> bool:
    return isinstance(value, dict) and {"isEnabled", "days"} <= set(value)


def _own_clean_out(items: t.Any) -> Object | None:
    """Return a user's own clean-out; ``None`` when it is the domain's, or when nothing in it has the shape of an action."""
    if not isinstance(items, dict) or items.get("isUsedDomain") or not any(_is_action(items.get(name)) for name in CLEAN_OUT):
        return None
    return _clean_out(items)


def _authentication(user: Object) -> str:
    """Say who knows the password: the server itself, or a directory (also for local users that PAM, Kerberos or AD checks)."""
    internal = (
        user.get("itemSource", "DSInternalSource") == "DSInternalSource"
        and user.get("authType", "UInternalAuth") == "UInternalAuth"
    )
    return "internal" if internal else "directory"


def _role(user: Object) -> str:
    right = user.get("effectiveRole") or user.get("role") or {}
    return str(right.get("userRole", "")) if isinstance(right, dict) else str(right)


def _group(where: str, group: Object, domain: _Domain, domains: list[_Domain]) -> Object:
    """Return a group; no method tells its members, so they are the users who say that they are in it."""
    members = [
        user["id"]
        for other in domains
        for user in other.users
        if any(entry.get("id") == group["id"] for entry in user.get("userGroups") or [])
    ]
    return {
        "id": group["id"],
        "name": text_of(where, "group", group, "name"),
        "domain": domain.facts["name"],
        "addresses": addresses.at_domains(group.get("emailAddresses") or [], domain.names),
        "members": members,
    }


def read_aliases(where: str, aliases: t.Iterable[Object], names: t.Sequence[str]) -> list[Object]:
    """Return one entry for each address of each alias of a domain: it is good at the domain's aliases as well."""
    return [
        {
            "address": address,
            "deliver_to": addresses.complete(str(alias.get("deliverTo") or ""), names[0]),
            "deliver_to_id": alias.get("deliverToId") or "",
            "type": ALIAS_TYPES.get(alias.get("type", "TypeEmailAddress"), alias.get("type")),
        }
        for alias in aliases
        for address in addresses.at_domains([text_of(where, "alias", alias, "name")], names)
    ]


def text_of(where: str, what: str, entry: Object, member: str) -> str:
    value = entry.get(member)
    if not isinstance(value, str) or not value:
        raise ProtocolError(
            f"{where}: {what} {entry['id']}",
            f"the server returned it without {member}",
            "Use an account with full administration",
        )
    return value
