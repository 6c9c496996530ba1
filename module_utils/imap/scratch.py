# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder that is made in a mailbox, filled and removed again; nothing else of the mailbox is touched."""

from __future__ import annotations

import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import names
from ansible_collections.mailops.kerio.plugins.module_utils.imap.append import Appender, Outgoing
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Fetched, examine, fetch, search_uids
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import list_folders

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Result
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import Folder

# What is a wildcard of LIST or a separator of folders somewhere.
_REFUSED = frozenset('*%"\\/.')
_BY_HAND = "Look into the mailbox, and remove that folder by hand if it is of a rehearsal"


class Scratch:
    """The folder. ``create`` it first, and ``remove`` it in any case; it is removed only if this object made it."""

    def __init__(self, conn: Connection, name: str) -> None:
        if not name or _REFUSED & set(name) or not name.isprintable() or name != name.strip():
            raise InputError("folder", f"{name!r} cannot be used", "Give the name of a top folder, of letters, digits and blanks")
        self.name = name
        self.made = False
        self._conn = conn
        self._opened = False
        self._quoted = names.quote(names.encode(name)) or b'""'
        self._appender = Appender(conn, names.encode(name))
        self._subject = f"{conn.name}, mailbox {conn.user}, folder {name}"

    def refuse_existing(self) -> None:
        """Raise ImapError when the mailbox has a folder of that name."""
        if self._named():
            remedy = "Give the name of a folder that does not exist; this one is not touched"
            raise ImapError(self._subject, "the folder exists already", remedy)

    def create(self) -> None:
        """Make the folder; ImapError when it exists, or when the server refuses."""
        self.refuse_existing()
        self._must(b"CREATE " + self._quoted, "Give a folder that this user may create")
        self.made = True

    def append(self, body: bytes, date: int) -> Result:
        """Put in a message with its INTERNALDATE (epoch seconds), byte for byte; the result is the server's answer."""
        self._appender.put(Outgoing(b"", len(body), (body,), max(0, date)))
        self._appender.finish()
        return self._appender.answers.pop().result

    def messages(self) -> t.Iterator[Fetched]:
        """Everything that the folder holds, in the order in which it was put in; read-only."""
        (folder,) = self._named()
        examine(self._conn, folder)
        self._opened = True
        uids = search_uids(self._conn)
        came = (item for item in fetch(self._conn, uids, batch_messages=1, depth=1) if isinstance(item, Fetched))
        yield from came

    def remove(self) -> list[str]:
        """Remove the folder if this object made it; return the folders of the same name that are left elsewhere.

        Raises ImapError when it is still there.
        """
        if not self.made:
            return []
        if self._opened:
            # It was opened read-only, so that CLOSE expunges nothing; some servers do not remove an open folder.
            self._conn.reader.run([b"CLOSE"])
        self._must(b"DELETE " + self._quoted, _BY_HAND)
        self.made = False
        left = self._named()
        if left:
            raise ImapError(self._subject, "the server said that it is removed, but it is still there", _BY_HAND)
        return [folder.name for folder in list_folders(self._conn) if folder.parts[-1:] == (self.name,)]

    def _named(self) -> list[Folder]:
        return [folder for folder in list_folders(self._conn) if folder.name.casefold() == self.name.casefold()]

    def _must(self, line: bytes, remedy: str) -> None:
        (result,) = self._conn.reader.run([line])
        if not result.ok:
            command = line.split()[0].decode()
            raise ImapError(self._subject, f"the server refused {command}: {result.status} {result.text}", remedy)
