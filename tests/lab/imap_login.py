# SPDX-License-Identifier: GPL-3.0-or-later
"""The IMAP front before login: greeting, ID, STARTTLS, LOGIN, AUTHENTICATE, X-MASTERAUTH and X-SETUSER (sheet 3.1, 3.2, 3.4)."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.lab import imap_capabilities, imap_policy, state_logins
from tests.lab.imap_authenticate import Authentication
from tests.lab.imap_wire import LITERAL, Command
from tests.lab.state import ServerState

if TYPE_CHECKING:
    from tests.lab.imap_front import Connection
    from tests.lab.users import User

NOT_NOW = b"BAD Command is not valid in this state"
SAME_WORDS = "invalid user name or password"
# What a server that tells the cause says (switch refusal_words); those of POLICY are told always.
WORDS = {
    "disabled": "the account is disabled",
    "locked": "the account is locked",
    "blocked": "too many failed logins from this address",
    "method": "the authentication method cannot be used for this account",
    "foreign": "the mailbox is on another server",
}
POLICY = {"encryption": "encryption is required", "policy": "the authentication method is not allowed"}


class EndError(Exception):
    """The connection is to be closed; the text, if any, goes out as BYE."""


@dataclasses.dataclass(frozen=True)
class LoggedIn:
    """Who the connection belongs to, and the answer that is due once the mailbox is open."""

    user: User
    method: str
    welcome: bytes


def greeting(version: str, *, show: bool) -> bytes:
    program = f"Kerio Connect {version} " if show else ""
    return f"* OK {program}IMAP4rev1 server ready\r\n".encode()


def identity(version: str, *, show: bool) -> bytes:
    """The blanks around the version are the real server's."""
    detail = f' "version" " {version} "' if show else ""
    return f'* ID ("name" "Kerio Connect"{detail})\r\n'.encode()


def digest(challenge: str, password: str) -> str:
    return hashlib.md5((challenge + password).encode(), usedforsecurity=False).hexdigest()


