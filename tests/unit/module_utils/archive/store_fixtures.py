# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the store share: an archive with one user, and a child that is killed."""

from __future__ import annotations

import hashlib
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    Batch,
    MessageRow,
    ObjectRow,
    PlacementRow,
    UserFolder,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store, Stored

DATE = 1_700_000_000
BODY = b"From: <alice@example.com>\r\nSubject: hello\r\n\r\nbody \xff\0\r\n" * 3
FOLDER = "mail/bob@example.com/INBOX"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    Store.create(str(path)).close()
    return path


@pytest.fixture
def store(root: Path) -> t.Iterator[Store]:
    with Store.open(str(root), lock="a test") as opened:
        yield opened


class Archive:
    """A store with its catalog, one user, one source folder, one folder of the user."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root
        self.store = store
        self.catalog = Catalog.open(str(root / layout.CATALOG_FILE))
        self.user = self.catalog.ensure_user("bob@example.com", origin="profile")
        self.source = self.catalog.source_folder("mail1", "bob@example.com", "INBOX")
        self.folder: UserFolder = self.catalog.user_folder(self.user.id, ("INBOX",))

    def write(self, body: bytes, *, date: int = DATE, flags: str = "") -> tuple[Stored, PlacementRow]:
        stored = self.store.put(body, date)
        row = PlacementRow(
            self.folder.id, stored.digest, self.user.id, date, stored.size, stored.vsize, flags, stored.copy_key, "mail1"
        )
        self.store.place(stored.digest, self.folder.dir, name_of(row))
        return stored, row

    def commit(self, uid: int, stored: Stored, row: PlacementRow) -> None:
        self.store.sync()
        batch = Batch(self.source.id, 1, 1, placements=[row])
        if stored.created:
            batch.objects.append(ObjectRow(stored.digest, stored.size, stored.stored_size))
        batch.messages.append(MessageRow(uid, State.ARCHIVED, stored.digest, stored.size))
        self.catalog.commit([batch])

    def names(self) -> set[str]:
        return {path.name for path in (self.root / self.folder.dir / "cur").iterdir()}

    def objects(self) -> set[str]:
        return {path.name for path in (self.root / "objects").glob("*/*")}


@pytest.fixture
def archive(root: Path, store: Store) -> t.Iterator[Archive]:
    opened = Archive(root, store)
    yield opened
    opened.catalog.close()


def name_of(row: PlacementRow) -> str:
    return layout.placement_name(row.internaldate, row.digest, row.size, row.vsize, row.flags)


def object_of(root: Path, body: bytes, copy: int = 0) -> Path:
    return root / layout.object_path(hashlib.sha256(body).digest(), copy)


def fork(work: t.Callable[[], t.Any]) -> tuple[int, int]:
    """Run ``work`` in a child, which says so through a pipe and then waits to be killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            kept = work()
            os.write(write, b"x")
            signal.pause()
            del kept
        finally:
            os._exit(1)
    os.close(write)
    return read, child
