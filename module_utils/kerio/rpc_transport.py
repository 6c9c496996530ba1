# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTPS request to the admin API, and in one sentence why it failed: the host, the port, the certificate, or the time."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import sys
import typing as t
import warnings
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils import trust
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    CertificateError,
    MissingLibraryError,
    NetworkError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import patient_tls
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import API_HOST, API_PORT, Reply

try:
    import requests
    from urllib3.exceptions import InsecureRequestWarning
    from urllib3.util.ssl_ import create_urllib3_context
except ImportError as import_error:
    MISSING: ImportError | None = import_error
else:
    MISSING = None

CHECK_PORT = f"Check {API_PORT}: the administration listens on 4040, with TLS, unless it was moved"
# Silence here is no matter of rights, which are not known before.
LOGIN = "Session.login"
# OpenSSL's verification results that have a remedy of their own (X509_V_ERR_*).
HOST_MISMATCH, ADDRESS_MISMATCH, EXPIRED, NOT_YET_VALID = 62, 64, 10, 9
CERTIFICATE_REMEDIES = {
    HOST_MISMATCH: f"Use a name that the certificate carries as {API_HOST}, or give the server a certificate for this name",
    ADDRESS_MISMATCH: f"Use a name that the certificate carries as {API_HOST}, or give the server a certificate for this address",
    EXPIRED: "Renew the server's certificate",
    NOT_YET_VALID: "Compare the clocks of this host and of the server",
}
TRUST = (
    "Point ca_file at the certificate of the authority that signed it, or at the server's own if it signed itself "
    "(kerio_connect_ca_file in the role)"
)


class ConnectionRefusedByHostError(NetworkError):
    """The host is there and nothing listens on the port: the call surely did nothing."""


@dataclass(frozen=True)
class Endpoint:
    """Where the administration listens. ``name`` is what messages call the server.

    ``timeout`` (seconds) bounds the connect, and then handshake and answer together, with a second more for each KiB that comes.
    """

    name: str
    host: str
    port: int = 4040
    ca_file: str | None = None
    validate_certs: bool = True
    timeout: float = 30.0

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}/admin/api/jsonrpc/"

    @property
    def where(self) -> str:
        address = f"{self.host}:{self.port}"
        return f"{self.name} ({address})" if self.name not in (self.host, address) else address


