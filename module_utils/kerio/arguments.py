# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specs: the connection options that all API modules share, and the options of a kind from its rows."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.kinds import Field

Spec = dict[str, t.Any]
_PLACE = re.compile(r"(?:\[(?P<address>[^][]+)\]|(?P<name>[^][:]+))(?::(?P<port>[0-9]{1,5}))?")


def connection() -> Spec:
    """Return the options that ``doc_fragments/kerio.py`` documents.

    ``api.session`` misses the required ones: lint does not know that ``module_defaults`` may give them.
    """
    return {
        "api_host": {"type": "str"},
        "api_port": {"type": "int", "default": 4040},
        "api_user": {"type": "str"},
        "api_password": {"type": "str", "no_log": True},
        "ca_file": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
        "timeout": {"type": "float", "default": 30.0},
        "server_name": {"type": "str"},
        "expected_ip_address_groups": {"type": "list", "elements": "str", "default": []},
    }


def place(parameters: t.Mapping[str, t.Any]) -> tuple[str, int]:
    """Return host and port of the administration. A port behind the host, as in ``name:port`` or ``[::1]:port``, comes first."""
    host, port = str(parameters["api_host"]), int(parameters["api_port"])
    if host.count(":") > 1 and not host.startswith("["):
        return host, port  # an IPv6 address
    match = _PLACE.fullmatch(host)
    if match is None or int(match["port"] or port) not in range(1, 65536):
        raise InputError(f"api_host {host}", "it is no host, nor a host and a port", "Give name, name:port or [address]:port")
    return match["address"] or match["name"], int(match["port"] or port)


def options(fields: t.Iterable[Field]) -> Spec:
    """Return one option per row; none has a default, because an option that is absent is not managed."""
    return {field.option: _option(field) for field in fields}


def _option(field: Field) -> Spec:
    spec: Spec = {"type": field.codec.option_type}
    if field.codec.choices:
        spec["choices"] = list(field.codec.choices)
    if field.codec.elements:
        spec["elements"] = field.codec.elements
    if field.secret:
        spec["no_log"] = True
    return spec
