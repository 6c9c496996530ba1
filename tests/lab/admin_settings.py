# SPDX-License-Identifier: GPL-3.0-or-later
"""Archive, AdvancedOptions, SecurityPolicy, Services: settings of the whole server (sheet 2.1, 2.3, 2.8, 2.9)."""

from __future__ import annotations

import copy
from typing import Any

from tests.lab import state_defaults
from tests.lab.admin_rpc import EVERYONE, Context, bad_params, method, missing, translate
from tests.lab.admin_shape import Kind, merged, merged_options, shown
from tests.lab.users import Record

ARCHIVE = Kind("Archive", state_defaults.archive(), read_only=frozenset())
ADVANCED = Kind("AdvancedOptions", state_defaults.advanced_options(), read_only=frozenset())
SECURITY = Kind("SecurityPolicy", state_defaults.security_policy(), read_only=frozenset())
SERVICE = Kind("Service", state_defaults.service("IMAP", {}), read_only=frozenset({"id", "isRunning", "defaultPort"}))
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
        answer["options"]["securityPolicy"] = shown(SECURITY, call.state.settings["SecurityPolicy"], call.how)
    return answer


@method("AdvancedOptions.set", OPTIONS, writes=True)
def advanced_set(call: Context, params: Record) -> Record:
    options = dict(params["options"])
    policy = options.pop("securityPolicy", None) if call.how.profile == "2013" else None
    _set(call, ADVANCED, options)
    if policy is not None:
        _set_policy(call, policy)
    _move_store(call, call.state.settings["AdvancedOptions"]["storeDirectory"])
    return {}


@method("SecurityPolicy.get")
def security_get(call: Context, _params: Record) -> Record:
    return _get(call, SECURITY)


@method("SecurityPolicy.set", OPTIONS, writes=True)
def security_set(call: Context, params: Record) -> Record:
    _set_policy(call, params["options"])
    return {}


def _set_policy(call: Context, options: Record) -> None:
    """A method that the list does not name comes back enabled."""
    before = call.state.settings["SecurityPolicy"]["authenticationMethods"]
    _set(call, SECURITY, options)
    if "authenticationMethods" in options:
        sent = {m.get("value"): m.get("enabled", True) for m in options["authenticationMethods"]}
        after = [{"enabled": sent.get(m["value"], True), "value": m["value"]} for m in before]
        call.state.settings["SecurityPolicy"]["authenticationMethods"] = after


@method("SecurityPolicy.unlockAllAccounts", writes=True)
def unlock_all(call: Context, _params: Record) -> Record:
    call.state.guard.unlock_all()
    return {}


def _shown_service(call: Context, service: Record) -> Record:
    value = shown(SERVICE, service, call.how)
    for listener in value["listeners"]:
        listener["address"] = translate(listener["address"], call.how)
    return value


@method("Services.get", roles=EVERYONE)
def services_get(call: Context, _params: Record) -> Record:
    return {"services": [_shown_service(call, s) for s in call.state.settings["Services"]]}


def _service(call: Context, kid: Any) -> Record:
    for service in call.state.settings["Services"]:
        if service["id"] == kid:
            return dict(service)
    raise missing(str(kid))


def _store_service(call: Context, service: Record) -> None:
    services = call.state.settings["Services"]
    services[[s["id"] for s in services].index(service["id"])] = service


@method("Services.set", {"services": [{}]}, writes=True)
def services_set(call: Context, params: Record) -> Record:
    def change(sent: Record) -> None:
        old = _service(call, sent.get("id"))
        for listener in sent.get("listeners", []):
            if not 0 < listener.get("port", 0) < 65536:
                raise bad_params("port out of range")
        sent = copy.deepcopy(sent)
        for listener in sent.get("listeners", []):
            if listener.get("type") == "AllAddresses":
                listener["address"] = "All addresses"
        _store_service(call, merged(SERVICE, old, sent, call.how))

    return call.each_only_errors(params["services"], change)


def _run_service(call: Context, kid: str, *, running: bool) -> Record:
    service = _service(call, kid)
    _store_service(call, {**service, "isRunning": running})
    return {}


@method("Services.start", {"service": ""}, writes=True)
def services_start(call: Context, params: Record) -> Record:
    return _run_service(call, params["service"], running=True)


@method("Services.stop", {"service": ""}, writes=True)
def services_stop(call: Context, params: Record) -> Record:
    return _run_service(call, params["service"], running=False)


@method("Services.restart", {"service": ""}, writes=True)
def services_restart(call: Context, params: Record) -> Record:
    return _run_service(call, params["service"], running=True)
