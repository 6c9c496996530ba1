# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparisons of an archive with the stand-in for servers, and what they may not do."""

from __future__ import annotations

import sqlite3
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_classes import HERE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_compare import Compare, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from tests.unit.module_utils.archive.engine_fake import Archive

ALICE, BOB, JOURNAL = "alice@example.com", "bob@example.com", "archive@example.com"
Data = dict[str, t.Any]


def files(root: Path) -> dict[str, tuple[int, int, int]]:
    return {str(path): (facts.st_mode, facts.st_size, facts.st_mtime_ns) for path in root.rglob("*") if (facts := path.lstat())}


def compared(
    archive: Archive, wish: Wish | None = None, imap: Imap | None = None, *, changes: bool = False, **more: t.Any
) -> Compare:
    """Compare; every figure adds up, and neither the catalog nor a file is another one afterwards, but for ``changes``."""
    before = None if changes else (archive.dump(), files(archive.root))
    made = Compare(archive.options(**more), Silent(), wish or Wish(), imap or archive.servers.imap())
    made.go()
    assert before is None or before == (archive.dump(), files(archive.root))
    data = made.comparison.as_data(whole=True)
    every = [mailbox for profile in data["profiles"] for mailbox in profile["mailboxes"]]
    for whole, parts in ((data, data["profiles"]), (data, every), *((mailbox, mailbox["folders"]) for mailbox in every)):
        assert whole["on_server"] == sum(whole[kind] for kind in HERE)
        for key in ("on_server", *HERE):
            assert whole[key] == sum(part[key] for part in parts)
    return made


def told(made: Compare) -> Data:
    """The whole result."""
    return made.comparison.as_data(whole=True)


def folder(made: Compare, mailbox: str = ALICE, name: str = "INBOX") -> Data:
    """The result of a folder."""
    (found,) = [
        one
        for profile in told(made)["profiles"]
        for each in profile["mailboxes"]
        if each["mailbox"] == mailbox
        for one in each["folders"]
        if one["name"] == name
    ]
    return t.cast("Data", found)


def counts(data: Data) -> dict[str, int]:
    """The classes of UIDs on the server that are not empty."""
    return {kind: data[kind] for kind in HERE if data[kind]}


def away(data: Data) -> dict[str, int]:
    """The classes of other rows that are not empty."""
    return {kind: count for kind, count in data["not_on_server"].items() if kind != "reasons" and count}


def reasons(data: Data) -> list[tuple[str, str, str]]:
    """Class, reason and UIDs of what is on the server."""
    return [(one["class"], one["reason"], one["uids"]) for one in data["reasons"]]


def object_of(archive: Archive, uid: int, mailbox: str = ALICE) -> Path:
    """The file of a message's object."""
    query = (
        "SELECT lower(hex(digest)) FROM source_messages JOIN source_folders f ON f.id = folder_id"
        " WHERE mailbox = ? AND name = 'INBOX' AND uid = ?"
    )
    ((digest,),) = archive.rows(query, (mailbox, uid))
    return archive.root / "objects" / digest[:2] / digest


def write(archive: Archive, statement: str, values: tuple[t.Any, ...] = ()) -> None:
    """Change the catalog by hand."""
    database = sqlite3.connect(archive.catalog_file)
    with database:
        database.execute(statement, values)
    database.close()
