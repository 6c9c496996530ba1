# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that no client may accept, put on a Kerio host instead of its own."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.hosts.double import INSTALL, HostServer
from tests.lab import cli_lab


@contextlib.contextmanager
def presented(server: HostServer, folder: Path) -> Iterator[None]:
    """The running server presents the certificate of `folder`."""
    own = server.machine.path(f"{INSTALL}/sslcert")
    kept = own.with_name("sslcert.kept")
    shutil.copytree(own, kept)
    try:
        for name in ("server.crt", "server.key"):
            shutil.copy(folder / name, own / name)
        server.service("restart")
        yield
    finally:
        shutil.rmtree(own)
        kept.rename(own)
        server.service("restart")


def of_another_authority(server: HostServer, folder: Path) -> Path:
    """As one that somebody in between has made for himself."""
    cli_lab.make_certificates(folder, server.name, server.host)
    return folder


def expired(server: HostServer, folder: Path) -> Path:
    return _signed(server, folder, server.name, datetime.timedelta(days=-1))


def for_another_name(server: HostServer, folder: Path) -> Path:
    return _signed(server, folder, f"other-than-{server.name}.example.com", datetime.timedelta(days=30))


def _signed(server: HostServer, folder: Path, name: str, until: datetime.timedelta) -> Path:
    """A certificate by the server's own authority."""
    own = server.machine.path(f"{INSTALL}/sslcert")
    authority = x509.load_pem_x509_certificate((own / "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((own / "ca.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=90))
        .not_valid_after(now + until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    folder.mkdir(parents=True)
    (folder / "server.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return folder
