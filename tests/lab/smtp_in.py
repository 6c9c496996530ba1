# SPDX-License-Identifier: GPL-3.0-or-later
"""SMTP in: takes mail, delivers it to local mailboxes and, as the settings of that moment say, to the archive address.

Each message is noted in <instance>/smtp-messages.jsonl: {"sender", "recipients", "classes", "size", "delivered",
"archived", "sent"}; mail for other servers goes nowhere and is only listed in "sent".
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.lab import archiving, imap_link
from tests.lab.archiving import Envelope
from tests.lab.dovecot import Dovecot, mailbox_name
from tests.lab.imap_log import JsonLines
from tests.lab.state import ServerState
from tests.lab.users import User

LIMIT = 50 << 20
LONGEST_LINE = 64 << 20
MAIL_FROM = re.compile(rb"FROM:\s*<([^>]*)>(.*)\Z", re.IGNORECASE | re.DOTALL)
RCPT_TO = re.compile(rb"TO:\s*<([^>]+)>", re.IGNORECASE)
SIZE = re.compile(rb"\bSIZE=(\d+)", re.IGNORECASE)


class Postman:
    """Delivers: envelope and bytes in, mailboxes and the archive out."""

    def __init__(self, state: ServerState, backend: Dovecot) -> None:
        self.state = state
        self.backend = backend
        self.log = JsonLines(backend.directory.parent / "smtp-messages.jsonl")

    def banner(self) -> bytes:
        program = f"Kerio Connect {self.state.version} " if self.state.show_version else ""
        return f"220 {self.state.hostname} {program}ESMTP ready\r\n".encode()

    def knows(self, recipient: str) -> bool:
        """Not local, or reaches a mailbox."""
        return not self.state.is_local(recipient) or bool(self.state.resolve_recipient(recipient))

    async def accept(self, envelope: Envelope, data: bytes) -> None:
        """Raises LinkError when a mailbox cannot be reached."""
        raw = archiving.headers([archiving.received(envelope.helo, envelope.ip, self.state.hostname, envelope.recipients)]) + data
        insert = self.state.insert_x_envelope_to
        made = archiving.copies(
            envelope,
            raw,
            self.state.archiving(),
            self.state.switches,
            self.state.is_local,
            host=self.state.hostname,
            insert_x_envelope_to=insert,
        )
        mail = [(one, archiving.delivered(envelope, one, raw, insert_x_envelope_to=insert)) for one in envelope.recipients]
        delivered = {recipient: await self._deliver(recipient, copy) for recipient, copy in mail}
        archived = {copy.address: await self._deliver(copy.address, copy.raw) for copy in made}
        self.log.write(
            sender=envelope.sender,
            recipients=list(envelope.recipients),
            classes=[archiving.classify(envelope.sender, one, self.state.is_local) for one in envelope.recipients],
            size=len(data),
            delivered=[user for users in delivered.values() for user in users],
            archived=list(archived),
            sent=[one for one in (*delivered, *archived) if not self.state.is_local(one)],
        )

    async def _deliver(self, recipient: str, raw: bytes) -> list[str]:
        """Into every mailbox behind the recipient; whose they are."""
        users = self.state.resolve_recipient(recipient)
        for user in users:
            backend, mailbox = self._store(user)
            async with imap_link.side_session(backend, mailbox) as link:
                await link.must(b"APPEND INBOX {%d+}\r\n" % len(raw), raw)
        return [user.address for user in users]

    def _store(self, user: User) -> tuple[Dovecot, str]:
        """Where the mailbox is: mail for a user of another server of the distributed domain passes this one."""
        if not self.state.cluster or not self.state.elsewhere(user):
            return self.backend, mailbox_name(user.id)
        home, kid = self.state.cluster.at_home(user.id, self.state.switches)
        return Dovecot(self.state.cluster.file.parent / home.name / "dovecot"), mailbox_name(kid)


@dataclasses.dataclass
class Dialogue:
    """One SMTP connection."""

    postman: Postman
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    helo: str = ""
    sender: str | None = None
    recipients: list[str] = dataclasses.field(default_factory=list)

    @property
    def ip(self) -> str:
        return str(self.writer.get_extra_info("peername")[0])

    async def say(self, *lines: str) -> None:
        """Several lines with one code: all but the last get the dash."""
        code = lines[0][:3]
        texts = [f"{code}{'-' if number < len(lines) else ' '}{line[4:]}" for number, line in enumerate(lines, 1)]
        self.writer.write("".join(f"{text}\r\n" for text in texts).encode())
        await self.writer.drain()

    async def run(self) -> None:
        self.writer.write(self.postman.banner())
        actions: dict[bytes, Callable[[bytes], Awaitable[None]]] = {
            b"HELO": self._helo,
            b"EHLO": self._ehlo,
            b"MAIL": self._mail,
            b"RCPT": self._rcpt,
            b"DATA": self._data,
            b"RSET": self._rset,
            b"NOOP": self._noop,
            b"VRFY": self._vrfy,
        }
        while line := await self.reader.readline():
            verb, _blank, rest = line.rstrip(b"\r\n").partition(b" ")
            if verb.upper() == b"QUIT":
                await self.say("221 2.0.0 Bye")
                return
            action = actions.get(verb.upper())
            if action is None:
                await self.say("500 5.5.1 Command unrecognized")
            else:
                await action(rest)

    def _reset(self) -> None:
        self.sender, self.recipients = None, []

    async def _helo(self, rest: bytes) -> None:
        self._reset()
        self.helo = rest.decode("ascii", "replace").strip()
        await self.say(f"250 {self.postman.state.hostname}")

    async def _ehlo(self, rest: bytes) -> None:
        self._reset()
        self.helo = rest.decode("ascii", "replace").strip()
        await self.say(
            f"250 {self.postman.state.hostname}", "250 8BITMIME", "250 PIPELINING", f"250 SIZE {LIMIT}", "250 ENHANCEDSTATUSCODES"
        )

    async def _mail(self, rest: bytes) -> None:
        match = MAIL_FROM.match(rest)
        size = SIZE.search(match[2]) if match else None
        if match is None or self.sender is not None:
            await self.say("503 5.5.1 Sender already given" if match else "501 5.5.2 Syntax error in MAIL")
        elif size is not None and int(size[1]) > LIMIT:
            await self.say("552 5.3.4 Message is too big")
        else:
            self.sender = match[1].decode("utf-8", "surrogateescape")
            await self.say("250 2.1.0 Sender ok")

    async def _rcpt(self, rest: bytes) -> None:
        match = RCPT_TO.match(rest)
        if match is None or self.sender is None:
            await self.say("501 5.5.2 Syntax error in RCPT" if self.sender is not None else "503 5.5.1 MAIL first")
            return
        recipient = match[1].decode("utf-8", "surrogateescape")
        if not self.postman.knows(recipient):
            await self.say(f"550 5.1.1 <{recipient}>: user unknown")
            return
        self.recipients.append(recipient)
        await self.say("250 2.1.5 Recipient ok")

    async def _data(self, _rest: bytes) -> None:
        if self.sender is None or not self.recipients:
            await self.say("503 5.5.1 No valid recipients")
            return
        await self.say("354 Enter mail, end with CRLF.CRLF")
        data = await self._read_data()
        envelope = Envelope(self.sender, tuple(dict.fromkeys(self.recipients)), self.helo, self.ip)
        self._reset()
        if len(data) > LIMIT:
            await self.say("552 5.3.4 Message is too big")
            return
        try:
            await self.postman.accept(envelope, data)
        except imap_link.LinkError as err:
            await self.say(f"451 4.3.0 {err}")
            return
        await self.say("250 2.0.0 Message accepted for delivery")

    async def _read_data(self) -> bytes:
        """Up to the lone dot, dots unstuffed; bare CR and LF stay as they are."""
        lines: list[bytes] = []
        begins = True  # only after CRLF does a line begin, and only there does a dot mean anything
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\n"):
                raise ConnectionResetError
            if begins and line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if begins and line.startswith(b".") else line)
            begins = line.endswith(b"\r\n")

    async def _rset(self, _rest: bytes) -> None:
        self._reset()
        await self.say("250 2.0.0 Reset")

    async def _noop(self, _rest: bytes) -> None:
        await self.say("250 2.0.0 Ok")

    async def _vrfy(self, _rest: bytes) -> None:
        await self.say("252 2.5.2 Cannot verify")


async def serve_smtp(state: ServerState, host: str, port: int, backend: Dovecot | Path | str) -> asyncio.Server:
    """Listen for mail. `backend`: the Dovecot, or its folder."""
    postman = Postman(state, backend if isinstance(backend, Dovecot) else Dovecot(backend))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialogue = Dialogue(postman, reader, writer)
        try:
            with state.connection("smtp", dialogue.ip) as served:
                if served:
                    await dialogue.run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    return await asyncio.start_server(handle, host, port, limit=LONGEST_LINE)
