# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of archive hosts, as the host that runs the module sees them."""

from __future__ import annotations

import ipaddress
import socket
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import Host

LOCAL = "localhost"


def resolve(name: str, server: str, port: int) -> Host:
    """Return an archive host with its addresses; ``localhost`` is what this host's address is towards the server.

    So is any other address of the loopback: no server sees a connection from another host as one from there.
    """
    name = name.strip()
    if _is_address(name) and not ipaddress.ip_address(name).is_loopback:
        return Host(name, (name,))
    try:
        found = list(_sources(server, port)) if name.lower() == LOCAL else list(_listed(name, server, port))
    except OSError as error:
        return Host(name, (), f"{error.strerror or error}")
    return Host(name, tuple(dict.fromkeys(found)))


def _listed(name: str, server: str, port: int) -> t.Iterator[str]:
    for _family, _kind, _protocol, _name, place in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM):
        address = str(place[0])
        # The name of this very host may be one of the loopback, which is not what the server sees.
        if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            yield from _sources(server, port)
        else:
            yield address


def _sources(server: str, port: int) -> t.Iterator[str]:
    """Yield the address that is used towards the server. Connecting a datagram socket sends nothing."""
    family, kind, protocol, _name, place = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(place)
        yield str(probe.getsockname()[0])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
