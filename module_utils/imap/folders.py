# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folders a mailbox has, what changed in them, and which of them are archived."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection


@dataclass(frozen=True)
class Folder:
    """One line of LIST.

    ``name`` is decoded and gives ``raw`` back through ``names.encode`` (broken encodings start with U+FFFD); ``attributes`` are lower
    case with their backslash; ``separator`` is None for a flat name; ``role`` is "inbox", "junk", "trash", "drafts", "sent", ... or None,
    by attribute first and by English name where no folder of the mailbox carries that attribute.
    """

    name: str
    raw: bytes
    attributes: frozenset[str]
    separator: str | None
    parts: tuple[str, ...]
    selectable: bool
    role: str | None = None


@dataclass(frozen=True)
class FolderStatus:
    """``highestmodseq`` is None where the server does not announce CONDSTORE or keeps none for the folder."""

    uidvalidity: int
    uidnext: int
    messages: int
    highestmodseq: int | None = None


@dataclass(frozen=True)
class StatusFailed:
    """The server refused STATUS for this folder, in its own words."""

    text: str


@dataclass(frozen=True)
class Selection:
    """``excluded`` maps the name of each folder that is left out to the rule that leaves it out ("default: junk", "exclude: Old*",
    "not included", "not selectable")."""

    selected: list[Folder]
    excluded: dict[str, str]


# name of a default rule -> what it leaves out; subfolders are left out with their parent
DEFAULT_EXCLUDES: t.Mapping[str, str] = {
    "junk": "the junk folder",
    "trash": "Deleted Items",
    "drafts": "drafts",
    "outbox": "outbox",
    "public": "Public Folders",
    "groupware": "contacts, calendars, tasks, notes and journals",
    "archive": "the archive root and everything that starts with #",
    "shared": "folders of other users, which start with ~",
}


def survey(conn: Connection) -> tuple[list[Folder], dict[str, FolderStatus | StatusFailed]]:
    """``list_folders`` and ``statuses`` of the selectable ones; one round trip where the server announces LIST-STATUS."""
    raise NotImplementedError


def list_folders(conn: Connection) -> list[Folder]:
    """All folders, in the server's order."""
    raise NotImplementedError


def statuses(conn: Connection, folders: t.Sequence[Folder]) -> dict[str, FolderStatus | StatusFailed]:
    """Name -> status of the selectable ones of ``folders``."""
    raise NotImplementedError


def select_folders(
    folders: t.Sequence[Folder],
    include: t.Sequence[str] = (),
    exclude: t.Sequence[str] = (),
    defaults: t.Collection[str] = tuple(DEFAULT_EXCLUDES),
) -> Selection:
    """Pure. Patterns match the whole decoded name with "/" between its parts, case-insensitively; ``*`` and ``?`` also match "/"; a
    pattern that matches a folder covers its subfolders. Empty ``include`` means all. ``exclude`` wins over everything; an ``include``
    pattern whose first part has no wildcard ("Junk E-mail", "#archive/*") wins over ``defaults``. Raises InputError for an unknown
    default rule.
    """
    raise NotImplementedError
