# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options of modules that talk IMAP; ``doc_fragments/imap.py`` documents them."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Endpoint

UNVERIFIED = "The certificate of {} is not verified (validate_certs is false): anybody between can read the passwords"
UNENCRYPTED = "{} is read without TLS (access IMAP): passwords and mail can be read on the way"


def connection() -> dict[str, dict[str, t.Any]]:
    """Return the argument spec."""
    return {
        "host": {"type": "str", "required": True},
        "port": {"type": "int"},
        "access": {"type": "str", "choices": [access.value for access in Access], "default": Access.IMAP_SSL.value},
        "ca_file": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 60},
    }


def servers() -> dict[str, t.Any]:
    """Return the option ``servers``; ``doc_fragments/imap_servers.py`` documents it."""
    one = {
        "name": {"type": "str", "required": True},
        **connection(),
        "connections": {"type": "int", "default": 8},
        "bandwidth": {"type": "str"},
        "master_password": {"type": "str", "no_log": True},
        "other_master_password": {"type": "str", "no_log": True},
        "refused": {"type": "str"},
    }
    return {"type": "list", "elements": "dict", "required": True, "options": {**one, "host": {"type": "str"}}}


def endpoint(params: t.Mapping[str, t.Any]) -> Endpoint:
    """Return the endpoint that a module's parameters name."""
    access = Access(params["access"])
    port = params["port"] or (993 if access is Access.IMAP_SSL else 143)
    return Endpoint(params["host"], port, access, params["ca_file"], params["validate_certs"], float(params["timeout"]))


def warnings(of: Endpoint) -> list[str]:
    """Return what the operator must be told every time."""
    return [] if of.validate_certs or of.access is Access.IMAP else [UNVERIFIED.format(of.label)]
