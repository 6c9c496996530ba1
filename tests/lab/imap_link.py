# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection from the front to Dovecot: passes its stream on untouched, or answers single commands of our own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

from tests.lab import imap_names
from tests.lab.dovecot import Dovecot
from tests.lab.imap_wire import Splitter, Tracker


class LinkError(Exception):
    """Dovecot refused or went away."""


class Link(asyncio.Protocol):
    """Raw until `ask`: what Dovecot sends goes straight to `client`, and only tagged answers are noted."""

    def __init__(self, client: asyncio.WriteTransport | None = None) -> None:
        self.client = client
        self.transport: asyncio.Transport | None = None
        self.outstanding: set[bytes] = set()
        self.closed = False
        self._tracker = Tracker()
        self._splitter: Splitter | None = Splitter()  # set = collecting
        self._units: list[bytes] = []
        self._news = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._number = 0

    # -- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._splitter is not None:
            self._units += self._splitter.feed(data)
            self._news.set()
            return
        if self.client is not None:
            self.client.write(data)
        for tag in self._tracker.feed(data):
            self.outstanding.discard(tag)
            self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed = True
        self._news.set()
        self._may_write.set()
        if self.client is not None:
            self.client.close()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # -- the client is slow -----------------------------------------------------------------------------------

    def pause(self) -> None:
        if self.transport is not None and self.transport.is_reading():
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None and not self.transport.is_reading() and not self.closed:
            self.transport.resume_reading()

    # -- use --------------------------------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        if self.closed or self.transport is None:
            raise LinkError("Dovecot closed the connection")
        self.transport.write(data)
        await self._may_write.wait()

    async def quiesce(self) -> None:
        """Until every command that was passed on has its tagged answer."""
        while self.outstanding:
            if self.closed:
                raise LinkError("Dovecot closed the connection")
            self._news.clear()
            await self._news.wait()

    def collect(self) -> bytes:
        """Stop passing on (after `quiesce`); the tag for a command whose answer `answer` will return."""
        self._splitter = self._splitter or Splitter()
        self._number += 1
        return b"F%d" % self._number

    async def answer(self, tag: bytes) -> tuple[list[bytes], bytes]:
        """Untagged responses and the tagged line without its tag; raw passing begins again."""
        before: list[bytes] = []
        while True:
            while self._units:
                unit = self._units.pop(0)
                if unit.startswith(tag + b" "):
                    self._splitter = None
                    return before, unit[len(tag) + 1 :]
                before.append(unit)
            if self.closed:
                raise LinkError("Dovecot closed the connection")
            self._news.clear()
            await self._news.wait()

    async def ask(self, *command: bytes) -> tuple[list[bytes], bytes]:
        """One command of our own, in pieces, without its tag and final line end."""
        await self.quiesce()
        tag = self.collect()
        await self.write(b"".join([tag, b" ", *command, b"\r\n"]))
        return await self.answer(tag)

    async def must(self, *command: bytes) -> list[bytes]:
        """As `ask`; LinkError unless OK."""
        units, status = await self.ask(*command)
        if not status.upper().startswith(b"OK"):
            raise LinkError(f"{command[0][:60]!r}: {status!r}")
        return units

    def close(self) -> None:
        self.client = None
        if self.transport is not None:
            self.transport.close()


async def connect(backend: Dovecot, mailbox: str, client: asyncio.WriteTransport | None = None) -> Link:
    """Log in to Dovecot as `mailbox`. LinkError when it is down or refuses."""
    loop = asyncio.get_running_loop()
    try:
        _transport, link = await loop.create_connection(lambda: Link(), "127.0.0.1", backend.port)
    except OSError as err:
        raise LinkError(f"Dovecot is not there: {err}") from err
    user, password = backend.master_login(mailbox)
    try:
        await link.must(b"LOGIN ", imap_names.quote(user), b" ", imap_names.quote(password))
    except LinkError:
        link.close()
        raise
    link.client = client
    return link


@contextlib.asynccontextmanager
async def side_session(backend: Dovecot, mailbox: str) -> AsyncIterator[Link]:
    """A second session in the same mailbox, for what the server does by itself."""
    link = await connect(backend, mailbox)
    try:
        yield link
    finally:
        link.close()
