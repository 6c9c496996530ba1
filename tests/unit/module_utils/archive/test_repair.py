# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair: whatever can be restored is, byte for byte; what cannot is told; no step is the end of a last copy."""

from __future__ import annotations

import os
import random
import shutil
import tracemalloc
import typing as t
from pathlib import Path
from unittest import mock

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, spread, verify
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Batch, ObjectRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import Compressor
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import held
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, StoreError
from tests.unit.module_utils.archive.format_fixtures import BARE, CRLF, USER, Archive
from tests.unit.module_utils.archive.repair_scene import Inline, copied, everything, kinds, repaired, repairs, waiting, whole
from tests.unit.module_utils.archive.store_fixtures import object_of
from tests.unit.module_utils.archive.test_verify import found
from tests.unit.module_utils.archive.verify_tampers import (
    DIGEST,
    OBJECT,
    TAMPERS,
    bad_copy,
    content,
    flip,
    other_inode,
    placement,
    second_name,
    sql,
)

# What stays as it is, because only people can tell what it is: foreign files and links to them, the catalog in itself, owners.
STAYS: dict[str, set[str]] = {
    "a link to an object elsewhere": {"object_linked"},
    "an object that nobody archived": {"object_unknown"},
    "a file beside objects": {"foreign"},
    "a file in objects": {"foreign"},
    "a file in staging": {"foreign"},
    "a file beside placements": {"placement_unknown"},
    "a file in new": {"foreign"},
    "a file in a tree": {"foreign"},
    "a link in a tree": {"foreign"},
    "objects moved elsewhere": {"foreign"},
    "a file in the root": {"foreign"},
    "a tree of nobody": {"foreign"},
    "a file for a directory of objects": {"format"},
    "an object of somebody else": {"owner"},
    "a placement of another user": {"placement_row"},
    "no totals": {"totals"},
    "totals": {"totals"},
    "a placement's row removed": {"placement_unknown", "object_linked", "totals"},
    "a placement's date in the catalog": {"placement_unknown", "object_linked"},
    "a folder's directory in the catalog": {"foreign", "object_linked"},
    "a message's digest": {"message_lost"},
    "a message without digest": {"message_blank"},
    "a reference to nothing": {"catalog", "placement_row"},
    "a page of an index": {"catalog"},
}
# What cannot be mended without a backup: no whole file has these bytes.
NEEDS_BACKUP: dict[str, set[str]] = {
    "a bit of an object": {"object_damaged"},
    "an object emptied": {"object_damaged", "object_size"},
    "an object cut": {"object_damaged", "object_size"},
    "another message in an object": {"object_damaged"},
    "more behind an object": {"object_damaged", "object_size"},
    "all of a vanished message": {"message_lost"},
}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(spread, "ProcessPoolExecutor", Inline)


@pytest.fixture
def backup(filled: Archive) -> Path:
    return copied(filled.root)


def exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def sound(archive: Archive) -> bool:
    """Whether every placement is a link to an object that holds the message of its name."""
    for digest, path in archive.cur().items():
        inside = held(path)
        if inside is None or inside.digest != digest or not path.samefile(archive.root / layout.object_path(digest)):
            return False
    return True


@pytest.mark.parametrize("name", TAMPERS)
def test_with_a_backup_all_is_as_it_was_or_told(filled: Archive, backup: Path, name: str) -> None:
    tamper, _ = TAMPERS[name]
    tamper(filled)
    damaged = everything(filled.root)
    planned = repaired(filled.root, backup, write=False)
    assert everything(filled.root) == damaged
    result = repaired(filled.root, backup)
    assert kinds(result) == STAYS.get(name, set())
    assert (result.steps, result.undone) == (planned.steps, [])
    assert {(finding.kind, finding.subject) for finding in result.left} == found(filled)
    assert bool(result.steps) == (name not in STAYS or name.startswith(("a placement's date", "a folder's directory")))
    if name not in STAYS:
        assert sound(filled)
        assert len(filled.cur()) == (1 if name == "all of a vanished message" else 2)


