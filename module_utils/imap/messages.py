# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes out of a folder."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

MIB = 1024 * 1024


class Sink(t.Protocol):
    """Where a large literal goes; a file opened for reading and writing will do.

    A sink that the reader closes did not get its literal in full, or nobody wants it: it is to be thrown away.
    """

    def write(self, data: memoryview, /) -> t.Any: ...
    def seek(self, offset: int, /) -> t.Any: ...
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


class Passing:
    """What sinks have in common that keep nothing of a message; ``write`` makes of its pieces what is wanted of them."""

    def seek(self, _offset: int, /) -> None:
        """There is nothing to go back to."""

    def read(self, _size: int, /) -> bytes:
        """There is nothing to be read."""
        return b""

    def close(self) -> None:
        """There is nothing to be closed."""


OpenSink = t.Callable[[int], Sink]


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
    """What the server says about a message; ``internaldate`` is in epoch seconds UTC, 0 when it cannot be read."""

    uid: int
    size: int
    internaldate: int
    flags: tuple[str, ...]


@dataclass(slots=True)
class Fetched:
    """A whole message. ``size`` counts the bytes that came, ``reported_size`` is RFC822.SIZE (None: not told).

    A ``memoryview`` body is valid only until the next step of the iterator. ``internaldate`` is epoch seconds UTC, 0 when the
    server gave none that can be read. ``problems`` tells what is odd, for the report; the bytes are what was sent.
    """

    uid: int
    size: int
    internaldate: int
    flags: tuple[str, ...]
    body: memoryview | StreamedBody
    reported_size: int | None
    problems: tuple[str, ...]


def bytes_of(item: Fetched) -> bytes:
    """The message in one piece, as one that outlives the iterator; a sink is closed, whatever happens."""
    if not isinstance(item.body, StreamedBody):
        return bytes(item.body)
    with contextlib.closing(item.body.sink):
        return b"".join(item.body.chunks())


@dataclass(frozen=True)
class Failed:
    """The server lists the message, but does not give it, even when it is asked for it alone."""

    uid: int
    text: str


@dataclass(frozen=True)
class Gone:
    """The message is not in the folder any more."""

    uid: int


Item = Fetched | Failed | Gone
