# SPDX-License-Identifier: GPL-3.0-or-later
"""Services as a server returns them, and the calls about them, for the unit tests."""

from __future__ import annotations

import typing as t

from tests.unit.rpc_script import Call

NOBODY = {"isUsed": False, "ipGroup": {"id": "", "name": ""}}
HOSTS = {"isUsed": True, "ipGroup": {"id": "keriodb://g/1", "name": "Archive hosts"}}
GROUPS = Call("IpAddressGroups.getGroupList", None, {"groups": [{"id": "keriodb://g/1", "name": "Archive hosts"}]})


def listener(port: int, kind: str = "AllAddresses", address: str = "Alle Adressen") -> dict[str, t.Any]:
    return {"type": kind, "address": address, "port": port}


def service(name: str, port: int, **changed: t.Any) -> dict[str, t.Any]:
    return {
        "id": f"keriodb://service/{name}",
        "name": name,
        "howToStart": "Automatic",
        "listeners": [listener(port)],
        "group": NOBODY,
        "connectionLimit": {"isSet": True, "value": 1000},
        "defaultPort": port,
        "isRunning": True,
        "anonymousAccess": False,
        "aMemberOfTomorrow": {"kept": [1]},
        **changed,
    }


def imap(**changed: t.Any) -> dict[str, t.Any]:
    return service("IMAP", 143, **changed)


def imaps(**changed: t.Any) -> dict[str, t.Any]:
    return service("Secure IMAP", 993, **changed)


def pop(**changed: t.Any) -> dict[str, t.Any]:
    return service("POP3", 110, isRunning=False, howToStart="Manual", **changed)


def read(*services: dict[str, t.Any]) -> Call:
    return Call("Services.get", None, {"services": list(services)})


def write(*services: dict[str, t.Any], answer: t.Any = None) -> Call:
    return Call("Services.set", {"services": list(services)}, {"errors": []} if answer is None else answer)


def start(name: str, answer: t.Any = None) -> Call:
    return Call("Services.start", {"service": f"keriodb://service/{name}"}, {} if answer is None else answer)


def stop(name: str) -> Call:
    return Call("Services.stop", {"service": f"keriodb://service/{name}"})
