# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains, Groups and Aliases (sheet 2.2, 2.5, 2.7)."""

from __future__ import annotations

from typing import Any

from tests.lab import admin_query, state_defaults
from tests.lab.admin_rpc import ACCOUNT_ADMINS, FAILED, QUERY, ApiError, Context, bad_params, exists, method, missing
from tests.lab.admin_shape import Kind, creating, merged, shown
from tests.lab.users import Record, guid, new_id

DOMAIN = Kind(
    "Domain",
    state_defaults.domain("", ""),
    read_only=frozenset({"id", "renameInfo", "isDistributed", "isLdapManagementAllowed"}),
    write_once=frozenset({"name"}),
)
# Clean-out: days of each ActionAfterDays, from and to (sheet 2.5).
CLEAN_OUT = {
    **dict.fromkeys(("deletedItems", "junkEmail", "sentItems", "keepForRecovery"), (0, 24855)),
    "autoDelete": (30, 24855),
}
ROLES = ("UserRole", "Auditor", "AccountAdmin", "FullAdmin")
GROUP_LIKE = {**state_defaults.group("", "", ""), "role": None}
GROUP = Kind("Group", GROUP_LIKE, read_only=frozenset({"id", "itemSource"}))
ALIAS_LIKE = {**state_defaults.alias("", "", "", ""), "deliverToSelect": ""}
ALIAS = Kind("Alias", ALIAS_LIKE, read_only=frozenset({"id", "homeServer"}))
IN_DOMAIN: dict[str, Any] = {"query": QUERY, "domainId": ""}


def find(records: list[Record], kid: str) -> Record:
    """The stored record itself; raises 1002."""
    for record in records:
        if record["id"] == kid:
            return record
    raise missing(kid)


def replace(records: list[Record], new: Record) -> None:
    stored = find(records, new["id"])
    stored.clear()
    stored.update(new)


def domain_of(call: Context, kid: str) -> Record:
    return find(call.state.directory.domains, kid)


def same_name(records: list[Record], member: str, wanted: Record) -> bool:
    """Is the name taken in that domain by another record?"""
    name = wanted[member].lower()
    return any(r["id"] != wanted["id"] and r["domainId"] == wanted["domainId"] and r[member].lower() == name for r in records)


def check_clean_out(sent: Record) -> None:
    """Raises -32602 for days outside of what the sheet says."""
    for member, (least, most) in CLEAN_OUT.items():
        action = sent.get(member)
        days = action.get("days") if isinstance(action, dict) else None
        if isinstance(days, int) and sent[member].get("isEnabled") and not least <= days <= most:
            raise bad_params(f"{member}.days is out of range")


def listed(call: Context, records: list[Record], domain: Record) -> list[Record]:
    """The users or aliases of a domain that this server lists."""
    cluster = call.state.cluster
    found = [one for one in records if one["domainId"] == domain["id"]]
    return [one for one in found if cluster.lists(one, call.how)] if cluster else found


def at_home(call: Context, record: Record) -> Record:
    """The record with its homeServer; a server that stands alone has none to tell."""
    cluster = call.state.cluster
    return {**record, "homeServer": cluster.home_shown(record["homeServer"], call.how)} if cluster else record


# -- domains ----------------------------------------------------------------------------------------------------


@method("Domains.get", {"query": QUERY}, roles=ACCOUNT_ADMINS)
def domains_get(call: Context, params: Record) -> Record:
    rows = [shown(DOMAIN, d, call.how) for d in call.state.directory.domains]
    return admin_query.run(rows, params["query"], call.how, admin_query.Rules(quick=("name", "description")))


@method("Domains.create", {"domains": [{}]}, writes=True)
def domains_create(call: Context, params: Record) -> Record:
    def add(sent: Record) -> str:
        if not sent.get("name"):
            raise bad_params("name")
        directory = call.state.directory
        if directory.domain(sent["name"]):
            raise exists(sent["name"])
        new = state_defaults.domain(new_id("domain"), "", isPrimary=not directory.domains)
        check_clean_out(sent)
        new = merged(creating(DOMAIN), new, sent, call.how)
        directory.domains.append(new)
        return str(new["id"])

    return call.each(params["domains"], add)


