# SPDX-License-Identifier: GPL-3.0-or-later
"""Users (sheet 2.6). Lists are per domain; members of groups are known only through the users' userGroups."""

from __future__ import annotations

from tests.lab import admin_query, state_defaults
from tests.lab.admin_directory import IN_DOMAIN, domain_of, find, replace, same_name
from tests.lab.admin_rpc import ACCOUNT_ADMINS, LICENCE, ApiError, Context, bad_params, exists, method, missing
from tests.lab.admin_shape import Kind, merged, shown
from tests.lab.state import ServerState
from tests.lab.users import Record, guid, new_id

GROUP_ENTRY = {"id": "", "name": "", "description": "", "itemSource": ""}
COMPUTED = {
    "userGroups": [GROUP_ENTRY],
    "groupRole": state_defaults.role(),
    "effectiveRole": state_defaults.role(),
    "isWritableByMe": True,
    "consumedItems": 0,
    "consumedSize": state_defaults.bytes_value(0, "Bytes"),
    "migration": {"isEnabled": False, "status": ""},
}
LIKE = {k: v for k, v in state_defaults.user("", "", "").items() if k != "groupIds"} | COMPUTED
READ_ONLY = frozenset({"id", "groupRole", "effectiveRole", "isWritableByMe", "consumedItems", "consumedSize", "migration"})
USER = Kind("User", LIKE, read_only=READ_ONLY, hidden=frozenset({"groupIds"}))
RANK = ("UserRole", "Auditor", "AccountAdmin", "FullAdmin")
REMOVE_METHODS = ("UDeleteUser", "UDeleteFolder", "UMoveFolder")
REMOVAL = {"userId": "", "method": "", "removeReferences": False, "targetUserId": "", "mode": ""}


def _groups(state: ServerState, user: Record) -> list[Record]:
    return [g for g in state.directory.groups if g["id"] in user["groupIds"]]


def _roles(state: ServerState, user: Record) -> tuple[Record, Record]:
    """(what the groups give, what counts in the end)."""
    names = [g["role"] for g in _groups(state, user)]
    of_groups = state_defaults.role(max(names, key=RANK.index, default="UserRole"))
    own = user["role"]
    best = max(own["userRole"], of_groups["userRole"], key=RANK.index)
    return of_groups, {**own, "userRole": best}


def effective_role(state: ServerState, user_id: str) -> str:
    user = find(state.directory.users, user_id)
    return str(_roles(state, user)[1]["userRole"])


def _shown_user(call: Context, user: Record) -> Record:
    of_groups, effective = _roles(call.state, user)
    return {
        **shown(USER, user, call.how),
        "userGroups": [{k: g[k] for k in GROUP_ENTRY} for g in _groups(call.state, user)],
        "groupRole": of_groups,
        "effectiveRole": effective,
        "isWritableByMe": True,
        "consumedItems": 0,
        "consumedSize": state_defaults.bytes_value(0, "Bytes"),
        "migration": {"isEnabled": False, "status": ""},
    }


@method("Users.get", IN_DOMAIN, roles=ACCOUNT_ADMINS)
def users_get(call: Context, params: Record) -> Record:
    domain = domain_of(call, params["domainId"])
    rows = [_shown_user(call, u) for u in call.state.directory.users if u["domainId"] == domain["id"]]
    rules = admin_query.Rules(quick=("loginName", "fullName", "description"))
    return admin_query.run(rows, params["query"], call.how, rules)


def _with_groups(call: Context, old: Record, sent: Record) -> Record:
    """The record after a sparse set; userGroups are kept as the ids of groups that exist."""
    new = merged(USER, old, {k: v for k, v in sent.items() if k != "userGroups"}, call.how)
    if "userGroups" in sent:
        new["groupIds"] = [find(call.state.directory.groups, g.get("id", ""))["id"] for g in sent["userGroups"]]
    return new


@method("Users.create", {"users": [{}]}, writes=True, roles=ACCOUNT_ADMINS)
def users_create(call: Context, params: Record) -> Record:
    users = call.state.directory.users

    def add(sent: Record) -> str:
        domain = domain_of(call, sent.get("domainId", ""))
        if not sent.get("loginName"):
            raise bad_params("loginName")
        if call.how.licensed_users and len(users) >= call.how.licensed_users:
            raise ApiError(LICENCE, "The number of licensed users (%1) is exceeded.", str(call.how.licensed_users))
        kid = new_id("user", guid(domain["id"]))
        new = _with_groups(call, state_defaults.user(kid, domain["id"], sent["loginName"]), sent)
        if same_name(users, "loginName", new):
            raise exists(new["loginName"])
        users.append(new)
        return kid

    return call.each(params["users"], add)


@method("Users.set", {"userIds": [""], "pattern": {}}, writes=True, roles=ACCOUNT_ADMINS)
def users_set(call: Context, params: Record) -> Record:
    users = call.state.directory.users

    def change(kid: str) -> None:
        pattern = {k: v for k, v in params["pattern"].items() if k not in ("domainId", "hasDefaultSpamRule", "homeServer")}
        new = _with_groups(call, find(users, kid), pattern)
        if same_name(users, "loginName", new):
            raise exists(new["loginName"])
        replace(users, new)

    return call.each_only_errors(params["userIds"], change)


@method("Users.remove", {"requests": [REMOVAL]}, writes=True, roles=ACCOUNT_ADMINS)
def users_remove(call: Context, params: Record) -> Record:
    directory = call.state.directory

    def drop(request: Record) -> None:
        user = find(directory.users, request.get("userId", ""))
        if request.get("method") not in REMOVE_METHODS:
            raise bad_params("method")
        if request["method"] == "UMoveFolder" and request.get("targetUserId") not in [u["id"] for u in directory.users]:
            raise missing(request.get("targetUserId", ""))
        view = directory.view(user)
        directory.users.remove(user)
        if request.get("removeReferences") and view:
            targets = {view.login, view.address}
            directory.aliases[:] = [a for a in directory.aliases if a["deliverTo"] not in targets]

    return call.each_only_errors(params["requests"], drop)