@pytest.mark.parametrize("name", TAMPERS)
def test_without_a_backup_what_has_no_source_is_told(filled: Archive, name: str) -> None:
    TAMPERS[name][0](filled)
    result = repaired(filled.root)
    assert kinds(result) == STAYS.get(name, set()) | NEEDS_BACKUP.get(name, set())
    if name in NEEDS_BACKUP:
        assert result.steps == []


def test_a_second_repair_changes_nothing(filled: Archive, backup: Path) -> None:
    for name in ("a bit of an object", "other flags", "an object's row twice", "a file in new"):
        TAMPERS[name][0](filled)
    assert repaired(filled.root, backup).steps
    before = everything(filled.root), waiting(filled.root)
    again = repaired(filled.root, backup)
    assert (again.steps, kinds(again)) == ([], {"foreign"})
    assert (everything(filled.root), waiting(filled.root)) == before


def test_an_object_comes_back_from_a_placement_as_the_same_inode(filled: Archive) -> None:
    inode = placement(filled).stat().st_ino
    (filled.root / OBJECT).unlink()
    result = repaired(filled.root)
    assert [step.action for step in result.steps] == ["restore_object"]
    assert found(filled) == set()
    assert (filled.root / OBJECT).stat().st_ino == placement(filled).stat().st_ino == inode
    assert repairs(filled.root) == [("restore_object", DIGEST.hex(), len(CRLF))]


def test_an_object_comes_back_from_a_name_that_the_catalog_does_not_know(filled: Archive) -> None:
    second_name(filled)
    (filled.root / OBJECT).unlink()
    placement(filled).unlink()
    assert repaired(filled.root).left == []
    assert sound(filled)


def test_an_object_comes_back_from_another_inode_of_its_own(filled: Archive) -> None:
    shutil.copy(filled.root / OBJECT, object_of(filled.root, CRLF, 1))
    flip(filled)
    assert repaired(filled.root).left == []
    assert sound(filled)


def test_all_damaged_inodes_of_an_object_are_restored(filled: Archive, backup: Path) -> None:
    bad_copy(filled)
    flip(filled)
    result = repaired(filled.root, backup)
    assert {step.subject for step in result.steps if step.action == "restore_object"} == {OBJECT, f"{OBJECT}.1"}
    assert result.left == []
    assert sound(filled)


def test_a_backup_that_is_damaged_too_is_passed_over(filled: Archive, backup: Path) -> None:
    older = backup.with_name("older")
    shutil.copytree(backup, older)
    flip(filled)
    content(backup / OBJECT, Compressor().compress(CRLF.replace(b"one", b"two")))
    assert kinds(repaired(filled.root, backup)) == {"object_damaged"}
    result = repaired(filled.root, backup, older)
    assert (result.left, result.steps[0].source) == ([], str(older / OBJECT))


def test_what_is_no_file_is_no_source_and_no_target(filled: Archive, backup: Path) -> None:
    elsewhere = (backup / OBJECT).rename(backup / "elsewhere")
    os.mkfifo(backup / OBJECT)
    for path in (filled.root / OBJECT, placement(filled)):
        path.unlink()
        path.symlink_to(elsewhere)
    assert repaired(filled.root, backup).steps == []
    assert (filled.root / OBJECT).is_symlink()


@pytest.mark.parametrize("with_placements", [True, False])
def test_objects_that_were_exchanged_are_the_last_copies(filled: Archive, with_placements: bool) -> None:
    if not with_placements:
        for path in filled.cur().values():
            path.unlink()
    exchange(filled.root / OBJECT, object_of(filled.root, BARE))
    result = repaired(filled.root)
    assert result.left == []
    assert (len(filled.cur()), sound(filled)) == (2, True)
    assert whole(filled.root).keys() == filled.cur().keys()


def test_messages_of_one_size_that_were_exchanged_are_the_last_copies(filled: Archive) -> None:
    twin = CRLF.replace(b"one", b"two")
    stored = filled.store.put(twin, 1)
    filled.catalog.put_objects([ObjectRow(stored.digest, stored.size, stored.stored_size)])
    placement(filled).unlink()
    exchange(filled.root / OBJECT, object_of(filled.root, twin))
    assert repaired(filled.root).left == []
    assert {DIGEST, stored.digest} < whole(filled.root).keys()