@method("Domains.set", {"domainIds": [""], "pattern": {}}, writes=True)
def domains_set(call: Context, params: Record) -> Record:
    def change(kid: str) -> None:
        check_clean_out(params["pattern"])
        new = merged(DOMAIN, domain_of(call, kid), params["pattern"], call.how)
        domains = call.state.directory.domains
        if new["isPrimary"]:
            for other in domains:
                other["isPrimary"] = False
        replace(domains, new)

    return call.each_only_errors(params["domainIds"], change)


@method("Domains.remove", {"domainIds": [""]}, writes=True)
def domains_remove(call: Context, params: Record) -> Record:
    def drop(kid: str) -> None:
        directory = call.state.directory
        domain = domain_of(call, kid)
        held = [r for r in (*directory.users, *directory.groups, *directory.aliases) if r["domainId"] == kid]
        if held or domain["isPrimary"]:
            raise ApiError(FAILED, "Domain %1 cannot be removed.", domain["name"])
        directory.domains.remove(domain)

    return call.each_only_errors(params["domainIds"], drop)


@method("Domains.getSettings", roles=ACCOUNT_ADMINS)
def domains_get_settings(call: Context, _params: Record) -> Record:
    return {"setting": dict(call.state.settings["DomainSettings"])}


@method("Domains.getUserCountInfo", {"domainId": ""}, roles=ACCOUNT_ADMINS)
def domains_count(call: Context, params: Record) -> Record:
    domain = domain_of(call, params["domainId"])
    count = sum(u["domainId"] == domain["id"] for u in call.state.directory.users)
    return {"countInfo": {"currentUsers": count, "allowedUsers": domain["userMaxCount"]}}


# -- groups -----------------------------------------------------------------------------------------------------


def _shown_group(call: Context, group: Record) -> Record:
    value = shown(GROUP, group, call.how)
    if call.how.group_role == "object":
        value["role"] = state_defaults.role(group["role"])
    return value


def _plain_role(sent: Record) -> Record:
    """The role comes as a string or as an object (unknown): stored as the string."""
    role = sent.get("role")
    if isinstance(role, dict):
        role = role.get("userRole", "UserRole")
        sent = {**sent, "role": role}
    if role is not None and role not in ROLES:
        raise bad_params("role")
    return sent


@method("Groups.get", IN_DOMAIN, roles=ACCOUNT_ADMINS)
def groups_get(call: Context, params: Record) -> Record:
    domain = domain_of(call, params["domainId"])
    rows = [_shown_group(call, g) for g in call.state.directory.groups if g["domainId"] == domain["id"]]
    return admin_query.run(rows, params["query"], call.how, admin_query.Rules(quick=("name", "description")))


@method("Groups.create", {"groups": [{}]}, writes=True, roles=ACCOUNT_ADMINS)
def groups_create(call: Context, params: Record) -> Record:
    def add(sent: Record) -> str:
        domain = domain_of(call, sent.get("domainId", ""))
        blank = state_defaults.group(new_id("group", guid(domain["id"])), domain["id"], "")
        new = merged(GROUP, blank, _plain_role(sent), call.how)
        if not new["name"]:
            raise bad_params("name")
        if same_name(call.state.directory.groups, "name", new):
            raise exists(new["name"])
        call.state.directory.groups.append(new)
        return str(new["id"])

    return call.each(params["groups"], add)


@method("Groups.set", {"groupIds": [""], "pattern": {}}, writes=True, roles=ACCOUNT_ADMINS)
def groups_set(call: Context, params: Record) -> Record:
    def change(kid: str) -> None:
        old = find(call.state.directory.groups, kid)
        pattern = {k: v for k, v in _plain_role(params["pattern"]).items() if k != "domainId"}
        new = merged(GROUP, old, pattern, call.how)
        if same_name(call.state.directory.groups, "name", new):
            raise exists(new["name"])
        replace(call.state.directory.groups, new)

    return call.each_only_errors(params["groupIds"], change)


