# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: trusted ones pass, and every other one is refused for its own reason."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    CertificateError,
    InputError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Access, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.greeting import open_reader
from ansible_collections.mailops.kerio.plugins.module_utils.imap.tls import make_context
from tests.unit.imap_script import OK_GREETING, Peer, Server, serving
from tests.unit.module_utils.imap.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def greeted(server: Server, host: str = "localhost", ca_file: Path | None = None, *, validate: bool = True) -> None:
    """Connect with TLS and read the greeting."""
    endpoint = Endpoint(host, server.port, Access.IMAP_SSL, None if ca_file is None else str(ca_file), validate, 10)
    open_reader(endpoint).wire.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_trusted_certificate(authority: Authority, host: str) -> None:
    with serving([OK_GREETING, Peer.wait_for_close], context=authority.server_context()) as server:
        greeted(server, host, authority.ca_file)


def test_server_that_signed_itself_is_trusted_by_its_own_certificate(authority: Authority) -> None:
    context, certificate = authority.self_signed()
    with serving([OK_GREETING, Peer.wait_for_close], [], context=context) as server:
        greeted(server, ca_file=certificate)
        with pytest.raises(CertificateError, match=r"not trusted: self.signed certificate"):
            greeted(server)


def test_certificate_is_trusted_by_itself_when_its_authority_is_unknown(authority: Authority) -> None:
    with serving([OK_GREETING, Peer.wait_for_close], context=authority.server_context()) as server:
        greeted(server, ca_file=authority.ca_file.with_name("server.pem"))


def test_unknown_authority(authority: Authority) -> None:
    with (
        serving([], context=authority.server_context()) as server,
        pytest.raises(CertificateError, match=r"unable to get local issuer certificate.*Set ca_file"),
    ):
        greeted(server)


def test_expired(authority: Authority) -> None:
    with (
        serving([], context=authority.server_context(dates=("-days", "-1"))) as server,
        pytest.raises(CertificateError, match=r"certificate has expired. Renew"),
    ):
        greeted(server, ca_file=authority.ca_file)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_other_name(authority: Authority, host: str) -> None:
    with (
        serving([], context=authority.server_context("DNS:mail2.example.com")) as server,
        pytest.raises(CertificateError, match=r"mismatch.*Use the host name that the certificate carries"),
    ):
        greeted(server, host, authority.ca_file)


def test_nothing_is_verified_when_the_operator_says_so(authority: Authority) -> None:
    context = authority.server_context("DNS:mail2.example.com", ("-days", "-1"))
    with serving([OK_GREETING, Peer.wait_for_close], context=context) as server:
        greeted(server, validate=False)


def test_plain_server_on_a_tls_port() -> None:
    with (
        serving([OK_GREETING, Peer.wait_for_close]) as server,
        pytest.raises(ProtocolError, match="does not speak TLS on this port"),
    ):
        greeted(server)


def test_server_that_stays_silent_or_closes_in_the_handshake() -> None:
    with serving([Peer.wait_for_close], [lambda peer: peer.sock.close()]) as server:
        with pytest.raises(NetworkError, match=r"the TLS handshake did not finish within 0\.3 seconds"):
            open_reader(Endpoint("localhost", server.port, timeout=0.3))
        with pytest.raises(NetworkError, match="the TLS handshake failed"):
            greeted(server)


def test_ca_file_that_cannot_be_used(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n", encoding="ascii")
    for path, cause in ((tmp_path / "absent.pem", "No such file"), (empty, "no certificate in PEM form")):
        with pytest.raises(InputError, match=cause):
            open_reader(Endpoint("localhost", 1, Access.IMAP_SSL, str(path)))


def test_connections_alike_share_what_is_trusted_until_the_file_changes(authority: Authority) -> None:
    endpoint = Endpoint("mail1.example.com", 993, Access.IMAP_SSL, str(authority.ca_file))
    context = make_context(endpoint)
    assert make_context(Endpoint("mail2.example.com", 993, Access.IMAP_SSL, str(authority.ca_file))) is context
    unverified = make_context(Endpoint("mail1.example.com", 993, Access.IMAP_SSL, str(authority.ca_file), False))
    assert (unverified.verify_mode, context.verify_mode) == (ssl.CERT_NONE, ssl.CERT_REQUIRED)
    assert context.check_hostname
    authority.ca_file.write_text("no certificate\n", encoding="ascii")
    with pytest.raises(InputError, match="no certificate in PEM form"):
        make_context(endpoint)


def test_strict_checks_of_newer_pythons_are_off(authority: Authority) -> None:
    context = make_context(Endpoint("localhost", 993, Access.IMAP_SSL, str(authority.ca_file)))
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
