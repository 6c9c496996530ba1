# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail server on loopback that keeps what it is given, written with sockets: as much of SMTP as one client needs."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import socket
import ssl
import threading
import time
import typing as t
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class Kept:
    """One mail: its envelope, who had logged in, and whether it came under TLS."""

    sender: str
    recipients: list[str]
    login: str
    encrypted: bool
    raw: bytes = field(repr=False)

    @property
    def mail(self) -> EmailMessage:
        return t.cast(EmailMessage, email.message_from_bytes(self.raw.replace(b"\r\n", b"\n"), policy=email.policy.default))


class SmtpSink:
    """``context`` offers STARTTLS, or TLS from the start with ``tls``. ``login`` is the only one that is let in: user:password.

    Recipients in ``refused`` are. ``closes``: it hangs up instead of greeting. ``drips``: so many bytes come one by one before it
    greets. ``repeats``: a refused login is told with what was sent. Context manager.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        *,
        tls: bool = False,
        login: str = "",
        refused: t.Collection[str] = (),
        closes: bool = False,
        drips: int = 0,
        repeats: bool = False,
        farewell: str = "221 bye",
    ) -> None:
        self.farewell, self.drips, self.repeats = farewell, drips, repeats
        self.context, self.tls, self.login, self.refused, self.closes = context, tls, login, refused, closes
        self.kept: list[Kept] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(10)
            # A client that does not like the certificate goes away.
            with contextlib.suppress(OSError), client:
                if not self.closes:
                    self._session(client)

    def _session(self, client: socket.socket) -> None:
        session = _Session(self, client)
        try:
            session.talk()
        finally:
            session.close()


class _Session:
    """One client. A method for each command answers it; commands that have none are fine."""

    def __init__(self, sink: SmtpSink, client: socket.socket) -> None:
        self._sink, self._client = sink, client
        self._kept = Kept("", [], "", False, b"")
        self._lines = self._client.makefile("rb")

    def close(self) -> None:
        self._lines.close()
        self._client.close()

    def talk(self) -> None:
        if self._sink.tls:
            self._encrypt()
        for _ in range(self._sink.drips):
            self._client.sendall(b"2")
            time.sleep(0.05)
        self._say("220 sink")
        while line := self._lines.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            getattr(self, f"_{verb.lower()}", lambda _rest: self._say("250 ok"))(rest)

    def _say(self, *lines: str) -> None:
        self._client.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def _encrypt(self) -> None:
        assert self._sink.context is not None
        self._client = self._sink.context.wrap_socket(self._client, server_side=True)
        self._lines = self._client.makefile("rb")
        self._kept.encrypted = True

    def _ehlo(self, _rest: str) -> None:
        offers = [] if self._kept.encrypted or not self._sink.context else ["STARTTLS"]
        offers += ["AUTH PLAIN"] if self._sink.login else []
        self._say("250-sink", *(f"250-{word}" for word in offers), "250 8BITMIME")

    def _starttls(self, _rest: str) -> None:
        self._say("220 go on")
        self._encrypt()

    def _auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        right = f"{user}:{password}" == self._sink.login
        self._kept.login = user if right else ""
        self._say("235 in" if right else f"535 5.7.8 no such user here{f': {rest} {password}' if self._sink.repeats else ''}")

    def _mail(self, rest: str) -> None:
        self._kept.sender = rest.split("<")[1].split(">")[0]
        self._say("250 ok" if self._kept.login or not self._sink.login else "530 log in first")

    def _rcpt(self, rest: str) -> None:
        address = rest.split("<")[1].split(">")[0]
        refused = address in self._sink.refused
        self._kept.recipients += [] if refused else [address]
        self._say("550 5.1.1 nobody of this name" if refused else "250 ok")

    def _quit(self, _rest: str) -> None:
        self._say(self._sink.farewell)

    def _data(self, _rest: str) -> None:
        self._say("354 go on")
        while (line := self._lines.readline()) != b".\r\n":
            self._kept.raw += line[1:] if line.startswith(b"..") else line
        self._sink.kept.append(self._kept)
        self._say("250 kept")