@method("Groups.remove", {"requests": [{"groupId": "", "mode": ""}]}, writes=True, roles=ACCOUNT_ADMINS)
def groups_remove(call: Context, params: Record) -> Record:
    def drop(request: Record) -> None:
        group = find(call.state.directory.groups, request.get("groupId", ""))
        call.state.directory.groups.remove(group)
        for user in call.state.directory.users:
            user["groupIds"] = [kid for kid in user["groupIds"] if kid != group["id"]]

    return call.each_only_errors(params["requests"], drop)


@method("Groups.addMemberList", {"groupId": "", "userList": [""]}, writes=True, roles=ACCOUNT_ADMINS)
def groups_add_members(call: Context, params: Record) -> Record:
    group = find(call.state.directory.groups, params["groupId"])

    def add(kid: str) -> None:
        user = find(call.state.directory.users, kid)
        if group["id"] not in user["groupIds"]:
            user["groupIds"] = [*user["groupIds"], group["id"]]

    return call.each_only_errors(params["userList"], add)


@method("Groups.removeMemberList", {"groupId": "", "userIds": [""]}, writes=True, roles=ACCOUNT_ADMINS)
def groups_remove_members(call: Context, params: Record) -> Record:
    group = find(call.state.directory.groups, params["groupId"])

    def drop(kid: str) -> None:
        user = find(call.state.directory.users, kid)
        if group["id"] not in user["groupIds"]:
            raise missing(user["loginName"])
        user["groupIds"] = [g for g in user["groupIds"] if g != group["id"]]

    return call.each_only_errors(params["userIds"], drop)


# -- aliases ----------------------------------------------------------------------------------------------------


def _current_members(sent: Record) -> Record:
    """The 2012 sample says deliverToSelect where the later structure says type."""
    sent = dict(sent)
    if "deliverToSelect" in sent:
        sent.setdefault("type", sent.pop("deliverToSelect"))
    return sent


@method("Aliases.get", IN_DOMAIN, roles=ACCOUNT_ADMINS)
def aliases_get(call: Context, params: Record) -> Record:
    domain = domain_of(call, params["domainId"])
    rows = [shown(ALIAS, at_home(call, a), call.how) for a in listed(call, call.state.directory.aliases, domain)]
    return admin_query.run(rows, params["query"], call.how, admin_query.Rules(quick=("name", "deliverTo")))


@method("Aliases.create", {"aliases": [{}]}, writes=True, roles=ACCOUNT_ADMINS)
def aliases_create(call: Context, params: Record) -> Record:
    def add(sent: Record) -> str:
        domain = domain_of(call, sent.get("domainId", ""))
        blank = state_defaults.alias(new_id("alias", guid(domain["id"])), domain["id"], "", "")
        new = merged(ALIAS, blank, _current_members(sent), call.how)
        if not new["name"] or not new["deliverTo"]:
            raise bad_params("name or deliverTo")
        if same_name(call.state.directory.aliases, "name", new):
            raise exists(new["name"])
        call.state.directory.aliases.append(new)
        return str(new["id"])

    return call.each(params["aliases"], add)


@method("Aliases.set", {"aliasIds": [""], "pattern": {}}, writes=True, roles=ACCOUNT_ADMINS)
def aliases_set(call: Context, params: Record) -> Record:
    def change(kid: str) -> None:
        old = find(call.state.directory.aliases, kid)
        pattern = {k: v for k, v in _current_members(params["pattern"]).items() if k != "domainId"}
        replace(call.state.directory.aliases, merged(ALIAS, old, pattern, call.how))

    return call.each_only_errors(params["aliasIds"], change)


@method("Aliases.remove", {"aliasIds": [""]}, writes=True, roles=ACCOUNT_ADMINS)
def aliases_remove(call: Context, params: Record) -> Record:
    def drop(kid: str) -> None:
        call.state.directory.aliases.remove(find(call.state.directory.aliases, kid))

    return call.each_only_errors(params["aliasIds"], drop)


@method("Aliases.check", {"checkString": ""}, roles=ACCOUNT_ADMINS)
def aliases_check(call: Context, params: Record) -> Record:
    """Where an address really goes. A bare name is looked up in the primary domain."""
    directory = call.state.directory
    text, primary = params["checkString"], directory.primary()
    if "@" not in text and primary:
        text = f"{text}@{primary['name']}"
    if not directory.is_local(text):
        return {"result": [text]}
    return {"result": [user.address for user in directory.resolve(text)]}
