# SPDX-License-Identifier: GPL-3.0-or-later
"""The IMAP front before login: greeting, ID, STARTTLS, LOGIN, AUTHENTICATE, X-MASTERAUTH and X-SETUSER (sheet 3.1, 3.2, 3.4)."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.lab import imap_capabilities
from tests.lab.imap_wire import Command

if TYPE_CHECKING:
    from tests.lab.imap_front import Connection
    from tests.lab.users import User

MECHANISMS = ("CRAM-MD5", "PLAIN", "LOGIN")
NOT_NOW = b"BAD Command is not valid in this state"


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
        self.state = connection.state
        self.master = False

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
            found = await action(command)
            if found is not None:
                return found

    # -- without authentication -------------------------------------------------------------------------------

    def capabilities(self) -> bytes:
        switches = self.state.switches
        names = [*imap_capabilities.announced(switches.capabilities)]
        if not self.connection.tls and self.connection.ssl_context is not None:
            names.append("STARTTLS")
        names += [f"AUTH={name}" for name in MECHANISMS if self.state.authentication_method(name)]
        if self.connection.plaintext_refused() or not self._login_offered():
            names.append("LOGINDISABLED")
        if switches.master_advertised:
            names.append("X-MASTERAUTH")
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

    async def _refuse(self, command: Command, words: bytes = b"failed: invalid user name or password") -> None:
        await self.connection.reply(command.tag, b"NO " + command.name.encode() + b" " + words)

    async def _login(self, command: Command) -> LoggedIn | None:
        arguments = await self.connection.arguments(command)
        if len(arguments) != 2:
            await self.connection.reply(command.tag, b"BAD LOGIN Expected user name and password")
            return None
        if not self._login_offered():
            await self._refuse(command, b"failed: the authentication method is not allowed")
            return None
        return await self._check(command, arguments[0], arguments[1], "LOGIN")

    def _login_offered(self) -> bool:
        """Whether the policy's method LOGIN (or PLAIN) means the command LOGIN as well is unknown (switch)."""
        needs = {"always": "", "as_login": "LOGIN", "as_plain": "PLAIN"}[self.state.switches.login_command]
        return not needs or self.state.authentication_method(needs)

    async def _check(self, command: Command, name: bytes, password: bytes, method: str) -> LoggedIn | None:
        if self.connection.plaintext_refused():
            await self._refuse(command, b"failed: encryption is required")
            return None
        texts = name.decode("utf-8", "replace"), password.decode("utf-8", "replace")
        user = self.state.check_password(*texts, self.connection.ip, "imap")
        if user is None:
            self.connection.log_login(texts[0], method, ok=False)
            await self._refuse(command)
            return None
        return LoggedIn(user, method, command.tag + b" OK " + command.name.encode() + b" completed")

    async def _authenticate(self, command: Command) -> LoggedIn | None:
        words = command.args.split()
        mechanism = words[0].decode("ascii", "replace").upper() if words else ""
        if mechanism not in MECHANISMS or not self.state.authentication_method(mechanism):
            await self.connection.reply(command.tag, b"BAD AUTHENTICATE Unknown authentication method")
            return None
        try:
            if mechanism == "CRAM-MD5":
                return await self._cram(command)
            if mechanism == "LOGIN":
                name = await self._challenge(base64.b64encode(b"Username:"))
                return await self._check(command, name, await self._challenge(base64.b64encode(b"Password:")), "LOGIN")
            plain = base64.b64decode(words[1], validate=True) if len(words) > 1 else await self._challenge(b"")
            _authorise, name, password = plain.split(b"\0")
        except (binascii.Error, ValueError):
            await self.connection.reply(command.tag, b"BAD AUTHENTICATE Malformed answer")
            return None
        return await self._check(command, name, password, "PLAIN")

    async def _challenge(self, challenge: bytes) -> bytes:
        return base64.b64decode((await self.connection.prompt(challenge)).strip(), validate=True)

    async def _cram(self, command: Command) -> LoggedIn | None:
        """Works only where the server can read the password back: not hashed, not in a directory (sheet 2.9)."""
        challenge = f"<{secrets.randbits(32)}.{int(time.time())}@{self.state.hostname}>".encode()
        answer = await self._challenge(base64.b64encode(challenge))
        name, _blank, given = answer.decode("utf-8", "replace").rpartition(" ")
        user = self.state.find_user(name)
        wanted = hmac.new(user.password.encode(), challenge, "md5").hexdigest() if user and self._reversible(user) else ""
        password = user.password if user and wanted and hmac.compare_digest(wanted, given) else "\0"
        checked = self.state.check_password(name, password, self.connection.ip, "imap")
        if checked is None:
            self.connection.log_login(name, "CRAM-MD5", ok=False)
            await self._refuse(command)
            return None
        return LoggedIn(checked, "CRAM-MD5", command.tag + b" OK AUTHENTICATE completed")

    def _reversible(self, user: User) -> bool:
        record = self.state.directory.login(user.address, domain_alias=False)
        return bool(record and record["isPasswordReversible"] and record["authType"] == "UInternalAuth")

    # -- master -----------------------------------------------------------------------------------------------

    async def _masterauth(self, command: Command) -> None:
        switches = self.state.switches
        auth = self.state.master_authentication()
        if not auth.enabled or not auth.password:
            return await self._refuse_master(command, switches.master_refusal_disabled or switches.master_refusal, "disabled")
        if not auth.allows(self.connection.ip):
            return await self._refuse_master(command, switches.master_refusal_address or switches.master_refusal, "address")
        challenge = f"{secrets.token_hex(8)}.{int(time.time())}"
        given = (await self.connection.prompt(challenge.encode())).strip().decode("ascii", "replace")
        if not hmac.compare_digest(digest(challenge, auth.password).encode(), given.encode()):
            self.state.master_failed(self.connection.ip)
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
    user = connection.state.find_user(text)
    if user is None or not user.enabled:
        connection.log_login(text, "X-SETUSER", ok=False, cause="unknown")
        await connection.reply(command.tag, b"NO X-SETUSER failed")
        return None
    return LoggedIn(user, "X-MASTERAUTH", command.tag + b" OK X-SETUSER completed")
