# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalog does not know: told, brought into it, or removed where no message is lost by that."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.rebuild_scene import ALICE, differences, links, rebuilt, rows_of, scene, verified

__all__ = ["scene"]

NEW, BODY = "new@example.com", mail(4711)
DIGEST = hashlib.sha256(BODY).digest()
OBJECT = layout.object_path(DIGEST)


def orphan(archive: Archive, body: bytes = BODY) -> Path:
    """An object that no row speaks of."""
    with Store.open(str(archive.root)) as store:
        stored = store.put(body, 7)
    return archive.root / layout.object_path(stored.digest)


def placement(archive: Archive, obj: Path, size: int) -> Path:
    """A link to it that no row speaks of, in a folder that has rows."""
    cur = (archive.root / min(links(archive))).parent
    path = cur / layout.placement_name(7, bytes.fromhex(obj.name), size, size, "S")
    os.link(obj, path)
    return path


def damage(path: Path) -> None:
    path.chmod(0o640)
    path.write_bytes(path.read_bytes()[:-2])


@pytest.fixture
def older(scene: Archive) -> t.Iterator[tuple[Archive, dict[str, t.Any]]]:
    """The scene with a catalog from before its last run, which brought a user, folders, messages, a quarantine and a deletion."""
    backup = Path(scene.catalog_file).with_name("reports") / "backup"
    shutil.copy(scene.catalog_file, backup)
    scene.user(NEW, "alias@example.com")
    scene.servers.folder("mail1", NEW, "Sub/cur").add(mail(800, to=NEW), mail(801, to=NEW))
    scene.servers.folder("mail1", ALICE).add(mail(802))
    scene.run(quarantine_after=1)
    with contextlib.closing(sqlite3.connect(scene.catalog_file)) as database, database:
        database.execute("UPDATE users SET created = 1, changed = 2")
        database.execute("UPDATE runs SET started = 3, finished = 4")
    wanted = {"rows": rows_of(scene), "substance": scene.substance()}
    for path in scene.root.glob("catalog.sqlite3*"):
        path.unlink()
    shutil.copy(backup, scene.catalog_file)
    backup.unlink()
    yield scene, wanted


def test_an_older_catalog_is_brought_forward(older: tuple[Archive, dict[str, t.Any]]) -> None:
    scene, wanted = older
    assert verified(scene)
    with pytest.raises(StoreError, match="the catalog is older than the ledger"):
        scene.run()
    report = rebuilt(scene, "orphans", orphans="adopt")
    assert report.changed
    assert (report.figures["objects"], report.figures["placements"], report.problems) == (3, 3, [])
    assert verified(scene) == []
    assert scene.substance() == wanted["substance"]
    told = rows_of(scene)
    assert told["user_addresses"] == wanted["rows"]["user_addresses"]
    assert told["evidence"] == wanted["rows"]["evidence"]
    assert "placements.origin" not in differences(wanted["rows"], told)
    fetched = len(scene.servers.commands("FETCH"))
    scene.run(quarantine_after=1)
    assert len(scene.servers.commands("FETCH")) == fetched
    assert scene.substance() == wanted["substance"]
    assert not rebuilt(scene, "orphans", orphans="adopt").changed


def test_a_marker_that_is_newer_than_the_catalog_does_not_hold_the_next_run_up(
    older: tuple[Archive, dict[str, t.Any]],
) -> None:
    scene, wanted = older
    (scene.root / "dirty").write_text(json.dumps({"started": 1, "run": "9", "commits": 900, "relied": 950, "died": True}))
    linked = links(scene)
    with pytest.raises(StoreError, match="it is older than the archive"):
        scene.run()
    rebuilt(scene, "orphans", orphans="adopt")
    assert json.loads((scene.root / "dirty").read_text())["commits"] == 951
    scene.run(quarantine_after=1)
    assert (scene.substance(), links(scene)) == (wanted["substance"], linked)
    assert not (scene.root / "dirty").exists()


def test_check_mode_says_what_adopting_would_do_and_writes_nothing(older: tuple[Archive, dict[str, t.Any]]) -> None:
    scene, _wanted = older
    (scene.root / "lock").unlink()
    before = {path: path.lstat().st_mtime_ns for path in scene.root.rglob("*")}
    check = rebuilt(scene, "orphans", orphans="adopt", check_mode=True)
    assert {path: path.lstat().st_mtime_ns for path in scene.root.rglob("*")} == before
    assert rebuilt(scene, "orphans", orphans="adopt").figures == check.figures


