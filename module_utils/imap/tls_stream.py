# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS over memory: what the socket has is received at once, not record by record.

Servers send records of a few kilobytes, Dovecot's proxy of 4. An ``ssl.SSLSocket`` asks the kernel twice for each, for its header
and its content, and returns after each; that is a third of what the client spends on TLS.
"""

from __future__ import annotations

import contextlib
import ssl
import typing as t

if t.TYPE_CHECKING:
    import socket

    from ansible_collections.mailops.kerio.plugins.module_utils.imap.patient_socket import PatientSocket

RECEIVED = 128 * 1024  # bytes at a time


class TlsStream:
    """As much of a socket as ``Wire`` needs, encrypted. Raises what the handshake raises; the caller closes the socket then."""

    def __init__(self, sock: socket.socket | PatientSocket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=host)
        self._view = memoryview(bytearray(RECEIVED))
        self._shake_hands()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._receive()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self._flush()  # the alert that tells the server why
                raise
            else:
                self._flush()
                return

    def _receive(self) -> None:
        self._flush()  # what the other side waits for: a part of the handshake, or the answer to a change of keys
        count = self._sock.recv_into(self._view)
        if count:
            self._received.write(self._view[:count])
        else:
            self._received.write_eof()

    def _flush(self) -> None:
        if self._to_send.pending:
            self._sock.sendall(self._to_send.read())

    def recv_into(self, target: memoryview) -> int:
        """Receive at least one byte, and as many as there are without waiting; 0 at the end of the stream."""
        count = 0
        read = t.cast("t.Callable[[int, memoryview], int]", self._tls.read)  # into a buffer it returns how much that was
        size = len(target)
        while count < size:
            try:
                some = read(size - count, target[count:])
            except ssl.SSLWantReadError:
                if count:
                    break
                self._receive()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
            if not some:
                break
            count += some
        return count

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._tls.write(data)
        self._flush()

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Set an option of the socket."""
        self._sock.setsockopt(level, option, value)

    def settimeout(self, seconds: float | None) -> None:
        """Give the next answer so much time, and those after it."""
        self._sock.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """How much time an answer has."""
        return self._sock.gettimeout()

    def getsockname(self) -> tuple[str, int]:
        """Our own address."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def certificate(self) -> t.Mapping[str, t.Any]:
        """What the server's certificate says, as ``getpeercert`` tells it; empty when it was not verified."""
        return self._tls.getpeercert() or {}

    def close(self) -> None:
        """Close without a word."""
        self._sock.close()
