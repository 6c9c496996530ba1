# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plays of preflight.yml found at each server, place by place. docs/before-going-live.md"""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.site import assigned
from ansible_collections.mailops.kerio.plugins.module_utils.site.failures import SEE_ABOVE, cause
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader

NO_ENVIRONMENT = "The archive host has no Python environment yet. Run configure.yml with --limit archive_hosts, which makes it"
NO_ARCHIVE_HOST = "No archive host looked. Name one in archive_hosts of the inventory, and do not leave it out by --limit"

Found = dict[str, Json]


def servers(reader: Reader, groups: assigned.Groups, hosts: t.Collection[str]) -> list[Found]:
    """Return one entry for each server, in the order of their names; its parts are the places from which it was looked at."""
    servers_of_run = [host for host in sorted(hosts) if host in groups.get("kerio_servers", [])]
    return [_server(reader, groups, server, hosts) for server in servers_of_run]


def _server(reader: Reader, groups: assigned.Groups, server: str, hosts: t.Collection[str]) -> Found:
    known = reader.host(server)
    keepers = [host for host in assigned.takers(reader, groups, server) if host in hosts or _looked(reader, host)]
    parts = [_of_administration(reader, server), _of_host(reader, server)]
    parts += [_of_archive_host(reader, server, host) for host in keepers]
    parts += [] if keepers else [_part("IMAP", {}, NO_ARCHIVE_HOST)]
    return {
        "server": server,
        "parts": parts,
        "facts": [fact for part in parts for fact in part["facts"]],
        "failures": [part for part in parts if part["failure"]],
        "by_hand": reader.plain(reader.value(known, "kerio_connect_preflight", "by_hand", default=[])),
    }


def _part(where: str, result: Found, failure: str) -> Found:
    return {"where": where, "facts": result.get("facts", []), "failure": failure}


def _looked(reader: Reader, host: str) -> bool:
    known = reader.host(host)
    return "look_imap" in known or "archive_failures" in known


def _of_administration(reader: Reader, server: str) -> Found:
    known = reader.host(server)
    result = reader.plain(reader.value(known, "kerio_connect_preflight", default={}))
    return _part("admin API", result, "; ".join(reader.value(known, "kerio_failures", default=[])))


def _of_host(reader: Reader, server: str) -> Found:
    result = reader.plain(reader.value(reader.host(server), "kerio_mailserver_cfg_preflight", default={}))
    return _part("host", result, "" if "facts" in result else cause(result.get("msg", SEE_ABOVE)))


def _of_archive_host(reader: Reader, server: str, host: str) -> Found:
    known = reader.host(host)
    results = reader.plain(reader.value(known, "look_imap", "results", default=[]))
    result: Found = next((one for one in results if one["item"] == server), {})
    failure = "; ".join(reader.value(known, "archive_failures", default=[]))
    if not failure and result.get("skipped") and "kerio_variables_wrong" not in reader.host(server):
        failure = NO_ENVIRONMENT
    failure = failure or result.get("msg", "")
    return _part(f"IMAP from {host}", result, "" if result.get("reached") else failure or SEE_ABOVE)


def findings(found: t.Iterable[Found]) -> Found:
    """Return what is written as JSON."""
    return {"servers": [{key: server[key] for key in ("server", "parts", "by_hand")} for server in found]}


def verdict(found: t.Iterable[Found]) -> str:
    """Return what keeps archiving from its beginning; empty when nothing does."""
    wrong = []
    for server in found:
        stops = dict.fromkeys(fact["id"] for fact in server["facts"] if fact["stops"])
        reasons = [*stops, *(part["where"] for part in server["failures"])]
        wrong += [f"{server['server']} ({', '.join(reasons)})"] if reasons else []
    return f"Do not begin to archive yet: {'; '.join(wrong)}. What to set is told above." if wrong else ""
