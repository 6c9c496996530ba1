# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the XML of the cfg files and the settings by API shape. Most variable names are made up; those known are not."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.lab import state_defaults
from tests.lab.cfgfile import Node
from tests.lab.users import Directory, Record

# Settings kept as a table of mailserver.cfg, and those kept as a list there.
TABLES = ("Administration", "Archive", "AdvancedOptions", "SecurityPolicy", "RemoteAdministration", "DomainSettings")
LISTS = {"Services": "Service", "IpAddressGroups": "IpAddressGroup"}
# Variables whose names sources show (sheet 4.2) and that differ from the API member.
KNOWN_NAMES = {
    "Domain": {"name": "Domain"},
    "User": {"loginName": "Name", "emailAddresses": "EmailAddress"},
    "Group": {"emailAddresses": "EmailAddress"},
}
KEY = 0x5A


def scramble(secret: str) -> str:
    """A stand-in for the reversible D3S form (sheet 4.2); worth nothing as protection, as the real one."""
    return "D3S:" + bytes(b ^ KEY for b in secret.encode()).hex() if secret else "NUL:"


def unscramble(text: str) -> str:
    if not text.startswith(("D3S:", "SHA:")):
        return ""
    return bytes(b ^ KEY for b in bytes.fromhex(text[4:])).decode()


def _encode(name: str, value: Any) -> str:
    if name.lower().endswith("password") and isinstance(value, str):
        return scramble(value)
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        flat = all(isinstance(v, str) for v in value)
        return ",".join(value) if flat else json.dumps(value, ensure_ascii=False)
    return str(value)


def _decode(name: str, text: str, like: Any) -> Any:
    if name.lower().endswith("password") and isinstance(like, str):
        return unscramble(text)
    if isinstance(like, bool):
        return text.strip() == "1"
    if isinstance(like, int):
        return int(text)
    if isinstance(like, list):
        if text.startswith("["):
            return json.loads(text)
        return text.split(",") if text else []
    return text


def _variable(member: str) -> str:
    return member[0].upper() + member[1:]


def table_into(table: Node, value: Record) -> None:
    """Nested structures become nested tables."""
    for member, item in value.items():
        if isinstance(item, dict):
            table_into(table.ensure("table", _variable(member)), item)
        else:
            table.set(_variable(member), _encode(member, item))


def table_from(table: Node, like: Record) -> Record:
    """What the table says, in the shape of `like`, whose values stand in for variables that are not there."""
    result = copy.deepcopy(like)
    for member, item in like.items():
        if isinstance(item, dict):
            nested = table.child("table", _variable(member))
            if nested is not None:
                result[member] = table_from(nested, item)
        else:
            text = table.get(_variable(member))
            if text is not None:
                result[member] = _decode(member, text, item)
    return result


def _item_name(listname: str, prefix: str, member: str) -> str:
    known = KNOWN_NAMES.get(listname, {})
    return known[member] if not prefix and member in known else prefix + _variable(member)


def item_into(listname: str, item: Node, value: Record, prefix: str = "") -> None:
    """Nested structures become variables with joined names: a listitem holds variables only."""
    for member, part in value.items():
        name = _item_name(listname, prefix, member)
        if isinstance(part, dict):
            item_into(listname, item, part, name)
        else:
            item.set(name, _encode(member, part))


def item_from(listname: str, item: Node, like: Record, prefix: str = "") -> Record:
    result = copy.deepcopy(like)
    for member, part in like.items():
        name = _item_name(listname, prefix, member)
        if isinstance(part, dict):
            result[member] = item_from(listname, item, part, name)
        else:
            text = item.get(name)
            if text is not None:
                result[member] = _decode(member, text, part)
    return result


def list_into(document: Node, listname: str, records: list[Record]) -> None:
    target = document.ensure("list", listname)
    target.children = []
    for record in records:
        item = Node("listitem")
        item_into(listname, item, record)
        target.children.append(item)


def list_from(document: Node, listname: str, like: Record) -> list[Record] | None:
    """None when the file has no such list."""
    target = document.child("list", listname)
    if target is None:
        return None
    return [item_from(listname, item, like) for item in target.children if item.tag == "listitem"]


def settings_from(document: Node, default: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in TABLES:
        table = document.child("table", name)
        if table is not None:
            found[name] = table_from(table, default[name])
    for name, listname in LISTS.items():
        records = list_from(document, listname, state_defaults.LIKE[listname])
        if records is not None:
            found[name] = records
    return found


def settings_into(document: Node, settings: dict[str, Any], directory: Directory) -> None:
    for name in TABLES:
        table_into(document.ensure("table", name), settings[name])
    for name, listname in LISTS.items():
        list_into(document, listname, settings[name])
    list_into(document, "Domain", directory.domains)


def directory_from(document: Node, users: Node) -> Directory:
    """Domains come from mailserver.cfg, people from users.cfg."""
    like = state_defaults.LIKE
    return Directory(
        domains=list_from(document, "Domain", like["Domain"]) or [],
        users=list_from(users, "User", like["User"]) or [],
        groups=list_from(users, "Group", like["Group"]) or [],
        aliases=list_from(users, "Alias", like["Alias"]) or [],
    )


RIGHTS = {"UserRole": "0", "Auditor": "1", "AccountAdmin": "3", "FullAdmin": "3"}


def directory_into(users: Node, directory: Directory) -> None:
    """Users also carry their domain's name and the old Rights number (0 none, 1 read-only, 3 read/write)."""
    list_into(users, "User", directory.users)
    list_into(users, "Group", directory.groups)
    list_into(users, "Alias", directory.aliases)
    for item, user in zip(users.ensure("list", "User").children, directory.users, strict=True):
        domain = directory.domain_by_id(user["domainId"])
        item.set("Domain", domain["name"] if domain else "")
        item.set("Rights", RIGHTS[user["role"]["userRole"]])


def auto_expunge(document: Node) -> int:
    """The first AutoExpungeOnDelete; 1, the factory value, when there is none or it is no number (sheet 4.3)."""
    first = next(document.variables("AutoExpungeOnDelete"), None)
    return int(first.text) if first is not None and first.text.strip().isdigit() else 1
