# SPDX-License-Identifier: GPL-3.0-or-later
"""Relations of who may come in: master authentication, addresses of archive hosts, the IMAP service, login methods. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import (
    IMAP_SERVICES,
    Found,
    Host,
    Options,
    Problem,
    State,
    Unclear,
    few,
    profiles_here,
)
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

DIGEST_METHODS = ("CRAM-MD5", "DIGEST-MD5")


def open_to_all(where: str, outcome: Options) -> Problem | None:
    """Return what is wrong when master authentication is on and open to every address."""
    if not outcome.get("enabled") or outcome.get("ip_address_group") or outcome.get("allow_any_address"):
        return None
    return Problem(
        f"{where}: master authentication",
        "it would be on without an IP address group, so that every address may try the password of all mailboxes",
        "Set ip_address_group to a group that holds the archive host, or set allow_any_address to true",
    )


def master_is_restricted(state: State) -> Found:
    problem = open_to_all(state.server, state.master)
    if problem is not None:
        yield problem


def master_admits_archive_hosts(state: State) -> Found:
    group = state.master.get("ip_address_group")
    if state.master.get("enabled") and group:
        where = f"{state.server}: master_authentication.ip_address_group {group!r}"
        yield from _admits(state, where, group, "so the server would refuse the master password from there")


def hosts_are_excepted(state: State) -> Found:
    """Anti-hammering: the archive host logs in often enough to be blocked for one wrong password."""
    policy = state.security
    if not policy.get("anti_hammering"):
        return
    where = f"{state.server}: security_policy.anti_hammering_exception_group"
    group = policy.get("anti_hammering_exception_group")
    failed, minutes = policy.get("anti_hammering_failed_logins"), policy.get("anti_hammering_minutes")
    then = f"and {failed} failed logins from there would stop all archiving for {minutes} minutes"
    if group:
        yield from _admits(state, f"{where} {group!r}", group, then)
    else:
        hosts = few([host.name for host in state.archive_hosts])
        if hosts:
            cause = f"anti-hammering is on and excepts no address: {hosts} is not excepted, {then}"
            yield Problem(where, cause, "Set it to a group that holds the archive host")


def service_admits_archive_hosts(state: State) -> Found:
    name, service = _service(state)
    group = service.get("ip_address_group")
    if group:
        where = f"{state.server}: service {name}: ip_address_group {group!r}"
        yield from _admits(state, where, group, "so the server would not let it connect")


def _admits(state: State, where: str, group: str, then: str) -> Found:
    for host in state.archive_hosts:
        answer = _admitted(state, group, host)
        if answer is False:
            yield Problem(
                where,
                f"it does not admit the archive host {_shown(host)}, {then}",
                f"Add the entry {{host: {host.addresses[0]}}} to the group in ip_address_groups, or, if the server sees the "
                "archive host under another address, declare that one (archive_host_address)",
            )
        elif answer is None:
            reason = host.reason or "its entries cannot all be compared with the address"
            yield Unclear(f"{where}: nobody can tell whether it admits the archive host {_shown(host)}: {reason}")


def _admitted(state: State, group: str, host: Host) -> bool | None:
    """By name or by every address it is admitted; by none of them it is not; else it depends on which one it uses."""
    if host.name not in ("", "localhost") and state.admits(group, host.name):
        return True
    answers = {state.admits(group, address) for address in host.addresses}
    return answers.pop() if len(answers) == 1 else None


def _shown(host: Host) -> str:
    others = [address for address in host.addresses if address != host.name]
    return f"{host.name} ({', '.join(others)})" if others else host.name


def _service(state: State) -> tuple[str, Options]:
    """Return the IMAP service that archiving uses here; empty when no profile reads this server."""
    name = IMAP_SERVICES[state.archive["imap_access"]]
    used = profiles_here(state) or state.archive.get("profiles") is None
    return name, state.services.get(name, {}) if used else {}


def service_runs(state: State) -> Found:
    name, service = _service(state)
    if service and not service.get("running"):
        yield Problem(
            f"{state.server}: service {name}",
            "it is not running, and archiving logs in over it",
            f"Start it (services: [{{name: {name}, running: true, start_up: automatic}}])",
        )


def service_starts(state: State) -> Found:
    name, service = _service(state)
    if service.get("running") and service.get("start_up") == "manual":
        yield Problem(
            f"{state.server}: service {name}",
            "it is running, but it starts by hand alone, so after a restart of the server archiving cannot log in",
            f"Let it start by itself (services: [{{name: {name}, start_up: automatic}}])",
        )


def access_is_encrypted(state: State) -> Found:
    policy = state.security
    if state.archive["imap_access"] == "IMAP" and policy.get("mode") == "encryption_required":
        group = policy.get("encryption_exception_group")
        if not (group and all(_admitted(state, group, host) is not False for host in state.archive_hosts)):
            yield Problem(
                f"{state.server}: security_policy.mode",
                "it is encryption_required, and archiving logs in over IMAP without encryption",
                "Use the access IMAP-TLS or IMAP-SSL",
            )


def digest_methods(state: State) -> Found:
    on = _methods(state, DIGEST_METHODS, True)
    if not on:
        return
    without = [account.address for account in state.people.accounts if account.enabled and _needs_plain(account)]
    if without:
        off = ", ".join(f"{name}: false" for name in on)
        yield Problem(
            f"{state.server}: security_policy.authentication_methods",
            f"{' and '.join(on)} {'is' if len(on) == 1 else 'are'} on, and cannot work for "
            f"{counted(len(without), 'account')} whose password is in a directory or stored as SHA ({few(without)}), so these "
            "cannot log in wherever a program prefers such a method",
            f"Switch off what cannot work (security_policy: {{authentication_methods: {{{off}}}}})",
        )


def _needs_plain(account: t.Any) -> bool:
    return account.from_directory or account.reversible is False


def _methods(state: State, names: t.Sequence[str], switched: bool) -> list[str]:
    """Return those of ``names`` that the server has switched so, in its own spelling."""
    methods = state.security.get("authentication_methods")
    known = methods.items() if isinstance(methods, dict) else ()
    return sorted(name for name, on in known if name.upper() in names and on is switched)
