# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalog made anew knows what the old one knew, but for what is said here; the next run fetches and files nothing twice."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, CatalogError, StoreError
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.rebuild_scene import (
    ALICE,
    BOB,
    LEAVER,
    LONG,
    differences,
    entries,
    links,
    lose_catalog,
    lose_ledger,
    rebuilt,
    rows_of,
    scene,
    verified,
)

__all__ = ["scene"]

# What is another than before, why, and whether also when the ledger is there.
PASS = "what a complete pass says of a folder; the next run makes one"
GONE = "only the ledger tells of messages on servers"
PEOPLE = "a tree has the name alone; archive_users brings the rest"
DIFFERS = {
    "users.created": ("a tree does not tell when its user was made", True),
    "users.changed": ("likewise", True),
    "source_folders.uidnext": (PASS, True),
    "source_folders.messages": (PASS, True),
    "source_folders.highestmodseq": (PASS, True),
    "source_folders.rules": (PASS, True),
    "source_folders.complete": (PASS, True),
    "source_folders.last_run": (PASS, True),
    "folder_routes-": (PASS, True),
    "source_messages.flags": ("the ledger does not say them; those of placements stand in their names", True),
    "source_messages.reason": ("why a message was caught is not in the ledger", True),
    "source_messages.attempts": ("how often it was tried is not in the ledger; it is in quarantine", True),
    "user_folders-": ("a folder without a placement is made again when mail comes", True),
    "runs.started": ("the ledger tells the end of a run alone", True),
    "runs.finished": ("the moment at which the ledger was told", True),
    "runs.summary": ("the ledger has the figures alone", True),
    "receipts.planned": ("the ledger tells the deletion alone", True),
    "receipts.proof": ("likewise", True),
    "totals.commits": ("the rebuild's own", True),
    "totals.last_commit": ("the rebuild's own", True),
    "evidence_waiting+": ("that the catalog was rebuilt, and what the ledger does not speak of", True),
    "users.origin": (PEOPLE, False),
    "users.server": (PEOPLE, False),
    "users.groups": (PEOPLE, False),
    "users.privileges": (PEOPLE, False),
    "users.kerio_login": (PEOPLE, False),
    "grants-": (PEOPLE, False),
    "users.deleted": ("nothing tells who left", False),
    "user_addresses-": (PEOPLE, False),
    "user_folders.name": ("a name that was cut, until mail comes", False),
    "source_folders-": (GONE, False),
    "source_messages-": (GONE, False),
    "receipts-": (GONE, False),
    "runs-": (GONE, False),
    "placements.origin": ("unknown; counts as if multidrop had filed it", False),
    "meta-": ("the name of the ledger, which the next run finds in its checkpoint", True),
    "evidence.entries": ("there is none", False),
    "evidence.bytes": ("there is none", False),
}
WITHOUT_ROWS = {"source_folders", "source_messages", "folder_routes", "runs", "receipts"}


def fetches(archive: Archive) -> int:
    return len(archive.servers.commands("FETCH"))


def test_the_catalog_comes_back_with_the_ledger(scene: Archive) -> None:
    before, tree = rows_of(scene), scene.tree()
    lose_catalog(scene)
    report = rebuilt(scene)
    assert (report.changed, report.problems, report.before) == (True, [], "absent")
    assert verified(scene) == []
    after = rows_of(scene)
    assert differences(before, after) == {name for name, (_why, with_ledger) in DIFFERS.items() if with_ledger}
    assert scene.tree() == tree
    assert oct(Path(scene.catalog_file).stat().st_mode) == "0o100640"
    told = [json.loads(row["entry"]) for row in after["evidence_waiting"].values()]
    assert [(entry["event"], entry["what"]) for entry in told] == [("rebuilt", "catalog")]


def test_the_next_run_fetches_nothing(scene: Archive) -> None:
    before, fetched, substance = rows_of(scene), fetches(scene), scene.substance()
    lose_catalog(scene)
    rebuilt(scene)
    report = scene.run(quarantine_after=1)
    assert fetches(scene) == fetched
    assert (report.objects, report.placements) == (0, 0)
    assert scene.substance() == substance
    after = rows_of(scene)
    # All that a pass makes is there again, but for the mailbox that is not read any more.
    assert {key.partition("/INBOX")[0] for key in before["folder_routes"].keys() - after["folder_routes"]} == {f"mail1/{LEAVER}"}
    assert "source_messages.state" not in differences(before, after)
    assert verified(scene) == []
    assert [entry["event"] for entry in entries(scene)][-2:] == ["rebuilt", "run"]


