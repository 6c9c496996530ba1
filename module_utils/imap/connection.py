# SPDX-License-Identifier: GPL-3.0-or-later
"""One logged-in IMAP connection."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.login import MasterAnswer, try_master_password

__all__ = ["Access", "Connection", "Credentials", "Endpoint", "MasterAnswer", "open_connection", "try_master_password"]


class Connection:
    """A connection in the authenticated state, as one user; not thread-safe.

    ``client`` is an ``imapclient.IMAPClient`` for everything but bulk transfer; ``capabilities`` are upper case, as told after the login.
    """

    client: t.Any
    capabilities: frozenset[str]
    endpoint: Endpoint
    user: str

    @property
    def name(self) -> str:
        """``host:port``."""
        return self.endpoint.label

    def errors(self, subject: str) -> t.ContextManager[None]:
        """Turn what ``client`` raises into ImapError (refused, connection usable) or NetworkError (connection lost)."""
        raise NotImplementedError

    def close(self) -> None:
        """Log out and close; never raises."""
        raise NotImplementedError

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def open_connection(endpoint: Endpoint, credentials: Credentials) -> Connection:
    """Connect, log in, read CAPABILITY.

    Raises CertificateError, NetworkError, ProtocolError (not an IMAP server), InputError (ca_file, master without TLS) and
    LoginRefusedError, whose details hold ``stage`` ("LOGIN", "X-MASTERAUTH" or "X-SETUSER"), ``answer`` ("NO", "BAD", "BYE" or
    "closed") and ``server_text``. Stage X-SETUSER concerns this mailbox alone; the other stages concern the credentials.
    """
    raise NotImplementedError
