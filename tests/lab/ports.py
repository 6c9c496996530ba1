# SPDX-License-Identifier: GPL-3.0-or-later
"""Free loopback ports, and whether somebody listens on one."""

from __future__ import annotations

import contextlib
import socket

HOST = "127.0.0.1"


def free(count: int) -> list[int]:
    """Ports that nobody uses now; held together so that all differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in sockets]


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((HOST, port)) == 0
