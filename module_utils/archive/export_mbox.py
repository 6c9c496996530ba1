# SPDX-License-Identifier: GPL-3.0-or-later
"""The mboxrd form of messages, piece by piece. Pure: no I/O.

A message begins with a line ``From ``; each line of it that is any number of ``>`` and ``From `` has one ``>`` more; behind it
come a line end if it has none, and an empty line. Lines end with LF; a CR before it belongs to the message.
"""

from __future__ import annotations

import re
import time

from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import Buffer
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_names import LATEST

_WORD = b"From "
_INNER = re.compile(rb"(?<=\n)>*From ")
_FIRST = re.compile(rb">*From ")
_UNDECIDED = re.compile(rb">*(F|Fr|Fro|From)?\Z")


def from_line(date: int) -> bytes:
    """The line before a message: its INTERNALDATE (epoch seconds), in UTC."""
    return f"From MAILER-DAEMON {time.asctime(time.gmtime(min(max(0, date), LATEST)))}\n".encode("ascii")


class Quoter:
    """One message, which may come in pieces. ``length``: how many bytes it has become; ``last``: the last of them."""

    def __init__(self) -> None:
        self.length = 0
        self._held = b""
        self._open = True  # at the beginning of a line, or within its ">"
        self.last = b"\n"

    def update(self, piece: Buffer) -> bytes:
        """The bytes that are ready after ``piece``. No ">" is held back: within a row of them one is as good as another."""
        data = self._held + bytes(piece)
        if not data:
            return b""
        text = self._quoted(data) if _WORD in data else data
        begin = data.rfind(b"\n") + 1
        undecided = _UNDECIDED.match(data, begin) if begin or self._open else None
        self._open = undecided is not None
        self._held = (undecided[1] or b"") if undecided else b""
        return self._out(text[: len(text) - len(self._held)])

    def _quoted(self, data: bytes) -> bytes:
        first = _FIRST.match(data) if self._open else None
        head = data[: first.end()] if first else b""
        return _one_more(head) + _INNER.sub(lambda match: _one_more(match[0]), data[len(head) :])

    def _out(self, text: bytes) -> bytes:
        self.length += len(text)
        self.last = text[-1:] or self.last
        return text

    def finish(self) -> bytes:
        """The last bytes of the message."""
        held, self._held = self._held, b""
        return self._out(held)


def trailer(last: bytes) -> bytes:
    """What follows a message of which ``last`` is the last byte; that of the line before it, if it is empty."""
    return b"\n" if last == b"\n" else b"\n\n"


def _one_more(line: bytes) -> bytes:
    return b">" + line if line else b""
