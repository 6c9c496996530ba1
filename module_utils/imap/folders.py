# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folders a mailbox has, and what changed in them."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import names
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.reader import Response
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import MalformedError, Value, clean, parse_values
from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import (
    DEFAULT_EXCLUDES,
    Folder,
    Selection,
    select_folders,
)

__all__ = [
    "DEFAULT_EXCLUDES",
    "Folder",
    "FolderStatus",
    "Selection",
    "StatusFailed",
    "list_folders",
    "select_folders",
    "statuses",
    "survey",
]

# STATUS commands in one write: few enough that the server can take them all while it answers
PIPELINE = 100

# RFC 3501 section 2.3.1.1 and RFC 7162 section 3.1
HIGHEST, HIGHEST_MODSEQ = 2**32 - 1, 2**63 - 1

# attribute (RFC 6154, and Kerio's \Inbox) -> role
ROLE_ATTRIBUTES = {
    "\\inbox": "inbox",
    "\\junk": "junk",
    "\\trash": "trash",
    "\\drafts": "drafts",
    "\\sent": "sent",
    "\\archive": "archive",
    "\\all": "all",
    "\\flagged": "flagged",
}
# English name of a top folder -> role, for the roles that no folder has by attribute
ROLE_NAMES = {
    "inbox": "inbox",
    "junk e-mail": "junk",
    "junk email": "junk",
    "junk": "junk",
    "spam": "junk",
    "deleted items": "trash",
    "deleted messages": "trash",
    "trash": "trash",
    "drafts": "drafts",
    "sent items": "sent",
    "sent messages": "sent",
    "sent": "sent",
    "outbox": "outbox",
}


# One name, quoted without escapes or an atom of plain letters; whatever is not like this goes to the real parser.
_NAME = rb'(?:"([^"\\\r\n]+)"|(?!NIL\b)([A-Za-z0-9._/&+,-]+))'
_USUAL_LIST = re.compile(rb'\(((?:\\[A-Za-z0-9-]+ ?)*)\) "([^"\\\r\n])" ' + _NAME, re.IGNORECASE)
_USUAL_STATUS = re.compile(_NAME + rb" \(((?:[A-Z]+ [0-9]+ ?)+)\)", re.IGNORECASE)


@dataclass(frozen=True)
class FolderStatus:
    """``highestmodseq`` is None without CONDSTORE, or where the server keeps none for the folder; ``uidnext`` 0 is untold."""

    uidvalidity: int
    uidnext: int
    messages: int
    highestmodseq: int | None = None

    def plausible(self) -> bool:
        """Whether all are numbers that IMAP allows; what a server tells is not believed to be."""
        numbers = (self.uidvalidity, self.uidnext, self.messages)
        return all(isinstance(number, int) and 0 <= number <= HIGHEST for number in numbers) and (
            0 <= (self.highestmodseq or 0) <= HIGHEST_MODSEQ
        )


@dataclass(frozen=True)
class StatusFailed:
    """The server gave no status of this folder; ``text`` are its words."""

    text: str


class _Listing:
    """Collects what LIST and STATUS answer."""

    def __init__(self) -> None:
        self.folders: list[Folder] = []
        self.statuses: dict[bytes, FolderStatus] = {}
        self.unreadable: list[str] = []

    def take(self, response: Response) -> None:
        """Keep a LIST or STATUS response; others tell nothing about folders."""
        word = bytes(response.view[response.start : min(response.end, response.start + 9)]).upper()
        try:
            if word.startswith(b"* LIST "):
                folder = _folder(_list_values(response))
                if folder.raw not in {known.raw for known in self.folders}:
                    self.folders.append(folder)
            elif word == b"* STATUS ":
                raw, status = _status(_status_values(response))
                self.statuses[raw] = status
        except (MalformedError, LookupError, ValueError, TypeError):
            # A folder without its STATUS is reported for that.
            if word.startswith(b"* LIST "):
                self.unreadable.append(clean(response.text()[7:]))


def _list_values(response: Response) -> list[Value]:
    """The values behind "* LIST "; at one look when the line is like nearly all are, which a thousand mailboxes have ten of."""
    usual = _USUAL_LIST.fullmatch(response.data, response.start + 7, response.end)
    if usual is None:
        return parse_values(response.data, response.start + 7, response.end)
    attributes: list[Value] = [*bytes(usual[1]).split()]
    return [attributes, bytes(usual[2]), bytes(usual[3] or usual[4])]


def _status_values(response: Response) -> list[Value]:
    """The values behind "* STATUS ", likewise."""
    usual = _USUAL_STATUS.fullmatch(response.data, response.start + 9, response.end)
    if usual is None:
        return parse_values(response.data, response.start + 9, response.end)
    items: list[Value] = [*bytes(usual[3]).split()]
    return [bytes(usual[1] or usual[2]), items]


def survey(conn: Connection) -> tuple[list[Folder], dict[str, FolderStatus | StatusFailed]]:
    """``list_folders`` and ``statuses`` of the selectable ones; one round trip where the server announces LIST-STATUS."""
    listing = _Listing()
    options = _return_options(conn.capabilities)
    if "LIST-STATUS" in conn.capabilities:
        options.append(b"STATUS (%s)" % _status_items(conn.capabilities))
    _list(conn, listing, options)
    folders = with_roles(listing.folders)
    statuses = _all_statuses(conn, folders, listing)
    for line in listing.unreadable:
        folders.append(Folder(line, b"", frozenset(), None, (line,), selectable=True))
        statuses[line] = StatusFailed("the server's LIST has this line, which cannot be read")
    return folders, statuses


