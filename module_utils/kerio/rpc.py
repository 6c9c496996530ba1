# SPDX-License-Identifier: GPL-3.0-or-later
"""The admin API's session: one login, calls, one logout.

``Transport`` sends one request and says in one sentence why it could not. ``Client`` has the policy: what is repeated, when a
new login is made, what is recorded. What a reply means is in ``envelope``.
"""

from __future__ import annotations

import enum
import json
import secrets
import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ApiError,
    ArchiveToolError,
    LoginRefusedError,
    NetworkError,
    ProtocolError,
    SessionExpiredError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.envelope import (
    API_PORT,
    FULL_ADMINISTRATOR,
    GatewayError,
    Reply,
    result_of,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.rpc_transport import (
    ConnectionRefusedByHostError,
    Endpoint,
    Transport,
)

# The login wants an object here; a string is answered with code -32602.
APPLICATION = {"name": "kerio-archive", "vendor": "mailops", "version": "1"}
# A repeated call is given up when this many seconds have gone by.
RETRY_SECONDS = 8.0
FIRST_DELAY = 0.5
_RANDOM = secrets.SystemRandom()


class Effect(enum.Enum):
    """What a call does to the server, hence whether it may be repeated.

    Any call that is answered with "no session" (-32001) was not carried out, so it is repeated after a new login. A ``READ`` is
    repeated while the server is not there as well. ``SETTLE`` writes a whole value, ``WRITE`` adds or removes: when their answer
    is lost, nobody knows whether they were carried out, and they are not repeated.
    """

    READ = "read"
    SETTLE = "settle"
    WRITE = "write"


class Exchanger(t.Protocol):
    """What ``Client`` needs of a transport; the unit tests have one that follows a script."""

    def exchange(self, method: str, payload: bytes, headers: t.Mapping[str, str]) -> Reply: ...

    def close(self) -> None: ...


class Client:
    """A session of the admin API; use it as a context manager, so that it always ends with a logout.

    ``calls`` are the names of the methods sent, in order; ``warnings`` what the operator must know besides. Both lists grow until
    the session has ended.
    """

    def __init__(self, name: str, user: str, password: str, transport: Exchanger, clock: t.Callable[[], float] = time.monotonic):
        self.name = name
        self.calls: list[str] = []
        self.warnings: list[str] = []
        self._user = user
        self._password = password
        self._transport = transport
        self._clock = clock
        self._token = ""
        # A new login did not help once: it is no matter of time then, and is not tried again.
        self._in_vain = False

    def __enter__(self) -> Client:
        try:
            self.login()
        except ArchiveToolError as error:
            self._annotate(error)
            self._transport.close()
            raise
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        try:
            self.logout()
        finally:
            self._transport.close()
        if isinstance(error, ArchiveToolError):
            self._annotate(error)

    def login(self) -> None:
        """Log in; a refusal is final, because failed logins lock the account and block the address.

        Which code a wrong password has is not documented, so every error of this call is a refusal.
        """
        parameters = {"userName": self._user, "password": self._password, "application": APPLICATION}
        self._token = ""
        try:
            result = self._patiently("Session.login", parameters, ConnectionRefusedByHostError)
        except ApiError as error:
            raise LoginRefusedError(
                f"{self.name}: login of {self._user}",
                error.cause,
                "Check api_user and api_password (kerio_connect_user and kerio_connect_password in the role); it is not tried "
                "again, because failed logins lock the account",
                method="Session.login",
                code=error.details.get("code"),
            ) from None
        token = result.get("token")
        if not isinstance(token, str) or not token:
            raise ProtocolError(
                f"{self.name}: Session.login", "the answer has no token", f"Check that {API_PORT} is the administration"
            )
        self._token = token

    def logout(self) -> None:
        """End the session; a failure is a warning, since what was asked for is done."""
        if not self._token:
            return
        try:
            self._send("Session.logout", None)
        except SessionExpiredError:
            pass
        except (NetworkError, ApiError, ProtocolError) as error:
            self.warnings.append(f"The session stays open until it expires: {error}")
        self._token = ""

    def call(self, method: str, parameters: dict[str, t.Any] | None = None, effect: Effect = Effect.READ) -> dict[str, t.Any]:
        """Call a method and return its named out-parameters; errors are those of ``envelope.result_of`` and ``NetworkError``."""
        try:
            return self._allowed(method, parameters, effect)
        except SessionExpiredError as error:
            if self._in_vain:
                raise self._no_rights(error) from None
        self.login()
        try:
            return self._allowed(method, parameters, effect)
        except SessionExpiredError as error:
            self._in_vain = True
            raise self._no_rights(error) from None

    def _allowed(self, method: str, parameters: dict[str, t.Any] | None, effect: Effect) -> dict[str, t.Any]:
        if effect is Effect.READ:
            return self._patiently(method, parameters, ConnectionRefusedByHostError, GatewayError)
        return self._send(method, parameters)

    def _patiently(self, method: str, parameters: dict[str, t.Any] | None, *repeatable: type[NetworkError]) -> dict[str, t.Any]:
        """Repeat a call that did not reach the server, after growing random delays, until ``RETRY_SECONDS`` have gone by."""
        started, delay, attempts = self._clock(), FIRST_DELAY, 0
        while True:
            attempts += 1
            try:
                return self._send(method, parameters)
            except repeatable as error:
                waited = self._clock() - started
                if waited + delay > RETRY_SECONDS:
                    error.cause = f"{error.cause} ({attempts} attempts in {waited:.0f} s)"
                    raise
            time.sleep(_RANDOM.uniform(delay / 2, delay))
            delay *= 2

    def _send(self, method: str, parameters: dict[str, t.Any] | None) -> dict[str, t.Any]:
        envelope: dict[str, t.Any] = {"jsonrpc": "2.0", "id": len(self.calls) + 1, "method": method}
        if parameters is not None:
            envelope["params"] = parameters
        self.calls.append(method)
        headers = {"X-Token": self._token} if self._token else {}
        reply = self._transport.exchange(method, json.dumps(envelope).encode("utf-8"), headers)
        return result_of(self.name, method, reply, parameters)

    def _no_rights(self, error: SessionExpiredError) -> SessionExpiredError:
        remedy = f"{FULL_ADMINISTRATOR}; the session ended again right after a new login"
        return SessionExpiredError(error.subject, error.cause, remedy, **error.details)

    def _annotate(self, error: ArchiveToolError) -> None:
        error.details.setdefault("server", self.name)
        error.details.setdefault("calls", list(self.calls))
        error.details.setdefault("warnings", list(self.warnings))


def connect(endpoint: Endpoint, user: str, password: str) -> Client:
    """Return a client that is not logged in yet; raises ``InputError`` on an unusable CA file, ``MissingLibraryError``."""
    client = Client(endpoint.name, user, password, Transport(endpoint))
    if not endpoint.validate_certs:
        client.warnings.append(
            f"{endpoint.name}: the TLS certificate is not verified (validate_certs is false): whoever is between can read "
            "the administrator's password"
        )
    return client
