# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS over memory: the bytes that were sent, in their order, and what ends them."""

from __future__ import annotations

import socket
import ssl
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.imap.patient_socket import PatientSocket
from ansible_collections.mailops.kerio.plugins.module_utils.imap.tls_stream import RECEIVED, TlsStream
from tests.unit.module_utils.imap.certificates import Authority, trusting

Serve = t.Callable[[ssl.SSLSocket], None]
SECONDS = 10


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Served:
    """A server of one connection that does ``serve`` after the handshake; ``failure`` is what TLS said there."""

    def __init__(self, context: ssl.SSLContext, serve: Serve) -> None:
        self.failure: OSError | None = None
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.settimeout(SECONDS)
        self._thread = threading.Thread(target=self._run, args=(context, serve))
        self._thread.start()

    def _run(self, context: ssl.SSLContext, serve: Serve) -> None:
        try:
            with context.wrap_socket(self._theirs, server_side=True) as link:
                serve(link)
        except OSError as error:
            self.failure = error
            self._theirs.close()

    def connect(self, ca_file: Path) -> TlsStream:
        return TlsStream(self._ours, trusting(ca_file), "localhost")

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ours.close()
        self._thread.join()


def received(stream: TlsStream, size: int) -> t.Iterator[bytes]:
    """All pieces up to the end, asked for in a buffer of ``size`` bytes."""
    buffer = memoryview(bytearray(size))
    while count := stream.recv_into(buffer):
        yield bytes(buffer[:count])


@pytest.mark.parametrize("record", [1, 1000, 4096, 16_384])
@pytest.mark.parametrize("size", [1, 999, 70_000])
def test_what_is_sent_arrives_whole_and_in_order(authority: Authority, record: int, size: int) -> None:
    sent = bytes(number * number % 251 for number in range(min(5 * RECEIVED, 3000 * record, 3000 * size)))

    def serve(link: ssl.SSLSocket) -> None:
        for start in range(0, len(sent), record):
            link.sendall(sent[start : start + record])

    with Served(authority.server_context(), serve) as served:
        assert b"".join(received(served.connect(authority.ca_file), size)) == sent


def test_records_that_are_there_come_at_once(authority: Authority) -> None:
    written = threading.Event()

    def serve(link: ssl.SSLSocket) -> None:
        for _record in range(8):
            link.sendall(b"x" * 1000)
        written.set()
        link.recv(1)

    with Served(authority.server_context(), serve) as served:
        stream = served.connect(authority.ca_file)
        assert written.wait(SECONDS)
        assert len(next(received(stream, 70_000))) == 8000
        stream.sendall(b"x")


@pytest.mark.parametrize("end", [socket.socket.close, lambda link: link.unwrap()])
def test_last_words_come_before_the_end(authority: Authority, end: t.Callable[[t.Any], t.Any]) -> None:
    def serve(link: ssl.SSLSocket) -> None:
        link.sendall(b"* BYE\r\n")
        end(link)

    with Served(authority.server_context(), serve) as served:
        stream = served.connect(authority.ca_file)
        buffer = memoryview(bytearray(100))
        assert bytes(buffer[: stream.recv_into(buffer)]) == b"* BYE\r\n"
        stream.settimeout(None)
        served._ours.shutdown(socket.SHUT_WR)
        assert stream.recv_into(buffer) == 0


def test_what_is_sent_is_encrypted_and_arrives(authority: Authority) -> None:
    got: list[bytes] = []

    def serve(link: ssl.SSLSocket) -> None:
        while data := link.recv(65_536):
            got.append(data)

    with Served(authority.server_context(), serve) as served:
        stream = served.connect(authority.ca_file)
        stream.sendall(b"y" * 100_000)
        stream.close()
    assert b"".join(got) == b"y" * 100_000


def test_silence_is_a_timeout(authority: Authority) -> None:
    with Served(authority.server_context(), lambda link: t.cast("None", link.recv(1))) as served:
        stream = served.connect(authority.ca_file)
        stream.settimeout(0.1)
        assert stream.gettimeout() == 0.1
        with pytest.raises(TimeoutError):
            stream.recv_into(memoryview(bytearray(10)))


def test_bytes_that_are_no_record_are_an_error(authority: Authority) -> None:
    def serve(link: ssl.SSLSocket) -> None:
        plain = socket.socket(fileno=link.detach())
        plain.sendall(b"* OK in plain text all of a sudden\r\n")
        plain.close()

    with Served(authority.server_context(), serve) as served:
        stream = served.connect(authority.ca_file)
        with pytest.raises(ssl.SSLError):
            stream.recv_into(memoryview(bytearray(10)))


def test_a_server_that_is_not_trusted_hears_why(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    with Served(authority.server_context(), lambda _link: None) as served, pytest.raises(ssl.SSLCertVerificationError):
        served.connect(other.ca_file)
    assert isinstance(served.failure, ssl.SSLError)
    assert served.failure.reason == "TLSV1_ALERT_UNKNOWN_CA"


def test_the_reason_is_told_although_the_server_is_gone(authority: Authority, tmp_path: Path) -> None:
    class Gone(socket.socket):
        """Sends the first flight, and finds nobody there for the second."""

        sent = 0

        def sendall(self, data: t.Any, *flags: int) -> None:
            Gone.sent += 1
            if Gone.sent > 1:
                raise BrokenPipeError
            super().sendall(data, *flags)

    other = Authority(tmp_path)
    context = trusting(other.ca_file)
    with Served(authority.server_context(), lambda _link: None) as served:
        with Gone(fileno=served._ours.detach()) as gone, pytest.raises(ssl.SSLCertVerificationError):
            gone.settimeout(SECONDS)
            TlsStream(gone, context, "localhost")
        assert Gone.sent == 2


def test_the_time_out_bounds_the_whole_handshake(authority: Authority) -> None:
    ours, theirs = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        # The header of a record of 16 KB, and then a byte now and then.
        theirs.sendall(b"\x16\x03\x03\x40\x00")
        while not ended.wait(0.05):
            theirs.sendall(b"\x02")

    dripping = threading.Thread(target=drip)
    dripping.start()
    ours.settimeout(0.3)
    context = trusting(authority.ca_file)
    try:
        with pytest.raises(TimeoutError):
            TlsStream(PatientSocket(ours), context, "localhost")
        assert ours.gettimeout() == 0.3
    finally:
        ended.set()
        dripping.join()
        ours.close()
        theirs.close()
