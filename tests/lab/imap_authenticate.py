# SPDX-License-Identifier: GPL-3.0-or-later
"""The command AUTHENTICATE: what each mechanism sends to and fro (sheet 2.9)."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.lab import imap_capabilities, imap_policy, imap_sasl, state_logins
from tests.lab.imap_wire import Command
from tests.lab.state import ServerState
from tests.lab.users import User

if TYPE_CHECKING:
    from tests.lab.imap_login import LoggedIn, Login


@dataclasses.dataclass(frozen=True)
class Claim:
    """Who the client says it is, and the proof; `last` is what the server sends after it has believed it."""

    name: str
    proof: state_logins.Proof
    last: Callable[[User], bytes] | None = None


class Authentication:
    """One AUTHENTICATE command."""

    def __init__(self, login: Login, command: Command) -> None:
        self.login = login
        self.command = command
        self.connection = login.connection
        self.state: ServerState = login.state

    async def run(self) -> LoggedIn | None:
        words = self.command.args.split()
        mechanism = words[0].decode("ascii", "replace").upper() if words else ""
        if not imap_policy.enabled(self.state, mechanism):
            await self._bad("Unknown authentication method")
            return None
        if self.login.withheld(mechanism):
            await self.login.refuse(self.command, "", mechanism, "encryption")
            return None
        if len(words) > 1 and not self._takes_initial(mechanism):
            await self._bad("Unexpected argument")
            return None
        mechanisms: dict[str, Callable[[], Awaitable[Claim]]] = {
            "CRAM-MD5": self._cram,
            "DIGEST-MD5": self._digest,
            "LOGIN": self._login,
            "PLAIN": lambda: self._plain(words[1:]),
            "NTLM": self._ntlm,
        }
        try:
            claim = await mechanisms[mechanism]()
            found = await self.login.check(self.command, claim.name, mechanism, claim.proof)
            if found and claim.last and await self._challenge(claim.last(found.user)):
                await self._bad("Malformed answer")
                return None
        except (binascii.Error, ValueError):
            await self._bad("Malformed answer")
            return None
        return found

    def _takes_initial(self, mechanism: str) -> bool:
        """An answer in the command itself needs SASL-IR (RFC 4959), and a mechanism in which the client speaks first."""
        return mechanism == "PLAIN" and "SASL-IR" in imap_capabilities.announced(self.state.switches.capabilities)

    async def _bad(self, words: str) -> None:
        await self.connection.reply(self.command.tag, f"BAD AUTHENTICATE {words}".encode())

    async def _challenge(self, text: bytes) -> bytes:
        answer = await self.connection.prompt(base64.b64encode(text))
        return base64.b64decode(answer.strip(), validate=True)

    async def _plain(self, initial: list[bytes]) -> Claim:
        answer = base64.b64decode(initial[0], validate=True) if initial else await self._challenge(b"")
        _authorise, name, password = answer.decode("utf-8", "replace").split("\0")
        return Claim(name, state_logins.password(password))

    async def _login(self) -> Claim:
        name = (await self._challenge(b"Username:")).decode("utf-8", "replace")
        return Claim(name, state_logins.password((await self._challenge(b"Password:")).decode("utf-8", "replace")))

    async def _cram(self) -> Claim:
        challenge = f"<{secrets.randbits(32)}.{int(time.time())}@{self.state.hostname}>".encode()
        answer = (await self._challenge(challenge)).decode("utf-8", "replace")
        name, blank, given = answer.rpartition(" ")
        if not blank:
            raise imap_sasl.MalformedError("no digest")

        def right(password: str) -> bool:
            return hmac.compare_digest(imap_sasl.cram(password, challenge).encode(), given.encode())

        return Claim(name, _with_password(right))

    async def _digest(self) -> Claim:
        primary = self.state.directory.primary()
        realms = {"domain": primary["name"] if primary else "", "hostname": self.state.hostname, "none": ""}
        challenge = imap_sasl.Challenge(secrets.token_hex(16), realms[self.state.switches.digest_realm])
        answer = imap_sasl.answer(await self._challenge(challenge.text().encode()), challenge)
        in_realm = "@" not in answer.username and self.state.directory.domain(answer.realm)
        name = f"{answer.username}@{answer.realm}" if in_realm else answer.username
        return Claim(name, _with_password(answer.proves), lambda user: answer.rspauth(user.password).encode())

    async def _ntlm(self) -> Claim:
        """Nobody gets in: the double has no Windows domain."""
        await self._challenge(b"")
        return Claim("", lambda _user: "method")


def _with_password(right: Callable[[str], bool]) -> state_logins.Proof:
    """The proof of a mechanism for which the server has to know the password itself (kb1239)."""

    def proof(user: User) -> str:
        if not user.reversible:
            return "method"
        return "" if right(user.password) else "password"

    return proof
