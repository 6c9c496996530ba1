# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells that messages are the same but for what servers change: line ends, and header fields that they add. Pure: no I/O.

Nobody but the bytes is believed: a Message-ID proves nothing.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

_LINE_END = re.compile(rb"\r\n|\r|\n")
_HEADER_END = b"\r\n\r\n"
_NUL_AS_80 = bytes.maketrans(b"\0", b"\x80")


class Prints(t.NamedTuple):
    """Digests of a message with all line ends as CRLF: of all of it, and of what follows its header.

    ``text`` is that of all of it without CR and LF, with NUL as 0x80: what Dovecot leaves of a message that it alters.
    """

    lines: bytes
    body: bytes
    text: bytes


def prints_of(pieces: t.Iterable[bytes]) -> Prints:
    """The prints of a message that comes in pieces."""
    lines, body, text = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    # A blank line ends the header, also when it is the first one.
    tail, in_body = b"\r\n", False
    for piece in _with_crlf(pieces):
        lines.update(piece)
        text.update(piece.translate(_NUL_AS_80, b"\r\n"))
        if in_body:
            body.update(piece)
            continue
        head, end, rest = (tail + piece).partition(_HEADER_END)
        in_body = bool(end)
        if in_body:
            body.update(rest)
        tail = head[-len(_HEADER_END) + 1 :]
    return Prints(lines.digest(), body.digest(), text.digest())


def _with_crlf(pieces: t.Iterable[bytes]) -> t.Iterator[bytes]:
    """The message with all line ends as CRLF; its end has one, unless it is empty."""
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
