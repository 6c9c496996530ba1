# SPDX-License-Identifier: GPL-3.0-or-later
"""The IMAP front: plays Kerio's IMAP before login and where Kerio differs, and passes everything else to a real Dovecot.

Every command is noted in <instance>/imap-commands.jsonl: {"connection", "user", "command", "args", "refused"}; logins in
<instance>/imap-logins.jsonl: {"connection", "ip", "name", "method", "ok", "tls", "cause"}.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from tests.lab import imap_link, imap_log
from tests.lab.dovecot import Dovecot, mailbox_name
from tests.lab.imap_log import JsonLines
from tests.lab.imap_login import EndError, LoggedIn, Login, greeting
from tests.lab.imap_session import Session
from tests.lab.imap_wire import LITERAL, LONGEST_LINE, Command, parse, tokens
from tests.lab.state import ServerState

CHUNK = 256 * 1024


class ClientProtocol(asyncio.StreamReaderProtocol):
    """Streams for the client; a client that does not read stops Dovecot's sending."""

    link: imap_link.Link | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.link is not None:
            self.link.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.link is not None:
            self.link.resume()


class Connection:
    """One client."""

    def __init__(
        self,
        front: Front,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.front = front
        self.state = front.state
        self.ssl_context = front.ssl_context
        self.tls = front.implicit_tls
        self.reader = reader
        self.writer = writer
        self.ip = str(writer.get_extra_info("peername")[0])
        self.number = imap_log.connection_id()
        self.user = ""
        self.count = 0

    # -- reading ----------------------------------------------------------------------------------------------

    async def command(self) -> Command | None:
        """The next command's first line; None at the end of the stream."""
        line = await self.line()
        if not line:
            return None
        self.count += 1
        limit = self.state.switches.drop_after_commands
        if limit and self.count > limit:
            self.writer.transport.abort()
            return None
        return parse(line)

    async def line(self) -> bytes:
        try:
            line = await self.reader.readline()
        except ValueError as err:
            raise EndError("Command line is too long") from err
        except ConnectionError:
            return b""
        return line if line.endswith(b"\n") else b""

    async def gather(self, command: Command) -> list[bytes]:
        """The arguments in pieces, text and literal data in turn; asks the client for its literals."""
        text = command.args + command.line[len(command.line.rstrip(b"\r\n")) :]
        pieces = [text]
        while match := LITERAL.search(text):
            if not match[2]:
                await self.send(b"+ OK\r\n")
            pieces.append(await self.reader.readexactly(int(match[1])))
            text = await self.line()
            pieces.append(text)
        return pieces

    async def swallow(self, line: bytes) -> None:
        """Literal data that the client sends without being asked."""
        while (match := LITERAL.search(line)) and match[2]:
            await self.reader.readexactly(int(match[1]))
            line = await self.line()

    async def arguments(self, command: Command) -> list[bytes]:
        return tokens(await self.gather(command))

    async def prompt(self, text: bytes) -> bytes:
        """A continuation request and the client's line."""
        await self.send(b"+ " + text + b"\r\n")
        return await self.line()

    # -- writing ----------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def reply(self, tag: bytes, words: bytes, before: bytes = b"") -> None:
        await self.send(before + (tag or b"*") + b" " + words + b"\r\n")

    # -- the rest ---------------------------------------------------------------------------------------------

    async def start_tls(self) -> None:
        await self.writer.start_tls(cast("ssl.SSLContext", self.ssl_context))
        self.tls = True

    def note(self, command: Command, *, shown: str, refused: str = "") -> None:
        members = {"connection": self.number, "user": self.user, "command": command.name, "args": shown, "refused": refused}
        self.front.commands.write(**members)

    def log_login(self, name: str, method: str, *, ok: bool, cause: str = "") -> None:
        self.front.logins.write(connection=self.number, ip=self.ip, name=name, method=method, ok=ok, tls=self.tls, cause=cause)

    async def serve(self) -> None:
        await self.send(greeting(self.state.version, show=self.state.show_version))
        found = await Login(self).run()
        while found is not None:
            found = await self.serve_user(found)

    async def serve_user(self, login: LoggedIn) -> LoggedIn | None:
        """Until the client leaves (None) or a master switches to another user."""
        link = await imap_link.connect(self.front.backend, mailbox_name(login.user.id))
        protocol = cast("ClientProtocol", self.writer.transport.get_protocol())
        try:
            self.user = login.user.address
            self.log_login(login.user.address, login.method, ok=True)
            session = Session(self, link, login)
            await session.prepare()
            await self.send(login.welcome + b"\r\n")
            link.client = self.writer.transport
            protocol.link = link
            return await session.run()
        finally:
            protocol.link = None
            link.close()


class Front:
    """What all connections of one listener share."""

    def __init__(self, state: ServerState, backend: Dovecot, ssl_context: ssl.SSLContext | None, *, implicit_tls: bool) -> None:
        self.state = state
        self.backend = backend
        self.ssl_context = ssl_context
        self.implicit_tls = implicit_tls
        self.commands = JsonLines(backend.directory.parent / "imap-commands.jsonl")
        self.logins = JsonLines(backend.directory.parent / "imap-logins.jsonl")

    @property
    def service(self) -> str:
        return "imaps" if self.implicit_tls else "imap"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        try:
            with self.state.connection(self.service, connection.ip) as served:
                if served and not self._turned_away(connection.ip):
                    await connection.serve()
        except EndError as end:
            if end.args:
                await connection.send(b"* BYE " + str(end).encode() + b"\r\n")
        except imap_link.LinkError as err:
            await connection.send(b"* BYE The message store is not available: " + str(err).encode("ascii", "replace") + b"\r\n")
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    def _turned_away(self, ip: str) -> bool:
        """Anti-hammering closes the connections of an address; how that looks is unknown (switch)."""
        form = self.state.switches.hammering_refusal
        if form == "no" or not self.state.logins.turned_away(ip, "imap"):
            return False
        if form == "bye":
            raise EndError("Too many failed logins from this address")
        return True


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Listener:
    """Makes the protocol of each connection and keeps its task, so that `end` can end them all."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.tasks: set[asyncio.Task[None]] = set()

    def protocol(self) -> ClientProtocol:
        return ClientProtocol(asyncio.StreamReader(limit=LONGEST_LINE), self._connected)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._handler(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


_listeners: dict[int, Listener] = {}


async def serve_imap(
    state: ServerState,
    host: str,
    port: int,
    backend: Dovecot | Path | str,
    ssl_context: ssl.SSLContext | None = None,
    *,
    starttls: ssl.SSLContext | None = None,
) -> asyncio.Server:
    """Listen: TLS from the first byte with `ssl_context`, else plain, where STARTTLS is offered with `starttls`.

    `backend`: the Dovecot, or its folder. End with `end_connections(server)` where the process lives on.
    """
    store = backend if isinstance(backend, Dovecot) else Dovecot(backend)
    front = Front(state, store, ssl_context or starttls, implicit_tls=ssl_context is not None)
    listener = Listener(front.handle)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(listener.protocol, host, port, ssl=ssl_context, backlog=512)
    _listeners[id(server)] = listener
    return server


async def end_connections(server: asyncio.Server) -> None:
    """Close the listener and break every connection, as the end of the process would."""
    server.close()
    listener = _listeners.pop(id(server), None)
    tasks = list(listener.tasks) if listener else []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.wait_closed()
