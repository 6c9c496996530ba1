# SPDX-License-Identifier: GPL-3.0-or-later
"""Did what was deleted reappear? A server may move to Deleted Items what it was told to delete (Kerio: AutoExpungeOnDelete)."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import fetch as imap_fetch
from ansible_collections.mailops.kerio.plugins.module_utils.imap import folders as imap_folders
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder, FolderStatus, StatusFailed

TRASH = "trash"


class Mark(t.NamedTuple):
    """How far a folder was filled: messages from ``uidnext`` on are new, and all are under another UIDVALIDITY."""

    uidvalidity: int
    uidnext: int

    def first_new(self, status: FolderStatus) -> int:
        """The lowest UID that is new."""
        return self.uidnext if status.uidvalidity == self.uidvalidity else 1


@dataclass(frozen=True)
class Baseline:
    """Folders by name before a deletion: the trash, or all of them where no folder is known to be the trash."""

    marks: t.Mapping[str, Mark]

    def as_data(self) -> dict[str, list[int]]:
        """What a receipt keeps of it."""
        return {name: list(mark) for name, mark in self.marks.items()}

    @classmethod
    def of_data(cls, data: t.Mapping[str, t.Sequence[int]]) -> Baseline:
        """What ``as_data`` gave."""
        return cls({name: Mark(*values) for name, values in data.items()})


def take_baseline(conn: Connection) -> Baseline:
    """Look at what is to be watched, before a folder is selected; ImapError when that cannot be done."""
    marks: dict[str, Mark] = {}
    for folder, status in _watched(conn):
        if isinstance(status, FolderStatus) and status.uidnext:
            marks[folder.name] = Mark(status.uidvalidity, status.uidnext)
        else:
            # A server need not tell UIDNEXT, but it knows the UIDs.
            told = imap_fetch.examine(conn, folder)
            marks[folder.name] = Mark(told.uidvalidity, max(imap_fetch.search_uids(conn), default=0) + 1)
    return Baseline(marks)


def reappeared(conn: Connection, before: Baseline, removed: t.Collection[Candidate]) -> str:
    """The name of a folder in which one of the removed messages is as a new one; "" when there is none.

    The folder that was open is open no more. ImapError when a folder cannot be looked at.
    """
    if not removed:
        return ""
    sizes = {one.size for one in removed}
    digests = {one.digest for one in removed}
    for folder, status in _watched(conn):
        mark = before.marks.get(folder.name, Mark(0, 1))
        if folder.role != TRASH and isinstance(status, FolderStatus) and 0 < status.uidnext <= mark.first_new(status):
            continue
        first = mark.first_new(imap_fetch.examine(conn, folder))
        new = [uid for uid in imap_fetch.search_uids(conn, "UID", f"{first}:*") if uid >= first]
        alike = [listed.uid for listed in imap_fetch.listing(conn, new) if listed.size in sizes]
        if alike and _holds_one_of(conn, alike, digests):
            return folder.name
    return ""


def _watched(conn: Connection) -> list[tuple[Folder, FolderStatus | StatusFailed]]:
    """The folders with the role of trash; without any all that can be selected, since the trash may have any name."""
    folders, statuses = imap_folders.survey(conn)
    selectable = [(folder, statuses[folder.name]) for folder in folders if folder.selectable]
    trash = [(folder, status) for folder, status in selectable if folder.role == TRASH]
    if trash:
        return trash
    return [(folder, status) for folder, status in selectable if isinstance(status, FolderStatus)]


def _holds_one_of(conn: Connection, uids: t.Sequence[int], digests: t.Container[bytes]) -> bool:
    """Whether one of these messages has one of the digests; ImapError when that cannot be told."""
    found = False
    unreadable = ""
    for item in imap_fetch.fetch(conn, uids):  # to its end: to break it off would cost the connection
        if isinstance(item, imap_fetch.Failed):
            unreadable = item.text
        elif isinstance(item, imap_fetch.Fetched):
            found = _digest(item) in digests or found
    if unreadable and not found:
        raise ImapError(
            f"{conn.name}, mailbox {conn.user}",
            f"a new message of the size of a deleted one cannot be read: {unreadable}",
            "Look whether deleted messages are in Deleted Items",
        )
    return found


def _digest(item: imap_fetch.Fetched) -> bytes:
    total = hashlib.sha256()
    if isinstance(item.body, imap_fetch.StreamedBody):
        for piece in item.body.chunks():
            total.update(piece)
        item.body.sink.close()
    else:
        total.update(item.body)
    return total.digest()