def test_placements_that_were_exchanged_are_the_last_copies(filled: Archive) -> None:
    one, two = filled.cur().values()
    exchange(one, two)
    for digest in filled.cur():
        (filled.root / layout.object_path(digest)).unlink()
    assert repaired(filled.root).left == []
    assert sound(filled)


def test_a_wrong_name_stays_until_the_right_one_is_there(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = placement(filled).with_name(layout.base_name(placement(filled).name) + ":2,F")
    placement(filled).rename(wrong)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", mock.Mock(side_effect=OSError(5, "Input/output error", "a disk")))
        assert [step.action for step, _ in repaired(filled.root).undone] == ["link_placement", "drop_name"]
    assert wrong.exists()
    assert repaired(filled.root).left == []


def test_what_the_ledger_alone_knows_comes_back(filled: Archive, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TAMPERS["all of a vanished message"][0](filled)
    sql(filled, "DELETE FROM source_messages WHERE digest = ?", DIGEST)
    told = [Finding("ledger_lost", OBJECT)]
    looked = lambda *_: ([] if filled.catalog.object_rows([DIGEST]) else told, 0)  # noqa: E731
    monkeypatch.setattr(verify.verify_ledger, "look_at", looked)
    assert kinds(repaired(filled.root)) == {"ledger_lost"}
    result = repaired(filled.root, backup)
    assert (result.left, [step.action for step in result.steps]) == ([], ["restore_object", "write_row"])


def test_a_message_that_took_the_place_of_another_gets_its_own(filled: Archive, backup: Path) -> None:
    """Nobody archived it, but it may be all that there is of it; the ledger hears of it."""
    stranger = b"Subject: who is this\r\n\r\n" + CRLF
    content(filled.root / OBJECT, Compressor().compress(stranger))
    result = repaired(filled.root, backup)
    assert result.left == []
    assert object_of(filled.root, stranger).exists()
    assert waiting(filled.root)["adopted"] == 1
    assert sound(filled)


def test_what_a_bit_made_of_a_message_is_no_message(filled: Archive, backup: Path) -> None:
    flip(filled)
    inside = held(filled.root / OBJECT)
    assert inside is not None and inside.size == len(CRLF)
    assert repaired(filled.root, backup).left == []
    assert inside.digest not in whole(filled.root)
    assert waiting(filled.root)["adopted"] == 0


def test_a_placement_is_not_replaced_while_its_object_is_damaged(filled: Archive) -> None:
    other_inode(filled)
    content(placement(filled), b"gone")
    content(filled.root / OBJECT, b"also gone")
    before = everything(filled.root)
    result = repaired(filled.root)
    assert kinds(result) == {"object_damaged", "object_size", "object_links", "placement_other"}
    assert (result.steps, everything(filled.root)) == ([], before)


@pytest.mark.parametrize("missing", ["", "objects", "placements"])
def test_without_its_row_an_object_is_as_safe(filled: Archive, missing: str) -> None:
    TAMPERS["an object's row removed"][0](filled)
    if missing == "objects":
        (filled.root / OBJECT).unlink()
    if missing == "placements":
        placement(filled).unlink()
    assert repaired(filled.root).left == []
    assert sound(filled)
    assert filled.catalog.rows("SELECT size FROM objects WHERE digest = ?", (DIGEST,)) == [(len(CRLF),)]


def test_a_folder_that_is_gone_comes_back(filled: Archive) -> None:
    shutil.rmtree(filled.root / f"mail/{USER}/INBOX")
    assert repaired(filled.root).left == []
    assert (len(filled.cur()), sound(filled)) == (2, True)


def test_two_folders_with_one_object_are_told_apart(filled: Archive) -> None:
    user = filled.catalog.ensure_user(USER, origin="profile")
    folder = filled.catalog.user_folder(user.id, ("Other",))
    (row,) = [
        one
        for one in filled.catalog.folder_placements(filled.catalog.user_folder(user.id, ("INBOX",)).id)
        if one.digest == DIGEST
    ]
    filled.catalog.commit([Batch(1, 1, 1, placements=[row._replace(folder_id=folder.id)])])
    filled.store.place(DIGEST, folder.dir, placement(filled).name)
    assert found(filled) == set()
    placement(filled).rename(placement(filled).with_name(layout.base_name(placement(filled).name) + ":2,F"))
    shutil.rmtree(filled.root / folder.dir)
    result = repaired(filled.root)
    assert result.left == []
    assert [step.action for step in result.steps if step.action in ("link_placement", "drop_name")] == [
        "link_placement",
        "link_placement",
        "drop_name",
    ]


def test_a_file_in_staging_that_is_a_last_copy_is_a_source(filled: Archive) -> None:
    placement_name = placement(filled).name
    placement(filled).unlink()
    (filled.root / OBJECT).rename(filled.root / "staging/7.0.12")
    (filled.root / "staging/7.1.13").write_bytes(b"half")
    (filled.root / f"staging/7.{placement_name}").write_bytes(b"half")
    assert repaired(filled.root).left == []
    assert sound(filled)
    (filled.root / "staging/7.2.14").write_bytes(Compressor().compress(b"nobody else has this"))
    assert kinds(repaired(filled.root)) == {"foreign"}
    assert (filled.root / "staging/7.2.14").exists()


@pytest.mark.parametrize("write", [False, True])
def test_a_right_mode_mends_no_bytes(filled: Archive, write: bool) -> None:
    flip(filled)
    (filled.root / OBJECT).chmod(0o640)
    data = (filled.root / OBJECT).read_bytes()
    result = repaired(filled.root, write=write)
    assert [step.action for step in result.steps] == ["set_mode"]
    assert kinds(result) == {"object_damaged"}
    assert (filled.root / OBJECT).read_bytes() == data


def test_what_was_read_damaged_and_not_touched_is_told_though_it_is_not_read_again(filled: Archive) -> None:
    flip(filled)
    TAMPERS["an object's size in the catalog"][0](filled)
    object_of(filled.root, BARE).chmod(0o640)
    assert kinds(repaired(filled.root)) == {"object_damaged", "totals"}


def test_the_other_message_is_not_touched(filled: Archive, backup: Path) -> None:
    other = object_of(filled.root, BARE)
    before = (other.stat().st_ino, other.stat().st_ctime_ns)
    (filled.root / OBJECT).unlink()
    repaired(filled.root, backup)
    assert (other.stat().st_ino, other.stat().st_ctime_ns) == before


def test_while_a_run_goes_on_nothing_is_repaired(filled: Archive) -> None:
    with Store.open(str(filled.root), lock="archive_run"), pytest.raises(BusyError, match="archive_run"):
        repaired(filled.root)


def test_behind_an_unclean_end_a_run_clears_up_first(filled: Archive) -> None:
    filled.store.begin("a run", filled.catalog.commits())
    with pytest.raises(StoreError, match=r"did not end cleanly\. Wait, or run archive_run once"):
        repaired(filled.root)


def test_a_step_that_fails_does_not_stop_the_others(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    for digest in filled.cur():
        (filled.root / layout.object_path(digest)).unlink()
    link = os.link
    calls = iter([OSError(5, "Input/output error", "a disk")])

    def once(*args: t.Any, **more: t.Any) -> None:
        for error in calls:
            raise error
        link(*args, **more)

    monkeypatch.setattr(os, "link", once)
    result = repaired(filled.root)
    assert len(result.undone) == 1
    assert result.undone[0][1] == "a disk: Input/output error"
    assert kinds(result) == {"object_missing"}
    assert repaired(filled.root).left == []


def test_a_large_message_is_repaired_in_pieces(filled: Archive, backup: Path) -> None:
    big = random.Random(1).randbytes(24 << 20)
    stored = filled.store.put(big, 1)
    filled.catalog.put_objects([ObjectRow(stored.digest, stored.size, stored.stored_size)])
    path = object_of(filled.root, big)
    path.rename(backup / path.relative_to(filled.root))
    tracemalloc.start()
    try:
        assert repaired(filled.root, backup).left == []
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
