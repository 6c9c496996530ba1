# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages out of one folder: EXAMINE, which UIDs, sizes, and the pipelined bulk FETCH of whole messages."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus

MIB = 1024 * 1024


class Sink(t.Protocol):
    """Where a large literal goes: a file opened for reading and writing will do. A sink that is closed by the reader was not finished."""

    def write(self, data: memoryview, /) -> t.Any: ...
    def seek(self, offset: int, /) -> t.Any: ...
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class StreamedBody:
    """A message too large for memory; ``sink`` is positioned at its end and belongs to the receiver, who closes it."""

    size: int
    sink: Sink

    def chunks(self, size: int = MIB) -> t.Iterator[bytes]:
        """Read the message from its start."""
        self.sink.seek(0)
        while block := self.sink.read(size):
            yield block


@dataclass(frozen=True)
class Listed:
    """What the server says about a message; ``internaldate`` is in epoch seconds UTC."""

    uid: int
    size: int
    internaldate: int
    flags: tuple[str, ...]


@dataclass
class Fetched:
    """A whole message. ``size`` counts the bytes that came, ``reported_size`` is RFC822.SIZE (None: not told).

    A ``memoryview`` body is valid only until the next step of the iterator. ``internaldate`` is epoch seconds UTC, 0 when the server
    gave none that can be read. ``problems`` tells what is odd (other size, no date), for the report; the bytes are what was sent.
    """

    uid: int
    size: int
    internaldate: int
    flags: tuple[str, ...]
    body: memoryview | StreamedBody
    reported_size: int | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """The server lists the message, but does not give it, even when it is asked for it alone."""

    uid: int
    text: str


@dataclass(frozen=True)
class Gone:
    """The message is not in the folder any more."""

    uid: int


def examine(conn: Connection, folder: Folder) -> FolderStatus:
    """Open ``folder`` read-only; ImapError when the server refuses."""
    raise NotImplementedError


def search_uids(conn: Connection, *criteria: t.Any) -> list[int]:
    """UIDs of the open folder in ascending order; ``criteria`` as IMAPClient takes them (default ALL)."""
    raise NotImplementedError


def listing(conn: Connection, uids: t.Sequence[int]) -> t.Iterator[Listed]:
    """Size, date and flags without bodies, pipelined; UIDs that are gone are simply absent."""
    raise NotImplementedError


def sizes(conn: Connection, uids: t.Sequence[int]) -> dict[int, int]:
    """UID -> RFC822.SIZE; UIDs that are gone are absent."""
    raise NotImplementedError


def fetch(
    conn: Connection,
    uids: t.Sequence[int],
    *,
    batch_messages: int = 500,
    batch_bytes: int = 32 * MIB,
    depth: int = 2,
    stream_above: int = 4 * MIB,
    staging: t.Callable[[int], Sink] | None = None,
    known_sizes: t.Mapping[int, int] | None = None,
) -> t.Iterator[Fetched | Failed | Gone]:
    """Yield every one of ``uids`` exactly once, in the server's order.

    ``staging(size)`` makes the sink for a literal above ``stream_above`` bytes (default: an unnamed temporary file). With ``known_sizes``
    (from ``sizes``) the server is not asked again. An iterator that is left before its end closes the connection, because answers are
    still under way.

    Raises NetworkError or ProtocolError when the connection is lost; ``details`` then hold ``completed`` and ``in_flight`` as sequence
    sets ("1:400,402"). A server that dies on one message is found by asking again for ``in_flight`` with ``batch_messages=1, depth=1``.
    Raises ImapError when the server refuses a hundred messages in a row.
    """
    raise NotImplementedError
