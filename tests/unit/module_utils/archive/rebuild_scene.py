# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that has seen everything that a rebuild must bring back, and two catalogs compared row by row, by names."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild import Wish, rebuild
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification
from tests.lab.oddities import BYTES
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop
from tests.unit.module_utils.archive.format_fixtures import MEMORY

ALICE, BOB, LEAVER = "alice@example.com", "bob@example.com", "leaver@example.com"
LONG = "L" * 250
ODD_FOLDERS = ("Sent", "cur/new/tmp", ". hidden/~x/ end ", "100%/Größe", LONG)
JOURNAL = "archive@example.com"
BAD = 900


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Archive]:
    """Two users and one who left; odd names and messages, copies, mail of nobody, a quarantined and two deleted messages."""
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    base = Path(tempfile.mkdtemp(prefix="rebuild-", dir=MEMORY if MEMORY.is_dir() else None))
    servers = FakeServers(base / "imap.log")
    archive = Archive(base / "archive", servers)
    archive.user(ALICE, "a.l@example.com", groups=("staff",))
    archive.user(BOB)
    archive.user(LEAVER)
    archive.profiles = [MULTIPLE, multidrop(unknown_addresses="catchall")]
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    servers.folder("mail1", ALICE).add(*list(BYTES.values())[:30])
    servers.folder("mail1", LEAVER).add(mail(77, to=LEAVER))
    for number, name in enumerate(ODD_FOLDERS):
        servers.folder("mail1", ALICE, name).add(mail(100 + number), mail(200 + number)).flag(1, "\\Flagged")
    servers.folder("mail1", BOB).add(mail(1, to=BOB), mail(2, to=BOB))
    journal = servers.folder("mail1", JOURNAL)
    journal.add(mail(1, to=BOB, top="Received: by the archive\r\n"), mail(9, to=BOB), mail(10, to="nobody@else.example"))
    late = servers.folder("mail1", BOB, "Later")
    archive.run(quarantine_after=1)
    # What multidrop had first is only a copy in the mailbox; one message is broken; two go from the server; somebody leaves.
    late.add(mail(9, to=BOB), mail(BAD)).bad.add(2)
    archive.run(quarantine_after=1)
    _delete(archive, BOB, "INBOX", [1, 2])
    _leave(archive)
    archive.run(quarantine_after=1)
    _age(archive)
    yield archive
    shutil.rmtree(base)


def _delete(archive: Archive, mailbox: str, folder: str, uids: t.Sequence[int]) -> None:
    """What the deletion phase writes about messages that it deleted, and what the server shows then."""
    with Catalog.open(archive.catalog_file) as catalog:
        source = catalog.source_folder("mail1", mailbox, folder)
        rows = catalog.messages(source.id, 1, uids)
        plans = [
            (Candidate(row.uid, row.digest or b"", row.size or 0, 0, row.archived or 0, row.state), {}) for row in rows.values()
        ]
        catalog.plan_receipts(source.id, 1, 1, plans)
        catalog.complete_receipts(source.id, 1, 1, uids, {"gone": True})
    for uid in uids:
        archive.servers.folder("mail1", mailbox, folder).expunge(uid)


def _age(archive: Archive) -> None:
    """Times of long ago, so that none of today's is the same by chance."""
    with contextlib.closing(sqlite3.connect(archive.catalog_file)) as database:
        for statement in (
            "UPDATE users SET created = 1, changed = 2",
            "UPDATE runs SET started = 3, finished = 4",
            "UPDATE receipts SET planned = 5",
            "UPDATE totals SET last_commit = 6",
        ):
            database.execute(statement)
        database.commit()


def _leave(archive: Archive) -> None:
    """One leaves; another may read the archive of the leaver and of somebody else from then on."""
    with Catalog.open(archive.catalog_file) as catalog:
        users = {user.name: user.id for user in catalog.users()}
        left = UserValues(LEAVER, "inventory", server="mail1", reads=(BOB,))
        reader = UserValues(BOB, "inventory", server="mail1", addresses=(BOB,), privileges=("archive", "login"))
        reader = dataclasses.replace(reader, kerio_login=BOB, reads=(ALICE, LEAVER))
        catalog.apply_users([UserStep(users[LEAVER], left, delete=True), UserStep(users[BOB], reader)])


def rebuilt(archive: Archive, what: str = "catalog", **wish: t.Any) -> Report:
    """The report of a rebuild."""
    return rebuild(Wish(str(archive.root), what, processes=1, **wish), Silent())


