# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a mailbox is and who asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Access(StrEnum):
    """How IMAP is reached; the values are those of the guides."""

    IMAP = "IMAP"
    IMAP_TLS = "IMAP-TLS"
    IMAP_SSL = "IMAP-SSL"


@dataclass(frozen=True)
class Endpoint:
    """One IMAP service.

    ``ca_file`` None means the system's trust store. ``timeout`` (seconds) bounds the connect, the TLS handshake and every single
    answer, each as a whole, and leaves an answer a second more for each KiB of it that comes.
    """

    host: str
    port: int
    access: Access = Access.IMAP_SSL
    ca_file: str | None = None
    validate_certs: bool = True
    timeout: float = 60.0

    @property
    def label(self) -> str:
        """The name that errors and reports use."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Credentials:
    """``master``: ``password`` is the server's master password, and ``user`` is the mailbox that X-SETUSER opens."""

    user: str
    password: str = field(repr=False)
    master: bool = False
