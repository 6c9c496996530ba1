# SPDX-License-Identifier: GPL-3.0-or-later
"""A small IMAP server that serves declared mailboxes byte for byte from memory, and misbehaves on demand.

    mail = {"alice": {"INBOX": [RawMessage(1, b"\\0"), RawMessage(7, b"x")]}}
    with RawImapServer(mail, hooks={"UID FETCH": lambda request: [request.tag + b" NO not today\\r\\n"]}) as server:
        connect("127.0.0.1", server.port)

A hook is called by command name (upper case, "UID FETCH" in two words, "GREETING" at the start) with a Request. It returns None
for the ordinary answer, or the chunks to be sent instead, in which CLOSE breaks the connection; `request.default()` gives the
ordinary chunks, to be changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.lab.generate_load import imap_date
from tests.lab.rawimap_session import CLOSE, Request, Session

__all__ = ["CLOSE", "RawImapServer", "RawMessage", "Request"]

HOST = "127.0.0.1"
LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r?\n\Z")
EPOCH = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
CAPABILITIES = "IMAP4rev1 LITERAL+ UIDPLUS SPECIAL-USE"
BATCH = 1 << 20


@dataclasses.dataclass
class RawMessage:
    """`internaldate` is aware, or the very text between the quotes. Flags change when a client stores some."""

    uid: int
    raw: bytes
    internaldate: datetime.datetime | str = EPOCH
    flags: Sequence[str] = ()

    @property
    def date(self) -> str:
        return self.internaldate if isinstance(self.internaldate, str) else imap_date(self.internaldate)


Mailboxes = Mapping[str, dict[str, list[RawMessage]]]
Hook = Callable[[Request], Iterable[bytes] | None]


class RawImapServer:
    """One listener on loopback. `mailboxes` is served as it is at the moment: a test may change it while it runs.

    password: of every user. master_password: opens every mailbox by X-MASTERAUTH. uidvalidity, uidnext: by folder, or one
    UIDVALIDITY for all. attributes: of LIST, by folder. ssl_context: TLS from the first byte; starttls: TLS on demand.
    """

    def __init__(
        self,
        mailboxes: Mailboxes,
        *,
        uidvalidity: int | Mapping[str, int] = 1,
        uidnext: Mapping[str, int] | None = None,
        password: str = "not-a-secret",
        master_password: str | None = None,
        capabilities: str = CAPABILITIES,
        attributes: Mapping[str, str] | None = None,
        hooks: Mapping[str, Hook] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        greeting: bytes = b"* OK IMAP4rev1 server ready\r\n",
    ) -> None:
        self.mailboxes = mailboxes
        self.uidvalidity = uidvalidity
        self.uidnext = dict(uidnext or {})
        self.password = password
        self.master_password = master_password
        self.capabilities = capabilities
        self.attributes = dict(attributes or {})
        self.hooks: dict[str, Hook] = dict(hooks or {})
        self.ssl_context = ssl_context
        self.starttls = starttls
        self.greeting = greeting
        self.lock = threading.RLock()
        self.commands: list[tuple[int, str, str]] = []  # connection, command, arguments (none for logins)
        self.port = 0
        self._numbers = itertools.count(1)
        self._listener: socket.socket | None = None
        self._connections: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._ending = False

    # -- life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> RawImapServer:
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ending = True
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        self.break_connections()
        for thread in list(self._threads):
            thread.join(10)
        if self._listener is not None:
            self._listener.close()

    def break_connections(self) -> None:
        """As a server that dies: every client sees the end of its stream."""
        with self.lock:
            connections = list(self._connections.values())
        for link in connections:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def names(self) -> list[str]:
        """The commands so far, in order."""
        with self.lock:
            return [name for _connection, name, _arguments in self.commands]

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._ending:
            try:
                link, _peer = self._listener.accept()
            except OSError:
                return
            number = next(self._numbers)
            with self.lock:
                self._connections[number] = link
            self._start(self._serve, number, link)

    def _serve(self, number: int, link: socket.socket) -> None:
        try:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.ssl_context is not None:
                link = self._wrap(number, link, self.ssl_context)
            Connection(self, number, link).run()
        except (OSError, EOFError):  # the client left
            pass
        finally:
            with self.lock:
                self._connections.pop(number, None)
            link.close()

    def _wrap(self, number: int, link: socket.socket, context: ssl.SSLContext) -> socket.socket:
        wrapped = context.wrap_socket(link, server_side=True)
        with self.lock:
            self._connections[number] = wrapped
        return wrapped

    def secure(self, number: int, link: socket.socket) -> socket.socket:
        """STARTTLS."""
        if self.starttls is None:
            raise EOFError
        return self._wrap(number, link, self.starttls)


class Connection:
    """Reads commands with their literals, writes chunks."""

    def __init__(self, server: RawImapServer, number: int, link: socket.socket) -> None:
        self.server = server
        self.number = number
        self.link = link
        self.reader = link.makefile("rb")
        self.session = Session(server, number, self.ask)

    def run(self) -> None:
        try:
            self._answer(Request(self.session, b"*", "GREETING", b"", [b""]))
            while not self.session.ended:
                line = self.reader.readline()
                if not line:
                    return
                self._answer(self._request(line))
                if self.session.starting_tls:
                    self._start_tls()
        finally:
            self.reader.close()
            self.link.close()

    def _start_tls(self) -> None:
        self.reader.close()
        self.link = self.server.secure(self.number, self.link)
        self.reader = self.link.makefile("rb")
        self.session.starting_tls = False

    def _request(self, line: bytes) -> Request:
        """Tag, command and pieces: text and literal data in turn."""
        tag, _blank, rest = line.partition(b" ")
        pieces = [rest]
        while match := LITERAL.search(pieces[-1]):
            if not match[2]:
                self.link.sendall(b"+ OK\r\n")
            pieces.append(self.reader.read(int(match[1])))
            pieces.append(self.reader.readline())
        words = pieces[0].split(None, 2)
        name = words[0].decode("ascii", "replace").upper() if words else ""
        if name == "UID" and len(words) > 1:
            name += " " + words[1].decode("ascii", "replace").upper()
        pieces[0] = pieces[0].lstrip()[len(name) :].lstrip(b" ")
        shown = "" if name in ("LOGIN", "AUTHENTICATE") else pieces[0].decode("ascii", "replace").strip()
        with self.server.lock:
            self.server.commands.append((self.number, name, shown))
        return Request(self.session, tag.strip(), name, pieces[0].rstrip(b"\r\n"), pieces)

    def _answer(self, request: Request) -> None:
        hook = self.server.hooks.get(request.name)
        chunks = hook(request) if hook else None
        if chunks is None:
            chunks = request.default()
        batch: list[bytes] = []
        size = 0
        for chunk in chunks:
            if chunk is CLOSE:
                self.session.ended = True
                break
            batch.append(chunk)
            size += len(chunk)
            if size >= BATCH:
                self.link.sendall(b"".join(batch))
                batch, size = [], 0
        self.link.sendall(b"".join(batch))

    def ask(self, text: bytes) -> bytes:
        """A continuation request; the client's line without its end."""
        self.link.sendall(b"+ " + text + b"\r\n")
        return self.reader.readline().rstrip(b"\r\n")
