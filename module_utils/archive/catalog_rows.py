# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that the catalog takes and gives. Pure: no I/O.

Rows that come by the thousand are named tuples: cheap to make, to pickle for the committer, and bound by position as they are.
Times are seconds since the epoch, UTC; sizes are bytes.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State


@dataclass(frozen=True)
class User:
    """One archive user. ``tree`` is the user's directory below ``mail/``; it never changes, whatever the user is called later.

    ``kerio_login`` and ``reads``: see ``UserValues``.
    """

    id: int
    name: str
    tree: str
    full_name: str = ""
    server: str = ""
    kerio_id: str = ""
    origin: str = "directory"
    authentication: str = ""
    privileges: tuple[str, ...] = ()
    enabled: bool = True
    addresses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    deleted: int | None = None
    kerio_login: str = ""
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class UserValues:
    """What is written about a user. ``addresses``: the default one first; lower case.

    ``kerio_login``: what the user logs in with at Kerio (``login@domain``, lower case), "" for who cannot. ``reads``: names of
    the users, leavers too, whose archives this one may read besides the own; sorted.
    """

    name: str
    origin: str
    full_name: str = ""
    server: str = ""
    kerio_id: str = ""
    authentication: str = ""
    privileges: tuple[str, ...] = ()
    enabled: bool = True
    addresses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    kerio_login: str = ""
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class UserStep:
    """One change of the table of users: a new user (``user_id`` None), other values, or a leaver (``delete``).

    ``deleted``: when the user left, for a leaver whose values change; 0 is now. A leaver's row and tree stay, and what others
    may read of it; the addresses go, and what the leaver could read.
    """

    user_id: int | None
    values: UserValues
    delete: bool = False
    deleted: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """Whose archives the user may read after it."""
        return () if self.delete else self.values.reads


@dataclass(frozen=True)
class SourceFolder:
    """A folder of a mailbox on a Kerio server, with the figures of its last complete pass (``complete``).

    The rest is of the route that was asked for, because profiles that read one mailbox may have different rules: ``filed``,
    whether all of its mail was filed by that route, and nothing came in by another one since; ``filed_run``, the run in which
    that was so (0: never), older rows need no other look; ``rules``, those of its last pass; ``reconciled``, when its messages
    were last compared one by one; ``due``, when a rule that depends on time says something else about one of them, 0 when never,
    1 for at every run. Both in seconds since the epoch.
    """

    id: int
    server: str
    mailbox: str
    name: str
    uidvalidity: int = 0
    uidnext: int = 0
    messages: int = 0
    highestmodseq: int | None = None
    complete: bool = False
    last_run: int | None = None
    filed: bool = False
    filed_run: int = 0
    rules: str = ""
    reconciled: int = 0
    due: int = 0

    @property
    def gone(self) -> bool:
        """Whether it is not on the server any more."""
        return self.messages < 0


class Cursor(t.NamedTuple):
    """The figures to remember of a source folder; written in the same transaction as the rows that they speak of.

    ``rules``, ``reconciled`` and ``due`` are remembered of the routes that the same batch completes (``Batch.routes``).
    """

    uidvalidity: int
    uidnext: int
    messages: int
    highestmodseq: int | None
    rules: str
    complete: bool
    reconciled: int = 0
    due: int = 0


@dataclass(frozen=True)
class UserFolder:
    """A folder of a user's tree. ``parts`` is the true name, ``dir`` the escaped directory, relative to the archive root."""

    id: int
    user_id: int
    parts: tuple[str, ...]
    dir: str


class ObjectRow(t.NamedTuple):
    """One object that this batch created (``Stored.created``)."""

    digest: bytes
    size: int
    stored_size: int


class PlacementRow(t.NamedTuple):
    """One object filed in one folder of one user.

    ``flags`` are the Maildir letters of the placement's name, ``origin`` tells what filed it (``<kind>:<server>/<mailbox>``).
    """

    folder_id: int
    digest: bytes
    user_id: int
    internaldate: int
    size: int
    vsize: int
    flags: str
    copy_key: bytes
    origin: str

    @property
    def file_name(self) -> str:
        """The name of its link in the ``cur`` of the folder."""
        return layout.placement_name(self.internaldate, self.digest, self.size, self.vsize, self.flags)


PLACEMENT_COLUMNS = ", ".join(PlacementRow._fields)


class MessageRow(t.NamedTuple):
    """One UID of the batch's source folder and what became of it. ``digest`` is None where nothing was fetched."""

    uid: int
    state: State
    digest: bytes | None = None
    size: int | None = None
    vsize: int | None = None
    internaldate: int | None = None
    flags: str = ""
    reason: str = ""
    attempts: int = 0


class StoredMessage(t.NamedTuple):
    """A source message as the catalog holds it; the object can be read from the store when ``digest`` is set.

    ``archived``: when that object was first committed for this message; None while it never was.
    """

    uidvalidity: int
    uid: int
    state: State
    digest: bytes | None
    size: int | None
    vsize: int | None
    internaldate: int | None
    flags: str
    reason: str
    attempts: int
    run_id: int
    archived: int | None = None


MESSAGE_COLUMNS = ", ".join(StoredMessage._fields)


@dataclass
class Batch:
    """Everything that one transaction writes about one source folder. The bytes must be durable (``Store.sync``) before.

    ``removed`` are placements that moved; their links go after the transaction.

    ``filed_by`` is the route that filed ``messages``: the folder's other routes are not complete then. ``routes`` are complete
    now, as ``cursor`` says.
    """

    folder_id: int
    uidvalidity: int
    run_id: int
    objects: list[ObjectRow] = field(default_factory=list)
    placements: list[PlacementRow] = field(default_factory=list)
    removed: list[PlacementRow] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    cursor: Cursor | None = None
    routes: tuple[str, ...] = ()
    filed_by: str = ""


class Refused(t.NamedTuple):
    """A placement that was not written because its folder has the object already (``existing``).

    The committer removes its link when that has another name than the one of ``existing``.
    """

    placement: PlacementRow
    existing: PlacementRow


@dataclass(frozen=True)
class Run:
    """One run; ``summary`` is what it reported. ``finished`` is None while it goes on or when it died."""

    id: int
    started: int
    finished: int | None
    outcome: str
    summary: dict[str, t.Any]


@dataclass(frozen=True)
class Totals:
    """Figures of the whole archive, kept with every commit (never counted)."""

    objects: int = 0
    bytes: int = 0
    stored_bytes: int = 0
    placements: int = 0


class Position(t.NamedTuple):
    """How much of the ledger is committed: entries, and bytes of the file that holds them."""

    entries: int
    bytes: int


class LeftReason(t.NamedTuple):
    """How many source messages stand in one open state for one reason (an unknown address, a rule)."""

    folder_id: int
    state: State
    reason: str
    messages: int
