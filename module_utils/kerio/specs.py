# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of every declaration, once: the modules take them at their top, ``kerio_compare`` takes them by kind."""

from __future__ import annotations

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import kinds
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.arguments import Spec, options

_NAME: Spec = {"type": "str", "required": True}
_STATE: Spec = {"type": "str", "choices": ["present", "absent"], "default": "present"}

# What an entry of an IP address group is, one of these.
ENTRY_VALUES = ("host", "network", "range", "prefix", "group", "this_machine")

ENTRY: Spec = {
    **{name: {"type": "str"} for name in ENTRY_VALUES if name != "this_machine"},
    "this_machine": {"type": "bool"},
    "description": {"type": "str"},
    "enabled": {"type": "bool", "default": True},
}

GROUP: Spec = {
    "name": _NAME,
    "state": _STATE,
    "entries": {
        "type": "list",
        "elements": "dict",
        "options": ENTRY,
        "mutually_exclusive": [ENTRY_VALUES],
        "required_one_of": [ENTRY_VALUES],
    },
}

LISTENER: Spec = {"address": {"type": "str", "default": "all"}, "port": {"type": "int", "required": True}}

SERVICE: Spec = {"name": _NAME, **options(kinds.SERVICE_FIELDS)}
SERVICE["listeners"] = {**SERVICE["listeners"], "options": LISTENER}

USER: Spec = {
    "address": {"type": "str", "required": True},
    "state": _STATE,
    **options(kinds.USER_FIELDS),
    "update_password": {"type": "str", "choices": ["on_create", "always"], "default": "on_create", "no_log": False},
}

DOMAIN: Spec = {"name": _NAME, **options(kinds.DOMAIN_ARCHIVING_FIELDS)}


def listed(entry: Spec) -> Spec:
    """Return a list of such entries."""
    return {"type": "list", "elements": "dict", "options": entry}


IP_ADDRESS_GROUPS: Spec = {"groups": {**listed(GROUP), "required": True}}
SECURITY_POLICY: Spec = options(kinds.SECURITY_POLICY.fields)
SERVICES: Spec = {"services": {**listed(SERVICE), "required": True}}
USERS: Spec = {
    "users": {**listed(USER), "required": True},
    "whole_domains": {"type": "list", "elements": "str", "default": []},
    "delete_limit": {"type": "int", "default": 5},
}
MASTER_AUTHENTICATION: Spec = {
    **options(kinds.MASTER_AUTHENTICATION.fields),
    "allow_any_address": {"type": "bool", "default": False},
}
ADVANCED_OPTIONS: Spec = options(kinds.ADVANCED_OPTIONS.fields)
ARCHIVING: Spec = {**options(kinds.ARCHIVING.fields), "domains": listed(DOMAIN)}
