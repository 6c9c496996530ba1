# SPDX-License-Identifier: GPL-3.0-or-later
"""Archiving profiles and the servers that they read, as inventory data. Pure: no I/O.

Every error names the profile (or server), the key and what is allowed. Secrets are no part of this: profiles name which password
they use (``credentials``), the passwords come separately. docs/profiles.md is the reference of all keys.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import profile_keys as keys
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_filter import delete_rules, message_filter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import Check, NotAllowedError
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_types import (
    ACCESS_PORTS,
    DEFAULT_FOLDER_RULES,
    FOLLOW,
    MASTER,
    METHODS,
    MULTIDROP,
    MULTIPLE,
    NEWEST_FIRST,
    OLDEST_FIRST,
    PASSWORD,
    SINGLE,
    STAY,
    DeleteRules,
    FolderRules,
    Profile,
    Server,
    UserSelection,
    Window,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

__all__ = ["ACCESS_PORTS", "DEFAULT_FOLDER_RULES", "FOLLOW", "MASTER", "METHODS", "MULTIDROP", "MULTIPLE", "NEWEST_FIRST"]
__all__ += ["OLDEST_FIRST", "PASSWORD", "SINGLE", "STAY", "DeleteRules", "FolderRules", "Profile", "Server", "UserSelection"]
__all__ += ["KEYS", "SERVER_KEYS", "SERVER_SECRETS", "Window", "parse_profiles", "parse_servers"]

MOST_CONNECTIONS = 64
LEAST_BANDWIDTH, MOST_BANDWIDTH = 10 << 10, 1 << 40
LONGEST_SHOWN = 200


@dataclass(frozen=True)
class _Key:
    """One key of a profile: how its value is checked and the methods that know it; required by ``required``."""

    check: Check
    methods: tuple[str, ...] = METHODS
    required: tuple[str, ...] = ()


KEYS: dict[str, _Key] = {
    "name": _Key(keys.text, required=METHODS),
    "method": _Key(keys.one_of(*METHODS), required=METHODS),
    "servers": _Key(keys.names),
    "users": _Key(keys.users, (MULTIPLE,)),
    "mailbox": _Key(keys.text, (SINGLE, MULTIDROP), (SINGLE, MULTIDROP)),
    "target_user": _Key(keys.text, (SINGLE,), (SINGLE,)),
    "credentials": _Key(keys.one_of(MASTER, PASSWORD)),
    "folders": _Key(keys.folders),
    "unknown_addresses": _Key(keys.one_of("leave", "catchall", "drop_relayed"), (MULTIDROP,)),
    "target_folder": _Key(keys.folder_template, (MULTIDROP,)),
    "sent_folder": _Key(keys.folder_template, (MULTIDROP,)),
    "connections": _Key(keys.whole(1, MOST_CONNECTIONS)),
    "filter": _Key(message_filter),
    "delete": _Key(delete_rules),
    # Multidrop files by addresses: the folder on the server says nothing about the folder in the archive.
    "moves": _Key(keys.one_of(STAY, FOLLOW), (SINGLE, MULTIPLE)),
    "order": _Key(keys.one_of(OLDEST_FIRST, NEWEST_FIRST)),
    "window": _Key(keys.window),
}


def parse_profiles(raw: t.Sequence[t.Mapping[str, t.Any]], servers: t.Mapping[str, Server]) -> list[Profile]:
    """Check all profiles against the schema and the declared servers; raises ``InputError`` for the first thing that is wrong."""
    profiles = [_parse_profile(_entry(entry, "profile", index), index, servers) for index, entry in enumerate(raw, 1)]
    seen: set[str] = set()
    for profile in profiles:
        # They are also called by name in any case.
        if profile.name.casefold() in seen:
            raise InputError(f"profile {profile.name}", "two profiles have this name", "Give each profile a name of its own")
        seen.add(profile.name.casefold())
    return profiles


def _entry(entry: t.Any, what: str, index: int) -> dict[str, t.Any]:
    """What is given of one entry, keys without a value left out."""
    if not isinstance(entry, dict):
        raise InputError(
            f"{what} number {index}", f"{_shown(entry)} is no dictionary", f"Give each {what} as a dictionary of keys"
        )
    return {str(key): value for key, value in entry.items() if value is not None}


def _label(what: str, given: t.Mapping[str, t.Any], index: int) -> str:
    name = given.get("name")
    if isinstance(name, str) and name.strip() and name.isprintable():
        return f"{what} {name.strip()}"
    return f"{what} number {index}"


def _parse_profile(given: t.Mapping[str, t.Any], index: int, servers: t.Mapping[str, Server]) -> Profile:
    label = _label("profile", given, index)
    for key in ("name", "method"):
        if key not in given:
            strange = next((f", and no profile has a key {other}" for other in given if other not in KEYS), "")
            remedy = f"Add {key}" + (": " + " | ".join(METHODS) if key == "method" else "")
            raise InputError(f"{label}, key {key}", f"it is missing{strange}", remedy)
    method = _checked(label, "method", given["method"], KEYS["method"].check)
    values = {key: _checked_key(label, method, key, value) for key, value in given.items()}
    for key, rule in KEYS.items():
        if method in rule.required and key not in values:
            raise InputError(f"{label}, key {key}", f"method {method} needs it", f"Add {key}")
    values["servers"] = _checked_servers(label, method, values.get("servers"), servers)
    values.setdefault("credentials", MASTER if method == MULTIPLE else PASSWORD)
    profile = Profile(**values)
    _check_credentials(label, profile, servers)
    if profile.delete and profile.delete.dedicated and method == MULTIPLE:
        cause = "the mailboxes of users are not for archiving alone"
        raise InputError(f"{label}, key delete.dedicated", cause, f"Leave it out, or use method {SINGLE} or {MULTIDROP}")
    return profile


def _shown(value: t.Any) -> str:
    """A value in an error: one line, not endless."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of that length"
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."


