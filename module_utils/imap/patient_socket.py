# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket whose time-out bounds the whole of an answer."""

from __future__ import annotations

import socket
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.patience import Patience


class PatientSocket:
    """As much of a socket as ``Wire`` and ``TlsStream`` need. Its time-out is spent as ``Patience`` has it, until ``renew``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._patience = Patience(sock.gettimeout())

    @property
    def begun(self) -> bool:
        """Whether some of the answer has come since ``renew``."""
        return self._patience.came > 0

    def renew(self) -> None:
        """Give the next answer all of the time."""
        self._patience.renew()

    def recv_into(self, target: memoryview) -> int:
        """Receive at least one byte, 0 at the end of the stream; TimeoutError when there is no time left."""
        return self._patience.spend(self._sock, lambda: self._sock.recv_into(target))

    def sendall(self, data: t.Any) -> None:
        """Send all of it; the time-out bounds that as a whole already."""
        self._sock.sendall(data)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Set an option of the socket."""
        self._sock.setsockopt(level, option, value)

    def settimeout(self, seconds: float | None) -> None:
        """Give the next answer so much time, and those after it."""
        self._sock.settimeout(seconds)
        self._patience = Patience(seconds)

    def gettimeout(self) -> float | None:
        """How much time an answer has."""
        return self._patience.limit

    def getsockname(self) -> tuple[str, int]:
        """Our own address."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def close(self) -> None:
        """Close without a word."""
        self._sock.close()