def test_without_the_ledger_the_next_run_fetches_all_and_files_nothing_twice(scene: Archive) -> None:
    lose_ledger(scene)
    before, substance, linked = rows_of(scene), scene.substance(), links(scene)
    lose_catalog(scene)
    report = rebuilt(scene)
    assert {(problem.kind, problem.subject.rpartition("/")[2][:5]) for problem in report.problems} == {("folder_name", LONG[:5])}
    assert verified(scene) == []
    expected = {name for name in DIFFERS if name.partition(".")[0] not in WITHOUT_ROWS}
    assert differences(before, rows_of(scene)) == expected
    scene.servers.folder("mail1", ALICE, LONG).add(mail(333))
    # archive_users would bring the addresses of the users again.
    for name in (ALICE, BOB):
        with contextlib.closing(sqlite3.connect(scene.catalog_file)) as database, database:
            database.execute("INSERT INTO user_addresses SELECT name, id, 0 FROM users WHERE name = ?", (name,))
    fetched = fetches(scene)
    new = scene.run(quarantine_after=1)
    assert fetches(scene) > fetched + 40
    assert (new.objects, new.placements) == (1, 1)
    after = scene.substance()
    assert len(after["placements"]) == len(substance["placements"]) + 1
    assert set(after["placements"]) > set(substance["placements"])
    assert {path: inodes for path, inodes in links(scene).items() if path in linked} == linked
    assert verified(scene) == []


def test_a_name_that_was_cut_comes_back_with_the_next_message(scene: Archive) -> None:
    lose_ledger(scene)
    lose_catalog(scene)
    rebuilt(scene)
    with contextlib.closing(sqlite3.connect(scene.catalog_file)) as database, database:
        database.execute("INSERT INTO user_addresses SELECT name, id, 0 FROM users WHERE name = ?", (ALICE,))
    scene.run()
    names = [json.loads(name) for (name,) in scene.rows("SELECT name FROM user_folders")]
    assert [ALICE, LONG] in names


def test_an_intact_catalog_is_replaced_only_when_it_is_said(scene: Archive) -> None:
    content = Path(scene.catalog_file).read_bytes()
    with pytest.raises(CatalogError, match="it can be read, and a new one would know less"):
        rebuilt(scene)
    assert Path(scene.catalog_file).read_bytes() == content
    rebuilt(scene, replace=True)
    (aside,) = scene.root.glob("catalog.sqlite3.*.broken")
    assert aside.read_bytes() == content
    assert verified(scene) == []


def test_an_intact_catalog_that_somebody_has_open_is_not_replaced(scene: Archive) -> None:
    other = sqlite3.connect(scene.catalog_file)
    other.execute("SELECT * FROM users").fetchone()
    with pytest.raises(StoreError, match="another program has it open"):
        rebuilt(scene, replace=True)
    other.close()


@pytest.mark.parametrize("damage", [b"", b"no database at all", None])
def test_an_unreadable_catalog_is_kept_beside_the_new_one(scene: Archive, damage: bytes | None) -> None:
    path = Path(scene.catalog_file)
    data = path.read_bytes() if damage is None else damage
    # Pages in the middle of tables.
    broken = data[:8192] + b"\xff" * 60_000 + data[68_192:] if damage is None else data
    path.write_bytes(broken)
    path.with_name("catalog.sqlite3-wal").write_bytes(b"a log")
    report = rebuilt(scene)
    assert report.before.startswith("unreadable: ")
    (aside,) = scene.root.glob("catalog.sqlite3.*.broken")
    assert aside.read_bytes() == broken
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"a log"
    assert verified(scene) == []


