# SPDX-License-Identifier: GPL-3.0-or-later
"""IP address groups as the settings hold them: rows of addresses, whom a group admits, and who refers to it (sheet 2.4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

Settings = dict[str, Any]
# The exceptions of the security policy that are groups, as paths.
EXCEPTIONS = (("authenticationExceptionGroup",), ("encryptionExceptionGroup",), ("antiHammering", "exceptionIpGroup"))


def names(settings: Settings) -> dict[str, str]:
    """id -> name of the groups, which exist through their entries alone."""
    return {e["groupId"]: e["groupName"] for e in settings["IpAddressGroups"]}


def admits(settings: Settings, group_id: str, ip: str, seen: frozenset[str] = frozenset()) -> bool:
    """Is the address in the group? An id that no entry carries admits nobody; groups that contain each other end."""
    if group_id in seen:
        return False
    rows = [e for e in settings["IpAddressGroups"] if e["groupId"] == group_id and e["enabled"]]
    return any(_entry_admits(settings, entry, ip, seen | {group_id}) for entry in rows)


def _entry_admits(settings: Settings, entry: dict[str, Any], ip: str, seen: frozenset[str]) -> bool:
    """One address line. A line that makes no sense admits nobody."""
    try:
        address = ipaddress.ip_address(ip)
        kind = entry["type"]
        if kind == "Host":
            return bool(entry["host"] == ip)
        if kind in ("Network", "IpPrefix"):
            return address in ipaddress.ip_network(f"{entry['addr1']}/{entry['addr2']}", strict=False)
        if kind == "Range":
            return int(ipaddress.ip_address(entry["addr1"])) <= int(address) <= int(ipaddress.ip_address(entry["addr2"]))
        if kind == "ThisMachine":
            return address.is_loopback
        return bool(kind == "ChildGroup" and admits(settings, entry["childGroupId"], ip, seen))
    except ValueError:
        return False


def entities(policy: Settings) -> list[dict[str, Any]]:
    """The OptionalEntity structures of a security policy, as far as this one has them."""
    found = []
    for path in EXCEPTIONS:
        part: Any = policy
        for name in path:
            part = part.get(name, {})
        if part:
            found.append(part)
    return found


def references(settings: Settings) -> Iterator[str]:
    """Ids of groups that something refers to, whether that something is switched on or not."""
    yield settings["AdvancedOptions"]["masterAuthentication"]["groupRestriction"]
    yield settings["RemoteAdministration"]["groupId"]
    yield from (entity["id"] for entity in entities(settings["SecurityPolicy"]))
    yield from (service["group"]["ipGroup"]["id"] for service in settings["Services"])
    yield from (entry["childGroupId"] for entry in settings["IpAddressGroups"] if entry["type"] == "ChildGroup")
