# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of every declaration, once: the modules take them at their top, ``kerio_compare`` takes them by kind."""

from __future__ import annotations

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import kinds
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.address_entries import VALUE_OPTIONS
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.arguments import Spec, options

_NAME: Spec = {"type": "str", "required": True}
_STATE: Spec = {"type": "str", "choices": ["present", "absent"], "default": "present"}

# That exactly one value is given, address_entries checks: it can name the group and the entry.
ENTRY: Spec = {
    **{name: {"type": "str"} for name in VALUE_OPTIONS if name != "this_machine"},
    "this_machine": {"type": "bool"},
    "description": {"type": "str"},
    "enabled": {"type": "bool", "default": True},
}

GROUP: Spec = {
    "name": _NAME,
    "state": _STATE,
    "entries": {"type": "list", "elements": "dict", "options": ENTRY},
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
for _about_passwords in ("may_change_password", "password_reversible"):
    USER[_about_passwords]["no_log"] = False

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


def _without(spec: Spec, *names: str) -> Spec:
    return {name: option for name, option in spec.items() if name not in names}


_SETTINGS: dict[str, Spec] = {
    "security_policy": SECURITY_POLICY,
    "master_authentication": _without(MASTER_AUTHENTICATION, "password"),
    "advanced_options": ADVANCED_OPTIONS,
    "archiving": ARCHIVING,
}
_STRINGS: Spec = {"type": "list", "elements": "str"}
_DICTIONARIES: Spec = {"type": "list", "elements": "dict"}

# What relations need to know of the archive side; what is absent is not looked at.
ARCHIVE_SIDE: Spec = {
    "archive_hosts": _STRINGS,
    "profiles": _DICTIONARIES,
    "users_scope": {"type": "dict", "options": {"domains": _STRINGS, "groups": _STRINGS, "users": _STRINGS}},
    "users_declared": _DICTIONARIES,
    "users_excluded": _STRINGS,
    "interval_hours": {"type": "float"},
    "permanent_delete": {"type": "bool"},
    "deleting_profiles": _STRINGS,
    "imap_access": {"type": "str", "choices": ["IMAP", "IMAP-TLS", "IMAP-SSL"]},
    "other_servers": _DICTIONARIES,
}
COMPARE: Spec = {
    "ip_address_groups": listed(GROUP),
    "services": listed(SERVICE),
    "users": listed(_without(USER, "password")),
    **_without(USERS, "users"),
    **{kind: {"type": "dict", "options": spec} for kind, spec in _SETTINGS.items()},
    "archive": {"type": "dict", "options": ARCHIVE_SIDE},
    "fail_on_refusal": {"type": "bool", "default": True},
    "warn_of_relations": {"type": "bool", "default": True},
    "accept": {"type": "list", "elements": "str", "default": []},
}
