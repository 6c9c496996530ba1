# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that sends lines and shows the bytes that come back."""

from __future__ import annotations

import hashlib
import re
import socket
import types

from tests.faults.imap_server import HOST

PATIENCE = 10
LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


class RawClient:
    """One connection; tags count up unless they are given."""

    def __init__(self, port: int, *, greeted: bool = True) -> None:
        self._sock = socket.create_connection((HOST, port), PATIENCE)
        self._stream = self._sock.makefile("rb")
        self._tags = 0
        if greeted:
            assert self._stream.readline().startswith(b"* OK")

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: types.TracebackType | None
    ) -> None:
        self._stream.close()
        self._sock.close()

    def send(self, text: str, tag: str = "") -> bytes:
        self._tags += 1
        tag = tag or f"C{self._tags}"
        self._sock.sendall(f"{tag} {text}\r\n".encode())
        return tag.encode()

    def command(self, text: str, tag: str = "") -> list[bytes]:
        """All lines of the answer; a literal is an entry of its own, between the lines around it."""
        end = self.send(text, tag) + b" "
        lines: list[bytes] = []
        while not lines or not lines[-1].startswith(end):
            lines.append(self._stream.readline())
            assert lines[-1], "the server hung up"
            while match := LITERAL.search(lines[-1]):
                lines.append(self._stream.read(int(match[1])))
                lines.append(self._stream.readline())
        return lines

    def ok(self, text: str, tag: str = "") -> list[bytes]:
        """``command`` with a tagged OK at its end."""
        lines = self.command(text, tag)
        assert lines[-1].split()[1] == b"OK", lines[-1]
        return lines

    def master(self, password: str, user: str) -> list[bytes]:
        """X-MASTERAUTH and X-SETUSER; all lines."""
        self.send("X-MASTERAUTH")
        challenge = self._stream.readline().removeprefix(b"+ ").strip()
        digest = hashlib.md5(challenge + password.encode(), usedforsecurity=False).hexdigest()
        self._sock.sendall(digest.encode() + b"\r\n")
        return [self._stream.readline(), *self.command(f"X-SETUSER {user}")]

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        return self._stream.read()

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes, not even the end of the stream."""
        self._sock.settimeout(seconds)
        try:
            return self._sock.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        finally:
            self._sock.settimeout(PATIENCE)
