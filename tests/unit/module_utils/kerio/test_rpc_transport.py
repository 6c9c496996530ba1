# SPDX-License-Identifier: GPL-3.0-or-later
"""One request over real sockets on loopback: what comes through, and what each failure is called."""

from __future__ import annotations

import contextlib
import datetime
import errno
import http.server
import ipaddress
import json
import socket
import ssl
import threading
import typing as t
from pathlib import Path

import pytest
import requests
import urllib3.util.connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    CertificateError,
    InputError,
    MissingLibraryError,
    NetworkError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import rpc_transport
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc_transport import (
    ConnectionRefusedByHostError,
    Endpoint,
    Transport,
)
from tests.unit.dripping import LIMIT, MANY, Drip, drops
from tests.unit.module_utils.imap.certificates import Authority

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def write_certificate(folder: Path, name: str, alternative: x509.GeneralName, expires: datetime.datetime = NOW + DAY) -> Path:
    """Write a certificate that signed itself, with its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 9 * DAY)
        .not_valid_after(expires)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return {
        "good": write_certificate(folder, "good", loopback),
        "other_name": write_certificate(folder, "other_name", x509.DNSName("mail9.example.com")),
        "expired": write_certificate(folder, "expired", loopback, NOW - DAY),
    }


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent, and sets a cookie whose name nobody could guess."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = json.dumps({"path": self.path, "headers": dict(self.headers), "body": body}).encode()
        self.send_response(302 if body == "redirect" else 200)
        self.send_header("Set-Cookie", "A_NAME_OF_TODAY=value; Path=/; Secure; HttpOnly")
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: object) -> None:
        pass


@contextlib.contextmanager
def https(certificate: Path) -> t.Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def raw(serve: t.Callable[[socket.socket], None], certificate: Path | None = None) -> t.Iterator[int]:
    """Serve one connection with ``serve``, over TLS if there is a certificate."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _address = listener.accept()
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def greet(connection: socket.socket) -> None:
    """Greet as an IMAP server does, and read until the client gives up: closing earlier could take the greeting back."""
    connection.sendall(b"* OK IMAP4rev1 server ready\r\n")
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(4096):
            pass


def post(port: int, *, times: int = 1, body: bytes = b"{}", **options: t.Any) -> list[dict[str, t.Any]]:
    transport = Transport(
        Endpoint("mail1", options.pop("host", "127.0.0.1"), port, timeout=options.pop("timeout", 10), **options)
    )
    try:
        replies = [transport.exchange("Archive.get", body, {"X-Token": "abc"}) for _ in range(times)]
    finally:
        transport.close()
    return [{"status": reply.status, **json.loads(reply.body)} for reply in replies]


def test_request_has_the_headers_of_the_api_and_returns_any_cookie(certificates: dict[str, Path]) -> None:
    with https(certificates["good"]) as port:
        first, second = post(port, times=2, ca_file=str(certificates["good"]))
    assert (first["status"], first["path"], first["body"]) == (200, "/admin/api/jsonrpc/", "{}")
    assert first["headers"]["Content-Type"] == "application/json-rpc; charset=UTF-8"
    assert first["headers"]["Accept"] == "application/json-rpc"
    assert first["headers"]["X-Token"] == "abc"
    assert "Cookie" not in first["headers"]
    assert second["headers"]["Cookie"] == "A_NAME_OF_TODAY=value"


def test_authority_without_the_extensions_that_strict_checks_want_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.server_context()
    served = tmp_path / "served.pem"
    served.write_bytes((tmp_path / "server.pem").read_bytes() + (tmp_path / "server.key").read_bytes())
    with https(served) as port:
        assert post(port, ca_file=str(authority.ca_file))[0]["status"] == 200


def test_redirect_is_not_followed(certificates: dict[str, Path]) -> None:
    with https(certificates["good"]) as port:
        (reply,) = post(port, body=b"redirect", ca_file=str(certificates["good"]))
    assert (reply["status"], reply["path"]) == (302, "/admin/api/jsonrpc/")


def test_environment_does_not_say_where_the_password_goes(certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with https(certificates["good"]) as port:
        assert post(port, ca_file=str(certificates["good"]))[0]["status"] == 200


def test_certificate_is_not_verified_when_the_operator_says_so(certificates: dict[str, Path]) -> None:
    with https(certificates["other_name"]) as port:
        assert post(port, validate_certs=False)[0]["status"] == 200


@pytest.mark.parametrize(
    ("served", "trusted", "cause", "remedy"),
    [
        ("good", None, "self-signed certificate", "ca_file"),
        ("good", "other_name", "certificate verify failed|self-signed", "ca_file"),
        ("other_name", "other_name", "IP address mismatch", "api_host"),
        ("expired", "expired", "expired", "Renew"),
    ],
)
def test_certificate_that_cannot_be_verified(
    certificates: dict[str, Path], served: str, trusted: str | None, cause: str, remedy: str
) -> None:
    ca_file = str(certificates[trusted]) if trusted else None
    with https(certificates[served]) as port, pytest.raises(CertificateError, match=cause) as caught:
        post(port, ca_file=ca_file)
    assert remedy in caught.value.remedy


def test_name_that_the_certificate_does_not_carry(certificates: dict[str, Path]) -> None:
    with https(certificates["other_name"]) as port, pytest.raises(CertificateError, match="Hostname mismatch") as caught:
        post(port, host="localhost", ca_file=str(certificates["other_name"]))
    assert "Use a name that the certificate carries" in caught.value.remedy


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedByHostError, match=f"127.0.0.1:{port}"):
        post(port)


def test_port_without_tls() -> None:
    with raw(greet) as port, pytest.raises(NetworkError, match="does not speak TLS") as caught:
        post(port)
    assert "api_port" in caught.value.remedy


