# SPDX-License-Identifier: GPL-3.0-or-later
"""The script of the archive's login, run by Lua as Dovecot runs it, and what it answers and logs."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.imap_server import PASSWORD, ImapServer
from tests.lab import ports
from tests.lab.playbooks import ROOT

SCRIPTS = ROOT / "roles" / "archive_access" / "files"
DRIVER = Path(__file__).with_name("access_driver.lua")
LIMITS = {"window": 3600, "account_and_source": 3, "account": 4, "source": 20, "server": 50}
HERE = "192.0.2.1"
RESULT = re.compile(r"result=(\w+) (.*)")


def lua(value: t.Any) -> str:
    """A Lua literal; the strings of the tests are the same in JSON and Lua."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{json.dumps(key)}] = {lua(one)}" for key, one in value.items() if one is not None) + "}"
    return "{" + ", ".join(map(lua, value)) + "}" if isinstance(value, list) else json.dumps(value)


@dataclass(frozen=True)
class Ask:
    """A login at the archive."""

    user: str = "alice"
    password: str = PASSWORD
    source: str = HERE

    def line(self) -> str:
        return f"{self.user} {self.source} {self.password.encode().hex()}\n"


@dataclass(frozen=True)
class Told:
    """What the client is told, and what the log says: the outcome and why."""

    answer: str
    outcome: str
    why: str


@dataclass
class Access:
    """The files of an instance in ``folder``; ``login`` and ``start`` run the script on them."""

    folder: Path
    limits: dict[str, int] = field(default_factory=lambda: dict(LIMITS))
    servers: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    logins: dict[str, dict[str, str]] = field(default_factory=dict)
    trusted: list[str] = field(default_factory=list)
    timeout: float = 5
    at_once: int = 20
    delay: float = 0  # before anything is written down

    def serve(self, server: ImapServer, name: str = "mail1", **more: t.Any) -> None:
        """Let a server of the tests be asked, without encryption unless ``more`` says otherwise."""
        own = {"host": "127.0.0.1", "port": server.port, "access": "IMAP", "allow_clear": True, "validate_certs": True}
        self.servers[name] = {**own, **more}

    def person(self, name: str, login: str, server: str = "mail1") -> None:
        self.logins[name] = {"server": server, "login": login}

    @property
    def guesses(self) -> Path:
        return self.folder / "guesses"

    def start(self) -> subprocess.Popen[str]:
        """A process that may run beside others on the same files."""
        guesses = {"directory": str(self.guesses), **self.limits}
        settings = {"timeout": self.timeout, "at_once": self.at_once, "guesses": guesses, "servers": self.servers}
        settings["trusted_networks"] = self.trusted
        self.guesses.mkdir(exist_ok=True)
        for script in SCRIPTS.glob("*.lua"):
            self._install(script.name, script.read_text(encoding="utf-8"))
        self._install("servers.lua", f"return {lua(settings)}\n")
        self._install("logins.lua", f"return {lua(self.logins)}\n")
        pipes: dict[str, t.Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(["lua5.4", str(DRIVER), str(self.folder / "kerio.lua"), str(self.delay)], text=True, **pipes)

    def _install(self, name: str, text: str) -> None:
        """By rename, because others may be reading it."""
        fresh = self.folder / f"{name}.new"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.folder / name)

    def login(self, *asked: Ask) -> list[Told]:
        """Ask one after the other, in one process."""
        return finish(self.start(), asked)

    def one(self, password: str = PASSWORD, user: str = "alice", source: str = HERE) -> Told:
        return self.login(Ask(user, password, source))[0]


def finish(process: subprocess.Popen[str], asked: t.Iterable[Ask]) -> list[Told]:
    asked = list(asked)
    answers, log = process.communicate("".join(one.line() for one in asked), timeout=60)
    assert process.returncode == 0, log
    for one in asked:
        assert not one.password or one.password not in log
    found = RESULT.findall(log)
    told = answers.split()
    assert len(told) == len(found) == len(asked), log
    return [Told(answer, *entry) for answer, entry in zip(told, found, strict=True)]


@contextlib.contextmanager
def refusing() -> t.Iterator[int]:
    """The port of a server that answers every LOGIN with BAD and never asks for a literal."""
    listener = socket.create_server(("127.0.0.1", ports.free(1)[0]))

    def serve() -> None:
        link, _peer = listener.accept()
        with link, link.makefile("rwb", buffering=0) as stream:
            stream.write(b"* OK ready\r\n")
            for line in stream:
                tag, verb = line.split()[:2]
                stream.write(tag + (b" BAD no literals\r\n" if verb == b"LOGIN" else b" OK done\r\n"))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()
