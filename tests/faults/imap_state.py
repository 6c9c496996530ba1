# SPDX-License-Identifier: GPL-3.0-or-later
"""What the IMAP server of the fault tests holds: mailboxes, folders, messages. A snapshot is taken and put back in no time."""

from __future__ import annotations

import dataclasses
import datetime
import threading
import typing as t
from dataclasses import dataclass, field

DATE = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
DELETED = "\\Deleted"
TRASH = b"Deleted Items"
PIECE = 1 << 20


@dataclass(frozen=True)
class Repeated:
    """A message too large to be kept: ``head``, then ``unit`` ``count`` times."""

    head: bytes
    unit: bytes
    count: int

    def __len__(self) -> int:
        return len(self.head) + len(self.unit) * self.count

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _step = part.indices(len(self))
        taken = bytearray(self.head[start:stop])
        start, stop = max(0, start - len(self.head)), max(0, stop - len(self.head))
        first = start // len(self.unit)
        units = self.unit * (-(-stop // len(self.unit)) - first)
        return bytes(taken + units[start - first * len(self.unit) : stop - first * len(self.unit)])


Body = bytes | Repeated


def pieces(body: Body, start: int = 0, stop: int | None = None) -> t.Iterator[bytes]:
    """The bytes from ``start`` to ``stop``, a megabyte at a time."""
    end = len(body) if stop is None else min(stop, len(body))
    for at in range(start, end, PIECE):
        yield body[at : min(at + PIECE, end)]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a folder; a change of its flags is another Message in its place."""

    uid: int
    body: Body
    flags: tuple[str, ...] = ()
    internaldate: datetime.datetime = DATE
    modseq: int = 1


@dataclass
class Folder:
    """``attributes`` are those of LIST; ``separator`` None is NIL. Messages ascend by UID."""

    uidvalidity: int = 1
    uidnext: int = 1
    attributes: str = ""
    separator: bytes | None = b"/"
    modseq: int = 1
    messages: list[Message] = field(default_factory=list)

    def add(self, *bodies: Body, flags: t.Iterable[str] = (), date: datetime.datetime = DATE, uid: int = 0) -> list[int]:
        """Append messages; return their UIDs, which begin at ``uid`` if that is given."""
        self.uidnext = max(self.uidnext, uid)
        uids = []
        for body in bodies:
            self.modseq += 1
            self.messages.append(Message(self.uidnext, body, tuple(flags), date, self.modseq))
            uids.append(self.uidnext)
            self.uidnext += 1
        return uids

    def uids(self) -> list[int]:
        return [message.uid for message in self.messages]

    def find(self, uid: int) -> Message:
        return next(message for message in self.messages if message.uid == uid)

    def change(self, uid: int, **values: t.Any) -> Message:
        """Give a message other flags, another body and so on."""
        self.modseq += 1
        index = self.uids().index(uid)
        self.messages[index] = dataclasses.replace(self.messages[index], modseq=self.modseq, **values)
        return self.messages[index]

    def expunge(self, *uids: int) -> list[Message]:
        """Take messages away and return them; UIDs that are not there are passed over."""
        gone = [message for message in self.messages if message.uid in uids]
        if gone:
            self.modseq += 1
            self.messages = [message for message in self.messages if message.uid not in uids]
        return gone

    def renumber(self, uidvalidity: int | None = None, first: int = 1) -> None:
        """As after a restore or a rebuilt index: another UIDVALIDITY, UIDs from ``first`` on."""
        self.uidvalidity = self.uidvalidity + 1 if uidvalidity is None else uidvalidity
        self.messages = [dataclasses.replace(one, uid=uid) for uid, one in enumerate(self.messages, first)]
        self.uidnext = first + len(self.messages)
        self.modseq += 1

    def copy(self) -> Folder:
        return dataclasses.replace(self, messages=list(self.messages))


Mailboxes = dict[str, dict[bytes, Folder]]


class State:
    """All mailboxes of a server. Whoever changes it while the server runs does so under ``lock``.

    ``folder`` looks a folder up anew each time: after ``restore`` a Folder that was kept is not that of the server any more.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.mailboxes: Mailboxes = {}

    def folder(self, mailbox: str, name: str | bytes = "INBOX", **values: t.Any) -> Folder:
        """The folder of this name (bytes: as they travel); created if need be."""
        raw = name if isinstance(name, bytes) else name.encode("ascii")
        with self.lock:
            folders = self.mailboxes.setdefault(mailbox, {})
            if raw not in folders:
                folders[raw] = Folder(**values)
            return folders[raw]

    def snapshot(self) -> Mailboxes:
        with self.lock:
            return _copy(self.mailboxes)

    def restore(self, snapshot: Mailboxes) -> None:
        """Put back what ``snapshot`` gave; it can be put back again and again."""
        with self.lock:
            self.mailboxes = _copy(snapshot)

    def move(self, mailbox: str, source: Folder, uids: t.Iterable[int], target: bytes = TRASH) -> None:
        """Append messages to another folder, without \\Deleted, and take them away from their own."""
        with self.lock:
            for message in source.expunge(*uids):
                kept = [flag for flag in message.flags if flag != DELETED]
                self.folder(mailbox, target, attributes="\\Trash").add(message.body, flags=kept, date=message.internaldate)


def _copy(mailboxes: Mailboxes) -> Mailboxes:
    return {name: {raw: folder.copy() for raw, folder in folders.items()} for name, folders in mailboxes.items()}
