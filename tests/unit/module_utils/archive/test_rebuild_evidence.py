# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger that somebody or a disk has damaged is made one again that runs go on with, and nothing of the old one is lost."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tempfile
import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    catalog_untold,
    evidence_log,
    rebuild_evidence_look,
    verify,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import entry
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_log import ENTRIES, HASHES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild import Wish, rebuild
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.faults.crash_scene import ledger_of
from tests.unit.module_utils.archive.engine_fake import Archive, FakeServers, mail
from tests.unit.module_utils.archive.format_fixtures import MEMORY
from tests.unit.module_utils.archive.ledger_tampers import CHECKPOINT, TAMPERS, changed, flipped, lines, sql, written
from tests.unit.module_utils.archive.rebuild_scene import lose_ledger, rebuilt, verified
from tests.unit.module_utils.archive.test_evidence import ALICE, SIGNED
from tests.unit.module_utils.archive.test_evidence import archive as archive
from tests.unit.module_utils.archive.test_verify_ledger import KEYS, LOST, KnownElsewhere, kept, no_pause

__all__ = ["archive", "kept", "no_pause"]
pytestmark = pytest.mark.usefixtures("kept")

DAMAGES = [name for name, (_, expected) in TAMPERS.items() if any(kind == "ledger" for kind, _ in expected)]
OF_HASHES = {"a hash is changed", "hashes are cut"}
STILL_SIGNED = {*OF_HASHES, "the catalog counts otherwise"}


def told(archive: Archive, event: str) -> list[dict[str, t.Any]]:
    return [each for each in map(json.loads, lines(archive)) if each["event"] == event]


def facts(archive: Archive) -> dict[str, t.Collection[t.Any]]:
    """What a ledger must tell, as the catalog has it: deletions and losses once."""
    return {
        "objects": {row[0] for row in archive.rows("SELECT lower(hex(digest)) FROM objects")},
        "deleted": Counter(archive.rows("SELECT uid, deleted, lower(hex(digest)) FROM receipts WHERE deleted IS NOT NULL")),
        "lost": Counter(row[0] for row in archive.rows("SELECT lower(hex(digest)) FROM lost")),
    }


def facts_told(archive: Archive) -> dict[str, t.Collection[t.Any]]:
    return {
        "objects": {each["digest"] for event in ("archived", "adopted") for each in told(archive, event)},
        "deleted": Counter((each["uid"], each["at"], each["digest"]) for each in told(archive, "deleted")),
        "lost": Counter(each["digest"] for each in told(archive, "lost")),
    }


def files(archive: Archive) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (archive.root / "evidence").iterdir()}


def same_beginning(one: list[bytes], other: list[bytes]) -> list[bytes]:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return [pair[0] for pair in pairs]


def with_users(archive: Archive) -> None:
    """What archive_users does after a rebuild: where the ledger does not tell of users, only names of trees are known."""
    with Catalog.open(archive.catalog_file) as catalog:
        for user in catalog.users():
            values = UserValues(name=user.name, origin="inventory", addresses=(user.name,), server="mail1")
            catalog.apply_users([UserStep(user.id, values)])


def goes_on(archive: Archive, servers: FakeServers) -> None:
    """A run archives, signs, and leaves nothing to be found."""
    servers.folder("mail1", ALICE).add(mail(33))
    run = archive.run(ledger=SIGNED)
    assert run.ledger_problem == "" and hashlib.sha256(mail(33)).hexdigest() in archive.files()
    assert run.checkpoint == (archive.root / CHECKPOINT).read_text()
    assert verified(archive) == []
    assert facts_told(archive) == facts(archive)
    ledger_of(archive.root)


