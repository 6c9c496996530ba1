# SPDX-License-Identifier: GPL-3.0-or-later
"""IP address groups of a scripted server: its rows, and the calls that read and write them."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.modules import kerio_ip_address_groups
from tests.unit.rpc_script import Call, listing, query

MAIN = kerio_ip_address_groups.main
Object = dict[str, t.Any]
ENTRIES: dict[str, Object] = {
    "1": {"groupName": "Archive hosts", "type": "Host", "host": "192.0.2.10", "description": "archive1"},
    "2": {"groupName": "Archive hosts", "type": "Network", "addr1": "10.0.0.0", "addr2": "255.0.0.0"},
    "3": {"groupName": "Local clients", "type": "Range", "addr1": "10.0.0.1", "addr2": "10.0.0.9"},
}
AS_DECLARED = [{"host": "192.0.2.10", "description": "archive1"}, {"network": "10.0.0.0/8"}]


def row(key: str, **members: t.Any) -> Object:
    name = members["groupName"]
    empty = {"host": "", "addr1": "", "addr2": "", "childGroupId": "", "childGroupName": "", "description": ""}
    return {"id": f"row-{key}", "groupId": f"group-{name}", "enabled": True, "aMemberOfTomorrow": 1, **empty, **members}


def rows(*without: str, **changed: Object) -> list[Object]:
    entries = {**{key: value for key, value in ENTRIES.items() if key not in without}}
    for key, members in changed.items():
        entries[key.lstrip("_")] = {**entries.get(key.lstrip("_"), {}), **members}
    return [row(key, **members) for key, members in entries.items()]


def read(entries: list[Object] | None = None) -> tuple[Call, Call]:
    entries = rows() if entries is None else entries
    named = {entry["groupName"]: entry["groupId"] for entry in entries}
    listed = [{"id": group_id, "name": name} for name, group_id in sorted(named.items())]
    return (
        Call("IpAddressGroups.getGroupList", None, {"groups": listed}),
        Call("IpAddressGroups.get", {"query": query("item")}, listing(*entries)),
    )


def sent(name: str, **members: t.Any) -> Object:
    return {"groupId": "", "groupName": name, "description": "", "enabled": True, **members}


def create(*groups: Object, answer: t.Any = None) -> Call:
    return Call("IpAddressGroups.create", {"groups": list(groups)}, {"errors": [], "result": []} if answer is None else answer)


def on_entries(method: str, *keys: str, answer: t.Any = None, **details: t.Any) -> Call:
    parameters: Object = {"groupIds": [f"row-{key}" for key in keys]}
    if details:
        parameters["details"] = details
    return Call(f"IpAddressGroups.{method}", parameters, {"errors": []} if answer is None else answer)


CUT_OFF = {
    "errors": [
        {
            "inputIndex": 0,
            "code": 1000,
            "message": "You will be cut off from remote administration of %1!",
            "messageParameters": {"positionalParameters": ["mail1"], "plurality": 1},
        }
    ]
}
CUT_OFF_WORDS = "You will be cut off from remote administration of mail1! (code 1000)"


def group(*entries: Object, **more: t.Any) -> list[Object]:
    return [{"name": "archive HOSTS", **({"entries": list(entries)} if entries else {}), **more}]


WANTED = group(
    {"host": "192.0.2.10", "description": "archive host"},
    {"prefix": "2001:DB8:0:0::/32"},
    {"host": "archive2.example.com", "description": "two", "enabled": False},
)
CREATES = create(
    sent("Archive hosts", type="IpPrefix", addr1="2001:db8::", addr2="32"),
    sent("Archive hosts", type="Host", host="archive2.example.com", description="two", enabled=False),
)
NEW_ROWS: dict[str, Object] = {
    "_8": {"groupName": "Archive hosts", "type": "IpPrefix", "addr1": "2001:db8::", "addr2": "32"},
    "_9": {
        "groupName": "Archive hosts",
        "type": "Host",
        "host": "archive2.example.com",
        "description": "two",
        "enabled": False,
    },
}
CREATED = rows(**NEW_ROWS)
DONE = rows("2", _1={"description": "archive host"}, **NEW_ROWS)
AFTER = [
    {"description": "archive host", "host": "192.0.2.10"},
    {"description": "two", "enabled": False, "host": "archive2.example.com"},
    {"prefix": "2001:db8::/32"},
]
SETS = (
    on_entries("validateSet", "1", description="archive host"),
    on_entries("set", "1", description="archive host"),
)
