# SPDX-License-Identifier: GPL-3.0-or-later
"""IpAddressGroups: despite the name its methods work on entries, one row an address line (sheet 2.4)."""

from __future__ import annotations

import copy
from collections.abc import Callable

from tests.lab import admin_query, state_defaults, state_groups
from tests.lab.admin_rpc import FAILED, QUERY, ApiError, Context, bad_params, exists, in_use, method, missing
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
    """id -> name of the groups."""
    return state_groups.names(call.state.settings)


def check_reference(call: Context, kid: str) -> None:
    """A setting refers to this group; raises 1002 where the switch says that the server looks whether it is there."""
    if kid and call.how.unknown_group == "refuse" and kid not in groups(call):
        raise missing(kid)


def _check_leaving(call: Context, entry: Record) -> None:
    """The entry is about to leave its group; raises 1000 for the last one of a group in use, as the switch says."""
    kid = entry["groupId"]
    alone = all(e["id"] == entry["id"] or e["groupId"] != kid for e in _entries(call))
    if alone and call.how.group_in_use == "refuse" and kid in state_groups.references(call.state.settings):
        raise in_use(entry["groupName"])


@method("IpAddressGroups.getGroupList")
def get_group_list(call: Context, _params: Record) -> Record:
    found = sorted(groups(call).items(), key=lambda item: item[1].lower())
    return {"groups": [{"id": kid, "name": name} for kid, name in found]}


def _shown_entry(call: Context, entry: Record) -> Record:
    child = groups(call).get(entry["childGroupId"], "")
    return {**shown(ENTRY, {**entry, "childGroupName": child}, call.how), "item": entry["host"] or entry["addr1"]}


@method("IpAddressGroups.get", {"query": QUERY})
def get(call: Context, params: Record) -> Record:
    rows = [_shown_entry(call, e) for e in _entries(call)]
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
    if entry["type"] == "ChildGroup":
        check_reference(call, entry["childGroupId"])
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


def _put(call: Context, kid: str, details: Record) -> None:
    entry = _changed(call, kid, details)
    entries = _entries(call)
    place = [e["id"] for e in entries].index(kid)
    if entry["groupId"] != entries[place]["groupId"]:
        _check_leaving(call, entries[place])
    entries[place] = entry


def _drop(call: Context, kid: str) -> None:
    entries = _entries(call)
    entry = next((e for e in entries if e["id"] == kid), None)
    if entry is None:
        raise missing(kid)
    _check_leaving(call, entry)
    entries.remove(entry)


@method("IpAddressGroups.set", SET, writes=True)
def change(call: Context, params: Record) -> Record:
    return call.each_only_errors(params["groupIds"], lambda kid: _put(call, kid, params["details"]))


@method("IpAddressGroups.remove", {"groupIds": [""]}, writes=True)
def remove(call: Context, params: Record) -> Record:
    return call.each_only_errors(params["groupIds"], lambda kid: _drop(call, kid))


def _tried(call: Context, ids: list[str], work: Callable[[str], None]) -> Record:
    """The errors that `work` would bring, and a warning for the item that would cut the caller off (sheet 2.4)."""
    settings = call.state.settings
    before = settings["IpAddressGroups"]
    settings["IpAddressGroups"] = copy.deepcopy(before)

    def one(kid: str) -> None:
        admitted = call.state.administers(call.client)
        work(kid)
        if admitted and not call.state.administers(call.client):
            raise ApiError(FAILED, "The change would cut off remote administration from %1.", call.client)

    try:
        return call.each_only_errors(ids, one)
    finally:
        settings["IpAddressGroups"] = before


@method("IpAddressGroups.validateSet", SET)
def validate_set(call: Context, params: Record) -> Record:
    return _tried(call, params["groupIds"], lambda kid: _put(call, kid, params["details"]))


@method("IpAddressGroups.validateRemove", {"groupIds": [""]})
def validate_remove(call: Context, params: Record) -> Record:
    return _tried(call, params["groupIds"], lambda kid: _drop(call, kid))