class Transport:
    """Sends requests over one kept connection; the cookies are whatever the server sets, under whatever name."""

    def __init__(self, endpoint: Endpoint) -> None:
        if MISSING is not None:
            raise MissingLibraryError(
                "requests",
                f"{MISSING} ({sys.executable})",
                "Install requests for this Python, or set ansible_python_interpreter to one that has it",
            )
        self._endpoint = endpoint
        self._verify = _verification(endpoint)
        self._session = requests.Session()
        # No proxy, netrc or CA bundle from the environment: the inventory alone says where the password goes.
        self._session.trust_env = False
        verified = ssl.CERT_REQUIRED if endpoint.validate_certs else ssl.CERT_NONE
        context = trust.alike(create_urllib3_context(cert_reqs=verified))
        self._patience = patient_tls.bound(context, endpoint.timeout)
        adapter = requests.adapters.HTTPAdapter()
        adapter.init_poolmanager(1, 1, ssl_context=context)
        self._session.mount("https://", adapter)

    def exchange(self, method: str, payload: bytes, headers: t.Mapping[str, str]) -> Reply:
        """Post one request. Raises ``CertificateError`` or ``NetworkError`` naming the method."""
        self._patience.renew()
        fixed = {"Content-Type": "application/json-rpc; charset=UTF-8", "Accept": "application/json-rpc"}
        try:
            with warnings.catch_warnings():
                # The operator is told once a run, in words of ours.
                warnings.simplefilter("ignore", InsecureRequestWarning)
                answer = self._session.post(
                    self._endpoint.url,
                    data=payload,
                    headers={**fixed, **headers},
                    timeout=(self._endpoint.timeout, self._endpoint.timeout),
                    verify=self._verify,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            raise explain(self._endpoint, method, error) from None
        return Reply(answer.status_code, answer.content)

    def close(self) -> None:
        self._session.close()


def explain(endpoint: Endpoint, method: str, error: Exception) -> NetworkError:
    """Return what a failed request means to the operator, with the words of the operating system or of OpenSSL."""
    certificate = _underlying(error, ssl.SSLCertVerificationError)
    if certificate is not None:
        text = f"the TLS certificate cannot be verified: {certificate.verify_message}"
        return CertificateError(endpoint.where, text, CERTIFICATE_REMEDIES.get(certificate.verify_code, TRUST))
    if isinstance(error, requests.exceptions.ConnectTimeout):
        text = f"no connection within {endpoint.timeout:g} s"
        return NetworkError(endpoint.where, text, f"Check {API_HOST}, and that a firewall lets this host through to {API_PORT}")
    # One that comes within the body is wrapped as a lost connection.
    if isinstance(error, requests.exceptions.Timeout) or _underlying(error, TimeoutError) is not None:
        return _hang(endpoint, method)
    return _explain_system(endpoint, method, error)


def _explain_system(endpoint: Endpoint, method: str, error: Exception) -> NetworkError:
    tls = _underlying(error, ssl.SSLError)
    # A connection that ends in the middle is no other protocol; OpenSSL reports it all the same.
    if tls is not None and not isinstance(tls, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return NetworkError(endpoint.where, f"what listens there does not speak TLS as expected: {tls}", CHECK_PORT)
    other = _underlying(error, http.client.BadStatusLine)
    if other is not None and not isinstance(other, http.client.RemoteDisconnected):
        said = " ".join(str(other.args[0]).split())[:80]
        return NetworkError(endpoint.where, f"what listens there does not speak HTTP: {said!r}", CHECK_PORT)
    unknown = _underlying(error, socket.gaierror)
    if unknown is not None:
        return NetworkError(endpoint.where, f"the name cannot be resolved: {unknown.strerror}", f"Check {API_HOST}")
    system = _underlying(error, OSError)
    if isinstance(system, ConnectionRefusedError):
        return ConnectionRefusedByHostError(
            endpoint.where,
            f"nothing listens there: {system.strerror}",
            f"Check that Kerio Connect is running there, and that {API_PORT} is the administration's: 4040 unless it was moved",
        )
    if system is not None and system.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EHOSTDOWN):
        return NetworkError(endpoint.where, f"the host cannot be reached: {system.strerror}", f"Check {API_HOST} and the network")
    return NetworkError(
        f"{endpoint.where}: {method}", f"the connection broke: {_innermost(error)}", f"Run again. If it stays so: {CHECK_PORT}"
    )


def _hang(endpoint: Endpoint, method: str) -> NetworkError:
    if method == LOGIN:
        return NetworkError(
            f"{endpoint.where}: {method}",
            f"no answer within {endpoint.timeout:g} s",
            f"{CHECK_PORT}. Raise the timeout if the server is slow",
            method=method,
        )
    return NetworkError(
        f"{endpoint.where}: {method}",
        f"no answer within {endpoint.timeout:g} s; the server may have executed the call all the same",
        "Use an account with full administration as api_user (kerio_connect_user in the role): to others some methods hang; or "
        "raise timeout (kerio_connect_timeout in the role) if the server is slow",
        method=method,
    )


Found = t.TypeVar("Found", bound=BaseException)


def _underlying(error: BaseException, kind: type[Found]) -> Found | None:
    """Return the error of ``kind`` inside what requests and urllib3 wrapped around it.

    They wrap an error in arguments, in ``reason`` or as its cause. Those of requests are ``OSError`` themselves, and empty.
    """
    for link in _chain(error):
        if isinstance(link, kind) and not isinstance(link, requests.RequestException):
            return link
    return None


def _chain(error: BaseException) -> t.Iterator[BaseException]:
    waiting, seen = [error], set()
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]
        waiting.extend(entry for entry in inner if isinstance(entry, BaseException))


def _innermost(error: BaseException) -> str:
    words = [str(link) for link in _chain(error) if not isinstance(link, requests.RequestException)]
    return min((text for text in words if text), key=len, default=str(error))


def _verification(endpoint: Endpoint) -> bool | str:
    """Return what requests wants as ``verify``; raises ``InputError`` when the CA file cannot serve."""
    if not endpoint.validate_certs:
        return False
    if endpoint.ca_file is None:
        return True
    trust.context(endpoint.ca_file, named=f"{endpoint.name}: ")  # requests reads it without words about which file it is
    return endpoint.ca_file