def test_unknown_things_are_told(scene: Archive) -> None:
    path = placement(scene, orphan(scene), len(BODY))
    report = rebuilt(scene, "orphans")
    assert {(problem.kind, problem.subject) for problem in report.problems} == {
        ("object_unknown", OBJECT),
        ("placement_unknown", str(path.relative_to(scene.root))),
    }
    assert not report.changed
    assert {kind for kind, _ in verified(scene)} == {"object_unknown", "placement_unknown"}


def test_an_object_that_the_ledger_does_not_know_is_noted_there(scene: Archive) -> None:
    orphan(scene)
    rebuilt(scene, "orphans", orphans="adopt")
    waiting = [json.loads(entry) for (entry,) in scene.rows("SELECT entry FROM evidence_waiting ORDER BY id")]
    assert [(one["event"], one.get("digest")) for one in waiting] == [("adopted", DIGEST.hex()), ("rebuilt", None)]
    scene.run(quarantine_after=1)
    assert verified(scene) == []


def test_a_folder_takes_a_message_once(scene: Archive) -> None:
    known = scene.root / min(links(scene))
    twin = known.with_name(known.name.replace("17000000", "16000000"))
    os.link(known, twin)
    rows = scene.rows("SELECT count(*) FROM placements")
    report = rebuilt(scene, "orphans", orphans="adopt")
    assert [(problem.kind, problem.subject) for problem in report.problems] == [
        ("placement_twice", str(twin.relative_to(scene.root)))
    ]
    assert (scene.rows("SELECT count(*) FROM placements"), report.changed) == (rows, False)
    removed = rebuilt(scene, "orphans", orphans="remove")
    assert removed.done == [str(twin.relative_to(scene.root))]
    assert known.exists()
    assert verified(scene) == []


def test_removing_keeps_what_may_be_a_last_copy(scene: Archive) -> None:
    obj = orphan(scene)
    path = placement(scene, obj, len(BODY))
    # A file whose object is not there, and one that holds something else than its object, which is.
    lone = path.with_name(layout.placement_name(8, hashlib.sha256(b"nowhere").digest(), 7, 7, ""))
    other = path.with_name(layout.placement_name(8, hashlib.sha256(b"x").digest(), 1, 1, ""))
    assert scene.root.joinpath(layout.object_path(hashlib.sha256(b"x").digest())).exists()
    for strange in (lone, other):
        strange.write_bytes(b"perhaps a message")
    report = rebuilt(scene, "orphans", orphans="remove")
    assert report.done == [str(path.relative_to(scene.root))]
    assert {problem.subject for problem in report.problems if problem.kind == "kept"} == {
        OBJECT,
        str(lone.relative_to(scene.root)),
        str(other.relative_to(scene.root)),
    }
    assert (obj.exists(), path.exists()) == (True, False)
    assert rebuilt(scene, "orphans", orphans="remove", remove_last_copies=True).done == [OBJECT]
    assert (obj.exists(), lone.exists(), other.exists()) == (False, True, True)


def test_removing_takes_damaged_objects_that_nothing_speaks_of(scene: Archive) -> None:
    obj = orphan(scene)
    damage(obj)
    spoken_of = min(links(scene))
    digest = bytes.fromhex(Path(spoken_of).name.partition(".")[2][:64])
    kept = scene.root / layout.object_path(digest)
    damage(kept)
    with contextlib.closing(sqlite3.connect(scene.catalog_file)) as database, database:
        database.execute("DELETE FROM objects WHERE digest = ?", (digest,))
    check = rebuilt(scene, "orphans", orphans="remove", check_mode=True)
    assert (check.done, obj.exists()) == ([OBJECT], True)
    report = rebuilt(scene, "orphans", orphans="remove", remove_last_copies=True)
    assert report.done == [OBJECT]
    assert ("kept", layout.object_path(digest)) in {(problem.kind, problem.subject) for problem in report.problems}
    assert (obj.exists(), kept.exists(), (scene.root / spoken_of).exists()) == (False, True, True)


def test_a_further_file_of_an_object_is_no_object_and_is_never_removed_with_the_damaged(scene: Archive) -> None:
    obj = orphan(scene)
    further = obj.with_name(f"{obj.name}.1")
    obj.rename(further)
    report = rebuilt(scene, "orphans", orphans="remove")
    assert {(problem.kind, problem.subject) for problem in report.problems} == {
        ("object_alone", f"{OBJECT}.1"),
        ("kept", f"{OBJECT}.1"),
    }
    assert (further.exists(), report.changed) == (True, False)
