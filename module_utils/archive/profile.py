# SPDX-License-Identifier: GPL-3.0-or-later
"""Archiving profiles and the servers that they read, as inventory data. Pure: no I/O.

Every error names the profile (or server), the key and what is allowed. Secrets are no part of this: profiles name which password
they use (``credentials``), the passwords come separately.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import MessageFilter
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

SINGLE, MULTIPLE, MULTIDROP = "single_mailbox", "multiple_mailboxes", "multidrop"
METHODS = (SINGLE, MULTIPLE, MULTIDROP)
ACCESS_PORTS = {"IMAP": 143, "IMAP-TLS": 143, "IMAP-SSL": 993}
MASTER, PASSWORD = "master", "password"
USER_MODES = ("all_with_address", "except", "only")
PLACEHOLDERS = ("{u-email}", "{h-email}")
DEFAULT_FOLDER_RULES = ("junk", "trash", "drafts", "outbox", "public", "groupware", "archive", "shared")

Check = t.Callable[[t.Any], t.Any]


@dataclass(frozen=True)
class Server:
    """How a Kerio server is reached over IMAP. ``timeout`` in seconds; ``connections`` at a time, at most.

    ``bandwidth``: bytes per second that all connections together may fetch, 0 for no limit.
    ``refused``: what the server said to its master password before the run, which is not to be tried again; "" if nothing.
    """

    name: str
    host: str
    port: int
    access: str = "IMAP-SSL"
    ca_file: str | None = None
    validate_certs: bool = True
    timeout: float = 60.0
    connections: int = 8
    refused: str = ""
    bandwidth: int = 0

    @property
    def encrypted(self) -> bool:
        """Whether the access is over TLS."""
        return self.access != "IMAP"


@dataclass(frozen=True)
class UserSelection:
    """Which archive users a profile is for; ``names`` are user names or addresses, lower case."""

    mode: str = "all_with_address"
    names: frozenset[str] = frozenset()

    def chooses(self, name: str, addresses: t.Iterable[str]) -> bool:
        """Tell whether the user of that name and these addresses is selected."""
        listed = not self.names.isdisjoint({name.lower(), *(address.lower() for address in addresses)})
        return self.mode == "all_with_address" or listed == (self.mode == "only")


@dataclass(frozen=True)
class FolderRules:
    """Folder patterns; ``defaults`` are the names of the default exclusions that apply."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    defaults: tuple[str, ...] = DEFAULT_FOLDER_RULES


STAY, FOLLOW = "stay", "follow"
OLDEST_FIRST, NEWEST_FIRST = "oldest_first", "newest_first"


@dataclass(frozen=True)
class DeleteRules:
    """When archived messages are deleted on the server: ``after_days`` after the later of INTERNALDATE and archiving.

    ``dedicated``: the mailbox is for archiving alone, so that a server without UIDPLUS may be told EXPUNGE.
    """

    after_days: int
    dedicated: bool = False


@dataclass(frozen=True)
class Window:
    """The time of day, local to the archive host, in which a profile runs: minutes since midnight. It may span midnight."""

    opens: int
    closes: int


@dataclass(frozen=True)
class Profile:
    """One declared archiving job.

    ``moves``: what happens in the archive to a message that moved to another folder of its mailbox on the server.
    """

    name: str
    method: str
    servers: tuple[str, ...]
    users: UserSelection = field(default_factory=UserSelection)
    mailbox: str = ""
    target_user: str = ""
    credentials: str = PASSWORD
    folders: FolderRules = field(default_factory=FolderRules)
    unknown_addresses: str = "leave"
    target_folder: str = "{u-email}/INBOX"
    sent_folder: str = "{u-email}/Sent Items"
    connections: int = 0
    filter: MessageFilter = field(default_factory=MessageFilter)
    delete: DeleteRules | None = None
    moves: str = STAY
    order: str = OLDEST_FIRST
    window: Window | None = None

    def rules_hash(self) -> str:
        """A short hash of everything that decides which messages are filed where.

        Folder patterns choose whole folders and connections change nothing, so they are left out.
        """
        rules = {"mailbox": [], MULTIDROP: [self.mailbox.lower(), self.target_folder, self.sent_folder, self.unknown_addresses]}
        text = json.dumps(rules[MULTIDROP if self.method == MULTIDROP else "mailbox"])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class _NotAllowedError(Exception):
    """What is allowed instead of the value."""


def _text(value: t.Any) -> str:
    if not isinstance(value, str) or not value.strip() or any(character in value for character in "\0\r\n"):
        raise _NotAllowedError("a text that is not empty")
    return value.strip()


