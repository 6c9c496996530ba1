# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of a mailbox into which mail is put: found by their names, or made and subscribed."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import names
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import list_folders
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response, Result
from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import Folder

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection

INBOX = "INBOX"
_SEPARATOR = "/"  # where the mailbox has no folder that tells
_PERMANENT = re.compile(rb"\* OK \[PERMANENTFLAGS \(([^)]*)\)\]", re.IGNORECASE)
ANY_KEYWORD = "\\*"

Parts = tuple[str, ...]


class TargetFolders:
    """``made``: names of the folders that this object made. ``unsubscribed``: those of them that the server did not subscribe."""

    def __init__(self, conn: Connection) -> None:
        self.made: list[str] = []
        self.unsubscribed: list[str] = []
        self._conn = conn
        self._read()

    def _read(self) -> None:
        listed = list_folders(self._conn)
        self._folders = {folder.raw: folder for folder in listed}
        self._separator = next((folder.separator for folder in listed if folder.separator), _SEPARATOR)
        self._alike: dict[str, list[Folder]] = {}
        for folder in listed:
            self._alike.setdefault(_lower(folder.raw), []).append(folder)

    def find(self, parts: Parts) -> Folder | None:
        """The folder of this name, if it can hold mail; ImapError for a name that the server cannot have."""
        folder = self._known(parts)
        return folder if folder is not None and folder.selectable else None

    def _known(self, parts: Parts) -> Folder | None:
        """By its name; or because the server opens by that name what it lists in other case."""
        raw = self._raw(parts)
        if raw not in self._folders and _lower(raw) in self._alike and self._run(b"EXAMINE", raw).ok:
            self._folders[raw] = self._open_folder(parts)
        return self._folders.get(raw)

    def _open_folder(self, parts: Parts) -> Folder:
        name = self._separator.join(parts)
        return Folder(name, self._raw(parts), frozenset(), self._separator, parts, selectable=True)

    def missing(self, parts: Parts) -> list[str]:
        """The names of the folders that ``ensure`` would make."""
        if self.find(parts) is not None:
            return []
        ways = [parts[:count] for count in range(1, len(parts) + 1)]
        return [self._separator.join(way) for way in ways if way == parts or self._known(way) is None]

    def ensure(self, parts: Parts) -> Folder:
        """The same, made if need be, with its parents. ImapError when the server refuses."""
        for count in range(1, len(parts) + 1):
            self._ensure_one(parts[:count], leaf=count == len(parts))
        found = self.find(parts)
        if found is None:
            raise ImapError(
                self._subject(parts), "the server says that it is made, but does not list it", "Look into the mailbox"
            )
        return found

    def forget(self) -> None:
        """List the folders anew: one of them is gone."""
        self._read()

    def _ensure_one(self, parts: Parts, *, leaf: bool) -> None:
        raw = self._raw(parts)
        known = self._known(parts)
        if known is not None and (known.selectable or not leaf):
            return
        result = self._run(b"CREATE", raw)
        if not result.ok:
            self._read()
            if not self._adopt(raw, leaf=leaf):
                cause = f"the server refused CREATE: {result.status} {result.text}"
                raise ImapError(self._subject(parts), cause, "Make the folder by hand, or restore into another one")
            return
        folder = self._folders[raw] = self._open_folder(parts)
        self.made.append(folder.name)
        if not self._run(b"SUBSCRIBE", raw).ok:
            self.unsubscribed.append(folder.name)

    def _adopt(self, raw: bytes, *, leaf: bool) -> bool:
        """After a refused CREATE: take the folder that somebody made meanwhile, or that is the same for a server without case."""
        alike = self._alike.get(_lower(raw))
        if not alike:
            return False
        exact = next((folder for folder in alike if folder.raw == raw), alike[0])
        self._folders[raw] = exact
        return exact.selectable or not leaf

    def _raw(self, parts: Parts) -> bytes:
        """The name as it travels."""
        if len(parts) == 1 and parts[0].upper() == INBOX:
            return INBOX.encode()
        first = INBOX.encode() if parts[0].upper() == INBOX else names.encode(parts[0])
        separator = self._separator.encode("ascii", "replace")
        pieces = [first, *map(names.encode, parts[1:])]
        raw = separator.join(pieces)
        if any(separator in piece or not piece for piece in pieces) or names.quote(raw) is None:
            cause = "this server cannot have a folder of that name: a part of it is empty, or holds the separator or a line break"
            raise ImapError(self._subject(parts), cause, "Restore it with another target_folder, or export it")
        return raw

    def _run(self, command: bytes, raw: bytes) -> Result:
        (result,) = self._conn.reader.run([command + b" " + (names.quote(raw) or b'""')])
        return result

    def _subject(self, parts: Parts) -> str:
        return f"{self._conn.name}, mailbox {self._conn.user}, folder {'/'.join(parts)}"


def _lower(raw: bytes) -> str:
    """For comparison; of modified UTF-7 as it travels, other letters would seem alike."""
    return names.decode(raw).lower()


def permanent_flags(conn: Connection, folder: Folder) -> frozenset[str]:
    r"""What clients may set for good there, lower case; ``ANY_KEYWORD`` for keywords of any name. Empty when it is not told.

    It opens the folder with SELECT, because EXAMINE does not tell; open it anew behind that.
    """
    told: set[str] = set()

    def take(response: Response) -> None:
        found = _PERMANENT.match(response.text())
        if found is not None:
            told.update(found[1].decode("ascii", "replace").lower().split())

    conn.reader.run([b"SELECT " + (names.quote(folder.raw) or b'""')], take)
    return frozenset(told)
