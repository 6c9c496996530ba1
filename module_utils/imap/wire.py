# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket of one IMAP connection with its one read buffer, which imaplib and the bulk reader share."""

from __future__ import annotations

import socket
import ssl
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import tls
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace
from ansible_collections.mailops.kerio.plugins.module_utils.imap.patient_socket import PatientSocket
from ansible_collections.mailops.kerio.plugins.module_utils.imap.tls_stream import TlsStream

# for answers, and for a bulk transfer: to clear a megabyte costs more than all else that a short connection does
BUFFER = 128 * 1024
BULK_BUFFER = 1024 * 1024
LEAST_READ = 64 * 1024
# bytes of one response in memory
LONGEST = 64 * 1024 * 1024
# Of what is read line by line. A SEARCH answer is one line: this holds a million and a half of the longest UIDs.
LONGEST_LINE = 16 * 1024 * 1024

RETRY = "Check the server and the network, then run again"


class Wire:
    """Bytes ``start`` to ``end`` of ``buffer`` have been received and not consumed.

    ``fill`` may move them, so offsets must be kept relative to ``start``. ``lost`` tells why reading ended ("closed", "timeout",
    "error"), ``bye`` keeps the words of an untagged BYE. With ``pace`` no more is received than it allows. The time-out of
    ``sock`` bounds the whole of an answer: who has read one calls ``answered``.
    """

    def __init__(self, sock: socket.socket, label: str) -> None:
        self._patient = PatientSocket(sock)
        self.sock: PatientSocket | TlsStream = self._patient
        self.label = label
        self.encrypted = False
        self.lost = ""
        self.bye = ""
        self.pace: Pace | None = None
        self.start = 0
        self.end = 0
        self._set_buffer(bytearray(BUFFER))

    def _set_buffer(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.view = memoryview(buffer)

    def start_tls(self, context: ssl.SSLContext, endpoint: Endpoint) -> None:
        """Do the TLS handshake; what came in before it is refused, because nobody vouches for it (CVE-2011-0411)."""
        if self.start != self.end:
            raise ProtocolError(
                self.label,
                "the server, or somebody between, sent plain text behind its answer to STARTTLS",
                "Check who answers on this port, or use IMAP-SSL",
            )
        self.sock = tls.handshake(self._patient, context, endpoint)
        self.encrypted = True
        self.answered()

    def send(self, data: bytes) -> None:
        """Send all of ``data``; NetworkError when it cannot be sent."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise self.failure(error) from None

    def fill(self) -> None:
        """Receive some more bytes behind ``end``; NetworkError at the end of the stream and at a time-out."""
        if self.start == self.end:
            self.start = self.end = 0
        elif len(self.buffer) - self.end < LEAST_READ:
            self.make_room(self.end - self.start + LEAST_READ)
        self.end += self.receive_into(self.view[self.end :])

    def make_room(self, size: int) -> None:
        """Let ``size`` bytes from ``start`` on fit: move what is there to the front, of a larger buffer if need be."""
        if self.start + size <= len(self.buffer):
            return
        waiting = self.end - self.start
        if size <= len(self.buffer):
            self.view[:waiting] = self.view[self.start : self.end]
        elif size > LONGEST:
            raise ProtocolError(self.label, f"the server sent an answer of more than {LONGEST} bytes", "Report it to its vendor")
        else:
            larger = bytearray(max(size + LEAST_READ, min(2 * len(self.buffer), LONGEST)))
            larger[:waiting] = self.view[self.start : self.end]
            self._set_buffer(larger)
        self.start, self.end = 0, waiting

    def receive_into(self, target: memoryview) -> int:
        """Receive at least one byte."""
        pace = self.pace
        try:
            count = self.sock.recv_into(target if pace is None else target[: pace.bite])
        except OSError as error:
            raise self.failure(error) from None
        if not count:
            self.lost = "closed"
            words = f"the server closed the connection: {self.bye}" if self.bye else "the server closed the connection"
            raise NetworkError(self.label, words, RETRY)
        if pace is not None:
            pace.took(count)
        return count

    def answered(self) -> None:
        """Give the next answer all of the time: one has come whole."""
        self._patient.renew()

    def keep_to(self, pace: Pace | None) -> None:
        """Receive at this pace from now on; the server must not send far ahead of it."""
        self.pace = pace
        if pace is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, max(LEAST_READ, pace.rate // 4))

    def failure(self, error: OSError) -> NetworkError:
        """Return what an error of the operating system or of TLS means here."""
        if isinstance(error, TimeoutError):
            self.lost = "timeout"
            what = "finish its answer" if self._patient.begun else "answer"
            cause = f"the server did not {what} within {self.sock.gettimeout():g} seconds"
            return NetworkError(self.label, cause, RETRY, silent=True)
        gone = isinstance(error, (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError))
        self.lost = "closed" if gone else "error"
        words = self.bye or (error.strerror if error.strerror and not isinstance(error, ssl.SSLError) else str(error))
        return NetworkError(self.label, f"the connection broke: {words}", RETRY)

    def peek_line(self) -> bytes:
        """Return the next line with its end and leave it to be read again."""
        scanned = 0
        while (at := self.buffer.find(b"\n", self.start + scanned, self.end)) < 0:
            scanned = self.end - self.start
            if scanned > LONGEST_LINE:
                cause = f"the server sent a line of more than {LONGEST_LINE} bytes"
                raise ProtocolError(self.label, cause, "Report it to its vendor")
            self.fill()
        return bytes(self.view[self.start : at + 1])

    def read_line(self) -> bytes:
        """Return the next line with its end."""
        line = self.peek_line()
        self.start += len(line)
        return line

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes."""
        taken = bytearray(self.view[self.start : min(self.end, self.start + size)])
        self.start += len(taken)
        while len(taken) < size:
            self.fill()
            part = self.view[self.start : min(self.end, self.start + size - len(taken))]
            taken += part
            self.start += len(part)
        return bytes(taken)

    def stream(self, size: int, write: t.Callable[[memoryview], t.Any]) -> None:
        """Hand the next ``size`` bytes to ``write`` piece by piece; nothing else may be waiting that is needed later."""
        at_hand = min(size, self.end - self.start)
        write(self.view[self.start : self.start + at_hand])
        self.start += at_hand
        left = size - at_hand
        while left:
            count = self.receive_into(self.view[: min(left, len(self.buffer))])
            write(self.view[:count])
            left -= count
            self.start = self.end = 0

    def close(self) -> None:
        """Close without a word; never raises."""
        self.lost = self.lost or "closed"
        self.sock.close()


def connect(endpoint: Endpoint) -> Wire:
    """Open the TCP connection; NetworkError says why not."""
    remedy = "Check host and port, that the IMAP service runs, and the firewall between"
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), endpoint.timeout)
    except TimeoutError:
        cause = f"the connection was not accepted within {endpoint.timeout:g} seconds"
    except socket.gaierror as error:
        cause = f"the host name cannot be resolved: {error.strerror}"
    except ConnectionRefusedError:
        cause = "connection refused, nothing listens on this port"
    except OSError as error:
        cause = error.strerror or str(error)
    except UnicodeError as error:
        cause = f"this is no host name: {error}"
    else:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Wire(sock, endpoint.label)
    raise NetworkError(endpoint.label, cause, remedy)
