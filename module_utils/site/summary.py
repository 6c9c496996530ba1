# SPDX-License-Identifier: GPL-3.0-or-later
"""How each host fared, from what earlier plays kept of it. docs/report.md"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.mailops.kerio.plugins.module_utils.site import assigned, reached
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader

LOST = "Ansible went on without this host; what it says of it stands above"
YES = ("yes", "on", "1", "true", "t", "y")
# Option of archive_report -> what a module returned to a play of the archive host.
RESULTS = {"result": "archive_run_result", "archive": "archive_info_result", "users": "archive_users_result"}

Host = dict[str, Json]
ByName = Mapping[str, Host]


class Hosts(t.TypedDict):
    """The hosts of the run by name, in the order of the inventory."""

    servers: dict[str, Host]
    archive_hosts: dict[str, Host]


def hosts(reader: Reader, groups: assigned.Groups, chosen: t.Sequence[str], left: t.Collection[str]) -> Hosts:
    """Return how each of the ``chosen`` hosts fared; ``left`` are those that Ansible has not taken out of the run."""
    servers = [host for host in chosen if host in groups.get("kerio_servers", [])]
    keepers = [host for host in chosen if host in groups.get("archive_hosts", [])]
    return {
        "servers": {host: _server(reader, host, host in left) for host in servers},
        "archive_hosts": {host: _archive_host(reader, host, host in left) for host in keepers},
    }


def _server(reader: Reader, host: str, left: bool) -> Host:
    known = reader.host(host)
    lost = [] if left or "archive_failures" in known else [LOST]
    return {
        "failures": reader.value(known, "kerio_failures", default=lost),
        "changed": "kerio_changed" in known,
        "unreachable": "kerio_unreachable" in known,
    }


def _archive_host(reader: Reader, host: str, left: bool) -> Host:
    """One that Ansible took out of the run has failed where no play looked after it, unless it told a failure as a server."""
    known = reader.host(host)
    lost = [] if left or "kerio_failures" in known else [LOST]
    result = reader.value(known, "archive_run_result", default={})
    return {
        "failures": reader.value(known, "archive_failures", default=lost),
        "changed": "archive_changed" in known,
        "unreachable": "archive_unreachable" in known
        or any(reader.value(known, name, "unreachable") for name in ("archive_run_result", "archive_host_interpreter_file")),
        "msg": reader.value(result, "msg", default=""),
        "ran": "run" in result,
        "holder": reader.value(result, "holder", default=""),
    }


def facts(reader: Reader, known: Hosts) -> Hosts:
    """Return what the report is made of: the same, and what is declared, and what the modules returned."""
    return {
        "servers": {host: {**fared, **_declared(reader, host)} for host, fared in known["servers"].items()},
        "archive_hosts": {host: {**fared, **_returned(reader, host)} for host, fared in known["archive_hosts"].items()},
    }


def _declared(reader: Reader, host: str) -> Host:
    own = reached.usable(reader, host)
    verified = reader.value(own, "kerio_connect_validate_certs", default=True)
    return {
        "name": str(reader.value(own, "kerio_connect_name", default=host)),
        "api_verified": is_yes(verified),
        "imap_verified": is_yes(reader.value(own, "kerio_connect_imap_validate_certs", default=verified)),
        "access": str(reader.value(own, "kerio_connect_imap_access", default="IMAP-SSL")),
    }


def _returned(reader: Reader, host: str) -> Host:
    known = reader.host(host)
    acknowledged = reader.value(known, "archive_acknowledged") if "archive_variables_wrong" not in known else None
    returned = {key: reader.value(known, name, default={}) for key, name in RESULTS.items()}
    return {**returned, "acknowledged": acknowledged or []}


def is_yes(value: Json) -> bool:
    """Whether Ansible takes a value for true."""
    return str(value).strip().lower() in YES
