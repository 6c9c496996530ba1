# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts mail into a mailbox fast and byte for byte: MULTIAPPEND with non-synchronising literals, straight to Dovecot."""

from __future__ import annotations

import dataclasses
import datetime
import re
import socket
from collections.abc import Iterable, Iterator

from tests.lab import imap_names
from tests.lab.dovecot import Dovecot

BATCH_MESSAGES = 400
BATCH_BYTES = 8 << 20
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class LoadError(Exception):
    """Dovecot refused a command of the loader."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One message to be put into a folder. `internaldate` is aware."""

    raw: bytes
    internaldate: datetime.datetime
    flags: tuple[str, ...] = ()


def dovecot_keeps(raw: bytes) -> bool:
    """Does Dovecot give back these bytes? It turns NUL into 0x80, LF into CRLF, CR CR LF into CR LF, drops a CR at the end,
    and takes no empty message."""
    return bool(raw) and b"\0" not in raw and not re.search(rb"(?<!\r)\n|\r\r\n|\r\Z", raw)


def imap_date(when: datetime.datetime) -> str:
    """INTERNALDATE without quotes; month names must not follow the locale."""
    return f"{when.day:02d}-{MONTHS[when.month - 1]}-{when:%Y %H:%M:%S %z}"


class Loader:
    """A connection to one mailbox (see dovecot.mailbox_name)."""

    def __init__(self, backend: Dovecot, mailbox: str) -> None:
        self._link = socket.create_connection(("127.0.0.1", backend.port), timeout=120)
        self._replies = self._link.makefile("rb")
        self._number = 0
        self._folders: set[str] = {"INBOX"}
        self._replies.readline()
        user, password = backend.master_login(mailbox)
        self.command(b"LOGIN " + imap_names.quote(user) + b" " + imap_names.quote(password))

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._replies.close()
        self._link.close()

    def command(self, command: bytes, *more: bytes) -> list[bytes]:
        """Send one command (literals non-synchronising, pieces in `more`); its untagged lines. Raises LoadError unless OK."""
        self._number += 1
        tag = b"L%d " % self._number
        self._link.sendall(b"".join([tag, command, *more, b"\r\n"]))
        lines: list[bytes] = []
        while True:
            line = self._replies.readline()
            if line.startswith(tag):
                if not line[len(tag) :].startswith(b"OK"):
                    raise LoadError(f"{command[:100]!r}: {line!r}")
                return lines
            if not line:
                raise LoadError(f"{command[:100]!r}: connection closed")
            lines.append(line)

    def create(self, folder: str) -> None:
        """Create and subscribe; a folder that is there is fine."""
        if folder in self._folders:
            return
        try:
            self.command(b"CREATE " + imap_names.wire(folder))
        except LoadError as err:
            if "ALREADYEXISTS" not in str(err):
                raise
        self.command(b"SUBSCRIBE " + imap_names.wire(folder))
        self._folders.add(folder)

    def append(self, folder: str, items: Iterable[Item]) -> int:
        """Append in order, creating the folder when needed; how many."""
        self.create(folder)
        count = 0
        for batch in _batches(items):
            pieces = [part for item in batch for part in (_head(item), item.raw)]
            self.command(b"APPEND " + imap_names.wire(folder), *pieces)
            count += len(batch)
        return count

    def numbers(self, folder: str) -> dict[str, int]:
        """MESSAGES, UIDNEXT and UIDVALIDITY of a folder."""
        lines = self.command(b"STATUS " + imap_names.wire(folder) + b" (MESSAGES UIDNEXT UIDVALIDITY)")
        words = lines[-1].rpartition(b"(")[2].rstrip(b")\r\n").split()
        return {name.decode(): int(value) for name, value in zip(words[::2], words[1::2], strict=True)}


def _head(item: Item) -> bytes:
    flags = " ".join(item.flags)
    return f' ({flags}) "{imap_date(item.internaldate)}" {{{len(item.raw)}+}}\r\n'.encode("ascii")


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (len(batch) >= BATCH_MESSAGES or size + len(item.raw) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item.raw)
    if batch:
        yield batch