def list_folders(conn: Connection) -> list[Folder]:
    """All folders, in the server's order."""
    listing = _Listing()
    _list(conn, listing, _return_options(conn.capabilities))
    return with_roles(listing.folders)


def statuses(conn: Connection, folders: t.Sequence[Folder]) -> dict[str, FolderStatus | StatusFailed]:
    """Name -> status of the selectable ones of ``folders``; pipelined."""
    return _all_statuses(conn, folders, _Listing())


def _return_options(capabilities: frozenset[str]) -> list[bytes]:
    return [b"SPECIAL-USE"] if {"LIST-EXTENDED", "SPECIAL-USE"} <= capabilities else []


def _status_items(capabilities: frozenset[str]) -> bytes:
    return b"MESSAGES UIDNEXT UIDVALIDITY" + (b" HIGHESTMODSEQ" if capabilities & {"CONDSTORE", "QRESYNC"} else b"")


def _list(conn: Connection, listing: _Listing, options: list[bytes]) -> None:
    extended = b" RETURN (%s)" % b" ".join(options) if options else b""
    (result,) = conn.reader.run([b'LIST "" "*"' + extended], listing.take)
    if not result.ok and options:
        # A server that announces the extension and then refuses it still knows the plain command.
        (result,) = conn.reader.run([b'LIST "" "*"'], listing.take)
    if not result.ok:
        cause = f"the server refused LIST: {result.status} {result.text}"
        raise ImapError(f"{conn.name}, mailbox {conn.user}", cause, "Check the mailbox on the server")


def _all_statuses(conn: Connection, folders: t.Sequence[Folder], listing: _Listing) -> dict[str, FolderStatus | StatusFailed]:
    """Ask for what ``listing`` does not know yet."""
    items = _status_items(conn.capabilities)
    wanted = {folder.name: folder for folder in folders if folder.selectable}
    words: dict[str, str] = {}
    commands: list[tuple[str, bytes]] = []
    for name, folder in wanted.items():
        quoted = names.quote(folder.raw)
        if quoted is None:
            words[name] = "the name holds a line break or NUL, which no command can carry"
        elif _key(folder.raw) not in listing.statuses:
            commands.append((name, b"STATUS %s (%s)" % (quoted, items)))
    results = conn.reader.run_by(PIPELINE, [line for _name, line in commands], listing.take)
    for (name, _line), result in zip(commands, results, strict=True):
        words[name] = f"{result.status} {result.text}" if not result.ok else "the server answered STATUS without a status"
    return {name: listing.statuses.get(_key(folder.raw)) or StatusFailed(words[name]) for name, folder in wanted.items()}


def _key(raw: bytes) -> bytes:
    return b"INBOX" if raw.upper() == b"INBOX" else raw


def _raw_name(value: Value) -> bytes:
    if isinstance(value, list):
        raise TypeError("a list where a folder name belongs")
    return b"NIL" if value is None else value


def _folder(values: list[Value]) -> Folder:
    """Read ``(attributes) separator name``; a decoded part never contains the separator, because printable ASCII is not
    shifted."""
    listed, separator, value = values[0], values[1], _raw_name(values[2])
    if not isinstance(listed, list) or isinstance(separator, list):
        raise TypeError("LIST without attributes or separator")
    attributes = frozenset(attribute.decode("ascii", "replace").lower() for attribute in listed if isinstance(attribute, bytes))
    raw = _key(value)
    pieces = raw.split(separator) if separator else [raw]
    parts = tuple(names.decode(piece) for piece in pieces)
    joint = separator.decode("ascii", "replace") if separator else None
    selectable = not attributes & {"\\noselect", "\\nonexistent"}
    return Folder((joint or "").join(parts), raw, attributes, joint, parts, selectable)


def _status(values: list[Value]) -> tuple[bytes, FolderStatus]:
    raw, items = _raw_name(values[0]), values[1]
    if not isinstance(items, list):
        raise TypeError("STATUS without a list")
    told = {_raw_name(name).upper(): int(_raw_name(value)) for name, value in zip(items[::2], items[1::2], strict=True)}
    modseq = told.get(b"HIGHESTMODSEQ") or None
    status = FolderStatus(told[b"UIDVALIDITY"], told.get(b"UIDNEXT", 0), told[b"MESSAGES"], modseq)
    if not status.plausible():
        raise ValueError(status)
    return _key(raw), status


def with_roles(folders: t.Sequence[Folder]) -> list[Folder]:
    """Set ``role``: by attribute, and by English name for the roles that no folder has by attribute.

    So a user's own folder "Trash" stays an ordinary one where the server calls another folder its trash.
    """
    by_attribute = {
        folder.raw: role for folder in folders for attribute, role in ROLE_ATTRIBUTES.items() if attribute in folder.attributes
    }
    taken = set(by_attribute.values())
    found = []
    for folder in folders:
        named = ROLE_NAMES.get(folder.name.casefold())
        role = by_attribute.get(folder.raw) or (named if named not in taken else None)
        found.append(replace(folder, role=role))
    return found
