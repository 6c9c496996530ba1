# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts what a server sends into responses, literals included, and runs commands of our own."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.guard import PATIENCE, Guard
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import OpenSink, StreamedBody
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import (
    FREE_TEXT,
    Buffer,
    Message,
    clean,
    parse_fetch,
    usual_fetch,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.wire import LONGEST, RETRY, Wire

_LITERAL = re.compile(rb"~?\{(\d+)\+?\}\Z")
_TAGGED = re.compile(rb"([^ *+]+) (OK|NO|BAD)(?: |\r|\n)", re.IGNORECASE)
_CAPABILITIES = re.compile(rb"[^ ]+ OK \[CAPABILITY ([^\]\r\n]+)\]", re.IGNORECASE)
_BYE = re.compile(rb"\* BYE\b *", re.IGNORECASE)
_FETCH_END = b")\r\n"


@dataclass(slots=True)
class Response:
    """``data`` from ``start`` to ``end`` (without the line's end); valid until the next response is read."""

    data: Buffer
    view: memoryview
    start: int
    end: int
    streamed: dict[int, StreamedBody] = field(default_factory=dict)

    @property
    def continuation(self) -> bool:
        return self.data[self.start : self.start + 1] == b"+"

    def text(self) -> bytes:
        return bytes(self.view[self.start : self.end])

    def message(self) -> Message:
        """Read it as FETCH; MalformedError when it is none."""
        return parse_fetch(self.data, self.view, self.start, self.end, self.streamed)


@dataclass(frozen=True)
class Result:
    """The tagged answer to a command: status "OK", "NO" or "BAD", and the server's words."""

    status: str
    text: str

    @property
    def ok(self) -> bool:
        return self.status == "OK"


def _nothing(_response: Response) -> None:
    """What to do with responses that nobody waits for."""


class Reader:
    """Reads responses from a wire and sends tagged commands. Not thread-safe; imaplib may use the wire in between.

    ``capabilities`` are those that greeting or login told of the present state of the connection, empty when they did not.
    ``taken``: the bytes of the last response, without what went to a sink.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.capabilities: frozenset[str] = frozenset()
        self.taken = 0
        self._tags = 0

    def next_usual(self, stream_above: int) -> Message | None:
        """Return the next response when it is a FETCH of a whole message in the usual form; None leaves it to ``next``.

        What the literal's size says is enough to cut it out, without a search for the end of every line.
        """
        wire = self.wire
        if wire.start == wire.end:
            wire.fill()
        found = usual_fetch(wire.buffer, wire.start, wire.end)
        if found is None or found[2] > stream_above:
            return None
        message, at, size = found
        head = at - wire.start
        length = head + size + len(_FETCH_END)
        wire.make_room(length)
        while wire.end - wire.start < length:
            wire.fill()
        body = wire.start + head
        if wire.buffer[body + size : body + size + len(_FETCH_END)] != _FETCH_END:
            return None
        message.body = wire.view[body : body + size]
        wire.start += length
        self.taken = length
        wire.answered()
        return message

    def next(self, stream_above: int = LONGEST, open_sink: OpenSink | None = None) -> Response:
        """Return the next response; a literal of more than ``stream_above`` bytes goes to a sink of ``open_sink``.

        A sink whose response did not arrive in full is closed. Raises NetworkError, ProtocolError, and what the sink raises.
        """
        wire = self.wire
        scanned = 0
        while True:
            stop = self._line_end(scanned)
            data, start = wire.buffer, wire.start
            if data[stop - 1] != 125:  # "}"
                break
            header = _LITERAL.search(data, max(start + scanned, stop - 24), stop)
            if header is None or FREE_TEXT.match(data, start, stop):
                break
            size = int(header[1])
            if size > stream_above:
                return self._stream(stop + 2 - start, size, open_sink)
            scanned = stop + 2 - start + size
            wire.make_room(scanned + 2)
        wire.start = stop + 2
        self.taken = stop + 2 - start
        wire.answered()
        response = Response(data, wire.view, start, stop)
        if data[start] == 42 and _BYE.match(data, start, stop):  # "*"
            wire.bye = clean(response.text()[5:])
            wire.lost = "closed"
            raise NetworkError(wire.label, f"the server closed the connection: {wire.bye}", RETRY)
        return response

    def _line_end(self, scanned: int) -> int:
        """Return the offset of the CRLF that ends the line which begins ``scanned`` bytes behind the wire's start."""
        wire = self.wire
        while True:
            found = wire.buffer.find(b"\r\n", wire.start + scanned, wire.end)
            if found >= 0:
                return found
            # A literal may reach beyond what came, and a line's CR may be the last byte that came.
            scanned = max(scanned, wire.end - wire.start - 1)
            wire.fill()

    def _stream(self, header_end: int, size: int, open_sink: OpenSink | None) -> Response:
        """Take a large literal out of the response; what remains of it is small."""
        if open_sink is None:
            raise ProtocolError(self.wire.label, f"the server sent a literal of {size} bytes unasked", "Report it to its vendor")
        text = bytearray(self.wire.read(header_end))
        at, body = len(text), self._into_sink(size, open_sink)
        try:
            self._rest(text)
        except BaseException:
            body.sink.close()
            raise
        self.taken = len(text)
        self.wire.answered()
        return Response(text, memoryview(text), 0, len(text) - 2, {at: body})

    def _rest(self, text: bytearray) -> None:
        """Add what follows a large literal, up to the end of the response."""
        wire = self.wire
        while True:
            line = wire.read_line()
            text += line
            header = _LITERAL.search(line.removesuffix(b"\r\n"))
            if header is None:
                return
            size = int(header[1])
            if size > LONGEST:
                raise ProtocolError(wire.label, "the server sent two large literals in one response", "Report it to its vendor")
            text += wire.read(size)

    def _into_sink(self, size: int, open_sink: OpenSink) -> StreamedBody:
        sink = open_sink(size)
        done = False
        try:
            self.wire.stream(size, sink.write)
            done = True
        finally:
            if not done:
                sink.close()
        return StreamedBody(size, sink)

    def guard(self, times: float = PATIENCE) -> Guard:
        """Return what ends an answer without an end, after so many times the time-out."""
        return Guard(self.wire.label, self.wire.sock.gettimeout(), times)

    def new_tag(self) -> bytes:
        """Return a tag that neither we nor imaplib (four letters A to P and a number) used on this connection."""
        self._tags += 1
        return b"Z%d" % self._tags

    def send(self, line: bytes) -> bytes:
        """Send one command; return its tag."""
        tag = self.new_tag()
        self.wire.send(tag + b" " + line + b"\r\n")
        return tag

    def run(self, lines: t.Sequence[bytes], take: t.Callable[[Response], None] = _nothing) -> list[Result]:
        """Send commands in one write and wait for all of them; ``take`` gets every untagged response."""
        tags = [self.new_tag() for _line in lines]
        self.wire.send(b"".join(tag + b" " + line + b"\r\n" for tag, line in zip(tags, lines, strict=True)))
        results: dict[bytes, Result] = {}
        guard = self.guard()
        while len(results) < len(tags):
            response = self.next()
            tagged = tagged_result(response)
            if tagged is None:
                guard.count(self.taken)
                take(response)
            elif tagged[0] in tags:
                results[tagged[0]] = tagged[1]
                guard.progress()
            else:
                raise unknown_tag(self.wire.label, response)
        return [results[tag] for tag in tags]

    def run_by(self, most: int, lines: t.Sequence[bytes], take: t.Callable[[Response], None] = _nothing) -> list[Result]:
        """Run commands of any number, at most so many in one write; the next write goes when those are answered."""
        return [result for first in range(0, len(lines), most) for result in self.run(lines[first : first + most], take)]


def tagged_result(response: Response) -> tuple[bytes, Result] | None:
    """Return tag and result of a tagged response, None for another."""
    if response.data[response.start] in b"*+":
        return None
    match = _TAGGED.match(response.data, response.start, response.end + 2)
    if match is None:
        return None
    words = clean(bytes(response.view[match.end(2) : response.end]))
    return bytes(match[1]), Result(match[2].decode().upper(), words)


def found_uids(response: Response) -> list[int]:
    """Return the UIDs of an answer to UID SEARCH; none of another response."""
    words = response.text().split()
    is_search = bool(words[1:2]) and words[1].upper() == b"SEARCH"
    return [int(word) for word in words[2:] if word.isdigit()] if is_search else []


def told_capabilities(line: bytes) -> frozenset[str]:
    """Return what a greeting or an OK says in its response code ``[CAPABILITY ...]`` (RFC 3501 section 7.1); upper case."""
    match = _CAPABILITIES.match(line)
    return frozenset(match[1].decode("ascii", "replace").upper().split()) if match else frozenset()


def unknown_tag(label: str, response: Response) -> ProtocolError:
    """Return the error for an answer to a command that was not sent."""
    return ProtocolError(label, f"the server answered out of turn: {clean(response.text())}", "Check who answers on this port")
