# SPDX-License-Identifier: GPL-3.0-or-later
"""Services (sheet 2.8). The lab listens for SMTP, IMAP and Secure IMAP; the other twelve are settings only.

A listener is the first one of its service, always on loopback: its type and address change nothing, its port moves it.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.lab import state_defaults, state_groups
from tests.lab.admin_addresses import check_reference
from tests.lab.admin_rpc import EVERYONE, Context, bad_params, method, missing, translate
from tests.lab.admin_shape import Kind, merged, shown
from tests.lab.users import Record

ENUMS = {"howToStart": ("Manual", "Automatic"), "listeners.type": ("AllAddresses", "Localhost", "RealIpAddress")}
# The id is how a set finds the service, so it is no read-only member; the name is looked at in `services_set`.
SERVICE = Kind("Service", state_defaults.service("IMAP", {}), read_only=frozenset({"isRunning", "defaultPort"}), enums=ENUMS)


def _shown_service(call: Context, service: Record) -> Record:
    value = shown(SERVICE, service, call.how)
    if "group" in value:
        group = value["group"]["ipGroup"]
        group["name"] = state_groups.names(call.state.settings).get(group["id"], "")
    for listener in value.get("listeners", []):
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
        if sent.get("name", old["name"]) != old["name"] and call.how.read_only_members == "reject":
            raise bad_params("member name is read-only")
        group = sent.get("group", {})
        if isinstance(group, dict) and group.get("isUsed"):
            check_reference(call, group.get("ipGroup", {}).get("id", ""))
        for listener in sent.get("listeners", []):
            if not 0 < listener.get("port", 0) < 65536:
                raise bad_params("port out of range")
        sent = {**copy.deepcopy(sent), "name": old["name"]}
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
