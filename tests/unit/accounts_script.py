# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of accounts share: the calls of kerio_users, and users as a server returns them."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.modules import kerio_users
from tests.unit.rpc_script import Call, Script, failing, listing, login, logout, query, run_module

MAIN = kerio_users.main
PASSWORD = "not-a-secret-box"
COM = {"id": "d1", "name": "Example.com", "isPrimary": True, "aliasList": ["example.net"]}
ORG = {"id": "d2", "name": "example.org", "isPrimary": False, "aliasList": []}
ARCHIVE = {"address": "archive@example.com", "password": PASSWORD}
CREATED = {"errors": [], "result": [{"inputIndex": 0, "id": "u-new"}]}


def user(name: str, domain: str = "d1", **more: t.Any) -> dict[str, t.Any]:
    right = {"userRole": "UserRole", "publicFolderRight": False, "archiveFolderRight": True}
    return {
        "id": f"u-{name.lower()}",
        "domainId": domain,
        "loginName": name,
        "fullName": "",
        "description": "",
        "isEnabled": True,
        "itemSource": "DSInternalSource",
        "role": right,
        "effectiveRole": right,
        "emailAddresses": [],
        "publishInGal": True,
        "allowPasswordChange": True,
        "isPasswordReversible": False,
        "diskSizeLimit": {"isActive": False, "limit": {"value": 0, "units": "MegaBytes"}},
        "itemLimit": {"isActive": False, "limit": 0},
        **more,
    }


def domains(*entries: dict[str, t.Any]) -> Call:
    return Call("Domains.get", {"query": query("name")}, listing(*(entries or (COM, ORG))))


def users(*entries: dict[str, t.Any], domain: str = "d1") -> Call:
    return Call("Users.get", {"query": query("loginName"), "domainId": domain}, listing(*entries))


def groups(*entries: dict[str, t.Any], domain: str = "d1") -> Call:
    return Call("Groups.get", {"query": query("name"), "domainId": domain}, listing(*entries))


def aliases(*entries: dict[str, t.Any], domain: str = "d1") -> Call:
    return Call("Aliases.get", {"query": query("name"), "domainId": domain}, listing(*entries))


def create(*entries: dict[str, t.Any], answer: t.Any = None) -> Call:
    made = [{"domainId": "d1", "isEnabled": True, "password": PASSWORD, **entry} for entry in entries]
    return Call("Users.create", {"users": made}, CREATED if answer is None else answer)


def change(name: str, answer: t.Any = None, **pattern: t.Any) -> Call:
    return Call("Users.set", {"userIds": [f"u-{name}"], "pattern": pattern}, {"errors": []} if answer is None else answer)


def remove(*names: str, answer: t.Any = None) -> Call:
    how = {"method": "UDeleteUser", "removeReferences": False, "targetUserId": ""}
    requests = [{"userId": f"u-{name}", **how} for name in names]
    return Call("Users.remove", {"requests": requests}, {"errors": []} if answer is None else answer)


def who(identity: str = "u-admin", name: str = "admin", role: str = "FullAdmin") -> Call:
    details = {"id": identity, "domainId": "", "loginName": name, "effectiveRole": {"userRole": role}}
    return Call("Session.whoAmI", None, {"userDetails": details})


def archiving(address: str = "") -> Call:
    return Call("Archive.get", None, {"options": {"remoteArchive": {"enabled": bool(address), "value": address}}})


def item_error(index: t.Any, code: int, message: str, *parameters: str) -> dict[str, t.Any]:
    words = {"positionalParameters": list(parameters), "plurality": 1}
    return {"inputIndex": index, "code": code, "message": message, "messageParameters": words}


def declare(*calls: Call, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    result = run_module(MAIN, Script(login(), *calls, logout()), check=check, **options)
    assert result["failed"] is False, result["msg"]
    return result


def refused(*calls: Call, words: str, **options: t.Any) -> dict[str, t.Any]:
    result = failing(MAIN, Script(login(), *calls, logout()), **options)
    assert words in result["msg"], result["msg"]
    assert PASSWORD not in str(result)
    return result
