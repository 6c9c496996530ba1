# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalog that an older release wrote becomes one of today when it is opened to be written, and keeps what it holds."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import schema
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError

# What version 1 had otherwise: as it was written, not derived from today's tables.
RECEIPTS_1 = (
    "CREATE TABLE receipts(folder_id INTEGER NOT NULL REFERENCES source_folders(id), uidvalidity INTEGER NOT NULL,"
    " uid INTEGER NOT NULL, digest BLOB NOT NULL, deleted INTEGER NOT NULL, run_id INTEGER NOT NULL REFERENCES runs(id),"
    " proof TEXT NOT NULL, PRIMARY KEY(folder_id, uidvalidity, uid)) WITHOUT ROWID"
)
TO_1 = (
    "DROP TABLE mailbox_passes",
    "DROP TABLE grants",
    "ALTER TABLE users DROP COLUMN kerio_login",
    "DROP TABLE lost",
    "DROP TABLE evidence",
    "DROP TABLE evidence_waiting",
    "DROP TABLE receipts",
    RECEIPTS_1,
    "DROP INDEX source_messages_vanished",
    "DROP INDEX source_messages_kept",
    "ALTER TABLE source_messages DROP COLUMN archived",
    "ALTER TABLE folder_routes DROP COLUMN rules",
    "ALTER TABLE folder_routes DROP COLUMN reconciled",
    "ALTER TABLE folder_routes DROP COLUMN due",
    "PRAGMA user_version = 1",
)


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A catalog of version 1 with a finished run, a dead one, and a message of each and one that was never fetched."""
    path = str(tmp_path / "catalog.sqlite3")
    Catalog.open(path).close()
    database = sqlite3.connect(path)
    for statement in TO_1:
        database.execute(statement)
    database.execute("INSERT INTO users(id, name, tree, origin, created, changed) VALUES (1, 'bob', 'bob', 'directory', 1, 1)")
    database.execute("INSERT INTO source_folders(id, server, mailbox, name) VALUES (1, 'mail1', 'bob@example.com', 'INBOX')")
    database.execute("INSERT INTO runs(id, started, finished) VALUES (1, 1000, 2000), (2, 3000, NULL)")
    database.executemany(
        "INSERT INTO source_messages(folder_id, uidvalidity, uid, state, digest, run_id) VALUES (1, 7, ?, ?, ?, ?)",
        [(1, 1, b"one", 1), (2, 1, b"two", 2), (3, 4, None, 1)],
    )
    database.commit()
    database.close()
    return path


def structure(path: str) -> dict[str, object]:
    """Columns of every table and definition of every index, whatever the order in which they were added."""
    database = sqlite3.connect(path)
    try:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: sorted(row[1:] for row in database.execute(f"PRAGMA table_info({name})")) for name in tables}
        indexes = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        return {**columns, **{name: re.sub(r"\s+", " ", sql) for name, sql in indexes}}
    finally:
        database.close()


def test_it_has_the_tables_of_a_new_one(old: str, tmp_path: Path) -> None:
    new = str(tmp_path / "new.sqlite3")
    Catalog.open(new).close()
    assert structure(old) != structure(new)
    Catalog.open(old).close()
    assert structure(old) == structure(new)


def test_the_time_of_archiving_is_the_end_of_the_run_or_now_for_a_run_that_died(old: str) -> None:
    before = int(time.time())
    with Catalog.open(old) as catalog:
        rows = {row.uid: row for row in catalog.messages(1, 7, [1, 2, 3]).values()}
    assert rows[1].archived == 2000
    assert rows[2].archived is not None and rows[2].archived >= before
    assert rows[3].archived is None and rows[3].state is State.LEFT


def test_who_is_there_has_no_login_at_kerio_and_reads_nothing_of_others(old: str) -> None:
    with Catalog.open(old) as catalog:
        (bob,) = catalog.users()
    assert (bob.name, bob.kerio_login, bob.reads) == ("bob", "", ())


def test_only_reading_changes_nothing_and_says_what_to_do(old: str) -> None:
    with pytest.raises(CatalogError, match=r"older release.*archive_run"):
        Catalog.open(old, readonly=True)
    database = sqlite3.connect(old)
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    database.close()


def test_every_version_has_a_way_to_the_next() -> None:
    assert sorted(schema.MIGRATIONS) == list(range(1, schema.USER_VERSION))
