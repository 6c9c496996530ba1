# SPDX-License-Identifier: GPL-3.0-or-later
"""A small, correct IMAP server in memory that misbehaves where a script tells it to.

    with ImapServer() as server:
        server.state.folder(ALICE).add(b"From: ...")
        server.script.on("UID FETCH", cut(2000), uid=7, times=1)
        ...  # run the engine against 127.0.0.1, server.port
        assert [entry.text for entry in server.log if entry.verb == "UID STORE"] == []

It shares no code with the client. Its state lives in the process of the test: the engine may be killed, the state stays, and
``state.snapshot`` and ``state.restore`` put it back. See imap_state, imap_script, imap_session.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import ssl
import struct
import threading
import time
import typing as t
from dataclasses import dataclass

from tests.faults.imap_arguments import LITERAL
from tests.faults.imap_script import Chunk, Command, Script, Signal
from tests.faults.imap_session import Session
from tests.faults.imap_state import State
from tests.lab import ports

HOST = "127.0.0.1"
PASSWORD = "not-a-secret-mailbox-pw"
MASTER = "not-a-secret-master-pw"
CAPABILITIES = ("IMAP4rev1", "LITERAL+", "UIDPLUS", "SPECIAL-USE", "LIST-EXTENDED", "LIST-STATUS", "NAMESPACE", "UNSELECT", "ID")
SECRET_VERBS = frozenset({"LOGIN", "AUTHENTICATE"})
BATCH = 1 << 20
Deletion = t.Literal["flag", "move-at-store", "move-at-expunge"]


@dataclass(frozen=True)
class Entry:
    """A command in the log; logins are without their arguments. ``folder`` as it travels, ``uids`` see Command."""

    connection: int
    verb: str
    text: str
    folder: bytes
    uids: tuple[int, ...]


class ImapServer:
    """One listener on loopback; ``capabilities``, ``deletion`` and the rest may be changed while it runs.

    ``passwords`` by mailbox, ``password`` for the others. ``deletion``: what \\Deleted does outside of Deleted Items.
    ``tls``: from the first byte; ``starttls``: on demand. ``port`` 0: any; it stays the same when the server is started again.
    """

    def __init__(
        self,
        state: State | None = None,
        *,
        capabilities: t.Iterable[str] = CAPABILITIES,
        deletion: Deletion = "flag",
        tls: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.state = state or State()
        self.script = Script()
        self.capabilities = tuple(capabilities)
        self.deletion: Deletion = deletion
        self.tls = tls
        self.starttls = starttls
        self.port = port or ports.free(1)[0]
        self.password = PASSWORD
        self.passwords: dict[str, str] = {}
        self.master_password = MASTER
        self.greeting = b"* OK IMAP4rev1 server ready\r\n"
        self.log: list[Entry] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._listener: socket.socket | None = None
        self._open: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []

    @property
    def mailboxes(self) -> t.Iterable[str]:
        return self.state.mailboxes

    def without(self, *capabilities: str) -> None:
        self.capabilities = tuple(one for one in self.capabilities if one not in capabilities)

    def start(self) -> None:
        """Listen; after ``stop`` on the same port again."""
        self._ending.clear()
        self._listener = socket.create_server((HOST, self.port), backlog=128)
        self._spawn(self._accept, self._listener)

    def stop(self) -> None:
        """As when the service ends: no new connection, and the end of the stream on all others."""
        self._ending.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.break_connections()
        for thread in self._threads:
            thread.join(10)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        assert not self._threads, "a connection does not end"

    def __enter__(self) -> ImapServer:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def break_connections(self) -> None:
        """End every connection. A process forked from this one may hold them too, so they are shut down, not just closed."""
        with self._lock:
            links = list(self._open.values())
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def verbs(self) -> list[str]:
        with self._lock:
            return [entry.verb for entry in self.log]

    def note(self, command: Command) -> None:
        text = "" if command.verb in SECRET_VERBS else command.text
        with self._lock:
            self.log.append(Entry(command.session.number, command.verb, text, command.folder, command.uids))

    def _spawn(self, target: t.Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name=f"imap {self.port}")
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._ending.is_set():
            try:
                link, _peer = listener.accept()
            except OSError:
                return
            number = next(self._numbers)
            with self._lock:
                self._open[number] = link
                self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._spawn(self._serve, number, link)

    def _serve(self, number: int, link: socket.socket) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = Line(self, number, link)
        try:
            line.run()
        except (OSError, EOFError):  # the client left
            pass
        finally:
            line.close()
            with self._lock:
                self._open.pop(number, None)

    def wrap(self, number: int, link: socket.socket, context: ssl.SSLContext) -> socket.socket:
        wrapped = context.wrap_socket(link, server_side=True)
        with self._lock:
            self._open[number] = wrapped
        return wrapped

    def wait(self, link: socket.socket, seconds: float | None) -> None:
        """Pass the time; EOFError when the client or the server is gone."""
        poll = select.poll()
        poll.register(link, select.POLLRDHUP)
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            if self._ending.wait(0.02) or poll.poll(0):
                raise EOFError


class Line:
    """The server's end of one connection: reads commands with their literals, writes chunks."""

    def __init__(self, server: ImapServer, number: int, link: socket.socket) -> None:
        self.server = server
        self.link = link
        self.reader = link.makefile("rb")
        self.session = Session(server, number, self._ask)
        self.over = False
        self.reset = False

    def run(self) -> None:
        self._answer(Command(self.session, b"*", "CONNECT", ""))
        if self.server.tls is not None and not self.over:
            self._encrypt(self.server.tls)
        if not self.over:
            self._answer(Command(self.session, b"*", "GREETING", ""))
        while not self.over:
            line = self.reader.readline()
            if not line:
                return
            self._answer(self._command(line))
            if self.session.starting_tls and self.server.starttls is not None:
                self.session.starting_tls = False
                self._encrypt(self.server.starttls)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.reader.close()
        if not self.reset:
            with contextlib.suppress(OSError):
                self.link.shutdown(socket.SHUT_RDWR)
        self.link.close()

    def _encrypt(self, context: ssl.SSLContext) -> None:
        self.reader.close()
        self.link = self.server.wrap(self.session.number, self.link, context)
        self.reader = self.link.makefile("rb")

    def _command(self, line: bytes) -> Command:
        tag, _blank, rest = line.partition(b" ")
        parts = [rest]
        while match := LITERAL.search(parts[-1]):
            if not parts[-1].endswith(b"+}\r\n"):
                self.link.sendall(b"+ go on\r\n")
            parts.append(self.reader.read(int(match[1])))
            parts.append(self.reader.readline())
            if not parts[-1]:  # a command without its end is none
                raise EOFError
        command = self.session.command(tag.strip(), parts)
        self.server.note(command)
        return command

    def _answer(self, command: Command) -> None:
        self._send(self.server.script.answer(command))

    def _send(self, chunks: t.Iterable[Chunk]) -> None:
        waiting = bytearray()
        for chunk in chunks:
            if isinstance(chunk, bytes):
                waiting += chunk
            if isinstance(chunk, Signal) or len(waiting) >= BATCH:
                self.link.sendall(waiting)
                waiting.clear()
            if isinstance(chunk, Signal):
                self._obey(chunk)
                if self.over:
                    return
        self.link.sendall(waiting)

    def _obey(self, signal: Signal) -> None:
        if signal.seconds != 0.0:
            self.server.wait(self.link, signal.seconds)
        self.reset = signal.reset
        if self.reset:
            self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.over = self.over or signal.close

    def _ask(self, text: bytes) -> bytes:
        """A continuation request; the client's line without its end."""
        self.link.sendall(b"+ " + text + b"\r\n")
        return self.reader.readline().rstrip(b"\r\n")