def verified(archive: Archive) -> list[tuple[str, str]]:
    """What a verification finds."""
    report = Verification(verify.Wish(str(archive.root), processes=1), Silent()).run()
    return [(finding.kind, finding.subject) for finding in report.findings]


def lose_catalog(archive: Archive) -> None:
    """What a disk may do."""
    for path in archive.root.glob("catalog.sqlite3*"):
        path.unlink()


def lose_ledger(archive: Archive) -> None:
    """An archive of before there was a ledger."""
    for path in (archive.root / "evidence").iterdir():
        path.unlink()


# Every table: what tells one of its rows from the others, and its columns, with names in the place of numbers.
_FOLDER = "(SELECT server || '/' || mailbox || '/' || name FROM source_folders WHERE id = folder_id)"
_NAME = "(SELECT name FROM users WHERE id = "
_USER = f"{_NAME}user_id)"
TABLES = {
    "users": ("name", "users"),
    "user_addresses": ("address", f"(SELECT address, {_USER} AS user, position FROM user_addresses)"),  # noqa: S608 - names of this file
    "grants": ("reader || '/' || owner", f"(SELECT {_NAME}reader_id) AS reader, {_NAME}owner_id) AS owner FROM grants)"),  # noqa: S608 - names of this file
    "source_folders": ("server || mailbox || name", "source_folders"),
    "folder_routes": ("folder || route", f"(SELECT {_FOLDER} AS folder, * FROM folder_routes)"),  # noqa: S608 - names of this file
    "source_messages": ("folder || '/' || uidvalidity || '/' || uid", f"(SELECT {_FOLDER} AS folder, * FROM source_messages)"),  # noqa: S608 - names of this file
    "objects": ("hex(digest)", "objects"),
    "user_folders": ("dir", f"(SELECT {_USER} AS user, name, dir FROM user_folders)"),  # noqa: S608 - names of this file
    "placements": (
        "dir || '/' || hex(digest)",
        f"(SELECT (SELECT dir FROM user_folders WHERE id = folder_id) AS dir, {_USER} AS user, * FROM placements)",  # noqa: S608 - names of this file
    ),
    "runs": ("id", "runs"),
    "receipts": ("folder || '/' || uid", f"(SELECT {_FOLDER} AS folder, * FROM receipts)"),  # noqa: S608 - names of this file
    "meta": ("key", "meta"),
    "totals": ("id", "totals"),
    "lost": ("hex(digest)", "lost"),
    "evidence": ("id", "evidence"),
    "evidence_waiting": ("entry", "evidence_waiting"),
}
NUMBERS = {"id", "folder_id", "user_id"}  # what stands for a name, and may be another number
Rows = dict[str, dict[str, dict[str, t.Any]]]


def rows_of(archive: Archive) -> Rows:
    """Table -> key -> column -> value."""
    with contextlib.closing(sqlite3.connect(archive.catalog_file)) as database:
        database.row_factory = sqlite3.Row
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        # What monitoring is told of mailboxes begins anew.
        assert names - {"sqlite_sequence", "sqlite_stat1", "mailbox_passes"} == set(TABLES)
        found: Rows = {}
        for table, (key, query) in TABLES.items():
            rows = [dict(row) for row in database.execute(f"SELECT {key} AS the_key, * FROM {query}")]  # noqa: S608 - names of this file
            found[table] = {str(row.pop("the_key")): {k: v for k, v in row.items() if k not in NUMBERS} for row in rows}
    return found


def differences(before: Rows, after: Rows) -> set[str]:
    """``table.column`` that has another value in a row of both, ``table-`` where rows are gone, ``table+`` where some are new."""
    found = set()
    for table, old in before.items():
        new = after[table]
        found |= {f"{table}-" for key in old if key not in new} | {f"{table}+" for key in new if key not in old}
        for key in old.keys() & new.keys():
            found |= {f"{table}.{column}" for column, value in old[key].items() if new[key][column] != value}
    return found


def links(archive: Archive) -> dict[str, tuple[int, int]]:
    """Placement -> its inode and the inode of the object that its name tells."""
    found = {}
    for path in archive.root.glob("mail/**/cur/*"):
        digest = path.name.partition(".")[2][:64]
        obj = archive.root / "objects" / digest[:2] / digest
        found[str(path.relative_to(archive.root))] = (path.stat().st_ino, obj.stat().st_ino)
    return found


def entries(archive: Archive) -> list[dict[str, t.Any]]:
    """The ledger."""
    return [json.loads(line) for line in (archive.root / "evidence/entries").read_bytes().splitlines()]