def _names(value: t.Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise _NotAllowedError("a list of names")
    return tuple(_text(entry) for entry in values)


def _flag(value: t.Any) -> bool:
    if not isinstance(value, bool):
        raise _NotAllowedError("true or false")
    return value


def _one_of(*choices: str) -> Check:
    def check(value: t.Any) -> str:
        if value not in choices:
            raise _NotAllowedError("one of " + ", ".join(choices))
        return str(value)

    return check


def _whole(least: int, most: int) -> Check:
    def check(value: t.Any) -> int:
        text = str(value).strip()
        if isinstance(value, bool) or not text.isdecimal() or not least <= int(text) <= most:
            raise _NotAllowedError(f"a whole number from {least} to {most}")
        return int(text)

    return check


def _users(value: t.Any) -> UserSelection:
    choices = "one of all_with_address: true, except: [names], only: [names]"
    if not isinstance(value, dict) or len(value) != 1 or not set(value) <= set(USER_MODES):
        raise _NotAllowedError(choices)
    ((mode, names),) = value.items()
    if mode == "all_with_address":
        if names is not True:
            raise _NotAllowedError(choices)
        return UserSelection()
    listed = _names(names)
    if not listed:
        raise _NotAllowedError(f"{mode}: a list of at least one user name or address")
    return UserSelection(mode, frozenset(name.lower() for name in listed))


def _folder_defaults(value: t.Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return DEFAULT_FOLDER_RULES if value else ()
    names = _names(value)
    if not set(names) <= set(DEFAULT_FOLDER_RULES):
        raise _NotAllowedError("true, false, or a list of " + ", ".join(DEFAULT_FOLDER_RULES))
    return names


_FOLDER_KEYS: dict[str, Check] = {"include": _names, "exclude": _names, "defaults": _folder_defaults}


def _folders(value: t.Any) -> FolderRules:
    if not isinstance(value, dict) or not set(value) <= set(_FOLDER_KEYS):
        raise _NotAllowedError("a dictionary of " + ", ".join(_FOLDER_KEYS))
    return FolderRules(**{key: _FOLDER_KEYS[key](entry) for key, entry in value.items() if entry is not None})


def _folder_template(value: t.Any) -> str:
    template = _text(value)
    bare = template
    for placeholder in PLACEHOLDERS:
        bare = bare.replace(placeholder, "x")
    if "{" in bare or "}" in bare or not all(part.strip() for part in template.split("/")):
        raise _NotAllowedError("folder names joined by /, none of them empty; placeholders: " + " and ".join(PLACEHOLDERS))
    return template


@dataclass(frozen=True)
class _Key:
    """One key of a profile: how its value is checked and the methods that know it; required by ``required``."""

    check: Check
    methods: tuple[str, ...] = METHODS
    required: tuple[str, ...] = ()


KEYS: dict[str, _Key] = {
    "name": _Key(_text, required=METHODS),
    "method": _Key(_one_of(*METHODS), required=METHODS),
    "servers": _Key(_names),
    "users": _Key(_users, (MULTIPLE,)),
    "mailbox": _Key(_text, (SINGLE, MULTIDROP), (SINGLE, MULTIDROP)),
    "target_user": _Key(_text, (SINGLE,), (SINGLE,)),
    "credentials": _Key(_one_of(MASTER, PASSWORD)),
    "folders": _Key(_folders),
    "unknown_addresses": _Key(_one_of("leave", "catchall", "drop_relayed"), (MULTIDROP,)),
    "target_folder": _Key(_folder_template, (MULTIDROP,)),
    "sent_folder": _Key(_folder_template, (MULTIDROP,)),
    "connections": _Key(_whole(1, 64)),
}


def parse_profiles(raw: t.Sequence[t.Mapping[str, t.Any]], servers: t.Mapping[str, Server]) -> list[Profile]:
    """Check all profiles against the schema and the declared servers; raises ``InputError`` for the first thing that is wrong."""
    profiles = [_parse_profile(entry, index, servers) for index, entry in enumerate(raw, 1)]
    seen: set[str] = set()
    for profile in profiles:
        if profile.name in seen:
            raise InputError(f"profile {profile.name}", "two profiles have this name", "Give each profile a name of its own")
        seen.add(profile.name)
    return profiles


def _parse_profile(raw: t.Mapping[str, t.Any], index: int, servers: t.Mapping[str, Server]) -> Profile:
    label = f"profile {raw.get('name') or f'number {index}'}"
    given = {key: value for key, value in raw.items() if value is not None}
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
    return profile


def _checked(label: str, key: str, value: t.Any, check: Check) -> t.Any:
    try:
        return check(value)
    except _NotAllowedError as allowed:
        raise InputError(f"{label}, key {key}", f"{value!r} cannot be used", f"Give {allowed}") from None


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
                f"{label}, server {name}",
                "master authentication without TLS would show every mailbox to the network",
                "Set access to IMAP-TLS or IMAP-SSL",
            )


SERVER_KEYS: dict[str, Check] = {
    "name": _text,
    "host": _text,
    "port": _whole(1, 65535),
    "access": _one_of(*ACCESS_PORTS),
    "ca_file": _text,
    "validate_certs": _flag,
    "timeout": _whole(1, 3600),
    "connections": _whole(1, 64),
    "refused": lambda value: " ".join(str(value).split()),
}
SERVER_SECRETS = ("master_password", "other_master_password")


def parse_servers(raw: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, Server]:
    """Check the connection data of all servers; ``host`` defaults to the name, ``port`` to that of the access."""
    servers: dict[str, Server] = {}
    for index, entry in enumerate(raw, 1):
        label = f"server {entry.get('name') or f'number {index}'}"
        given = {key: value for key, value in entry.items() if value is not None and key not in SERVER_SECRETS}
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
