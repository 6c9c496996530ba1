# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading IMAP: the client's commands, and where the server's responses begin and end."""

from __future__ import annotations

import dataclasses
import re

LITERAL = re.compile(rb"~?\{(\d+)(\+?)\}\r?\n\Z")
TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|\{\d+\+?\}\r?\n|(\((?:[^()"]|"(?:[^"\\]|\\.)*")*\))|([^ ()"\r\n]+)')
LONGEST_LINE = 4 << 20


@dataclasses.dataclass(frozen=True)
class Command:
    """The first line of a client's command. `name` is upper case, with its second word for UID commands."""

    tag: bytes
    name: str
    args: bytes
    line: bytes

    @property
    def shown(self) -> str:
        """The arguments for the log."""
        return self.args.rstrip(b"\r\n").decode("utf-8", "replace")[:300]


def parse(line: bytes) -> Command:
    """Never fails: a line without a command has the name ""."""
    tag, _blank, rest = line.rstrip(b"\r\n").partition(b" ")
    name, _blank, args = rest.partition(b" ")
    if name.upper() == b"UID":
        second, _blank, args = args.partition(b" ")
        name += b" " + second
    return Command(tag, name.decode("ascii", "replace").upper(), args, line)


def tokens(pieces: list[bytes]) -> list[bytes]:
    """Arguments of a gathered command (text and literal data in turn): strings without quotes, lists with parentheses."""
    found: list[bytes] = []
    for number, piece in enumerate(pieces):
        if number % 2:
            found.append(piece)
            continue
        for match in TOKEN.finditer(piece):
            quoted, listed, atom = match.groups()
            if quoted is not None:
                found.append(re.sub(rb"\\(.)", rb"\1", quoted))
            elif listed is not None or atom is not None:
                found.append(listed or atom)
    return found


class Tracker:
    """Follows the server's stream as it passes and tells which tags were answered. Copies nothing but broken lines."""

    def __init__(self) -> None:
        self._literal = 0
        self._partial = b""
        self._inside = False

    def feed(self, data: bytes) -> list[bytes]:
        pos = self._literal
        if pos >= len(data):
            self._literal -= len(data)
            return []
        self._literal = 0
        done: list[bytes] = []
        while (eol := data.find(b"\n", pos)) >= 0:
            line = self._partial + data[pos : eol + 1]
            self._partial = b""
            pos = eol + 1
            match = LITERAL.search(line) if line.endswith((b"}\r\n", b"}\n")) else None
            if match is None:
                if not self._inside and line[:1] not in b"*+":
                    done.append(line.split(b" ", 1)[0])
                self._inside = False
                continue
            self._inside = True
            pos += int(match[1])
            if pos >= len(data):
                self._literal = pos - len(data)
                return done
        self._partial += data[pos:]
        return done


class Splitter:
    """Cuts the server's stream into whole responses, each with its literals."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scan = 0

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        units: list[bytes] = []
        while (eol := self._buffer.find(b"\n", self._scan)) >= 0:
            start = self._buffer.rfind(b"\n", self._scan, eol) + 1
            match = LITERAL.search(bytes(self._buffer[max(start, eol - 40) : eol + 1]))
            if match is None:
                units.append(bytes(self._buffer[: eol + 1]))
                del self._buffer[: eol + 1]
                self._scan = 0
                continue
            end = eol + 1 + int(match[1])
            self._scan = end
            if end > len(self._buffer):
                break
        return units
