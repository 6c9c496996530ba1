# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalog that is older than its archive: what it has not heard of may be the last copy, and is not taken for rot."""

from __future__ import annotations

import hashlib
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_checkpoint, layout, snapshot, spread, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.repair_scene import Inline, everything, repaired, whole

ALICE = "alice@example.com"
OLD, NEWER = mail(1), mail(7)
FORGET = [f"DELETE FROM {table} WHERE digest = ?" for table in ("objects", "placements", "source_messages")]  # noqa: S608
assert len(OLD) == len(NEWER)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(spread, "ProcessPoolExecutor", Inline)
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.profiles = [MULTIPLE]
    made.user(ALICE)
    servers.folder("mail1", ALICE).add(OLD)
    made.run()
    snapshot.take(str(made.root))
    shutil.copytree(made.root, tmp_path / "backup")
    servers.folder("mail1", ALICE).add(NEWER)
    made.run()
    servers.folder("mail1", ALICE).expunge(2)
    return made


def misname(archive: Archive) -> None:
    """Have the newer message lie under the name of the old one, and nowhere else."""
    old, newer = (archive.root / layout.object_path(hashlib.sha256(one).digest()) for one in (OLD, NEWER))
    for path in (archive.root / "mail").rglob(f"cur/*.{newer.name}_*"):
        path.unlink()
    newer.rename(old)


def older(archive: Archive, source: str = layout.CATALOG_FILE) -> None:
    """Put the older catalog in its place."""
    for path in archive.root.glob(f"{layout.CATALOG_FILE}*"):
        path.unlink()
    shutil.copy(archive.root.with_name("backup") / source, archive.root / layout.CATALOG_FILE)


def without_checkpoint(archive: Archive) -> None:
    older(archive)
    (archive.root / evidence_checkpoint.CHECKPOINT).unlink()


def from_snapshot(archive: Archive) -> None:
    """The ledger of the backup with it, so that nothing but the mark of the snapshot tells."""
    older(archive, snapshot.CATALOG)
    shutil.rmtree(archive.root / layout.EVIDENCE)
    shutil.copytree(archive.root.with_name("backup") / layout.EVIDENCE, archive.root / layout.EVIDENCE)


@pytest.mark.parametrize(
    ("restore", "told", "write"),
    [
        (older, "entries, but the catalog knows of", True),
        (without_checkpoint, "the catalog is older than the ledger", False),
        (from_snapshot, "it was restored from a snapshot", True),
    ],
)
def test_nothing_is_repaired_by_an_older_catalog(
    archive: Archive, restore: t.Callable[[Archive], None], told: str, write: bool
) -> None:
    misname(archive)
    restore(archive)
    before = everything(archive.root)
    with pytest.raises(StoreError, match=rf"{told}.*archive_rebuild \(what: orphans"):
        repaired(archive.root, archive.root.with_name("backup"), write=write)
    assert everything(archive.root) == before


def test_what_the_ledger_alone_has_heard_of_is_a_message_and_no_rot(archive: Archive) -> None:
    misname(archive)
    with Catalog.open(archive.catalog_file) as catalog, catalog.transaction():
        for statement in FORGET:
            catalog._db.execute(statement, (hashlib.sha256(NEWER).digest(),))
    assert "restore_object" in {step.action for step in repaired(archive.root, archive.root.with_name("backup")).steps}
    assert {hashlib.sha256(one).digest() for one in (OLD, NEWER)} <= whole(archive.root).keys()