def test_port_with_tls_and_another_protocol(certificates: dict[str, Path]) -> None:
    with raw(greet, certificates["good"]) as port, pytest.raises(NetworkError) as caught:
        post(port, ca_file=str(certificates["good"]))
    assert caught.value.cause == "what listens there does not speak HTTP: '* OK IMAP4rev1 server ready'"
    assert "api_port" in caught.value.remedy


def test_connection_that_closes_without_an_answer(certificates: dict[str, Path]) -> None:
    with raw(socket.socket.close, certificates["good"]) as port, pytest.raises(NetworkError, match="the connection broke"):
        post(port, ca_file=str(certificates["good"]))


def test_connection_that_ends_inside_tls_is_not_taken_for_another_protocol() -> None:
    ended = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
    error = rpc_transport.explain(Endpoint("mail1", "127.0.0.1"), "Archive.get", requests.exceptions.SSLError(ended))
    assert "Archive.get: the connection broke" in str(error)


def test_hang_names_method_and_remedy(certificates: dict[str, Path]) -> None:
    over = threading.Event()
    with raw(lambda _connection: t.cast(None, over.wait(30)), certificates["good"]) as port:
        with pytest.raises(NetworkError, match=r"Archive.get: no answer within 0\.3 s") as caught:
            post(port, timeout=0.3, ca_file=str(certificates["good"]))
        over.set()
    assert "full administration" in caught.value.remedy
    assert type(caught.value) is NetworkError


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n"


@pytest.mark.parametrize(
    ("at_once", "by_drops"),
    [
        (b"", b"HTTP/1.1 200 " + b"x" * MANY),
        (HEAD, b"X-More: " + b"x" * MANY),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MANY, b"x" * MANY),
    ],
    ids=["status", "headers", "body"],
)
@pytest.mark.parametrize("verified", [True, False])
def test_an_answer_by_drops_is_given_up_when_its_time_is_spent(
    certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch, at_once: bytes, by_drops: bytes, verified: bool
) -> None:
    drip = Drip(monkeypatch, drops(by_drops))

    def serve(connection: socket.socket) -> None:
        connection.sendall(at_once)
        with contextlib.suppress(OSError):
            drip.send(connection.sendall)

    trust = {"ca_file": str(certificates["good"])} if verified else {"validate_certs": False}
    with raw(serve, certificates["good"]) as port, pytest.raises(NetworkError) as caught:
        post(port, timeout=LIMIT, **trust)
    assert drip.was_cut()
    assert caught.value.subject == f"mail1 (127.0.0.1:{port}): Archive.get"
    assert caught.value.cause == "no answer within 10 s; the server may have executed the call all the same"


def test_a_handshake_by_drops_is_given_up_when_its_time_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    # A record of 16 KB. OpenSSL reads it in one call, by a clock of its own.
    drip = Drip(monkeypatch, drops(b"\x16\x03\x03\x40\x00" + b"\x02" * MANY))

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            drip.send(connection.sendall)

    with raw(serve) as port, pytest.raises(NetworkError, match=r"no answer within 0\.1 s"):
        post(port, timeout=0.1)
    assert drip.was_cut()


def test_each_call_has_the_time_anew(certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    drips = Drip(monkeypatch, [b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n", b'{"answer": 1}'])

    def serve(connection: socket.socket) -> None:
        while asked := connection.recv(65_536):
            if asked.endswith(b"{}"):
                drips.send(connection.sendall)

    with raw(serve, certificates["good"]) as port:
        replies = post(port, times=3, timeout=LIMIT, ca_file=str(certificates["good"]))
    assert replies == [{"status": 200, "answer": 1}] * 3


def test_silence_at_the_login_is_not_a_matter_of_rights() -> None:
    error = rpc_transport.explain(Endpoint("mail1", "127.0.0.1", timeout=3), "Session.login", requests.exceptions.ReadTimeout())
    assert (error.subject, error.cause) == ("mail1 (127.0.0.1:4040): Session.login", "no answer within 3 s")
    assert "api_port" in error.remedy
    assert "full administration" not in error.remedy


def test_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_more: object) -> t.NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NetworkError, match="cannot be resolved: Name or service not known"):
        post(4040, host="mail9.example.com")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "cannot be reached: No route to host"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "cannot be reached: Network is unreachable"),
        (TimeoutError("timed out"), "no connection within 10 s"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    ],
)
def test_host_that_is_not_there(monkeypatch: pytest.MonkeyPatch, failure: OSError, words: str) -> None:
    def fail(*_arguments: object, **_more: object) -> t.NoReturn:
        raise failure

    monkeypatch.setattr(urllib3.util.connection, "create_connection", fail)
    with pytest.raises(NetworkError, match=words) as caught:
        post(4040)
    assert type(caught.value) is NetworkError


def test_ca_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        post(4040, ca_file=str(tmp_path / "missing.pem"))


def test_ca_file_without_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    with pytest.raises(InputError, match="PEM"):
        post(4040, ca_file=str(tmp_path / "empty.pem"))


def test_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_transport, "MISSING", ImportError("No module named 'requests'"))
    with pytest.raises(MissingLibraryError, match="No module named 'requests'"):
        Transport(Endpoint("mail1", "127.0.0.1"))


def test_address_of_ipv6_is_bracketed_and_the_label_kept() -> None:
    endpoint = Endpoint("mail1", "::1", 4041)
    assert endpoint.url == "https://[::1]:4041/admin/api/jsonrpc/"
    assert endpoint.where == "mail1 (::1:4041)"
    assert Endpoint("mail1", "mail1").where == "mail1:4040"
