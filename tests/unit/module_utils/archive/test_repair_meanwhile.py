# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair while its sources and what it restored go bad: what cannot be done is told, and all the rest is done."""

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, spread, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Compressor
from tests.unit.module_utils.archive.format_fixtures import BARE, Archive
from tests.unit.module_utils.archive.repair_scene import Inline, copied, kinds, repaired, repairs, whole
from tests.unit.module_utils.archive.verify_tampers import DIGEST, OBJECT, STRANGER, placement, sql

OTHER_DIGEST = hashlib.sha256(BARE).digest()
OTHER = layout.object_path(OTHER_DIGEST)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(spread, "ProcessPoolExecutor", Inline)


class Meanwhile(Silent):
    """Has something happen once a word is said."""

    def __init__(self, word: str, happens: t.Callable[[], object]) -> None:
        self._word = word
        self._happens = happens

    def progress(self, line: str, **_data: t.Any) -> None:
        if self._word in line:
            self._happens()


@pytest.fixture
def backup(filled: Archive) -> Path:
    """A backup of an archive that lost both messages since, and in whose catalog the row of one is wrong."""
    made = copied(filled.root)
    for digest, path in filled.cur().items():
        path.unlink()
        (filled.root / layout.object_path(digest)).unlink()
    sql(filled, "UPDATE objects SET stored_size = 1 WHERE digest = ?", DIGEST)
    return made


def rows(archive: Archive) -> dict[bytes, int]:
    return {row[0]: row[1] for row in archive.catalog.rows("SELECT digest, stored_size FROM objects")}


def undone(result: t.Any) -> dict[str, str]:
    return {step.action: cause for step, cause in result.undone}


def test_a_backup_that_goes_while_it_is_used_leaves_undone_what_needed_it(filled: Archive, backup: Path) -> None:
    gone = Meanwhile("steps to do", (backup / OBJECT).unlink)
    result = repaired(filled.root, backup, reporter=gone)
    assert undone(result).keys() == {"restore_object", "write_row", "link_placement"}
    assert undone(result)["write_row"] == f"{OBJECT}: the object is not whole. See why it could not be restored."
    assert kinds(result) == {"object_missing", "placement_missing", "totals"}
    assert rows(filled)[DIGEST] == 1
    assert repairs(filled.root) == [("restore_object", OTHER_DIGEST.hex(), len(BARE))]
    assert whole(filled.root).keys() == {OTHER_DIGEST}


def test_an_object_that_goes_once_it_is_restored_keeps_no_other_from_its_rows(
    filled: Archive, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = Store.sync

    def forgets(store: Store, *written: t.Any) -> None:
        sync(store, *written)
        (filled.root / OBJECT).unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "sync", forgets)
        result = repaired(filled.root, backup)
    assert undone(result)["restore_object"] == f"{OBJECT}: it is not whole any more. Check the disk, then repair again."
    assert undone(result).keys() == {"restore_object", "write_row", "link_placement"}
    assert rows(filled)[DIGEST] == 1
    assert {step.action for step in result.steps if step.subject == OTHER} == {"restore_object"}
    assert repairs(filled.root) == [("restore_object", OTHER_DIGEST.hex(), len(BARE))]
    assert repaired(filled.root, backup).left == []
    assert rows(filled)[DIGEST] == (filled.root / OBJECT).stat().st_size


def test_a_name_too_many_that_holds_another_message_stays_until_somebody_has_moved_it(filled: Archive) -> None:
    wrong = placement(filled).with_name(layout.base_name(placement(filled).name) + ":2,D")
    wrong.write_bytes(Compressor().compress(STRANGER))
    result = repaired(filled.root)
    told = f"{wrong}: it may be the last copy of another message. Move it out of the archive, then repair again."
    assert undone(result) == {"drop_name": told}
    assert wrong.exists()
    wrong.rename(filled.root.parent / "moved")
    assert repaired(filled.root).left == []
