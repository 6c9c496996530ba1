# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of some messages as the server sends them, against the objects that were archived for them."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_classes import DIFFERENT, MISSING, Place
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_folder import Compared, Drawn
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import OTHER_SIZE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_reread import Rereader
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Failed, Fetched, StreamedBody
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import Passing
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace

OTHER_BYTES = "the server sends other bytes than were archived"
UNTRUE_SIZE = "UID {}: the server tells another size than that of the bytes that it sends, which are those in the archive"
NOT_GIVEN = "UID {}: the server lists it, but does not give it: {}"
RENUMBERED = "its UIDVALIDITY changed while it was compared, so no bytes were compared"


class Hashed(Passing):
    """A sink that keeps nothing of a large message but its digest."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(self, data: memoryview, /) -> None:
        """Take a piece."""
        self._hash.update(data)

    def digest(self) -> bytes:
        """SHA-256 of what was written."""
        return self._hash.digest()


@dataclass
class Bytes:
    """Compares bytes of one mailbox, which is open on ``connection``. ``rate``: bytes per second, 0 for all that come."""

    imap: Imap
    connection: t.Any
    root: str
    rate: int = 0

    def compare(self, found: Compared, drawn: dict[int, Drawn]) -> None:
        """Compare the messages of a folder; what is done goes from ``drawn``, so that the rest can be asked for again.

        Raises what ``imap.fetch`` raises.
        """
        folder = next(iter(drawn.values())).folder
        if self.imap.examine(self.connection, folder).uidvalidity != found.uidvalidity:
            found.notes.append(RENUMBERED)
            drawn.clear()
            return
        paced = {"pace": Pace(self.rate)} if self.rate else {}
        messages = self.imap.fetch(self.connection, sorted(drawn), staging=lambda _size: Hashed(), **paced)
        with contextlib.closing(Rereader(self.root)) as disk:
            for message in messages:
                self._judge(found, drawn[message.uid], message, disk)
                del drawn[message.uid]

    @staticmethod
    def _judge(found: Compared, one: Drawn, message: t.Any, disk: Rereader) -> None:
        wrong: Place | None = None
        if isinstance(message, Fetched):
            found.read += 1
            found.bytes += message.size
            wrong = _wrong(one, message, disk)
            if one.suspect and wrong is None:
                found.notes.append(UNTRUE_SIZE.format(one.uid))
        elif isinstance(message, Failed):
            found.notes.append(NOT_GIVEN.format(one.uid, message.text))
            wrong = Place(DIFFERENT, OTHER_SIZE) if one.suspect else None
        if wrong is not None:
            found.here.move(one.kind, one.uidvalidity, one.uid, wrong)


def _wrong(one: Drawn, message: Fetched, disk: Rereader) -> Place | None:
    """What is wrong with a message and its object, which is read from the disk itself."""
    if _digest(message) != one.digest:
        return Place(DIFFERENT, OTHER_BYTES)
    try:
        for _piece in disk.pieces(layout.object_path(one.digest), one.digest):
            pass
    except StoreError as error:
        return Place(MISSING, error.cause)
    return None


def _digest(message: Fetched) -> bytes:
    if isinstance(message.body, StreamedBody):
        return t.cast("Hashed", message.body.sink).digest()
    return hashlib.sha256(message.body).digest()
