# SPDX-License-Identifier: GPL-3.0-or-later
"""Users (sheet 2.6). Lists are per domain; members of groups are known only through the users' userGroups."""

from __future__ import annotations

from tests.lab import admin_query, state_defaults
from tests.lab.admin_directory import (
    IN_DOMAIN,
    ROLES,
    at_home,
    check_clean_out,
    domain_of,
    find,
    listed,
    replace,
    same_name,
)
from tests.lab.admin_rpc import ACCOUNT_ADMINS, LICENCE, ApiError, Context, bad_params, exists, method
from tests.lab.admin_shape import Kind, creating, merged, shown
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
READ_ONLY = frozenset(
    {"id", "groupRole", "effectiveRole", "isWritableByMe", "consumedItems", "consumedSize", "lastLoginInfo", "migration"}
)
INTERNAL, DIRECTORY = "DSInternalSource", "DSLDAPSource"
# BuiltInAdmin and BuiltInDomainAdmin are shown by whoAmI only and cannot be given (sheet 1.2).
ENUMS = {
    "itemSource": (INTERNAL, DIRECTORY),
    "authType": ("UInternalAuth", "UWindowsNTAuth", "UPamAuth", "UKerberosAuth", "UAppleAuth", "ULDAPAuth"),
    "role.userRole": ROLES,
    "emailForwarding.mode": ("UForwardNone", "UForwardYes", "UForwardDeliver"),
}
USER = Kind(
    "User",
    LIKE,
    read_only=READ_ONLY,
    hidden=frozenset({"groupIds"}),
    write_once=frozenset({"hasDefaultSpamRule", "homeServer"}),
    enums=ENUMS,
)
RANK = ROLES
REMOVE_METHODS = ("UDeleteUser", "UDeleteFolder", "UMoveFolder")
REMOVE_MODES = ("", "DSModeDeactivate", "DSModeDelete")
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
    computed = {
        "userGroups": [{k: g[k] for k in GROUP_ENTRY} for g in _groups(call.state, user)],
        "groupRole": of_groups,
        "effectiveRole": effective,
        "isWritableByMe": True,
        "consumedItems": 0,
        "consumedSize": state_defaults.bytes_value(0, "Bytes"),
        "migration": {"isEnabled": False, "status": ""},
    }
    return shown(USER, {**at_home(call, user), **computed}, call.how)


@method("Users.get", IN_DOMAIN, roles=ACCOUNT_ADMINS)
def users_get(call: Context, params: Record) -> Record:
    domain = domain_of(call, params["domainId"])
    rows = [_shown_user(call, u) for u in listed(call, call.state.directory.users, domain)]
    rules = admin_query.Rules(quick=("loginName", "fullName", "description"))
    return admin_query.run(rows, params["query"], call.how, rules)


def _with_groups(call: Context, kind: Kind, old: Record, sent: Record) -> Record:
    """The record after a sparse set; userGroups are kept as the ids of groups that exist."""
    clean_out = sent.get("cleanOutItems")
    check_clean_out(clean_out if isinstance(clean_out, dict) else {})
    new = merged(kind, old, sent, call.how)
    if "userGroups" in new:
        new["groupIds"] = [find(call.state.directory.groups, g.get("id", ""))["id"] for g in new.pop("userGroups")]
    return new


@method("Users.create", {"users": [{}]}, writes=True, roles=ACCOUNT_ADMINS)
def users_create(call: Context, params: Record) -> Record:
    """domainId and loginName are required (sheet 2.6)."""
    users = call.state.directory.users
    taken = {(u["domainId"], u["loginName"].lower()) for u in users}

    def add(sent: Record) -> str:
        for member in ("domainId", "loginName"):
            if not sent.get(member) or not isinstance(sent[member], str):
                raise bad_params(member)
        domain = domain_of(call, sent["domainId"])
        if call.how.licensed_users and len(users) >= call.how.licensed_users:
            raise ApiError(LICENCE, "The number of licensed users (%1) is exceeded.", str(call.how.licensed_users))
        kid = new_id("user", guid(domain["id"]))
        new = _with_groups(call, creating(USER), state_defaults.user(kid, domain["id"], sent["loginName"]), sent)
        key = new["domainId"], new["loginName"].lower()
        if key in taken:
            raise exists(new["loginName"])
        taken.add(key)
        users.append(new)
        return kid

    return call.each(params["users"], add)


@method("Users.set", {"userIds": [""], "pattern": {}}, writes=True, roles=ACCOUNT_ADMINS)
def users_set(call: Context, params: Record) -> Record:
    users = call.state.directory.users
    pattern = {k: v for k, v in params["pattern"].items() if k != "domainId"}

    def change(kid: str) -> None:
        old = find(users, kid)
        new = _with_groups(call, USER, old, pattern)
        if not new["loginName"]:
            raise bad_params("loginName")
        if new["loginName"] != old["loginName"] and same_name(users, "loginName", new):
            raise exists(new["loginName"])
        replace(users, new)

    return call.each_only_errors(params["userIds"], change)


def _check_removal(call: Context, user: Record, request: Record) -> None:
    if request.get("method") not in REMOVE_METHODS:
        raise bad_params("method")
    mode = request.get("mode", "")
    from_directory = user["itemSource"] == DIRECTORY
    if mode not in REMOVE_MODES or (from_directory and not mode and call.how.directory_remove == "needs_mode"):
        raise bad_params("mode")
    if request["method"] == "UMoveFolder":
        target = request.get("targetUserId", "")
        if target == user["id"]:
            raise bad_params("targetUserId")
        find(call.state.directory.users, target)


@method("Users.remove", {"requests": [REMOVAL]}, writes=True, roles=ACCOUNT_ADMINS)
def users_remove(call: Context, params: Record) -> Record:
    """Mailboxes stay where they are whatever the method; the record tells what would have become of them."""
    directory = call.state.directory

    def drop(request: Record) -> None:
        user = find(directory.users, request.get("userId", ""))
        _check_removal(call, user, request)
        view = directory.view(user)
        directory.users.remove(user)
        how = {member: request.get(member, "") for member in ("method", "mode", "targetUserId")}
        call.state.recorder.write("user_removed", login=user["loginName"], **how)
        if request.get("removeReferences") and view:
            targets = {view.login, view.address}
            directory.aliases[:] = [a for a in directory.aliases if a["deliverTo"] not in targets]

    return call.each_only_errors(params["requests"], drop)
