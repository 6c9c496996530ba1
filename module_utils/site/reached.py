# SPDX-License-Identifier: GPL-3.0-or-later
"""How servers are reached over IMAP, from the variables of the role kerio_connect."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json, Reader, Variables, entries

# An address of the administration may have a port, and one of IPv6 brackets.
WITH_PORT = re.compile(r"^\[(.+)\](?::[0-9]+)?$|^([^:]+):[0-9]+$")
# Option of archive_run -> the variable that it has its value from, and what it is without one.
Options = dict[str, tuple[tuple[str, ...], Json]]
WAY: Options = {
    "port": (("kerio_connect_imap_port",), None),
    "access": (("kerio_connect_imap_access",), "IMAP-SSL"),
    "ca_file": (("kerio_connect_imap_ca_file", "kerio_connect_ca_file"), None),
    "validate_certs": (("kerio_connect_imap_validate_certs", "kerio_connect_validate_certs"), True),
}
LIMITS: Options = {
    "timeout": (("kerio_connect_imap_timeout",), 60),
    "connections": (("kerio_connect_imap_connections",), 8),
    "bandwidth": (("kerio_connect_imap_bandwidth",), None),
    "refused": (("kerio_connect_master_refused",), None),
}


def name_of(reader: Reader, host: str) -> Json:
    """Return the name by which archives and profiles know a server."""
    return reader.value(reader.host(host), "kerio_connect_name", default=host)


def servers(reader: Reader, hosts: t.Iterable[str]) -> list[Json]:
    """Return the servers as archive_run takes them. Of one whose variables cannot be used nothing but its name is read."""
    return [server(reader, host) for host in hosts]


def server(reader: Reader, host: str) -> dict[str, Json]:
    """Return one of them."""
    own = usable(reader, host)
    found = {**way(reader, host), **_values(reader, own, LIMITS)}
    for option, key in (("master_password", "password"), ("other_master_password", "other_password")):
        found[option] = reader.value(own, "kerio_connect_master_authentication", key)
    return found


def way(reader: Reader, host: str) -> dict[str, Json]:
    """Return the name of a server and how it is reached, without secrets."""
    own = usable(reader, host)
    administration = str(reader.first(own, "kerio_connect_host", "ansible_host", default=host))
    return {
        "name": name_of(reader, host),
        "host": reader.value(own, "kerio_connect_imap_host", default=WITH_PORT.sub(r"\1\2", administration)),
        **_values(reader, own, WAY),
    }


def usable(reader: Reader, host: str) -> Variables:
    """Return the variables of a server; none when they cannot be used."""
    known = reader.host(host)
    return known if "kerio_variables_wrong" not in known else {}


def _values(reader: Reader, own: Variables, options: Options) -> dict[str, Json]:
    return {option: reader.first(own, *names, default=default) for option, (names, default) in options.items()}


def mailboxes(reader: Reader, hosts: t.Iterable[str]) -> list[Json]:
    """Return the archive mailboxes, those of single domains included: they are nobody's."""
    found = []
    for host in hosts:
        archiving = reader.value(usable(reader, host), "kerio_connect_archiving", default={})
        parts = [archiving, *entries(reader.value(archiving, "domains"))]
        found += [reader.value(part, "remote_address") for part in parts]
    return list(dict.fromkeys(filter(None, found)))


def for_logins(reader: Reader, hosts: t.Iterable[str]) -> list[Json]:
    """Return the servers that logins to the archive are asked of, without their secrets; of one name the first alone.

    At how many failed logins each of them acts is told as far as that is declared.
    """
    found: dict[str, dict[str, Json]] = {}
    for host in hosts:
        name = str(name_of(reader, host))
        if name not in found:
            found[name] = {**way(reader, host), **limits(reader, reader.host(host))}
    return list(found.values())


def limits(reader: Reader, own: Variables) -> dict[str, Json]:
    """Return at how many failed logins a server acts; also of one that is left out for a value that can be read."""
    readable = "kerio_variables_wrong" not in own or reader.value(own, "kerio_values_refused", default=False)
    policy = reader.value(own, "kerio_connect_security_policy", default={}) if readable else {}
    locks = reader.value(policy, "lockout", default=True)
    excepted = reader.value(policy, "anti_hammering_exception_group", default="")
    blocks = reader.value(policy, "anti_hammering", default=True) and not excepted
    return {
        "failed_logins_to_lock": number(reader.value(policy, "failed_logins_to_lock")) if locks else None,
        "failed_logins_to_block": number(reader.value(policy, "anti_hammering_failed_logins")) if blocks else None,
    }


def number(value: Json) -> Json:
    """Return a whole number as it is declared, None for all else."""
    return value if re.fullmatch("[0-9]+", str(value)) else None
