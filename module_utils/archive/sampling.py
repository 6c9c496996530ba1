# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a server gives messages, and how small they become: a sample is fetched, hashed, compressed and thrown away."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
import typing as t
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Compressor, StreamEncoder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Access
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Fetched, StreamedBody
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import Passing
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace, share

# What one connection may read.
MOST_MESSAGES, MOST_BYTES, MOST_SECONDS = 1500, 48_000_000, 8.0
BLOCK = 4096


@dataclass(frozen=True)
class Piece:
    """Messages of one folder, for one connection."""

    access: Access
    folder: Folder
    uidvalidity: int
    uids: tuple[int, ...]


@dataclass
class Sample:
    """What was read: ``stored`` are bytes on the disk, in whole blocks; ``seconds``: without logins, of all connections."""

    messages: int = 0
    bytes: int = 0
    stored: int = 0
    seconds: float = 0.0
    messages_per_second: float = 0.0
    bytes_per_second: float = 0.0
    connections: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, other: Sample) -> None:
        """Put the sample of another connection beside this one."""
        self.messages += other.messages
        self.bytes += other.bytes
        self.stored += other.stored
        self.seconds += other.seconds
        self.errors += other.errors
        if other.messages and other.seconds > 0:
            self.connections += 1
            self.messages_per_second += other.messages / other.seconds
            self.bytes_per_second += other.bytes / other.seconds


class Measured(Passing):
    """A sink that measures a large message and keeps nothing of it."""

    def __init__(self, encoder: StreamEncoder) -> None:
        self._encoder = encoder
        self.stored = 0

    def write(self, data: memoryview, /) -> None:
        """Take a piece."""
        self.stored += len(self._encoder.update(data))


def measure(imap: Imap, parts: t.Sequence[t.Sequence[Piece]], bandwidth: int) -> Sample:
    """Read each of ``parts`` over a connection of its own, all at the same time, in processes as a run has them.

    ``bandwidth``: bytes per second for all of them together, 0 for no limit.
    """
    rate = share(bandwidth, len(parts)) if bandwidth else 0
    forks = multiprocessing.get_context("fork")
    readers: list[tuple[t.Any, Connection[t.Any, t.Any]]] = []
    for pieces in parts:
        ours, theirs = forks.Pipe(duplex=False)
        process = forks.Process(target=_report, args=(theirs, imap, pieces, rate), daemon=True)
        process.start()
        theirs.close()
        readers.append((process, ours))
    total = Sample()
    for process, ours in readers:
        try:
            total.add(ours.recv())
        except EOFError:
            total.errors.append("a process that measured ended without a result")
        ours.close()
        process.join()
    return total


def _report(pipe: Connection[t.Any, t.Any], imap: Imap, pieces: t.Sequence[Piece], rate: int) -> None:
    sample = Sample()
    try:
        _read(imap, pieces, rate, sample)
    except ArchiveToolError as error:
        sample.errors.append(str(error))
    pipe.send(sample)


def _read(imap: Imap, pieces: t.Sequence[Piece], rate: int, sample: Sample) -> None:
    compressor = Compressor()
    access, connection = None, None
    try:
        for piece in pieces:
            if access != piece.access:
                if connection is not None:
                    connection.close()
                access, connection = piece.access, imap.open(piece.access.endpoint, piece.access.credentials)
            if imap.examine(connection, piece.folder).uidvalidity == piece.uidvalidity:
                _fetch(imap, connection, piece, compressor, rate, sample)
            if _enough(sample):
                return
    finally:
        if connection is not None:
            connection.close()


def _enough(sample: Sample) -> bool:
    return sample.messages >= MOST_MESSAGES or sample.bytes >= MOST_BYTES or sample.seconds >= MOST_SECONDS


def _fetch(imap: Imap, connection: t.Any, piece: Piece, compressor: Compressor, rate: int, sample: Sample) -> None:
    before, began = sample.seconds, time.monotonic()
    more = {"pace": Pace(rate)} if rate else {}
    messages = imap.fetch(connection, piece.uids, staging=lambda size: Measured(compressor.stream(size)), **more)
    for message in messages:
        if isinstance(message, Fetched):
            sample.messages += 1
            sample.bytes += message.size
            sample.stored += -(-_stored(message, compressor) // BLOCK) * BLOCK
        sample.seconds = before + time.monotonic() - began
        if _enough(sample):
            messages.close()
            return


def _stored(message: Fetched, compressor: Compressor) -> int:
    """How many bytes the object would have."""
    if isinstance(message.body, StreamedBody):
        return t.cast("Measured", message.body.sink).stored
    hashlib.sha256(message.body).digest()
    return len(compressor.compress(message.body))
