# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scheduler and its worker processes say to each other. Everything here is pickled through pipes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Decision, Filing
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import MessageFilter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Stored, Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus

PARCEL_MESSAGES = 1000
PARCEL_BYTES = 32 * 1024 * 1024
PARCELS_AHEAD = 2


@dataclass(frozen=True)
class Access:
    """A mailbox and how to log in to it."""

    endpoint: Endpoint
    credentials: Credentials


@dataclass(frozen=True)
class Examine:
    """Open the folder and say what is in it. Answer: ``Examined`` or ``TaskFailed``. ``now``: epoch seconds, for ages."""

    access: Access
    folder: Folder
    filter: MessageFilter = field(default_factory=MessageFilter)
    now: int = 0


@dataclass(frozen=True)
class Fetch:
    """Store these messages. Answers: any number of ``Parcel``, then ``FetchEnded``, ``Halted`` or ``TaskFailed``.

    ``careful`` asks for one message at a time and delivers it, to find the one that breaks the connection or the process.
    ``rate``: bytes per second, 0 for all that comes. What ``filter`` keeps out at the time ``now`` is told, but not stored;
    ``unmatched`` are the UIDs that the server's SEARCH did not find for it.
    """

    access: Access
    folder: Folder
    uidvalidity: int
    uids: t.Sequence[int]
    filing: Filing
    careful: bool = False
    filter: MessageFilter = field(default_factory=MessageFilter)
    rate: int = 0
    now: int = 0
    unmatched: t.Sequence[int] = ()


@dataclass(frozen=True)
class Committed:
    """One parcel is in the catalog; the worker may go on."""


@dataclass(frozen=True)
class HangUp:
    """Close the connection. Answer: ``HungUp``."""


@dataclass(frozen=True)
class Halt:
    """Deliver what is stored and end the order. Answer of a worker that fetches: ``Halted`` instead of ``FetchEnded``."""


@dataclass(frozen=True)
class Rate:
    """Fetch no more than so many bytes per second from now on; for a worker whose order has a ``rate``."""

    bytes: int


@dataclass(frozen=True)
class Quit:
    """End the process."""


Order = Examine | Fetch | Committed | Halt | HangUp | Rate | Quit


class Item(t.NamedTuple):
    """One message. ``stored`` is None when the decision leaves it where it is; ``flags`` are Maildir letters."""

    uid: int
    size: int
    internaldate: int
    flags: str
    stored: Stored | None
    decision: Decision


@dataclass
class Parcel:
    """What a worker stored (not durable yet) since its last parcel, with everything that the committer needs to know of it."""

    items: list[Item] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    written: Written = field(default_factory=Written)
    damaged: list[str] = field(default_factory=list)
    bytes: int = 0

    def __len__(self) -> int:
        return len(self.items) + len(self.failed) + len(self.gone)

    def uids(self) -> set[int]:
        """Every message that it tells of."""
        return {*(item.uid for item in self.items), *(uid for uid, _reason in self.failed), *self.gone}


@dataclass(frozen=True)
class Examined:
    """What EXAMINE and UID SEARCH gave. ``matched``: the UIDs that the server finds for the filter, None without one.

    ``note``: what is to be told of it.
    """

    status: FolderStatus
    uids: t.Sequence[int]
    matched: t.Sequence[int] | None = None
    note: str = ""


@dataclass(frozen=True)
class FetchEnded:
    """Every UID of the order was in a parcel."""


@dataclass(frozen=True)
class Halted:
    """A fetch ended early because it was told to."""


@dataclass(frozen=True)
class TaskFailed:
    """A task ended early. ``opened``: it had a connection to the mailbox; ``remaining`` UIDs were in no parcel."""

    error: ArchiveToolError
    opened: bool
    remaining: t.Sequence[int] = ()


@dataclass(frozen=True)
class HungUp:
    """The worker has no connection."""


Answer = Examined | Parcel | FetchEnded | Halted | TaskFailed
