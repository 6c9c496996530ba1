# SPDX-License-Identifier: GPL-3.0-or-later
"""Free loopback ports, and whether somebody listens on one."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
# Below the ports that Linux gives to outgoing connections (32768 and up), any of which may have one before the server listens.
RANGE = range(12_000, 32_768)
_RANDOM = random.SystemRandom()
_given: set[int] = set()


def free(count: int) -> list[int]:
    """Ports that nobody uses now and that this process was not given before: their server may start much later."""
    found: list[int] = []
    while len(found) < count:
        port = _RANDOM.choice(RANGE)
        if port not in _given and _can_be_bound(port):
            _given.add(port)
            found.append(port)
    return found


def _can_be_bound(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_open(port: int, host: str = HOST) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0
