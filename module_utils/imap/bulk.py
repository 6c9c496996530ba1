# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipelined bulk FETCH: commands in flight, messages attributed by UID, and those that do not come."""

from __future__ import annotations

import tempfile
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import uidset
from ansible_collections.mailops.kerio.plugins.module_utils.imap.guard import Guard
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import (
    Failed,
    Fetched,
    Gone,
    Item,
    OpenSink,
    StreamedBody,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.planner import Limits, Planner
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import (
    Response,
    Result,
    found_uids,
    tagged_result,
    unknown_tag,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import (
    MalformedError,
    Message,
    is_fetch,
    parse_flags,
    parse_internaldate,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.wire import BULK_BUFFER

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection

WHOLE = b"UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[]"
SIZES = b"UID RFC822.SIZE"
# When so many messages from all parts of the folder are refused, they are not bad messages: the server refuses everything.
GIVE_UP = 100
# UID SEARCH commands in one write
PIPELINE = 20


@dataclass(frozen=True)
class Command:
    """A FETCH in flight."""

    uids: list[int]
    bodies: bool


class Bulk:
    """One run over some UIDs of the folder that is open.

    Dovecot sends data of the second command before the tagged OK of the first, so a message counts by its UID.
    ``open_uids`` were asked for and have not come; a command that ends turns those of its own into ``missing``.
    """

    def __init__(self, conn: Connection, planner: Planner, limits: Limits, stream_above: int, staging: OpenSink | None) -> None:
        self._conn = conn
        self._reader = conn.reader
        self._planner = planner
        self._depth = limits.depth
        self._stream_above = stream_above
        self._staging = staging or _unnamed_file
        self._commands: dict[bytes, Command] = {}
        self._open: set[int] = set()
        self._partial: dict[int, Message] = {}
        self._reasons: dict[int, str] = {}
        self._missing: list[int] = []
        self._done: list[int] = []
        self._refused = 0

    def run(self) -> t.Generator[Item, None, None]:
        """See ``fetch.fetch``."""
        self._reader.wire.make_room(BULK_BUFFER)
        try:
            yield from self._exchange(self._send_batches)
            missing, self._missing = self._missing, []
            if missing:
                yield from self._one_by_one(missing)
        except (NetworkError, ProtocolError) as error:
            asked = (uid for command in self._commands.values() if not command.bodies for uid in command.uids)
            error.details.update(completed=uidset.compact(self._done), in_flight=uidset.compact({*self._open, *asked}))
            raise
        finally:
            if self._commands:
                self._conn.abort()

    def _exchange(self, send: t.Callable[[], None]) -> t.Iterator[Fetched]:
        """Send what is due and yield what comes until nothing is in flight."""
        send()
        guard = self._reader.guard()
        while self._commands:
            message = self._reader.next_usual(self._stream_above) or self._next(guard)
            if message is None:
                send()
                continue
            uid = message.uid
            if uid in self._open and message.body is not None and not self._hollow(message):
                self._open.discard(uid)
                self._done.append(uid)
                yield self._fetched(uid, message)
                guard.progress()
            else:
                guard.count(self._reader.taken)
                self._take_part(message)

    def _next(self, guard: Guard) -> Message | None:
        """Read one response of any form; None when it is no FETCH, and was taken."""
        response = self._reader.next(self._stream_above, self._staging)
        try:
            return response.message()
        except MalformedError as error:
            if self._take_other(response, str(error)):
                guard.progress()
            else:
                guard.count(self._reader.taken)
        return None

    def _send(self, uids: list[int], items: bytes, *, bodies: bool) -> None:
        self._commands[self._reader.send(b"UID FETCH %s (%s)" % (uidset.compact(uids).encode(), items))] = Command(uids, bodies)
        if bodies:
            self._open.update(uids)

    def _bodies_in_flight(self) -> int:
        return sum(command.bodies for command in self._commands.values())

    def _send_batches(self) -> None:
        asked = self._planner.sizes_to_ask()
        if asked:
            self._send(asked, SIZES, bodies=False)
        while self._bodies_in_flight() < self._depth:
            batch = self._planner.next_batch()
            if not batch:
                return
            self._send(batch, WHOLE, bodies=True)

    def _take_other(self, response: Response, text: str) -> bool:
        """Take a tagged answer, and return whether it was one; of what is untagged, only a FETCH that cannot be read matters."""
        for body in response.streamed.values():
            body.sink.close()
        tagged = tagged_result(response)
        if tagged is None:
            if is_fetch(response.data, response.start, response.end):
                self._reasons.update((uid, f"the server's answer cannot be read: {text}") for uid in self._open)
            return False
        tag, result = tagged
        if tag not in self._commands:
            raise unknown_tag(self._reader.wire.label, response)
        self._end(self._commands.pop(tag), result)
        return True

    def _end(self, command: Command, result: Result) -> None:
        if not command.bodies:
            self._planner.sizes_told()
            return
        missing = [uid for uid in command.uids if uid in self._open]
        self._open.difference_update(missing)
        self._missing += missing
        if missing and not result.ok:
            self._refused += 1
            self._reasons.update((uid, f"{result.status} {result.text}") for uid in missing)

    def _take_part(self, message: Message) -> None:
        """Take a FETCH without an awaited body: a size, or a part of an answer that the server splits; flags alone mean
        nothing."""
        if isinstance(message.body, StreamedBody):
            message.body.sink.close()
        if message.uid is None:
            return
        if message.size is not None:
            self._planner.learn(message.uid, message.size)
        if message.uid in self._open:
            self._partial[message.uid] = merged(self._partial.get(message.uid), message)
            if message.nil:
                self._reasons[message.uid] = "the server sent NIL instead of the message"

    def _hollow(self, message: Message) -> bool:
        """Whether the server gives nothing for a message that has a size, as servers do that cannot read their store."""
        if isinstance(message.body, StreamedBody) or len(message.body):
            return False
        before = self._partial.get(t.cast("int", message.uid))
        size = message.size if message.size is not None or before is None else before.size
        if not size:
            return False
        self._reasons[t.cast("int", message.uid)] = f"the server sent an empty message where RFC822.SIZE says {size} bytes"
        return True

    def _fetched(self, uid: int, message: Message) -> Fetched:
        message = merged(self._partial.pop(uid, None), message)
        size = message.body.size if isinstance(message.body, StreamedBody) else len(message.body)
        date = parse_internaldate(message.date) if message.date is not None else None
        problems: tuple[str, ...] = ()
        if message.size != size and message.size is not None:
            problems += (f"RFC822.SIZE says {message.size} bytes, but {size} came",)
        if date is None:
            problems += (f"INTERNALDATE cannot be read: {message.date!r}",)
        if message.flags is None:
            problems += ("the server sent no FLAGS",)
        return Fetched(uid, size, date or 0, parse_flags(message.flags or b""), message.body, message.size, problems)

    def _one_by_one(self, missing: list[int]) -> t.Iterator[Item]:
        """Tell what is gone from what the server does not give; each of the latter is asked for alone."""
        existing = self._existing(missing)
        yield from self._gone(missing, existing)
        queue = iter(_spread([uid for uid in missing if uid in existing], GIVE_UP))
        before = len(self._done)
        self._refused = 0

        def hopeless() -> bool:
            return self._refused >= GIVE_UP and len(self._done) == before

        def send() -> None:
            while self._bodies_in_flight() < self._depth and not hopeless():
                uid = next(queue, None)
                if uid is None:
                    return
                self._send([uid], WHOLE, bodies=True)

        yield from self._exchange(send)
        refused, self._missing = self._missing, []
        if hopeless():
            cause = f"the server refused {GIVE_UP} messages in a row: {self._reasons[refused[-1]]}"
            raise ImapError(f"{self._conn.name}, mailbox {self._conn.user}", cause, "Check the folder on the server")
        if refused:
            existing = self._existing(refused)
            yield from self._gone(refused, existing)
        for uid in refused:
            if uid in existing:
                self._done.append(uid)
                yield Failed(uid, self._reasons.get(uid, "the server lists the message, but sent nothing for it"))

    def _gone(self, asked: list[int], existing: set[int]) -> t.Iterator[Gone]:
        for uid in asked:
            if uid not in existing:
                self._done.append(uid)
                yield Gone(uid)

    def _existing(self, uids: list[int]) -> set[int]:
        """Return those of ``uids`` that the folder still has; NOOP lets the server admit what other sessions expunged."""
        found: set[int] = set()

        def take(response: Response) -> None:
            found.update(found_uids(response))

        pieces = list(uidset.split(uids, len(uids)))
        self._reader.run([b"NOOP"])
        commands = [b"UID SEARCH UID %s" % uidset.compact(piece).encode() for piece in pieces]
        for piece, result in zip(pieces, self._reader.run_by(PIPELINE, commands, take), strict=True):
            found.update(() if result.ok else piece)
        return found


def _unnamed_file(_size: int) -> t.Any:
    return tempfile.TemporaryFile()


def _spread(uids: list[int], count: int) -> list[int]:
    """All of ``uids``, ``count`` from all parts of them first."""
    first = [uids[number * len(uids) // count] for number in range(count)] if len(uids) > count else uids
    return first + sorted(set(uids) - set(first))


def merged(before: Message | None, now: Message) -> Message:
    """Join what two responses say about one message; the later one wins."""
    if before is None:
        return now
    now.size = before.size if now.size is None else now.size
    now.flags = before.flags if now.flags is None else now.flags
    now.date = before.date if now.date is None else now.date
    return now
