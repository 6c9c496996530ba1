# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS: what is trusted, and what a failed handshake means for the operator."""

from __future__ import annotations

import contextlib
import ssl
from functools import lru_cache
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import trust
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    CertificateError,
    NetworkError,
    ProtocolError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.patient_socket import PatientSocket
from ansible_collections.mailops.kerio.plugins.module_utils.imap.tls_stream import TlsStream

RENEW = "Renew the certificate on the server"
TRUST = "Set ca_file to the authority that signed it, or to the server's own certificate if it signed itself"
# OpenSSL's X509_V_ERR_* -> what the operator does about it
REMEDIES = {
    9: "Check the clock of this host",
    10: RENEW,
    18: TRUST,
    19: TRUST,
    20: TRUST,
    21: TRUST,
    62: "Use the host name that the certificate carries, or give the server a certificate for this one",
    64: "Use the host name that the certificate carries instead of an IP address",
}
# Reasons of ssl.SSLError when the other side answers in plain text
NOT_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "RECORD_LAYER_FAILURE"}


def make_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Return the context for ``endpoint``; InputError when its ``ca_file`` cannot be used."""
    written = None
    if endpoint.ca_file is not None:
        with contextlib.suppress(OSError):  # the next step tells of it
            written = Path(endpoint.ca_file).stat().st_mtime_ns
    return _context(endpoint.ca_file, written, endpoint.validate_certs)


@lru_cache(maxsize=64)
def _context(ca_file: str | None, _written: int | None, validate_certs: bool) -> ssl.SSLContext:
    """One context for all connections like this: to read the authorities of a system anew for each takes longer than a login."""
    return trust.context(ca_file, validate_certs)


def handshake(sock: PatientSocket, context: ssl.SSLContext, endpoint: Endpoint) -> TlsStream:
    """Encrypt ``sock``, which is closed when the handshake fails."""
    try:
        return TlsStream(sock, context, endpoint.host)
    except OSError as error:
        sock.close()
        raise explain(error, endpoint) from None


def explain(error: OSError, endpoint: Endpoint) -> ArchiveToolError:
    """Return what a failed handshake means."""
    label = endpoint.label
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = REMEDIES.get(error.verify_code, "Check the certificate of the server")
        return CertificateError(label, f"the certificate is not trusted: {error.verify_message}", remedy)
    if isinstance(error, TimeoutError):
        cause = f"the TLS handshake did not finish within {endpoint.timeout:g} seconds"
        return NetworkError(label, cause, "Check that this port speaks TLS and that the server is not overloaded")
    if isinstance(error, ssl.SSLError) and error.reason in NOT_TLS:
        return ProtocolError(
            label,
            f"the server does not speak TLS on this port ({error.reason})",
            "Use access IMAP-TLS (STARTTLS) on port 143, or the port of the service that starts with TLS (993)",
        )
    words = str(error) if isinstance(error, ssl.SSLError) else error.strerror or str(error)
    return NetworkError(
        label, f"the TLS handshake failed: {words}", "Check the port, and the TLS versions that the server allows"
    )
