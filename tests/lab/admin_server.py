# SPDX-License-Identifier: GPL-3.0-or-later
"""Server, Version, Session, Statistics and the few others that only tell something (sheet 1.2, 1.8, 2.10)."""

from __future__ import annotations

from typing import Any

from tests.lab import admin_addresses, admin_directory, admin_query, state_defaults
from tests.lab.admin_rpc import ACCOUNT_ADMINS, ADMINS, EVERYONE, FAILED, QUERY, ApiError, Context, method
from tests.lab.users import Record

API_VERSIONS = {"2013": 21, "9.0": 38, "9.4": 45, "10.0": 52}
CONSTANTS = {
    "kerio_web_Asc": "Asc",
    "kerio_web_Desc": "Desc",
    "kerio_web_Eq": "Eq",
    "kerio_web_Like": "Like",
    "kerio_web_Or": "Or",
    "kerio_web_And": "And",
    "kerio_jsonapi_web_Unlimited": "-1",
    "LIST_USERS": "LIST_USERS",
    "ADD_USERS": "ADD_USERS",
}


def version_numbers(call: Context) -> tuple[str, list[int]]:
    version = state_defaults.VERSIONS[call.how.profile]
    return version, [int(part) for part in version.split(".")]


@method("Session.whoAmI", roles=EVERYONE)
def who_am_i(call: Context, _params: Record) -> Record:
    """id and domainId are empty for the built-in administrator."""
    session = call.session
    user: Record = {"id": "", "domainId": "", "loginName": session.user, "fullName": ""}
    if session.user_id:
        stored = admin_directory.find(call.state.directory.users, session.user_id)
        user = {k: stored[k] for k in user}
    return {"userDetails": {**user, "effectiveRole": state_defaults.role(session.role)}}


@method("Session.getDomain", roles=EVERYONE)
def get_domain(call: Context, _params: Record) -> Record:
    """The caller's own domain, a few members filled; the primary one for the built-in administrator."""
    directory = call.state.directory
    domain = directory.primary()
    if call.session.user_id:
        user = admin_directory.find(directory.users, call.session.user_id)
        domain = directory.domain_by_id(user["domainId"])
    members = {k: (domain or {}).get(k, "") for k in ("id", "name", "description")}
    return {"domain": {**members, "displayName": members["name"]}}


@method("Server.getVersion", roles=EVERYONE)
def get_version(call: Context, _params: Record) -> Record:
    """The exception: its fields sit directly in the result."""
    version, (major, minor, revision, build) = version_numbers(call)
    numbers = {"major": major, "minor": minor, "revision": revision, "build": build}
    return {"product": "Kerio Connect", "version": version, **numbers}


@method("Server.getProductInfo", roles=EVERYONE)
def get_product_info(call: Context, _params: Record) -> Record:
    _version, (major, minor, revision, build) = version_numbers(call)
    info = {
        "productName": "Kerio Connect",
        "version": f"{major}.{minor}.{revision}",
        "buildNumber": str(build),
        "osName": "Debian 12 (x86_64)",
        "os": "Linux",
        "releaseType": "Final",
        "deployedType": "DeployedStandalone",
        "updateInfo": {"result": "UpdateStatus", "description": "", "downloadUrl": ""},
    }
    return {"info": info}


@method("Server.getAboutInfo", roles=EVERYONE)
def get_about_info(call: Context, _params: Record) -> Record:
    about = {
        "currentUsers": len(call.state.directory.users),
        "allowedUsers": call.how.licensed_users or 5000,
        "serverSoftware": f"Kerio Connect {call.state.version}",
        "subscription": "2099-12-31",
        "copyright": "Test double",
        "productHomepage": "https://example.com/",
    }
    return {"aboutInformation": about}


@method("Server.getNamedConstantList", roles=EVERYONE)
def get_constants(_call: Context, _params: Record) -> Record:
    return {"constants": [{"name": name, "value": value} for name, value in CONSTANTS.items()]}


FIND: dict[str, Any] = {"addresses": [""], "updateItems": None, "domainId": ""}


