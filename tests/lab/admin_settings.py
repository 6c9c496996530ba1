# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive, AdvancedOptions, SecurityPolicy: settings of the whole server (sheet 2.1, 2.3, 2.9)."""

from __future__ import annotations

from typing import Any

from tests.lab import state_defaults, state_groups
from tests.lab.admin_addresses import check_reference
from tests.lab.admin_rpc import Context, method
from tests.lab.admin_shape import Kind, merged_options, shown
from tests.lab.users import Record

INTERVALS = ("periodDay", "periodWeek", "periodMonth")
ARCHIVE = Kind("Archive", state_defaults.archive(), read_only=frozenset(), enums={"archiveFoldersInterval": INTERVALS})
ADVANCED = Kind("AdvancedOptions", state_defaults.advanced_options(), read_only=frozenset())
MODES = ("SPNoRestrictions", "SPAuthenticationRequired", "SPEncryptionRequired")
SECURITY = Kind("SecurityPolicy", state_defaults.security_policy(), read_only=frozenset(), enums={"mode": MODES})
OPTIONS: dict[str, Any] = {"options": {}}
PATHS = ("storePath", "archivePath", "backupPath")


def _get(call: Context, kind: Kind) -> Record:
    return {"options": shown(kind, call.state.settings[kind.name], call.how)}


def _set(call: Context, kind: Kind, options: Record) -> None:
    stored = call.state.settings
    stored[kind.name] = merged_options(kind, stored[kind.name], options, call.how)


@method("Archive.get")
def archive_get(call: Context, _params: Record) -> Record:
    return _get(call, ARCHIVE)


@method("Archive.set", OPTIONS, writes=True)
def archive_set(call: Context, params: Record) -> Record:
    _set(call, ARCHIVE, params["options"])
    _move_store(call, call.state.settings["Archive"]["paths"])
    return {}


def _move_store(call: Context, paths: Record) -> None:
    """Archive.paths and AdvancedOptions.storeDirectory are the same three paths; stale ones move the store."""
    settings = call.state.settings
    for place in (settings["Archive"]["paths"], settings["AdvancedOptions"]["storeDirectory"]):
        if any(place[name] != paths[name] for name in PATHS):
            call.state.recorder.write("store_moved", paths={name: paths[name] for name in PATHS})
            place.update({name: paths[name] for name in PATHS})


@method("AdvancedOptions.get")
def advanced_get(call: Context, _params: Record) -> Record:
    answer = _get(call, ADVANCED)
    if call.how.profile == "2013":  # these servers had the security policy here as well
        answer["options"]["securityPolicy"] = _shown_policy(call)
    return answer


@method("AdvancedOptions.set", OPTIONS, writes=True)
def advanced_set(call: Context, params: Record) -> Record:
    options = dict(params["options"])
    policy = options.pop("securityPolicy", None) if call.how.profile == "2013" else None
    check_reference(call, options.get("masterAuthentication", {}).get("groupRestriction", ""))
    _set(call, ADVANCED, options)
    if policy is not None:
        _set_policy(call, policy)
    _move_store(call, call.state.settings["AdvancedOptions"]["storeDirectory"])
    return {}


@method("SecurityPolicy.get")
def security_get(call: Context, _params: Record) -> Record:
    return {"options": _shown_policy(call)}


@method("SecurityPolicy.set", OPTIONS, writes=True)
def security_set(call: Context, params: Record) -> Record:
    _set_policy(call, params["options"])
    return {}


def _shown_policy(call: Context) -> Record:
    """The method names are the server's own; the groups carry the names that they have now."""
    state = call.state
    stored = {**state.settings["SecurityPolicy"], "authenticationMethods": state.authentication_methods()}
    value = shown(SECURITY, stored, call.how)
    names = state_groups.names(state.settings)
    for entity in state_groups.entities(value):
        entity["name"] = names.get(entity["id"], "")
    return value


def _set_policy(call: Context, options: Record) -> None:
    """A method that the list does not name comes back enabled."""
    for entity in state_groups.entities(options):
        if entity.get("enabled"):
            check_reference(call, entity.get("id", ""))
    before = call.state.authentication_methods()
    _set(call, SECURITY, options)
    if "authenticationMethods" in options:
        sent = {m.get("value"): m.get("enabled", True) for m in options["authenticationMethods"]}
        after = [{"enabled": sent.get(m["value"], True), "value": m["value"]} for m in before]
        call.state.settings["SecurityPolicy"]["authenticationMethods"] = after


@method("SecurityPolicy.unlockAllAccounts", writes=True)
def unlock_all(call: Context, _params: Record) -> Record:
    call.state.guard.unlock_all()
    return {}
