# SPDX-License-Identifier: GPL-3.0-or-later
"""Which messages may be copies of each other: the same message that came by another way. Pure: no I/O.

A mailbox copy and the archive mailbox's copy of one message differ in the headers that each hop adds. The key leaves these
out; it only finds candidates. ``same_message`` proves: what is left of both headers, and both bodies, are equal byte for byte.
"""

from __future__ import annotations

import hashlib
import re
import struct
import typing as t
import zlib

Buffer: t.TypeAlias = bytes | bytearray | memoryview

KEY_BYTES = 16
HEADER_LIMIT = 1 << 20  # a header that does not end within this is cut here, so that a stream needs bounded memory
_PIECE = 1 << 20

TRACE_HEADERS = (
    rb"Received",
    rb"Return-Path",
    rb"Delivered-To",
    rb"X-Envelope-To",
    rb"Envelope-To",
    rb"X-Original-To",
    rb"Authentication-Results",
    rb"Received-SPF",
    rb"DKIM-Signature",
    rb"X-Spam-[^\s:]*",
    rb"X-Kerio-[^\s:]*",
    rb"X-Footer[^\s:]*",
)
_TRACE = re.compile(rb"(?im)^(?:" + b"|".join(TRACE_HEADERS) + rb")[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?")
_HEADER_END = re.compile(rb"\n\r?\n")
_STARTS_WITH_BODY = re.compile(rb"\r?\n")


def header_length(message: Buffer) -> int | None:
    """Bytes up to and including the empty line that ends the header, at most ``HEADER_LIMIT``; None when no empty line is there.

    Line ends may be CRLF or LF.
    """
    head = memoryview(message)[:HEADER_LIMIT]
    match = _STARTS_WITH_BODY.match(head) or _HEADER_END.search(head)
    return match.end() if match else None


def copy_key(message: Buffer) -> bytes:
    """A candidate key of ``KEY_BYTES``, never a proof: equal for messages that differ in trace headers alone. Takes any bytes."""
    view = memoryview(message)
    end = header_length(view)
    if end is None:
        end = min(len(view), HEADER_LIMIT)
    return _key(bytes(view[:end]), len(view) - end, zlib.crc32(view[end:]))


class CopyKeyStream:
    """``copy_key`` of a message that comes in pieces; holds no more than its header."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._in_body = False
        self._length = 0
        self._crc = 0

    def update(self, piece: Buffer) -> None:
        """Take the next bytes."""
        if self._in_body:
            self._body(memoryview(piece))
            return
        self._head += piece
        end = header_length(self._head)
        if end is None and len(self._head) >= HEADER_LIMIT:
            end = HEADER_LIMIT
        if end is not None:
            self._in_body = True
            rest = bytes(self._head[end:])
            del self._head[end:]
            self._body(memoryview(rest))

    def _body(self, piece: memoryview) -> None:
        self._length += len(piece)
        self._crc = zlib.crc32(piece, self._crc)

    def digest(self) -> bytes:
        """The key of all bytes so far."""
        return _key(bytes(self._head), self._length, self._crc)


def _key(header: bytes, body_length: int, body_crc: int) -> bytes:
    tail = struct.pack(">QI", body_length, body_crc)
    return hashlib.sha256(without_trace(header) + tail).digest()[:KEY_BYTES]


def without_trace(header: bytes) -> bytes:
    """The header block without the fields that a hop adds, folded lines included."""
    return _TRACE.sub(b"", header)


def same_message(one: Buffer, other: Buffer) -> bool:
    """Whether both are the same message: byte for byte, trace headers aside."""
    return same_pieces(iter([one]), iter([other]))


def same_pieces(one: t.Iterator[Buffer], other: t.Iterator[Buffer]) -> bool:
    """``same_message`` of two messages that come in pieces, in bounded memory."""
    first, second = _Pieces(one), _Pieces(other)
    if without_trace(first.header()) != without_trace(second.header()):
        return False
    while True:
        left, right = first.take(_PIECE), second.take(_PIECE)
        if left != right:
            return False
        if not left:
            return True


class _Pieces:
    """Reads a message in pieces of the size that is asked for."""

    def __init__(self, pieces: t.Iterator[Buffer]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def header(self) -> bytes:
        head = b""
        end = None
        while end is None and len(head) < HEADER_LIMIT:
            more = self.take(_PIECE)
            if not more:
                break
            head += more
            end = header_length(head)
        if end is None:
            end = min(len(head), HEADER_LIMIT)
        self._pieces = _chain(head[end:], self._piece, self._pieces)
        self._piece = memoryview(b"")
        return head[:end]

    def take(self, size: int) -> bytes:
        """``size`` bytes; fewer only at the end."""
        taken: list[memoryview] = []
        while size:
            if not self._piece:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._piece = memoryview(piece)
                continue
            part = self._piece[:size]
            self._piece = self._piece[size:]
            size -= len(part)
            taken.append(part)
        return b"".join(taken)


def _chain(first: Buffer, second: Buffer, rest: t.Iterator[Buffer]) -> t.Iterator[Buffer]:
    yield first
    yield second
    yield from rest
