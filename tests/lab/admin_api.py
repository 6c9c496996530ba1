# SPDX-License-Identifier: GPL-3.0-or-later
"""The admin API's HTTPS server: POST /admin/api/jsonrpc[/], keep-alive, one buffer per response."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http
import ssl

from tests.lab.admin_dispatch import Dispatcher, Reply, Request
from tests.lab.admin_rpc import TOO_LARGE
from tests.lab.state import ServerState

PATHS = ("/admin/api/jsonrpc", "/admin/api/jsonrpc/")
MAX_BODY = 16 * 1024 * 1024


@dataclasses.dataclass
class HttpRequest:
    verb: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def cookies(self) -> dict[str, str]:
        pairs = (part.strip().partition("=") for part in self.headers.get("cookie", "").split(";"))
        return {name: value for name, _, value in pairs if name}

    @property
    def keep_alive(self) -> bool:
        return "close" not in self.headers.get("connection", "").lower()


class BadRequestError(Exception):
    """Not HTTP, or more of it than the server takes; `args[0]` is the status."""


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        raise BadRequestError(400)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise BadRequestError(400)
    if int(length) > MAX_BODY:
        raise BadRequestError(TOO_LARGE)
    body = await reader.readexactly(int(length))
    return HttpRequest(words[0], words[1].partition("?")[0], headers, body)


def render(reply: Reply, banner: str, *, keep_alive: bool) -> bytes:
    body = reply.body or b""
    lines = [
        f"HTTP/1.1 {reply.status} {http.HTTPStatus(reply.status).phrase}",
        f"Server: {banner}",
        "Content-Type: application/json-rpc; charset=UTF-8",
        f"Content-Length: {len(body)}",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
        *(f"Set-Cookie: {cookie}" for cookie in reply.cookies),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class AdminServer:
    """`after_call` is awaited after every answered call, e.g. to open and close listeners."""

    def __init__(self, state: ServerState) -> None:
        self.state = state
        self.dispatcher = Dispatcher(state)
        self.after_call = asyncio.Event()

    async def start(self, host: str, port: int, tls: ssl.SSLContext) -> asyncio.Server:
        return await asyncio.start_server(self._connection, host, port, ssl=tls)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")[0]
        try:
            while await self._one(reader, writer, client):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str) -> bool:
        """Answer one request; False = close the connection."""
        keep_alive = False
        try:
            request = await read_request(reader)
            if request is None:
                return False
            keep_alive = request.keep_alive
            reply = await self._reply(request, client)
        except BadRequestError as error:
            reply = Reply(b"", error.args[0])
        if reply.drop:
            return False
        if reply.body is None:
            await reader.read()  # silent until the client gives up
            return False
        banner = f"Kerio Connect {self.state.version}" if self.state.show_version else "Kerio Connect"
        writer.write(render(reply, banner, keep_alive=keep_alive))
        await writer.drain()
        return keep_alive

    async def _reply(self, request: HttpRequest, client: str) -> Reply:
        if request.path not in PATHS:
            return Reply(b"", 404)
        if request.verb != "POST":
            return Reply(b"", 405)
        if self.state.switches.api_delay:
            await asyncio.sleep(self.state.switches.api_delay)
        call = Request(request.body, request.headers.get("x-token", ""), request.cookies, client)
        reply = self.dispatcher.handle(call)
        self.after_call.set()
        return reply
