# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages out of one folder: EXAMINE, which UIDs, sizes, and the pipelined bulk FETCH of whole messages."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import names, uidset
from ansible_collections.mailops.kerio.plugins.module_utils.imap.bulk import Bulk, merged
from ansible_collections.mailops.kerio.plugins.module_utils.imap.client import ClientReadOnly
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import NOT_IMAP, Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import HIGHEST, Folder, FolderStatus
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import (
    MIB,
    Failed,
    Fetched,
    Gone,
    Item,
    Listed,
    OpenSink,
    Sink,
    StreamedBody,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace
from ansible_collections.mailops.kerio.plugins.module_utils.imap.planner import Limits, Planner
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import (
    MalformedError,
    Message,
    parse_flags,
    parse_internaldate,
)

__all__ = ["MIB", "Failed", "Fetched", "Gone", "Item", "Listed", "Sink", "StreamedBody"]
__all__ += ["examine", "fetch", "listing", "search_uids", "select", "sizes"]

# messages told about by one command, and commands in one write, when no bodies are asked for
LISTED = 5000
PIPELINE = 4


def examine(conn: Connection, folder: Folder) -> FolderStatus:
    """Open ``folder`` read-only; ImapError when the server refuses."""
    return _open(conn, folder, readonly=True)


def select(conn: Connection, folder: Folder) -> FolderStatus:
    """Open ``folder`` to change it; ImapError when the server refuses, or lets it be read only."""
    return _open(conn, folder, readonly=False)


def _open(conn: Connection, folder: Folder, *, readonly: bool) -> FolderStatus:
    subject = f"{conn.name}, mailbox {conn.user}, folder {folder.name}"
    if names.quote(folder.raw) is None:
        raise ImapError(subject, "the name holds a line break or NUL, which no command can carry", "Rename it on the server")
    if not folder.raw.isascii():  # neither IMAPClient nor imaplib would send it
        raise ImapError(subject, "the server gives its name in 8-bit characters", "Rename it on the server")
    with conn.errors(subject):
        try:
            told = conn.client.select_folder(folder.raw, readonly=readonly)
        except ClientReadOnly:
            cause = "the server opens it for reading only"
            raise ImapError(subject, cause, "Give the user of this login the right to delete there") from None
    modseq = told.get(b"HIGHESTMODSEQ") if conn.capabilities & {"CONDSTORE", "QRESYNC"} else None
    status = FolderStatus(told.get(b"UIDVALIDITY"), told.get(b"UIDNEXT", 0), told.get(b"EXISTS"), modseq or None)
    if not status.plausible():
        numbers = {"UIDVALIDITY": status.uidvalidity, "UIDNEXT": status.uidnext, "EXISTS": status.messages}
        words = ", ".join(f"{name} {'is not told' if number is None else number}" for name, number in numbers.items())
        raise ProtocolError(subject, f"the server does not tell its numbers as IMAP has them: {words}", NOT_IMAP)
    return status


def search_uids(conn: Connection, *criteria: t.Any) -> list[int]:
    """UIDs of the open folder in ascending order; ``criteria`` as IMAPClient takes them (default ALL)."""
    subject = f"{conn.name}, mailbox {conn.user}, SEARCH"
    with conn.errors(subject):
        found = sorted(set(conn.client.search(list(criteria) or "ALL")))
    if found and not (found[0] > 0 and found[-1] <= HIGHEST):
        raise ProtocolError(subject, f"the server lists UIDs that cannot be: {found[0]} to {found[-1]}", NOT_IMAP)
    return found


def listing(conn: Connection, uids: t.Sequence[int]) -> list[Listed]:
    """Size, date and flags without bodies, by ascending UID. ImapError when the server refuses.

    UIDs that are gone are absent, and those of which the server tells no size or no flags: not told is not the same as none.
    """
    told = sorted(_told(conn, uids).items())
    return [
        Listed(uid, message.size, parse_internaldate(message.date or b"") or 0, parse_flags(message.flags))
        for uid, message in told
        if message.size is not None and message.flags is not None
    ]


def _told(conn: Connection, uids: t.Sequence[int]) -> dict[int, Message]:
    """What the server tells of messages; several answers about one are put together."""
    found: dict[int, Message] = {}

    def take(response: Response) -> None:
        try:
            message = response.message()
        except MalformedError:
            return
        if message.uid is not None:
            found[message.uid] = merged(found.get(message.uid), message)

    wanted = sorted(set(uids))
    pieces = list(uidset.split(wanted, LISTED))
    commands = [b"UID FETCH %s (UID RFC822.SIZE FLAGS INTERNALDATE)" % uidset.compact(piece).encode() for piece in pieces]
    for piece, result in zip(pieces, conn.reader.run_by(PIPELINE, commands, take), strict=True):
        if not result.ok and found.keys().isdisjoint(piece):
            cause = f"the server refused to list messages: {result.status} {result.text}"
            raise ImapError(f"{conn.name}, mailbox {conn.user}", cause, "Check the folder on the server")
    return {uid: found[uid] for uid in wanted if uid in found}


def sizes(conn: Connection, uids: t.Sequence[int]) -> dict[int, int]:
    """UID -> RFC822.SIZE; UIDs that are gone are absent."""
    return {uid: message.size for uid, message in _told(conn, uids).items() if message.size is not None}


def fetch(
    conn: Connection,
    uids: t.Iterable[int],
    *,
    batch_messages: int = 500,
    batch_bytes: int = 32 * MIB,
    depth: int = 2,
    stream_above: int = 4 * MIB,
    staging: OpenSink | None = None,
    known_sizes: t.Mapping[int, int] | None = None,
    pace: Pace | None = None,
) -> t.Generator[Item, None, None]:
    """Yield every one of ``uids`` exactly once, in the server's order; those that do not come at first stand at the end.

    ``staging(size)`` makes the sink for a literal above ``stream_above`` bytes (default: an unnamed temporary file). With
    ``known_sizes`` (from ``sizes``) the server is not asked for them again. ``pace``: how fast it may come. An iterator that is
    closed before its end closes the connection, because answers are still under way.

    Raises NetworkError or ProtocolError when the connection is lost; ``details`` then hold ``completed`` and ``in_flight`` as
    sets for ``uidset.expand`` ("1:400,402"). A server that dies on one message is found by asking again for ``in_flight`` with
    ``batch_messages=1, depth=1``. Raises ImapError when the server refuses a hundred messages in a row.
    """
    conn.reader.wire.keep_to(pace)
    limits = Limits(batch_messages, batch_bytes, depth)
    return Bulk(conn, Planner(uids, limits, known_sizes), limits, stream_above, staging).run()
