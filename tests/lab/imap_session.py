# SPDX-License-Identifier: GPL-3.0-or-later
"""The IMAP front after login: passes commands to Dovecot, refuses what was not announced, plays Kerio's peculiarities."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.lab import imap_capabilities, imap_folders, imap_names
from tests.lab.imap_delete import Deleting
from tests.lab.imap_link import Link
from tests.lab.imap_login import NOT_NOW, EndError, LoggedIn, identity, set_user
from tests.lab.imap_wire import LITERAL, Command, tokens

if TYPE_CHECKING:
    from tests.lab.imap_front import Connection

CHUNK = 256 * 1024
BEFORE_LOGIN = frozenset({"LOGIN", "AUTHENTICATE", "STARTTLS", "X-MASTERAUTH", "COMPRESS"})


class Session:
    """One logged-in connection. `folder` is the selected one, as text."""

    def __init__(self, connection: Connection, link: Link, login: LoggedIn) -> None:
        self.connection = connection
        self.link = link
        self.login = login
        self.state = connection.state
        self.folder: str | None = None
        self.read_only = False
        self.capabilities: list[str] = []
        self.deleting = Deleting(self)
        self._next: LoggedIn | None = None
        self._actions: dict[str, Callable[[Command], Awaitable[None]]] = {
            "CAPABILITY": self._capability,
            "ID": self._id,
            "LIST": self._list,
            "SELECT": self._select,
            "EXAMINE": self._select,
            "STATUS": self._status,
            "APPEND": self._append,
            "COPY": self._answered,
            "UID COPY": self._answered,
            "MOVE": self._answered,
            "UID MOVE": self._answered,
            "UNSELECT": self._leave,
            "CLOSE": self._leave,
            "STORE": self.deleting.store,
            "UID STORE": self.deleting.store,
            "EXPUNGE": self.deleting.expunge,
            "UID EXPUNGE": self.deleting.expunge,
            "X-SETUSER": self._setuser,
        }

    async def prepare(self) -> None:
        """Folders that a switch wants to be there."""
        for name in imap_folders.wanted(self.state.switches):
            await self.link.ask(b"CREATE ", imap_names.wire(name))

    async def run(self) -> LoggedIn | None:
        while True:
            command = await self.connection.command()
            if command is None:
                return None
            self.capabilities = imap_capabilities.announced(self.state.switches.capabilities)
            await self._one(command)
            if self._next is not None:
                return self._next

    async def _one(self, command: Command) -> None:
        refused = self._refusal(command)
        if command.line.strip().upper() == b"DONE" and not refused:
            await self.link.write(command.line)
            return
        self.connection.note(command, shown=command.shown, refused=refused)
        if refused:
            await self.connection.swallow(command.line)
            await self.tell(command, f"BAD {command.name}: unknown command or argument ({refused})".encode())
            return
        action = self._actions.get(command.name)
        if action is not None:
            await action(command)
        else:
            await self.pass_on(command)

    def _refusal(self, command: Command) -> str:
        """What is wrong with the command, in a word; "" when it may pass."""
        if command.name in BEFORE_LOGIN:
            return "state"
        match = LITERAL.search(command.line)
        if match and match[2] and "LITERAL+" not in self.capabilities:
            return "LITERAL+"
        return imap_capabilities.missing(command.name, command.args, self.capabilities) or ""

    # -- passing on -------------------------------------------------------------------------------------------

    async def pass_on(self, command: Command) -> None:
        """To Dovecot, whose answer goes to the client untouched."""
        if LITERAL.search(command.line):
            await self.link.quiesce()
        if command.tag:
            self.link.outstanding.add(command.tag)
        await self._stream(command.line)

    async def _stream(self, line: bytes, *, one_literal: bool = False) -> bool:
        """A line and its literals, which Dovecot gets unasked. False if more followed the only literal that may be there."""
        while match := LITERAL.search(line):
            if not match[2]:
                await self.connection.send(b"+ OK\r\n")
            left = int(match[1])
            await self.link.write(line[: match.start()] + b"{%d+}\r\n" % left)
            while left:
                data = await self.connection.reader.read(min(left, CHUNK))
                if not data:
                    raise EndError
                left -= len(data)
                await self.link.write(data)
            line = await self.connection.line()
            if not line:
                raise EndError
            if one_literal and line.strip():
                await self.connection.swallow(line)
                await self.link.write(b" (\r\n")  # Dovecot must not take what it has so far
                return False
        await self.link.write(line)
        return True

    async def ask(self, command: Command, pieces: list[bytes] | None = None) -> tuple[list[bytes], bytes]:
        """The client's command (gathered in `pieces`), with the answer for us."""
        if pieces is None:
            await self.link.quiesce()
            pieces = await self.connection.gather(command)
        text = b"".join(LITERAL.sub(rb"{\1+}\r\n", piece) if not number % 2 else piece for number, piece in enumerate(pieces))
        return await self.link.ask(command.name.encode(), b" ", text.rstrip(b"\r\n"))

    async def tell(self, command: Command, words: bytes, untagged: list[bytes] | None = None) -> None:
        """Our own answer, after those of earlier commands."""
        await self.link.quiesce()
        await self.connection.reply(command.tag, words.rstrip(b"\r\n"), before=b"".join(untagged or []))

    # -- commands with an answer of their own -----------------------------------------------------------------

    async def _capability(self, command: Command) -> None:
        line = b"* CAPABILITY " + " ".join(self.capabilities).encode() + b"\r\n"
        await self.tell(command, b"OK CAPABILITY completed", [line])

    async def _id(self, command: Command) -> None:
        await self.link.quiesce()
        await self.connection.gather(command)
        await self.tell(command, b"OK ID completed", [identity(self.state.version, show=self.state.show_version)])

    async def _list(self, command: Command) -> None:
        await self.link.quiesce()
        pieces = await self.connection.gather(command)
        units, status = await self.ask(command, pieces)
        if status.upper().startswith(b"OK"):
            units = imap_folders.rewrite_list(units, tokens(pieces), self.state.switches)
        await self.tell(command, status, units)

    def _unselectable(self, name: bytes) -> bool:
        names = {one.strip() for one in self.state.switches.unselectable_folders.split(",")} - {""}
        return imap_names.decode(name.decode("ascii", "replace")) in names

    async def _select(self, command: Command) -> None:
        await self.link.quiesce()
        pieces = await self.connection.gather(command)
        name = (tokens(pieces) or [b""])[0]
        self.folder = None
        if self._unselectable(name):
            await self.link.ask(b"UNSELECT")
            await self.tell(command, b"NO " + command.name.encode() + b" Access denied")
            return
        units, status = await self.ask(command, pieces)
        if status.upper().startswith(b"OK"):
            self.folder = imap_names.decode(name.decode("ascii", "replace"))
            self.read_only = command.name == "EXAMINE"
            units = imap_folders.rewrite_select(units, self.capabilities)
            status = b"OK [READ-ONLY] SELECT completed" if self.read_only else b"OK [READ-WRITE] SELECT completed"
        await self.tell(command, status, units)

    async def _status(self, command: Command) -> None:
        if not self.state.switches.unselectable_folders:
            await self.pass_on(command)
            return
        await self.link.quiesce()
        pieces = await self.connection.gather(command)
        if self._unselectable((tokens(pieces) or [b""])[0]):
            await self.tell(command, b"NO STATUS Access denied")
            return
        units, status = await self.ask(command, pieces)
        await self.tell(command, status, units)

    async def _leave(self, command: Command) -> None:
        if command.name == "CLOSE":
            await self.deleting.before_close()
        self.folder = None
        await self.pass_on(command)

    async def _answered(self, command: Command) -> None:
        """UIDPLUS response codes must not show when UIDPLUS is not announced."""
        if "UIDPLUS" in self.capabilities:
            await self.pass_on(command)
            return
        units, status = await self.ask(command)
        await self.tell(command, imap_folders.without_uidplus(status), [imap_folders.without_uidplus(u) for u in units])

    async def _append(self, command: Command) -> None:
        await self.link.quiesce()
        tag = self.link.collect()
        single = await self._stream(tag + command.line[len(command.tag) :], one_literal="MULTIAPPEND" not in self.capabilities)
        units, status = await self.link.answer(tag)
        if not single:
            self.connection.note(command, shown="", refused="MULTIAPPEND")
            status = b"BAD APPEND: one message at a time (MULTIAPPEND)"
        if "UIDPLUS" not in self.capabilities:
            status = imap_folders.without_uidplus(status)
        await self.tell(command, status, units)

    async def _setuser(self, command: Command) -> None:
        """A second user on one connection: unknown in the sheet, hence a switch."""
        arguments = await self.connection.arguments(command)
        await self.link.quiesce()
        if self.login.method != "X-MASTERAUTH" or len(arguments) != 1:
            await self.tell(command, NOT_NOW)
        elif self.state.switches.second_setuser == "no":
            await self.tell(command, b"NO X-SETUSER failed")
        else:
            self._next = await set_user(self.connection, command, arguments[0])
