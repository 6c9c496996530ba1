# SPDX-License-Identifier: GPL-3.0-or-later
"""One logged-in IMAP connection."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.client import (
    ClientAbort,
    ClientError,
    make_client,
    refuse_without_library,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access, Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.greeting import open_reader
from ansible_collections.mailops.kerio.plugins.module_utils.imap.login import (
    MasterAnswer,
    log_in,
    refuse_unusable,
    try_master_password,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Reader

__all__ = ["Access", "Connection", "Credentials", "Endpoint", "MasterAnswer", "open_connection", "try_master_password"]

REFUSED = "Read the server's words; the rest of the mailbox is not affected"
NOT_IMAP = "Report it to the vendor of the server"
LOST = "Check the server and the network, then run again"


class Connection:
    """A connection in the authenticated state, as one user; not thread-safe.

    ``client`` is an ``imapclient.IMAPClient`` for everything but bulk transfer; ``capabilities`` are upper case, as told after
    the login; ``reader`` runs commands of our own. Both read through one buffer and may be used in turn.
    """

    def __init__(self, endpoint: Endpoint, user: str, reader: Reader) -> None:
        self.endpoint = endpoint
        self.user = user
        self.reader = reader
        with self.errors(endpoint.label):
            self.client, self.capabilities = make_client(reader.wire, endpoint.timeout, reader.capabilities)

    @property
    def name(self) -> str:
        """``host:port``."""
        return self.endpoint.label

    @property
    def usable(self) -> bool:
        """False once the connection is lost or closed."""
        return not self.reader.wire.lost

    @contextlib.contextmanager
    def errors(self, subject: str) -> t.Iterator[None]:
        """Turn what ``client`` raises into ImapError (refused, connection usable), NetworkError or ProtocolError (lost)."""
        try:
            yield
        except ClientAbort as error:
            self.abort()
            raise NetworkError(subject, str(error).strip(), LOST) from None
        except ClientError as error:
            raise ImapError(subject, str(error).strip(), REFUSED) from None
        except (ValueError, LookupError, TypeError) as error:
            # What imaplib and IMAPClient make of an answer that is no IMAP.
            self.abort()
            raise ProtocolError(subject, f"the server's answer cannot be read ({error})", NOT_IMAP) from None

    def close(self) -> None:
        """Log out and close; never raises."""
        if self.usable:
            with contextlib.suppress(NetworkError):
                self.reader.send(b"LOGOUT")
        self.abort()

    def abort(self) -> None:
        """Close without LOGOUT; never raises."""
        self.reader.wire.close()

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def open_connection(endpoint: Endpoint, credentials: Credentials) -> Connection:
    """Connect, log in, read CAPABILITY unless it was told with the login.

    Raises CertificateError, NetworkError, ProtocolError (not an IMAP server), InputError (ca_file, master without TLS) and
    LoginRefusedError, whose details hold ``stage`` ("greeting", "LOGIN", "X-MASTERAUTH" or "X-SETUSER"), ``answer`` ("NO", "BAD",
    "BYE" or "closed") and ``server_text``. Stage X-SETUSER concerns this mailbox alone, the others concern the credentials.
    """
    refuse_without_library()
    refuse_unusable(endpoint, credentials)
    reader = open_reader(endpoint)
    try:
        log_in(reader, endpoint, credentials)
        return Connection(endpoint, credentials.user, reader)
    except BaseException:
        reader.wire.close()
        raise