@method("Server.findEntityByEmail", FIND, optional=("updateItems",), roles=ACCOUNT_ADMINS)
def find_by_email(call: Context, params: Record) -> Record:
    """Who has one of these addresses (local parts) in the domain?"""
    directory = call.state.directory
    wanted = {address.lower() for address in params["addresses"]}
    found = []
    for kind, records, own in (
        ("EntityUser", directory.users, "loginName"),
        ("EntityGroup", directory.groups, None),
        ("EntityAlias", directory.aliases, "name"),
    ):
        for record in (r for r in records if r["domainId"] == params["domainId"]):
            names = {*record.get("emailAddresses", []), *([record[own]] if own else [])}
            hits = sorted(name for name in names if name.lower() in wanted)
            name = record.get("loginName") or record["name"]
            found += [{"kind": kind, "id": record["id"], "name": name, "address": hit} for hit in hits]
    return {"entities": found}


@method("Server.getRemoteAdministration", roles=ADMINS)
def get_remote_administration(call: Context, _params: Record) -> Record:
    return {"setting": dict(call.state.settings["RemoteAdministration"])}


REMOTE = {"setting": {"isEnabled": True, "isLimited": False, "groupId": ""}}


def _remote(call: Context, setting: Record) -> Record:
    known = call.state.settings["RemoteAdministration"]
    if setting.get("isLimited"):
        admin_addresses.check_reference(call, setting.get("groupId", known["groupId"]))
    return {**known, **{k: v for k, v in setting.items() if k in known}}


@method("Server.setRemoteAdministration", REMOTE, writes=True)
def set_remote_administration(call: Context, params: Record) -> Record:
    """Takes effect with the next call: whoever is outside is cut off, session or not."""
    call.state.settings["RemoteAdministration"] = _remote(call, params["setting"])
    return {}


@method("Server.validateRemoteAdministration", REMOTE)
def validate_remote_administration(call: Context, params: Record) -> Record:
    """Warns, as IpAddressGroups.validateSet does, when the caller would be cut off."""
    settings = call.state.settings
    before = settings["RemoteAdministration"]
    settings["RemoteAdministration"] = _remote(call, params["setting"])
    try:
        if call.state.administers(call.client):
            return {"errors": []}
    finally:
        settings["RemoteAdministration"] = before
    warning = ApiError(FAILED, "The change would cut off remote administration from %1.", call.client)
    return {"errors": [warning.item(0, call.how)]}


@method("Version.getApiVersion", roles=EVERYONE)
def get_api_version(call: Context, _params: Record) -> Record:
    return {"apiVersion": API_VERSIONS[call.how.profile]}


@method("Version.getProductVersion", roles=EVERYONE)
def get_product_version(call: Context, _params: Record) -> Record:
    _version, (major, minor, revision, build) = version_numbers(call)
    numbers = {"major": major, "minor": minor, "revision": revision, "build": build, "order": 0}
    display = f"{major}.{minor}.{revision}"
    return {"productVersion": {"productName": "Kerio Connect", **numbers, "releaseType": "Final", "displayNumber": display}}


@method("Statistics.get", roles=EVERYONE)
def statistics_get(call: Context, _params: Record) -> Record:
    """Most counters are strings; sizes carry units."""
    count = str(len(call.state.directory.users))
    size = state_defaults.bytes_value(12, "MegaBytes")
    statistics = {"start": 0, "uptime": {"days": 0, "hours": 1, "minutes": 2}, "userCount": count, "storeOccupied": size}
    return {"statistics": {**statistics, "smtpServer": {"totalIncomingConnections": "0", "loginsFailed": "0"}}}


@method("SystemHealth.get", {"type": ""}, roles=EVERYONE)
def system_health(_call: Context, _params: Record) -> Record:
    return {"data": {"cpu": [], "memory": [], "diskTotal": "0", "diskFree": "0"}}


@method("ProductRegistration.getFullStatus", roles=EVERYONE)
def registration_status(_call: Context, _params: Record) -> Record:
    return {"status": {"regType": "rsFull", "Id": "00000-EXAMPLE", "company": "Example", "users": 5000, "expirations": []}}


@method("Queue.get", {"query": QUERY}, roles=ADMINS)
def queue_get(call: Context, params: Record) -> Record:
    return admin_query.run([], params["query"], call.how)


@method("Server.getWebSessions", {"query": QUERY}, roles=ADMINS)
def web_sessions(call: Context, params: Record) -> Record:
    """Leaked sessions are visible to administrators."""
    rows = [
        {
            "id": s.cookie[:16],
            "userName": s.user,
            "clientAddress": s.client,
            "expirationTime": "31.12.2099 23:59:59",
            "componentType": "WebComponentADMIN",
            "isSecure": True,
        }
        for s in call.sessions
    ]
    return admin_query.run(rows, params["query"], call.how)