@pytest.mark.parametrize("name", DAMAGES)
def test_whatever_was_done_to_it_runs_go_on_and_everything_is_told(
    archive: Archive, servers: FakeServers, kept: tuple[str, ...], name: str
) -> None:
    before, expected = lines(archive), facts(archive)
    TAMPERS[name][0](archive)
    after = lines(archive) if (archive.root / ENTRIES).exists() else []
    damaged = files(archive)
    report = rebuilt(archive, "ledger", owner="admin")
    assert report.changed
    same = same_beginning(before, after)
    broken = {path.name.partition(".")[0]: path.read_bytes() for path in (archive.root / "evidence").glob("*.broken")}
    if name in OF_HASHES:
        assert (report.figures, broken, lines(archive)) == ({"hashed_entries": len(before)}, {}, before)
    else:
        assert report.figures["entries_kept"] == len(same) and lines(archive)[: len(same)] == same
        assert broken == {file: data for file, data in damaged.items() if file != "checkpoint" or name not in STILL_SIGNED}
        (rebuilt_entry,) = told(archive, "rebuilt")
        assert {"by": "admin", "what": "ledger", **report.figures}.items() <= rebuilt_entry.items()
        assert facts_told(archive) == expected
        left = {each.get("digest") for each in map(json.loads, same)}
        assert {each["digest"] for each in told(archive, "adopted")}.isdisjoint(left)
    assert [problem.kind for problem in report.problems] == ([] if name in STILL_SIGNED else ["checkpoint"])
    goes_on(archive, servers)
    # What was signed before it was damaged is not what there is now, and that is seen.
    known = Verification(verify.Wish(str(archive.root), processes=1, known=KnownElsewhere(kept, KEYS)), Silent()).run()
    assert bool(known.findings) == (name not in STILL_SIGNED)


def test_a_whole_ledger_is_left_as_it_is(archive: Archive) -> None:
    before, dump = files(archive), archive.dump()
    report = rebuilt(archive, "ledger")
    assert (report.changed, report.problems, files(archive), archive.dump()) == (False, [], before, dump)


@pytest.mark.parametrize("name", ["an entry is changed", "a hash is changed", "the entries are gone"])
def test_check_mode_tells_the_same_and_writes_nothing(archive: Archive, name: str) -> None:
    TAMPERS[name][0](archive)
    before = {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in archive.root.rglob("*")}
    check = rebuilt(archive, "ledger", check_mode=True)
    assert {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in archive.root.rglob("*")} == before
    report = rebuilt(archive, "ledger")
    assert (report.figures, report.problems) == (check.figures, check.problems)


def test_without_a_checkpoint_hashes_are_made_of_complete_entries(archive: Archive) -> None:
    before, hashes = lines(archive), (archive.root / HASHES).read_bytes()
    (archive.root / CHECKPOINT).unlink()
    (archive.root / HASHES).unlink()
    assert rebuilt(archive, "ledger").figures == {"hashed_entries": len(before)}
    assert (lines(archive), (archive.root / HASHES).read_bytes()) == (before, hashes)


def test_where_all_hashes_are_gone_every_complete_entry_is_kept(archive: Archive, servers: FakeServers) -> None:
    before = lines(archive)
    (archive.root / HASHES).unlink()
    os.truncate(archive.root / ENTRIES, sum(len(line) + 1 for line in before[:5]) + 20)
    assert rebuilt(archive, "ledger").figures["entries_kept"] == 5
    assert lines(archive)[:5] == before[:5]
    goes_on(archive, servers)


def test_an_entry_that_contradicts_its_hash_is_not_hashed_anew_because_the_checkpoint_is_gone(archive: Archive) -> None:
    before = lines(archive)
    written(archive, [*before[:-2], before[-2][:-2] + b" }", before[-1]])
    (archive.root / CHECKPOINT).unlink()
    assert rebuilt(archive, "ledger").figures["entries_kept"] == len(before) - 2


def test_a_hash_that_contradicts_an_entry_of_the_checkpoint_is_the_wrong_one(archive: Archive) -> None:
    before, hashes = lines(archive), (archive.root / HASHES).read_bytes()
    for at in range(0, len(hashes), 32):
        flipped(archive, HASHES, at)
        assert rebuilt(archive, "ledger").figures == {"hashed_entries": len(before)}
        assert (lines(archive), (archive.root / HASHES).read_bytes()) == (before, hashes)


def test_what_waits_for_the_ledger_is_not_told_twice(archive: Archive, servers: FakeServers) -> None:
    (digest, size) = archive.rows("SELECT lower(hex(digest)), size FROM objects LIMIT 1")[0]
    with Catalog.open(archive.catalog_file) as catalog, catalog.transaction():
        catalog.note("adopted", digest=digest, size=size, why="a test")
    lose_ledger(archive)
    rebuilt(archive, "ledger")
    assert digest not in {each["digest"] for each in told(archive, "adopted")}
    goes_on(archive, servers)
    assert [each["why"] for each in told(archive, "adopted") if each["digest"] == digest] == ["a test"]