class Login:
    """Serves one connection until somebody is logged in."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.state: ServerState = connection.state
        self.master = False
        self.refusals = 0

    async def run(self) -> LoggedIn | None:
        """None when the client left. EndError when the server ends it."""
        actions: dict[str, Callable[[Command], Awaitable[LoggedIn | None]]] = {
            "CAPABILITY": self._capability,
            "NOOP": self._noop,
            "LOGOUT": self._logout,
            "ID": self._id,
            "STARTTLS": self._starttls,
            "LOGIN": self._login,
            "AUTHENTICATE": self._authenticate,
            "X-MASTERAUTH": self._masterauth,
            "X-SETUSER": self._setuser,
        }
        while True:
            command = await self.connection.command()
            if command is None:
                return None
            self.connection.note(command, shown="")
            action = actions.get(command.name)
            if action is None:
                await self.connection.reply(command.tag, NOT_NOW if command.name else b"BAD Unknown command")
                continue
            literal = LITERAL.search(command.line)
            if literal and self._no_literal(command, waits=not literal[2]):
                await self.connection.swallow(command.line)
                await self.connection.reply(command.tag, b"BAD " + command.name.encode() + b" Unexpected literal")
                continue
            found = await action(command)
            if found is not None:
                return found

    def _no_literal(self, command: Command, *, waits: bool) -> bool:
        """A literal that does not wait for us needs LITERAL+; whether LOGIN takes literals at all is unknown (switch)."""
        how = self.state.switches
        refused = command.name == "LOGIN" and how.login_literals == "refuse"
        return refused or not (waits or "LITERAL+" in imap_capabilities.announced(how.capabilities))

    # -- without authentication -------------------------------------------------------------------------------

    def capabilities(self) -> bytes:
        tls = self.connection.tls
        starttls = not tls and self.connection.ssl_context is not None
        names = imap_policy.capabilities(self.state, self.connection.ip, tls=tls, starttls=starttls)
        return b"* CAPABILITY " + " ".join(names).encode() + b"\r\n"

    async def _capability(self, command: Command) -> None:
        await self.connection.reply(command.tag, b"OK CAPABILITY completed", before=self.capabilities())

    async def _noop(self, command: Command) -> None:
        await self.connection.reply(command.tag, b"OK NOOP completed")

    async def _logout(self, command: Command) -> None:
        await self.connection.reply(command.tag, b"OK LOGOUT completed", before=b"* BYE IMAP4rev1 server closing connection\r\n")
        raise EndError

    async def _id(self, command: Command) -> None:
        answer = identity(self.state.version, show=self.state.show_version)
        await self.connection.gather(command)
        await self.connection.reply(command.tag, b"OK ID completed", before=answer)

    async def _starttls(self, command: Command) -> None:
        if self.connection.tls or self.connection.ssl_context is None:
            await self.connection.reply(command.tag, b"BAD STARTTLS is not available")
            return
        await self.connection.reply(command.tag, b"OK Begin TLS negotiation now")
        await self.connection.start_tls()

    # -- users ------------------------------------------------------------------------------------------------

    async def refuse(self, command: Command, name: str, method: str, cause: str) -> None:
        """NO, as slowly as the switch says; after too many the connection ends."""
        how = self.state.switches
        self.connection.log_login(name, method, ok=False, cause=cause)
        if cause == "foreign" and how.foreign_mailbox == "bye":
            raise EndError("The mailbox is on another server")
        told = WORDS.get(cause, SAME_WORDS) if how.refusal_words == "telling" else SAME_WORDS
        await asyncio.sleep(how.refusal_delay)
        await self.connection.reply(command.tag, f"NO {command.name} failed: {POLICY.get(cause, told)}".encode())
        self.refusals += 1
        if how.refusals_per_connection and self.refusals >= how.refusals_per_connection:
            raise EndError

    def withheld(self, method: str) -> bool:
        return imap_policy.withheld(self.state, method, self.connection.ip, tls=self.connection.tls)

    async def _login(self, command: Command) -> LoggedIn | None:
        arguments = await self.connection.arguments(command)
        if len(arguments) != 2:
            await self.connection.reply(command.tag, b"BAD LOGIN Expected user name and password")
            return None
        name, password = (text.decode("utf-8", "replace") for text in arguments)
        refused = "" if imap_policy.login_enabled(self.state) else "policy"
        if refused or self.withheld("LOGIN"):
            await self.refuse(command, name, "LOGIN", refused or "encryption")
            return None
        return await self.check(command, name, "LOGIN", state_logins.password(password))

    async def check(self, command: Command, name: str, method: str, proof: state_logins.Proof) -> LoggedIn | None:
        """Has the answer sent when the login is refused."""
        own = self.state.switches.foreign_mailbox != "empty"
        verdict = self.state.logins.check(name, proof, self.connection.ip, "imap", method=method, own=own)
        if verdict.user is None:
            await self.refuse(command, name, method, verdict.cause)
            return None
        return LoggedIn(verdict.user, method, command.tag + b" OK " + command.name.encode() + b" completed")

    async def _authenticate(self, command: Command) -> LoggedIn | None:
        return await Authentication(self, command).run()

    # -- master -----------------------------------------------------------------------------------------------

    async def _masterauth(self, command: Command) -> None:
        switches = self.state.switches
        auth = self.state.master_authentication()
        if self.withheld("X-MASTERAUTH"):
            return await self._refuse_master(command, switches.master_refusal, "encryption")
        if self.state.blocked(self.connection.ip, "imap"):
            return await self._refuse_master(command, switches.master_refusal, "blocked")
        if not auth.enabled or not auth.password:
            return await self._refuse_master(command, switches.master_refusal_disabled or switches.master_refusal, "disabled")
        if not auth.allows(self.connection.ip):
            return await self._refuse_master(command, switches.master_refusal_address or switches.master_refusal, "address")
        challenge = f"{secrets.token_hex(8)}.{int(time.time())}"
        given = (await self.connection.prompt(challenge.encode())).strip().decode("ascii", "replace")
        if not hmac.compare_digest(digest(challenge, auth.password).encode(), given.encode()):
            self.state.logins.master_failed(self.connection.ip)
            return await self._refuse_master(command, switches.master_refusal_password or switches.master_refusal, "password")
        self.master = True
        return await self.connection.reply(command.tag, b"OK X-MASTERAUTH Welcome to server, master")

    async def _refuse_master(self, command: Command, form: str, cause: str) -> None:
        self.connection.log_login("", "X-MASTERAUTH", ok=False, cause=cause)
        if form == "close":
            raise EndError
        if form == "bye":
            raise EndError("X-MASTERAUTH failed")
        words = b"NO X-MASTERAUTH failed" if form == "no" else b"BAD Unknown command X-MASTERAUTH"
        await self.connection.reply(command.tag, words)

    async def _setuser(self, command: Command) -> LoggedIn | None:
        arguments = await self.connection.arguments(command)
        if not self.master or len(arguments) != 1:
            await self.connection.reply(command.tag, NOT_NOW)
            return None
        return await set_user(self.connection, command, arguments[0])


async def set_user(connection: Connection, command: Command, name: bytes) -> LoggedIn | None:
    """X-SETUSER by a master; also on a connection that already belongs to somebody."""
    text = name.decode("utf-8", "replace")
    cause = _no_setuser(connection, text)
    user = connection.state.find_user(text)
    if cause or user is None:
        connection.log_login(text, "X-SETUSER", ok=False, cause=cause)
        if cause == "foreign" and connection.state.switches.foreign_mailbox == "bye":
            raise EndError("The mailbox is on another server")
        await connection.reply(command.tag, b"NO X-SETUSER failed")
        return None
    return LoggedIn(user, "X-MASTERAUTH", command.tag + b" OK X-SETUSER completed")


def _no_setuser(connection: Connection, name: str) -> str:
    """Why a master does not get this mailbox; "" when he does."""
    state = connection.state
    user, how = state.find_user(name), state.switches
    if user is None:
        return "unknown"
    causes = {
        "disabled": how.disabled_setuser == "no" and not user.enabled,
        "locked": how.locked_setuser == "no" and state.guard.locked(user.address.lower()),
        "foreign": how.foreign_mailbox != "empty" and state.elsewhere(user),
    }
    return next((cause for cause, holds in causes.items() if holds), "")
