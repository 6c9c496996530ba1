# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates made by openssl: one authority, and server certificates of every quality."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """An authority in ``folder``; ``ca_file`` is what a client trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        self._key = folder / "ca.key"
        openssl("req", "-x509", *KEY, "-days", "30", "-subj", "/CN=Lab CA", "-keyout", self._key, "-out", self.ca_file)

    def server_context(
        self, name: str = "DNS:localhost,IP:127.0.0.1", dates: tuple[str, ...] = ("-days", "30")
    ) -> ssl.SSLContext:
        """Return a server's context with a certificate for ``name`` (a subjectAltName)."""
        key, request, certificate, extensions = (self._folder / f"server.{end}" for end in ("key", "csr", "pem", "ext"))
        extensions.write_text(f"subjectAltName={name}\n", encoding="ascii")
        openssl("req", "-new", *KEY, "-subj", "/CN=server", "-keyout", key, "-out", request)
        signed: tuple[str | Path, ...] = (
            "-CA",
            self.ca_file,
            "-CAkey",
            self._key,
            "-set_serial",
            "2",
            "-extfile",
            extensions,
            *dates,
        )
        openssl("x509", "-req", "-in", request, *signed, "-out", certificate)
        return load(certificate, key)

    def self_signed(self) -> tuple[ssl.SSLContext, Path]:
        """Return the context of a server that signed its own certificate, and that certificate."""
        key, certificate = self._folder / "own.key", self._folder / "own.pem"
        extensions = ("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE")
        openssl("req", "-x509", *KEY, "-days", "30", "-subj", "/CN=own", *extensions, "-keyout", key, "-out", certificate)
        return load(certificate, key), certificate


def load(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def trusting(ca_file: Path) -> ssl.SSLContext:
    """Return a client's context, without the strict checks of Python 3.13, which authorities of tests need not pass."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
