# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells that messages are the same but for what servers change: line ends, and header fields that they add. Pure: no I/O.

Nobody but the bytes is believed: a Message-ID proves nothing.
"""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive.rehearse_compare import with_crlf

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
    for piece in with_crlf(pieces):
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