def _checked(label: str, key: str, value: t.Any, check: Check) -> t.Any:
    try:
        return check(value)
    except NotAllowedError as allowed:
        where = f"{key}.{allowed.key}" if allowed.key else key
        wrong = value if allowed.value is None else allowed.value
        raise InputError(f"{label}, key {where}", allowed.cause or f"{_shown(wrong)} cannot be used", f"Give {allowed}") from None


def _checked_key(label: str, method: str, key: str, value: t.Any) -> t.Any:
    rule = KEYS.get(key)
    allowed = ", ".join(name for name, other in KEYS.items() if method in other.methods)
    if rule is None:
        raise InputError(f"{label}, key {key}", "no profile has such a key", f"Use {allowed}")
    if method not in rule.methods:
        raise InputError(f"{label}, key {key}", f"method {method} has no such key", f"Use {allowed}")
    return _checked(label, key, value, rule.check)


def _checked_servers(label: str, method: str, names: tuple[str, ...] | None, servers: t.Mapping[str, Server]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(names)) if names else tuple(servers)
    known = ", ".join(servers) or "none is declared"
    for name in chosen:
        if name not in servers:
            raise InputError(f"{label}, key servers", f"there is no server {name}", f"Name declared servers ({known})")
    if not chosen:
        raise InputError(f"{label}, key servers", "no server is declared", "Declare at least one server")
    if method == SINGLE and len(chosen) != 1:
        raise InputError(f"{label}, key servers", f"method {method} reads one mailbox", f"Name one server ({known})")
    return chosen


def _check_credentials(label: str, profile: Profile, servers: t.Mapping[str, Server]) -> None:
    if profile.method == MULTIPLE and profile.credentials != MASTER:
        raise InputError(f"{label}, key credentials", "many mailboxes are opened with the master password only", "Give master")
    for name in profile.servers:
        if profile.credentials == MASTER and not servers[name].encrypted:
            raise InputError(
                f"{label}, key servers, server {name}",
                "master authentication without TLS would show every mailbox to the network",
                "Set access to IMAP-TLS or IMAP-SSL",
            )


SERVER_KEYS: dict[str, Check] = {
    "name": keys.text,
    "host": keys.text,
    "port": keys.whole(1, 65535),
    "access": keys.one_of(*ACCESS_PORTS),
    "ca_file": keys.text,
    "validate_certs": keys.flag,
    "timeout": keys.whole(1, 3600),
    "connections": keys.whole(1, MOST_CONNECTIONS),
    "bandwidth": keys.size(LEAST_BANDWIDTH, MOST_BANDWIDTH),
    "refused": lambda value: " ".join(str(value).split()),
}
SERVER_SECRETS = ("master_password", "other_master_password")


def parse_servers(raw: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, Server]:
    """Check the connection data of all servers; ``host`` defaults to the name, ``port`` to that of the access."""
    servers: dict[str, Server] = {}
    for index, entry in enumerate(raw, 1):
        given = {key: value for key, value in _entry(entry, "server", index).items() if key not in SERVER_SECRETS}
        label = _label("server", given, index)
        for key in given:
            if key not in SERVER_KEYS:
                raise InputError(f"{label}, key {key}", "no server has such a key", "Use " + ", ".join(SERVER_KEYS))
        values = {key: _checked(label, key, value, SERVER_KEYS[key]) for key, value in given.items()}
        if "name" not in values:
            raise InputError(f"{label}, key name", "it is missing", "Add name")
        if values["name"] in servers:
            raise InputError(label, "two servers have this name", "Give each server a name of its own")
        values.setdefault("host", values["name"])
        values.setdefault("port", ACCESS_PORTS[values.get("access", "IMAP-SSL")])
        servers[values["name"]] = Server(**values)
    return servers