@pytest.mark.parametrize(
    ("entries", "found", "expected"),
    [
        ([], None, ["lost"]),
        ([], 77, ["lost", "found"]),
        (["lost"], 77, ["found"]),
        (["lost", "found"], None, ["lost"]),
        (["lost", "found"], 77, []),
        (["lost", "found", "lost"], None, []),
    ],
)
def test_a_declared_loss_is_told_as_far_as_the_ledger_does_not(
    archive: Archive, entries: list[str], found: int | None, expected: list[str]
) -> None:
    heard = [entry(event, {"at": 5, "by": "somebody", "digest": LOST, "size": 7, "reason": "then"}).encode() for event in entries]
    sql(archive, "UPDATE lost SET found = ?, declared = 66", found)
    with catalog_untold.UntoldCatalog.of(str(archive.root)) as catalog:
        catalog.begin_hearing()
        catalog.hear(heard)
        (page,) = catalog.untold_losses() if expected else ([],)
    told = {each["event"]: (each["at"], each["by"]) for each in map(json.loads, page)}
    assert told == {event: {"lost": (66, "admin"), "found": (77, "")}[event] for event in expected}


def test_pages_and_chunks_of_any_size_give_the_same(
    archive: Archive, servers: FakeServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lines(archive)
    for chunk in (1, 2, 3):
        monkeypatch.setattr(rebuild_evidence_look, "CHUNK", chunk)
        for name in ("_OBJECTS", "_RECEIPTS", "_LOST"):
            query = getattr(catalog_untold, name).rpartition(" ")[0]
            monkeypatch.setattr(catalog_untold, name, f"{query} {chunk}")
        (archive.root / HASHES).unlink()
        assert rebuilt(archive, "ledger").figures == {"hashed_entries": len(before)}
    written(archive, changed(before))
    rebuilt(archive, "ledger")
    goes_on(archive, servers)


@pytest.fixture
def tmp_path() -> t.Iterator[Path]:
    """In memory, where it is to be had: nothing here depends on a disk."""
    with tempfile.TemporaryDirectory(prefix="ledger-", dir=MEMORY if MEMORY.is_dir() else None) as path:
        yield Path(path)


# A catalog that is older than the ledger is not what this is for


def test_a_catalog_that_knows_of_less_is_to_be_brought_forward(archive: Archive) -> None:
    position = archive.rows("SELECT entries, bytes FROM evidence")[0]
    TAMPERS["the catalog knows of less"][0](archive)
    before = files(archive)
    report = rebuilt(archive, "ledger")
    assert (report.changed, [one.kind for one in report.problems], files(archive)) == (False, ["ledger_more"], before)
    rebuilt(archive, "orphans", orphans="adopt")
    assert archive.rows("SELECT entries, bytes FROM evidence") == [position]


def test_hashes_are_made_up_to_the_checkpoint_for_a_catalog_that_knows_of_less(archive: Archive) -> None:
    position, hashes = archive.rows("SELECT entries, bytes FROM evidence")[0], (archive.root / HASHES).read_bytes()
    TAMPERS["the catalog knows of less"][0](archive)
    (archive.root / HASHES).unlink()
    assert [one.kind for one in rebuilt(archive, "ledger").problems] == ["ledger_more"]
    assert (archive.root / HASHES).read_bytes() == hashes
    rebuilt(archive, "orphans", orphans="adopt")
    assert archive.rows("SELECT entries, bytes FROM evidence") == [position]


def test_an_older_catalog_is_first_brought_forward_where_it_does_not_know_objects(archive: Archive) -> None:
    """Its runs are refused because of the checkpoint, which would go: after a crash one of them would sweep by it."""
    saved = archive.root.parent / "saved"
    Path(archive.catalog_file).write_bytes((saved / "catalog.sqlite3").read_bytes())
    (archive.root / "dirty").write_text('{"started": 1, "run": "2", "commits": 1, "died": true}')
    objects = archive.files()
    os.truncate(archive.root / ENTRIES, 300)
    before = files(archive)
    for check_mode in (True, False):
        with pytest.raises(StoreError, match="does not know 1 of its objects") as refused:
            rebuilt(archive, "ledger", check_mode=check_mode)
        assert "orphans: adopt" in refused.value.remedy and files(archive) == before
    rebuilt(archive, "orphans", orphans="adopt")
    rebuilt(archive, "ledger")
    archive.run(ledger=SIGNED)
    assert set(objects) <= set(archive.files())


# What a new catalog leaves


def test_after_a_new_catalog_out_of_a_cut_ledger_runs_go_on(archive: Archive) -> None:
    checkpoint = (archive.root / CHECKPOINT).read_bytes()
    os.truncate(archive.root / ENTRIES, 900)
    Path(archive.catalog_file).unlink()
    check = rebuilt(archive, check_mode=True)
    assert (archive.root / CHECKPOINT).read_bytes() == checkpoint
    report = rebuilt(archive)
    assert {one.kind for one in report.problems} == {one.kind for one in check.problems} == {"ledger", "checkpoint"}
    (aside,) = (archive.root / "evidence").glob("checkpoint.*.broken")
    assert aside.read_bytes() == checkpoint and not (archive.root / CHECKPOINT).exists()
    run = archive.run(ledger=SIGNED)
    assert run.ledger_problem == ""
    assert {kind for kind, _ in verified(archive)} <= {"ledger_receipt"}
    ledger_of(archive.root)


def test_after_a_new_catalog_without_a_ledger_a_crash_blocks_nothing(archive: Archive, servers: FakeServers) -> None:
    for name in (ENTRIES, HASHES):
        (archive.root / name).unlink()
    rebuilt(archive, replace=True)
    with_users(archive)

    class DiedError(Exception):
        pass

    def die(point: str) -> None:
        if point == "committed":
            raise DiedError

    servers.folder("mail1", ALICE).add(mail(8))
    with pytest.raises(DiedError):
        archive.run(die, ledger=SIGNED)
    assert archive.run(ledger=SIGNED).ledger_problem == ""
    assert verified(archive) == []


def test_an_archive_that_is_blocked_by_its_checkpoint_goes_on(archive: Archive, servers: FakeServers) -> None:
    """As a rebuild of an earlier release left it."""
    checkpoint = (archive.root / CHECKPOINT).read_bytes()
    os.truncate(archive.root / ENTRIES, 900)
    rebuilt(archive, replace=True)
    (archive.root / CHECKPOINT).write_bytes(checkpoint)
    (archive.root / "dirty").write_text('{"started": 1, "run": "2", "commits": 1}')
    with pytest.raises(StoreError, match="what: ledger"):
        archive.run(ledger=SIGNED)
    report = rebuilt(archive, "ledger")
    assert [one.kind for one in report.problems] == ["checkpoint"]
    with_users(archive)
    goes_on(archive, servers)


@pytest.mark.parametrize("name", ["entries cut", "directory gone"])
def test_what_refuses_a_run_names_what_helps(archive: Archive, servers: FakeServers, name: str) -> None:
    evidence = archive.root / "evidence"
    if name == "entries cut":
        os.truncate(archive.root / ENTRIES, 100)
    else:
        lose_ledger(archive)
        evidence.rmdir()
    with pytest.raises(StoreError, match=r"archive_rebuild \(what: ledger\)"):
        archive.run(ledger=SIGNED)
    if name == "directory gone":
        Store.create(str(archive.root)).close()  # as archive_store does
        with pytest.raises(StoreError, match=r"archive_rebuild \(what: ledger\)"):
            archive.run(ledger=SIGNED)
        lose_ledger(archive)
        evidence.rmdir()
        archive.root.chmod(0o2770)
    assert rebuilt(archive, "ledger").changed
    goes_on(archive, servers)
    assert (evidence.stat().st_mode, (archive.root / ENTRIES).stat().st_mode & 0o777) == (
        archive.root.stat().st_mode,
        evidence_log.FILE_MODE,
    )


def test_a_stop_leaves_all_as_it_was(archive: Archive) -> None:
    class Asked(Silent):
        stop_requested = True

    for name in ("a hash is changed", "an entry is changed"):
        TAMPERS[name][0](archive)
        before = files(archive)
        report = rebuild(Wish(str(archive.root), "ledger", processes=1), Asked())
        assert (report.stopped, report.changed, files(archive)) == (True, False, before)
