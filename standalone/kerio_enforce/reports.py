# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reports of site.yml and drift.yml say: failures for people, figures for monitoring. Pure: no I/O."""

from __future__ import annotations

import re
import typing as t

Data = dict[str, t.Any]

_LAST_LINES = 5
_LONGEST = 2000  # characters of one failure
# What Ansible prints of what went wrong, when a run ends before a report is written.
_ERROR = re.compile(r"^\s*(?:\[ERROR\]:?|ERROR!|fatal:)\s*(.*)")


def failures_of(site: Data, drift: Data) -> list[str]:
    """Everything that did not work, or differs, one line each."""
    found = []
    for hosts in (site.get("servers"), site.get("archive_hosts")):
        for name, host in sorted(_named(hosts).items()):
            found += [_named_line(name, text) for text in host.get("failures", [])]
    for server in drift.get("servers", []):
        if not server.get("in_step", True):
            found.append(f"{server['server']}: {_drift_line(server)}")
    # A host that is a server and an archive host is told once.
    return list(dict.fromkeys(found))


def failures_printed(lines: t.Sequence[str]) -> list[str]:
    """What the output says, for a run without a report."""
    told = [_line(found[1]) for found in map(_ERROR.match, lines) if found and found[1].strip()]
    return told or [_line(line) for line in lines if line.strip()][-_LAST_LINES:]


def merged(figures: Data, site: Data, drift: Data, now: int, *, whole: bool) -> Data:
    """The figures with those of another run in them; ``whole``: it was not limited to some hosts, so all others are gone."""
    servers, hosts = dict(_named(figures.get("servers"))), dict(_named(figures.get("archive_hosts")))
    if site and not site.get("check"):
        servers = _kept(servers, _named(site.get("servers")), whole)
        for name, server in _named(site.get("servers")).items():
            servers[name] = {**servers.get(name, {}), **_host(server, now)}
        hosts = _kept(hosts, _named(site.get("archive_hosts")), whole)
        for name, host in _named(site.get("archive_hosts")).items():
            hosts[name] = {**hosts.get(name, {}), **_host(host, now), **_run(host, hosts.get(name, {}), now)}
    if drift:
        told = {str(server["server"]): server for server in drift.get("servers", [])}
        if whole and not site:
            servers = {name: server for name, server in servers.items() if name in told or "seen" in server}
        for name, server in told.items():
            servers[name] = {**servers.get(name, {}), "drift": _drift(server, now)}
    return {**figures, "servers": servers, "archive_hosts": hosts}


def _kept(before: Data, now: Data, whole: bool) -> Data:
    return {name: host for name, host in before.items() if name in now or not whole}


def _host(host: Data, now: int) -> Data:
    failures = len(host.get("failures", []))
    return {"seen": now, "failures": failures, **({} if failures else {"last_success": now})}


def _run(host: Data, before: Data, now: int) -> Data:
    """The figures of an archive run; an archive host on which none ended keeps those that it had."""
    run = host.get("run") or {}
    figures = run.get("figures")
    if not figures:
        return {}
    return {
        "archived": now,
        "figures": {**figures, "left_out": {**(before.get("figures") or {}).get("left_out", {}), **figures.get("left_out", {})}},
        "unverified": list(run.get("unverified", [])),
        "damaged": len(run.get("damaged_objects", [])),
    }


def _drift(server: Data, now: int) -> Data:
    relations = [one for one in server.get("relations", []) if one.get("severity") == "refuse"]
    differences, unknown = server.get("differences", []), server.get("unknown", [])
    return {"seen": now, "settings": len(differences), "relations": len(relations), "unknown": len(unknown)}


def _drift_line(server: Data) -> str:
    counts = _drift(server, 0)
    words = {"settings": "settings differ", "relations": "relations are violated", "unknown": "things are unknown"}
    told = [f"{counts[key]} {text}" for key, text in words.items() if counts[key]]
    named = [_line(text) for text in server.get("unknown", [])[:1]]
    return "; ".join([", ".join(told), *named])


def _named(hosts: t.Any) -> dict[str, Data]:
    return hosts if isinstance(hosts, dict) else {}


def _named_line(host: str, text: t.Any) -> str:
    """Many failures begin with the name of their host."""
    line = _line(text)
    return line if line.startswith(f"{host}: ") else f"{host}: {line}"


def _line(text: t.Any) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
