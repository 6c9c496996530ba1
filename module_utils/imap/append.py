# SPDX-License-Identifier: GPL-3.0-or-later
"""APPEND of many messages, byte for byte; pipelined where the server takes literals unasked (LITERAL+, RFC 7888).

imaplib is not used for it: it makes CRLF of every line end.

A server that refuses a command without taking its unasked literal would read the message as commands, and messages come from
strangers. So a literal goes unasked only behind an APPEND to the same folder that the server has accepted, never after it refused
one, and only if it is small: size is the reason for which servers refuse before they read.
"""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import names
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response, Result, tagged_result, unknown_tag

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection

UNASKED = 256 * 1024  # bytes of the largest literal that is sent unasked
# Commands, and bytes of their literals, without an answer.
DEPTH, AHEAD = 64, 1024 * 1024
# A locale would give other names.
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_CODE = re.compile(r"\[([A-Z-]+)[ \]]", re.IGNORECASE)
_UID = re.compile(r"\[APPENDUID (\d+) (\d+)\]", re.IGNORECASE)
_LIMIT = re.compile(r"APPENDLIMIT=(\d+)")


@dataclass(frozen=True)
class Outgoing:
    """A message: ``pieces`` gives its ``size`` bytes, once. ``date``: INTERNALDATE in epoch seconds; ``key`` is the caller's."""

    key: bytes
    size: int
    pieces: t.Iterable[bytes]
    date: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the server says to the message with this key."""

    key: bytes
    result: Result

    @property
    def code(self) -> str:
        """The response code, upper case; "" without one."""
        found = _CODE.match(self.result.text)
        return found[1].upper() if found else ""

    @property
    def uid(self) -> tuple[int, int] | None:
        """UIDVALIDITY and UID that the message got (RFC 4315); None when the server does not tell."""
        found = _UID.match(self.result.text)
        return (int(found[1]), int(found[2])) if found and self.result.ok else None


def limit(conn: Connection) -> int | None:
    """The size of the largest message that the server takes anywhere (RFC 7889); None when it does not tell."""
    told = [int(match[1]) for one in conn.capabilities if (match := _LIMIT.fullmatch(one))]
    return min(told, default=None)


def internal_date(seconds: int) -> bytes:
    """An INTERNALDATE as a command carries it, in UTC."""
    at = time.gmtime(seconds)
    clock = (at.tm_year, at.tm_hour, at.tm_min, at.tm_sec)
    return b"%02d-%s-%04d %02d:%02d:%02d +0000" % (at.tm_mday, _MONTHS[at.tm_mon - 1], *clock)


class Appender:
    """Puts messages into the folder ``raw`` (a name that can be quoted). ``put`` them, then ``finish``.

    ``answers`` are those that came, in order; ``waiting`` are the keys of what was sent, or begun, and not answered, as after a
    NetworkError. ``pace``: how fast to send.
    """

    def __init__(self, conn: Connection, raw: bytes, pace: Pace | None = None) -> None:
        self.answers: list[Answer] = []
        self._conn = conn
        self._reader = conn.reader
        self._pace = pace
        self._name = names.quote(raw) or b'""'
        self._open: dict[bytes, Outgoing] = {}
        self._unasked: bool | None = None if "LITERAL+" in conn.capabilities else False  # None: not proven yet

    @property
    def waiting(self) -> list[bytes]:
        """See the class."""
        return [message.key for message in self._open.values()]

    def put(self, message: Outgoing) -> None:
        """Send it; its answer may come later. What ``pieces`` raises closes the connection, so that no half of it stays."""
        tag = self._reader.new_tag()
        flags = b"(%s) " % " ".join(message.flags).encode() if message.flags else b""
        line = b'%s APPEND %s %s"%s" ' % (tag, self._name, flags, internal_date(message.date))
        unasked = self._unasked is True and message.size <= UNASKED
        if unasked:
            self._make_room(message.size)
            # An answer on the way may have been a refusal.
            unasked = self._unasked is True
        self._open[tag] = message
        if unasked:
            self._send([b"%s{%d+}\r\n" % (line, message.size), *message.pieces, b"\r\n"])
            return
        self._send([b"%s{%d}\r\n" % (line, message.size)])
        # What is on the way is answered first, so one round trip brings both answers.
        if self._asked(tag):
            self._send_literal(message)

    def finish(self) -> None:
        """Wait for all answers."""
        self._wait_for(0, 0)

    def _make_room(self, size: int) -> None:
        if len(self._open) >= DEPTH or self._ahead() + size > AHEAD:
            self._wait_for(DEPTH // 2, AHEAD // 2)

    def _ahead(self) -> int:
        return sum(message.size for message in self._open.values())

    def _wait_for(self, commands: int, size: int) -> None:
        """Read answers until at most so many are missing."""
        guard = self._reader.guard()
        while len(self._open) > commands or self._ahead() > size:
            if self._take(self._reader.next()):
                guard.progress()
            else:
                guard.count(self._reader.taken)

    def _asked(self, tag: bytes) -> bool:
        """Whether the server asks for the literal; it may refuse instead."""
        guard = self._reader.guard()
        while tag in self._open:
            response = self._reader.next()
            if response.continuation:
                return True
            if not self._take(response):
                guard.count(self._reader.taken)
        return False

    def _take(self, response: Response) -> bool:
        """Keep a tagged answer; return whether it was one."""
        tagged = tagged_result(response)
        if tagged is None:
            return False
        tag, result = tagged
        if tag not in self._open:
            raise unknown_tag(self._reader.wire.label, response)
        self.answers.append(Answer(self._open.pop(tag).key, result))
        if not result.ok:
            self._unasked = False
        elif self._unasked is None:
            self._unasked = True
        return True

    def _send_literal(self, message: Outgoing) -> None:
        whole = False
        try:
            for piece in message.pieces:
                self._send([piece])
            self._send([b"\r\n"])
            whole = True
        finally:
            if not whole:
                self._conn.abort()

    def _send(self, parts: list[bytes]) -> None:
        data = b"".join(parts)
        try:
            if self._pace is None:
                self._reader.wire.send(data)
                return
            for at in range(0, len(data), self._pace.bite):
                piece = data[at : at + self._pace.bite]
                self._reader.wire.send(piece)
                self._pace.took(len(piece))
        except NetworkError as error:
            raise self._last_words() or error from None

    def _last_words(self) -> NetworkError | None:
        """What the server said before it closed the connection; None when that was nothing."""
        if self._reader.wire.lost != "closed":
            return None
        try:
            while True:
                self._take(self._reader.next())
        except NetworkError as said:
            return said if self._reader.wire.bye else None
