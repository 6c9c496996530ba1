# SPDX-License-Identifier: GPL-3.0-or-later
"""The mail server's process: `python -m tests.lab.mailserver <install dir>`; one loop for admin API, IMAP and SMTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.lab.admin_api import AdminServer
from tests.lab.dovecot import Dovecot
from tests.lab.imap_front import serve_imap
from tests.lab.ports import HOST
from tests.lab.smtp_in import serve_smtp
from tests.lab.state import ServerState

Opener = Callable[[int], Awaitable[asyncio.Server]]
SERVICES = ("SMTP", "IMAP", "Secure IMAP")


class MailServer:
    """Loads the state, opens the listeners, keeps them as Services says, and saves at the end."""

    def __init__(self, install: Path) -> None:
        self.install = install
        self.state = ServerState(install)
        self.backend = Dovecot(install.parent / "dovecot")
        self.admin = AdminServer(self.state)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(install / "sslcert" / "server.crt", install / "sslcert" / "server.key")
        self.open: dict[str, tuple[int, asyncio.Server]] = {}
        self.stopping = asyncio.Event()
        self.listen = listen = self.state.instance.get("listen", HOST)
        self.openers: dict[str, Opener] = {
            "SMTP": lambda port: serve_smtp(self.state, listen, port, self.backend),
            "IMAP": lambda port: serve_imap(self.state, listen, port, self.backend, starttls=self.tls),
            "Secure IMAP": lambda port: serve_imap(self.state, listen, port, self.backend, self.tls),
        }

    def _term(self) -> None:
        if self.state.switches.stop_mode != "ignores_term":
            self.stopping.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._term)
        how = self.state.switches
        self.state.recorder.write("start", fresh=self.state.fresh, pid=os.getpid())
        await self._unless_stopping(how.start_seconds)
        if how.start_mode == "dies":
            sys.exit(1)
        if how.start_mode != "no_ports" and not self.stopping.is_set():
            await self._serve()
        await self.stopping.wait()
        await self._close_all()
        await asyncio.sleep(self.state.switches.stop_seconds)
        self.state.save()
        self.state.recorder.write("stop", pid=os.getpid())
        (self.install / "run" / "kms.pid").unlink(missing_ok=True)
        os._exit(0)  # what is left are connections, and they end with the process

    async def _unless_stopping(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def _serve(self) -> None:
        for service in self.state.settings["Services"]:
            service["isRunning"] = service["howToStart"] == "Automatic"
        await self._reconcile()
        port = self.state.instance["ports"]["admin"]
        self.open["admin"] = (port, await self.admin.start(self.listen, port, self.tls))
        self._follower = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        """After every API call: open and close listeners as Services now says."""
        while True:
            await self.admin.after_call.wait()
            self.admin.after_call.clear()
            await self._reconcile()

    async def _reconcile(self) -> None:
        for name in SERVICES:
            service = self.state.service(name)
            ports = [listener["port"] for listener in service["listeners"]]
            wanted = ports[0] if service["isRunning"] and ports else 0
            current = self.open[name][0] if name in self.open else 0
            if current != wanted:
                await self._move(name, wanted)

    async def _move(self, name: str, port: int) -> None:
        if name in self.open:
            self.open.pop(name)[1].close()
        if not port:
            return
        try:
            self.open[name] = (port, await self.openers[name](port))
        except OSError as error:
            self.state.service(name)["isRunning"] = False
            self.state.recorder.write("listen_failed", service=name, port=port, error=str(error))

    async def _close_all(self) -> None:
        """Listeners, and every connection: their handlers are the other tasks of this loop."""
        for _port, server in self.open.values():
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=1)  # a client may leave a TLS connection half closed


def main(install: Path) -> None:
    """Named `mailserver` like the real process. Write the pid file, then serve until TERM. KILL loses whatever was not saved."""
    if not (install / "lab-server.json").exists():
        sys.exit(f"{install}: no lab-server.json here")
    server = MailServer(install)
    Path("/proc/self/comm").write_text("mailserver")
    pid_file = install / "run" / "kms.pid"
    pid_file.parent.mkdir(exist_ok=True)
    pid_file.write_text(f"{os.getpid()}\n")
    try:
        asyncio.run(server.run())
    finally:
        pid_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
