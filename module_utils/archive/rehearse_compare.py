# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server made of a message that it was given: nothing, other line ends, more headers, or another message. Pure: no I/O."""

from __future__ import annotations

import re
import typing as t
from enum import StrEnum

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FIELD = re.compile(rb"(?:[^\r\n]*\r\n)(?:[ \t][^\r\n]*\r\n)*")


class Came(StrEnum):
    """How a message came back, the best first."""

    SAME = "same"
    LINE_ENDS = "line_ends"
    HEADERS = "headers_added"
    OTHER = "other"


def compare(sent: bytes, came: bytes) -> Came:
    """``HEADERS``: every header field that was sent is there in its order, and so is the body, but for line ends."""
    if sent == came:
        return Came.SAME
    sent, came = (b"".join(with_crlf([text])) for text in (sent, came))
    if sent == came:
        return Came.LINE_ENDS
    head, body = _split(sent)
    more, other = _split(came)
    return Came.HEADERS if body == other and _has_in_order(more, head) else Came.OTHER


def with_crlf(pieces: t.Iterable[bytes]) -> t.Iterator[bytes]:
    """A message that comes in pieces, with all line ends as CRLF; its end has one, unless it is empty."""
    held, last = b"", b""
    for piece in pieces:
        text = held + piece
        # The CR at its end may be half a line end.
        held = b"\r" if text.endswith(b"\r") else b""
        text = _LINE_END.sub(b"\r\n", text[: len(text) - len(held)])
        if text:
            last = text[-2:]
            yield text
    if held or (last and last != b"\r\n"):
        yield b"\r\n"


def _split(text: bytes) -> tuple[list[bytes], bytes]:
    """The header fields, folded lines joined to theirs, and the rest."""
    head, _blank, body = (b"\r\n" + text).partition(b"\r\n\r\n")
    return _FIELD.findall(head[2:] + b"\r\n" if head[2:] else b""), body


def _has_in_order(fields: list[bytes], wanted: list[bytes]) -> bool:
    rest = iter(fields)
    return all(field in rest for field in wanted)
