# SPDX-License-Identifier: GPL-3.0-or-later
"""IpAddressGroups: despite the name its methods work on entries, one row an address line (sheet 2.4)."""

from __future__ import annotations

from tests.lab import admin_query, state_defaults
from tests.lab.admin_rpc import FAILED, QUERY, ApiError, Context, bad_params, exists, method, missing
from tests.lab.admin_shape import Kind, merged, shown
from tests.lab.users import Record, new_id

ENTRY = Kind("IpAddressEntry", state_defaults.address_entry("", ""), read_only=frozenset({"id", "sharedId", "status"}))
# The members that hold the value of each type.
VALUES: dict[str, tuple[str, ...]] = {
    "Host": ("host",),
    "Network": ("addr1", "addr2"),
    "Range": ("addr1", "addr2"),
    "ChildGroup": ("childGroupId",),
    "ThisMachine": (),
    "IpPrefix": ("addr1", "addr2"),
}
RULES = admin_query.Rules(quick=("groupName", "host", "description"), wild_cards=False, case_sensitive=False)


def _entries(call: Context) -> list[Record]:
    entries: list[Record] = call.state.settings["IpAddressGroups"]
    return entries


def groups(call: Context) -> dict[str, str]:
    """id -> name of the groups, which exist through their entries alone."""
    return {e["groupId"]: e["groupName"] for e in _entries(call)}


@method("IpAddressGroups.getGroupList")
def get_group_list(call: Context, _params: Record) -> Record:
    found = sorted(groups(call).items(), key=lambda item: item[1].lower())
    return {"groups": [{"id": kid, "name": name} for kid, name in found]}


@method("IpAddressGroups.get", {"query": QUERY})
def get(call: Context, params: Record) -> Record:
    rows = [{**shown(ENTRY, e, call.how), "item": e["host"] or e["addr1"]} for e in _entries(call)]
    answer = admin_query.run(rows, params["query"], call.how, RULES)
    for row in answer["list"]:
        row.pop("item", None)
    return answer


def _settle_group(call: Context, entry: Record) -> None:
    """An id must exist; a name without an id joins the group of that name or founds it."""
    known = groups(call)
    if entry["groupId"]:
        if entry["groupId"] not in known:
            raise missing(entry["groupId"])
        entry["groupName"] = known[entry["groupId"]]
        return
    if not entry["groupName"].strip():
        raise bad_params("groupName is empty")
    for kid, name in known.items():
        if name.lower() == entry["groupName"].lower():
            entry["groupId"], entry["groupName"] = kid, name
            return
    entry["groupId"] = new_id("ipaddressgroup")


def _value(entry: Record) -> tuple[str, ...]:
    members = VALUES[entry["type"]]
    return (entry["groupId"], entry["type"], *(entry[m].lower() for m in members))


def _check_value(call: Context, entry: Record) -> None:
    if entry["type"] not in VALUES:
        raise bad_params("type")
    if not all(entry[member] for member in VALUES[entry["type"]]):
        raise ApiError(FAILED, "The value of item %1 is missing.", entry["groupName"])
    if any(e["id"] != entry["id"] and _value(e) == _value(entry) for e in _entries(call)):
        raise exists(f"{entry['groupName']}: {' '.join(_value(entry)[2:])}")


@method("IpAddressGroups.create", {"groups": [state_defaults.address_entry("", "")]}, writes=True)
def create(call: Context, params: Record) -> Record:
    def add(sent: Record) -> str:
        entry = merged(ENTRY, state_defaults.address_entry("", ""), sent, call.how)
        _settle_group(call, entry)
        _check_value(call, entry)
        _entries(call).append(entry)
        return str(entry["id"])

    return call.each(params["groups"], add)


def _changed(call: Context, kid: str, details: Record) -> Record:
    old = next((e for e in _entries(call) if e["id"] == kid), None)
    if old is None:
        raise missing(kid)
    new_type = details.get("type", old["type"])
    sent_values = [m for m in ("host", "addr1", "addr2", "childGroupId") if m in details]
    if "type" in details and not all(m in details for m in VALUES.get(str(new_type), ())):
        raise bad_params("type without its value")
    if sent_values and "type" not in details:
        raise bad_params("value without its type")
    entry = merged(ENTRY, old, details, call.how)
    if "groupName" in details and not details.get("groupId"):
        entry["groupId"] = old["groupId"] if details["groupName"].lower() == old["groupName"].lower() else ""
    _settle_group(call, entry)
    _check_value(call, entry)
    return entry


SET = {"groupIds": [""], "details": state_defaults.address_entry("", "")}


@method("IpAddressGroups.set", SET, writes=True)
def change(call: Context, params: Record) -> Record:
    def apply(kid: str) -> None:
        entry = _changed(call, kid, params["details"])
        entries = _entries(call)
        entries[[e["id"] for e in entries].index(kid)] = entry

    return call.each_only_errors(params["groupIds"], apply)


@method("IpAddressGroups.remove", {"groupIds": [""]}, writes=True)
def remove(call: Context, params: Record) -> Record:
    def drop(kid: str) -> None:
        entries = _entries(call)
        if kid not in [e["id"] for e in entries]:
            raise missing(kid)
        entries[:] = [e for e in entries if e["id"] != kid]

    return call.each_only_errors(params["groupIds"], drop)


def _cut_off(call: Context, after: list[Record]) -> list[Record]:
    """The warning when remote administration is limited to a group that would no longer admit the caller."""
    admin = call.state.settings["RemoteAdministration"]
    if not (admin["isEnabled"] and admin["isLimited"]):
        return []
    before = list(_entries(call))
    try:
        call.state.settings["IpAddressGroups"] = after
        admitted = call.state.in_group(admin["groupId"], call.client)
    finally:
        call.state.settings["IpAddressGroups"] = before
    warning = ApiError(FAILED, "The change would cut off remote administration from %1.", call.client)
    return [] if admitted else [warning.item(0, call.how)]


@method("IpAddressGroups.validateSet", SET)
def validate_set(call: Context, params: Record) -> Record:
    wanted = set(params["groupIds"])
    after = [_changed(call, e["id"], params["details"]) if e["id"] in wanted else e for e in _entries(call)]
    return {"errors": _cut_off(call, after)}


@method("IpAddressGroups.validateRemove", {"groupIds": [""]})
def validate_remove(call: Context, params: Record) -> Record:
    return {"errors": _cut_off(call, [e for e in _entries(call) if e["id"] not in params["groupIds"]])}
