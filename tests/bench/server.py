# SPDX-License-Identifier: GPL-3.0-or-later
"""The one Dovecot of a benchmark, plain and with TLS, and the mailboxes in it."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import random
import subprocess
import typing as t
from pathlib import Path

from tests.lab import ports
from tests.lab.cli_lab import make_certificates
from tests.lab.dovecot import Dovecot
from tests.lab.generate_load import Item, Loader
from tests.lab.generate_mail import Author

# Quotas and access lists cost the server more than the messages do, and no contestant asks for them.
SETTINGS = """
ssl = yes
ssl_cert = <{folder}/server.crt
ssl_key = <{folder}/server.key
mail_plugins =
protocol imap {{
  mail_plugins =
}}
service imap-login {{
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
"""
PEOPLE = ("ann@example.com", "bob@example.com", "cy@example.com", "dee@example.com")
BIG, HALF, SHARE = "big@example.com", "half@example.com", "share@example.com"
MESSAGES = {BIG: 20_000, HALF: 10_000, SHARE: 1_000}
LONG, LONG_MESSAGES = "long@example.com", 100_000
MANY, MANY_FOLDERS = 1_000, 10
PIECE = 400
BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class BenchServer:
    """``port`` is IMAP, ``tls_port`` IMAP-SSL with a certificate of ``ca_file``; every mailbox takes ``password``."""

    def __init__(self, folder: Path) -> None:
        certificates = folder / "tls"
        self.ca_file = make_certificates(certificates, "bench")
        (certificates / "server.key").chmod(0o644)  # for the mail user; it protects nothing
        self.tls_port = ports.free(1)[0]
        self.backend = Dovecot(folder / "dovecot", more=SETTINGS.format(folder=certificates, port=self.tls_port))
        self._filled: dict[str, int] = {}

    def __enter__(self) -> t.Self:
        self.backend.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.backend.stop(remove=True)

    @property
    def port(self) -> int:
        """IMAP without TLS."""
        return self.backend.port

    @property
    def password(self) -> str:
        """Of every mailbox."""
        return self.backend.master_login("")[1]

    def files(self, *mailboxes: str) -> list[Path]:
        """The files in which the mail of these mailboxes lies."""
        return [path for name in mailboxes for path in (self.backend.home / "mail" / name).rglob("m.*")]

    def mixed(self) -> None:
        """The mailboxes of letters: 90 % small, 9 % of 20 to 90 KB, 1 % of 0.5 to 1.6 MB; small ones hold the first of them."""
        if BIG in self._filled:
            return
        author = Author("bench", PEOPLE)
        with contextlib.ExitStack() as stack:
            loaders = {name: stack.enter_context(Loader(self.backend, name)) for name in MESSAGES}
            for first in range(0, max(MESSAGES.values()), PIECE):
                items = [Item(letter.raw, letter.date) for letter in (author.letter() for _ in range(PIECE))]
                for name, count in MESSAGES.items():
                    loaders[name].append("INBOX", items[: max(0, count - first)])
        self._filled.update(MESSAGES)

    def long(self) -> None:
        """The mailbox of 100,000 short messages."""
        if LONG not in self._filled:
            self.add_short(LONG, LONG_MESSAGES)

    def add_short(self, mailbox: str, count: int) -> None:
        """Put short messages into a mailbox; none is like another."""
        before = self._filled.get(mailbox, 0)
        numbers = range(before, before + count)
        with Loader(self.backend, mailbox) as loader:
            loader.append(
                "INBOX", (Item(short(mailbox, number), BEGIN + datetime.timedelta(minutes=number)) for number in numbers)
            )
        self._filled[mailbox] = before + count

    def many(self) -> list[str]:
        """A thousand mailboxes, each with ten folders of one message; copies of one, made on disk."""
        names = [f"user{number:04}@example.com" for number in range(MANY)]
        if names[0] in self._filled:
            return names
        with Loader(self.backend, names[0]) as loader:
            for folder in many_folders():
                loader.append(folder, [Item(short(folder, 0), BEGIN)])
        mail = self.backend.home / "mail"
        for name in names[1:]:
            subprocess.run(["cp", "-a", mail / names[0], mail / name], check=True)
        self._filled[names[0]] = MANY_FOLDERS
        return names


def many_folders() -> list[str]:
    """Ten folders that an archive run reads."""
    special = ("INBOX", "Sent Items")
    more = (f"Projects/{number}" for number in itertools.count(1))
    return list(itertools.islice(itertools.chain(special, more), MANY_FOLDERS))


def short(seed: str, number: int) -> bytes:
    """One short message."""
    words = random.Random(f"{seed} {number}").randbytes(400).hex()
    text = "\r\n".join(words[start : start + 76] for start in range(0, len(words), 76))
    head = f"From: ann@example.com\r\nTo: bob@example.com\r\nSubject: number {number}\r\nMessage-ID: <{number}.{seed}>\r\n\r\n"
    return f"{head}{text}\r\n".encode()