def test_what_is_damaged_gets_no_row_and_is_left(scene: Archive) -> None:
    placed = sorted(links(scene))
    victim, gone = placed[0], placed[1]
    digests = [bytes.fromhex(Path(path).name.partition(".")[2][:64]) for path in (victim, gone)]
    damaged = scene.root / layout.object_path(digests[0])
    damaged.chmod(0o640)
    damaged.write_bytes(damaged.read_bytes()[:-3])
    (scene.root / layout.object_path(digests[1])).unlink()
    (scene.root / gone).chmod(0o640)
    (scene.root / gone).write_bytes(b"no message")
    lose_catalog(scene)
    report = rebuilt(scene)
    assert {(problem.kind, problem.subject) for problem in report.problems} == {
        ("object_damaged", layout.object_path(digests[0])),
        ("placement_wrong", victim),
        ("object_missing", gone),
    }
    assert not scene.rows("SELECT 1 FROM objects WHERE digest IN (?, ?)", tuple(digests))
    assert (scene.root / victim).samefile(damaged.with_name(f"{damaged.name}.damaged"))
    assert (scene.root / gone).exists()
    # Their messages are due again, so the next run brings both back.
    assert report.figures["messages_due_again"] == 2
    scene.run()
    assert verified(scene) == [("foreign", f"{layout.object_path(digests[0])}.damaged")]


def test_placements_that_are_files_of_their_own_are_taken_and_told(scene: Archive) -> None:
    path = scene.root / min(links(scene))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    path.chmod(0o440)
    lose_catalog(scene)
    report = rebuilt(scene)
    assert [(problem.kind, problem.subject) for problem in report.problems] == [
        ("placement_other", str(path.relative_to(scene.root)))
    ]
    assert rebuilt(scene, "trees").figures["links"] == 1
    assert verified(scene) == []


def test_check_mode_counts_the_same_and_writes_nothing(scene: Archive) -> None:
    lose_catalog(scene)
    (scene.root / "lock").unlink()
    before = {path: path.lstat().st_mtime_ns for path in scene.root.rglob("*")}
    check = rebuilt(scene, check_mode=True)
    assert {path: path.lstat().st_mtime_ns for path in scene.root.rglob("*")} == before
    assert rebuilt(scene).figures == check.figures


def test_while_somebody_works_on_the_archive_nothing_is_done(scene: Archive) -> None:
    lose_catalog(scene)
    with Store.open(str(scene.root), lock="archive_run"), pytest.raises(BusyError, match="archive_run"):
        rebuilt(scene)
    assert not Path(scene.catalog_file).exists()


def test_what_an_unclean_end_left_of_the_ledger_is_cut_by_the_next_run(scene: Archive) -> None:
    whole = (scene.root / "evidence/entries").read_bytes()
    with (scene.root / "evidence/entries").open("ab") as file:
        file.write(b'{"event":"archi')
    lose_catalog(scene)
    report = rebuilt(scene)
    assert [problem.kind for problem in report.problems] == ["ledger"]
    assert scene.rows("SELECT entries, bytes FROM evidence") == [(whole.count(b"\n"), len(whole))]
    scene.run(quarantine_after=1)
    assert (scene.root / "evidence/entries").read_bytes().startswith(whole)
    assert [entry["event"] for entry in entries(scene)[whole.count(b"\n") :]] == ["rebuilt", "run"]
    assert not (scene.root / "dirty").exists()


def test_the_marker_of_a_run_that_died_makes_the_next_run_neither_refuse_nor_sweep(scene: Archive) -> None:
    substance, linked = scene.substance(), links(scene)
    (scene.root / "dirty").write_text(json.dumps({"started": 1, "run": "9", "commits": 5000, "relied": 7000, "died": True}))
    (scene.root / "dirty.clock").touch()
    lose_catalog(scene)
    rebuilt(scene)
    # Not fewer: until the new catalog is in place, an older one must go on being refused.
    assert json.loads((scene.root / "dirty").read_text()).keys() == {"started", "run", "commits"}
    assert json.loads((scene.root / "dirty").read_text())["commits"] == 7000
    scene.run(quarantine_after=1)
    assert (scene.substance(), links(scene)) == (substance, linked)
    assert not (scene.root / "dirty").exists()
    assert list((scene.root / "staging").iterdir()) == []
    assert scene.rows("SELECT name FROM users WHERE deleted IS NOT NULL") == [(LEAVER,)]
