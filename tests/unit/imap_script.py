# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted IMAP server on loopback: it expects certain commands in order and gives prepared answers."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import (
    Access,
    Connection,
    Credentials,
    Endpoint,
    open_connection,
)

PASSWORD = "not-a-secret-password"
PATIENCE = 10


class Peer:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received: list[bytes] = []
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def line(self) -> bytes:
        """Return the next line without its end; EOFError when the client is gone."""
        while b"\r\n" not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        self.received.append(line)
        return line

    def exact(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self.sock.recv(65536)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def wait_for_close(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.line()

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(self.sock, server_side=True)


@dataclass
class Expect:
    """A command as a regular expression over all that follows the tag (None: over the whole line), and the answer to it.

    ``{tag}`` in the answer is replaced by the command's tag.
    """

    command: bytes
    answer: bytes
    tagged: bool = True


Step = bytes | Expect | t.Callable[[Peer], None]
OK_GREETING = b"* OK IMAP4rev1 server ready\r\n"


def play(peer: Peer, steps: t.Sequence[Step]) -> None:
    """Send bytes, answer expected commands, call the rest; then wait until the client is gone."""
    tag = b""
    for step in steps:
        if isinstance(step, bytes):
            peer.send(step)
        elif isinstance(step, Expect):
            line = peer.line()
            if step.tagged:
                tag, _space, line = line.partition(b" ")
            assert re.fullmatch(step.command, line, re.DOTALL), f"expected {step.command!r}, got {line!r}"
            peer.send(step.answer.replace(b"{tag}", tag))
        else:
            step(peer)


class Server:
    """Serves one script per connection, in turn; ``failures`` are raised at the end of the ``with`` block."""

    def __init__(self, scripts: t.Sequence[t.Sequence[Step]], context: ssl.SSLContext | None) -> None:
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self._scripts = scripts
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener:
            for script in self._scripts:
                try:
                    sock, _address = self._listener.accept()
                    sock.settimeout(PATIENCE)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._one(Peer(sock), script)
                except (AssertionError, TimeoutError) as failure:
                    self.failures.append(failure)

    def _one(self, peer: Peer, script: t.Sequence[Step]) -> None:
        self.peers.append(peer)
        try:
            with contextlib.suppress(ssl.SSLError, ConnectionError, EOFError):
                if self._context is not None:
                    peer.start_tls(self._context)
                play(peer, script)
        finally:
            peer.sock.close()

    def finish(self) -> None:
        self._thread.join()


@contextlib.contextmanager
def serving(*scripts: t.Sequence[Step], context: ssl.SSLContext | None = None) -> t.Iterator[Server]:
    """Run a server for as many connections as there are scripts."""
    server = Server(scripts, context)
    try:
        yield server
    finally:
        server.finish()
    if server.failures:
        raise server.failures[0]


def plain(server: Server, timeout: float = PATIENCE) -> Endpoint:
    return Endpoint("127.0.0.1", server.port, Access.IMAP, timeout=timeout)


def logged_in(capabilities: bytes = b"") -> list[Step]:
    """Return the steps that bring a plain connection into the authenticated state."""
    answer = b"* CAPABILITY IMAP4rev1 " + capabilities + b"\r\n{tag} OK done\r\n"
    return [
        OK_GREETING,
        Expect(b"CAPABILITY", b"* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"),
        Expect(b'LOGIN "alice@example.com" "%s"' % PASSWORD.encode(), b"{tag} OK LOGIN completed\r\n"),
        Expect(b"CAPABILITY", answer),
    ]


@contextlib.contextmanager
def connected(*steps: Step, capabilities: bytes = b"", timeout: float = PATIENCE) -> t.Iterator[Connection]:
    """Yield a logged-in connection to a server that plays ``steps`` next."""
    until_closed: t.Callable[[Peer], None] = Peer.wait_for_close
    with (
        serving([*logged_in(capabilities), *steps, until_closed]) as server,
        open_connection(plain(server, timeout), Credentials("alice@example.com", PASSWORD)) as conn,
    ):
        yield conn


class Mailbox:
    """Answers UID FETCH, UID SEARCH and NOOP from ``messages``; ``odd`` replaces the answer for single UIDs.

    ``odd[uid](peer, tag, uid, items)`` returns the untagged bytes for that message, or raises Refuse to end the command.
    """

    def __init__(self, messages: dict[int, bytes]) -> None:
        self.messages = messages
        self.odd: dict[int, t.Callable[[int, str], bytes]] = {}
        self.commands: list[str] = []
        self.hold = 0

    def __call__(self, peer: Peer) -> None:
        held: list[tuple[bytes, str]] = []
        while True:
            tag, _space, command = peer.line().partition(b" ")
            if command == b"LOGOUT":
                return
            self.commands.append(command.decode())
            held.append((tag, command.decode()))
            if len(held) > self.hold or not command.startswith(b"UID FETCH"):
                self._answer(peer, held)
                held = []

    def _answer(self, peer: Peer, commands: list[tuple[bytes, str]]) -> None:
        """Answer several commands the way Dovecot does: all data first, then the tagged lines."""
        data, ends = b"", b""
        for tag, command in commands:
            try:
                data += self._data(command)
                ends += tag + b" OK done\r\n"
            except RefusedError as refused:
                data += refused.before
                ends += tag + b" NO " + refused.words + b"\r\n"
        peer.send(data + ends)

    def _data(self, command: str) -> bytes:
        if command.startswith("UID SEARCH UID "):
            known = [uid for uid in _expand(command.split()[3]) if uid in self.messages]
            return b"* SEARCH" + b"".join(b" %d" % uid for uid in known) + b"\r\n"
        match = re.fullmatch(r"UID FETCH (\S+) \((.*)\)", command)
        if match is None:
            return b""
        data = b""
        for uid in _expand(match[1]):
            try:
                data += self._message(uid, match[2])
            except RefusedError as refused:
                raise RefusedError(refused.words, data) from None
        return data

    def _message(self, uid: int, items: str) -> bytes:
        if "BODY.PEEK[]" in items and uid in self.odd:
            return self.odd[uid](uid, items)
        if uid not in self.messages:
            return b""
        return fetch_line(uid, self.messages[uid]) if "BODY.PEEK[]" in items else size_line(uid, self.messages[uid])


class RefusedError(Exception):
    """End the command with NO; ``before`` is what it had sent by then."""

    def __init__(self, words: bytes, before: bytes = b"") -> None:
        super().__init__(words)
        self.words = words
        self.before = before


def _expand(text: str) -> list[int]:
    uids: list[int] = []
    for part in text.split(","):
        first, _colon, last = part.partition(":")
        uids.extend(range(int(first), int(last or first) + 1))
    return uids


def fetch_line(uid: int, body: bytes, size: int | None = None) -> bytes:
    told = len(body) if size is None else size
    head = b'* %d FETCH (UID %d RFC822.SIZE %d FLAGS (\\Seen) INTERNALDATE "17-Jul-2020 02:44:25 +0200" BODY[] {%d}\r\n'
    return head % (uid, uid, told, len(body)) + body + b")\r\n"


def size_line(uid: int, body: bytes) -> bytes:
    head = b'* %d FETCH (UID %d RFC822.SIZE %d FLAGS (\\Seen) INTERNALDATE "17-Jul-2020 02:44:25 +0200")\r\n'
    return head % (uid, uid, len(body))
