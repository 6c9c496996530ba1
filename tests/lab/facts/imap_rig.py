# SPDX-License-Identifier: GPL-3.0-or-later
"""The front ends over a private Dovecot inside the test's process, and raw sockets to talk to them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from tests.lab import imap_log, state_defaults, users_demo
from tests.lab.dovecot import Dovecot, mailbox_name
from tests.lab.generate_load import Loader
from tests.lab.imap_front import end_connections, serve_imap
from tests.lab.smtp_in import serve_smtp
from tests.lab.state import ServerState

HOST = "127.0.0.1"
MASTER = "not-a-secret-master"
PASSWORD = "not-a-secret-alice"


class Wire:
    """A socket that speaks lines; knows nothing of IMAP but literals."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None, source: str = HOST) -> None:
        link: socket.socket = socket.create_connection((HOST, port), timeout=20, source_address=(source, 0))
        self.link = context.wrap_socket(link, server_hostname="localhost") if context else link
        self.replies = self.link.makefile("rb")

    def starttls(self, context: ssl.SSLContext) -> None:
        self.replies.close()
        self.link = context.wrap_socket(self.link, server_hostname="localhost")
        self.replies = self.link.makefile("rb")

    def send(self, *data: bytes) -> None:
        self.link.sendall(b"".join(data))

    def line(self) -> bytes:
        return self.replies.readline()

    def response(self) -> bytes:
        """One line with its literals; empty at the end of the stream."""
        got = self.line()
        while match := re.search(rb"\{(\d+)\}\r\n\Z", got):
            got += self.replies.read(int(match[1])) + self.line()
        return got

    def until(self, tag: bytes) -> list[bytes]:
        """All responses up to the tagged one, which is the last."""
        found = [self.response()]
        while not found[-1].startswith(tag + b" "):
            assert found[-1], f"connection closed before {tag!r}: {found}"
            found.append(self.response())
        return found

    def ask(self, command: bytes, tag: bytes = b"t") -> list[bytes]:
        self.send(tag, b" ", command, b"\r\n")
        return self.until(tag)

    def ok(self, command: bytes) -> list[bytes]:
        found = self.ask(command)
        assert found[-1].startswith(b"t OK"), found
        return found[:-1]

    def close(self) -> None:
        self.replies.close()
        self.link.close()


class Rig:
    """One server: `imap`, `imaps`, `smtp` are ports; `state` is the live state."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path]) -> None:
        self.folder = folder
        self.install = folder / "kerio"
        self.install.mkdir()
        self.instance: dict[str, Any] = {"ports": {}, "hostname": "mail.example.com", "switches": {}}
        self._write()
        self.state = ServerState(self.install)
        users_demo.people(self.state, users_demo.site(0, 3))
        self.backend = Dovecot(folder / "dovecot")
        self.backend.start()
        self.server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_tls.load_cert_chain(*certificate)
        self.client_tls = ssl.create_default_context(cafile=str(certificate[0]))
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._wires: list[Wire] = []
        self._servers: list[asyncio.Server] = []
        self.imap = self._listen(serve_imap(self.state, HOST, 0, self.backend, starttls=self.server_tls))
        self.imaps = self._listen(serve_imap(self.state, HOST, 0, self.backend, self.server_tls))
        self.smtp = self._listen(serve_smtp(self.state, HOST, 0, self.backend))

    def _listen(self, serving: Any) -> int:
        server = self.run(serving)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def _write(self) -> None:
        path = self.install / "lab-server.json"
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_text(json.dumps(self.instance), encoding="utf-8")
        os.utime(path, ns=(before + 1_000_000, before + 1_000_000))

    def switch(self, **values: Any) -> None:
        """Takes effect at once, as in a running lab."""
        self.instance["switches"].update(values)
        self._write()

    def options(self, part: str) -> dict[str, Any]:
        """A group of settings, to be changed in place."""
        found: dict[str, Any] = self.state.settings[part]
        return found

    def restart(self, *, auto_expunge: int | None = None) -> None:
        """The server's view after stop and start; AutoExpungeOnDelete is edited in between."""
        self.state.save()
        path = self.install / "mailserver.cfg"
        if auto_expunge is not None:
            pattern = rb'(<variable name="AutoExpungeOnDelete">)\d(<)'
            path.write_bytes(re.sub(pattern, rb"\g<1>%d\g<2>" % auto_expunge, path.read_bytes()))
        self.state.load()

    def master(self, *, enabled: bool = True, password: str = MASTER, group: str = "") -> None:
        self.options("AdvancedOptions")["masterAuthentication"].update(
            isEnabled=enabled, password=password, groupRestriction=group
        )

    def group(self, *hosts: str) -> str:
        """A new IP address group of these addresses; its id."""
        for number, host in enumerate(hosts):
            entry = state_defaults.address_entry("group-under-test", "Under test", type="Host", host=host, id=f"entry-{number}")
            self.state.settings["IpAddressGroups"].append(entry)
        return "group-under-test"

    def wire(self, port: int | None = None, context: ssl.SSLContext | None = None, source: str = HOST) -> Wire:
        """A fresh connection; closed at the end of the test."""
        made = Wire(self.imap if port is None else port, context, source)
        self._wires.append(made)
        return made

    def greeted(self) -> Wire:
        wire = self.wire()
        assert wire.line().startswith(b"* OK ")
        return wire

    def login(self, name: str = "alice") -> Wire:
        wire = self.greeted()
        wire.ok(f"LOGIN {name} not-a-secret-{name.partition('@')[0]}".encode())
        return wire

    def loader(self, name: str = "alice") -> Loader:
        """Straight to Dovecot, past the front."""
        user = self.state.find_user(name)
        assert user is not None
        return Loader(self.backend, mailbox_name(user.id))

    def commands(self) -> list[dict[str, Any]]:
        return imap_log.read(self.folder / "imap-commands.jsonl")

    def logins(self) -> list[dict[str, Any]]:
        return imap_log.read(self.folder / "imap-logins.jsonl")

    def messages(self) -> list[dict[str, Any]]:
        return imap_log.read(self.folder / "smtp-messages.jsonl")

    def stop(self) -> None:
        """All listeners and connections end, as with the process."""
        for server in self._servers:
            self.run(end_connections(server))
        self._servers = []

    def close(self) -> None:
        for wire in self._wires:
            wire.close()
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        self.backend.stop(remove=True)
