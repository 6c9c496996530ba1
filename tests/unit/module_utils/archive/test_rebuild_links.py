# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees made again from an intact catalog: the same names, links to the objects, and nothing that is not ours is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from tests.unit.module_utils.archive.engine_fake import Archive
from tests.unit.module_utils.archive.rebuild_scene import links, rebuilt, rows_of, scene, verified

__all__ = ["scene"]


def folders(archive: Archive) -> dict[str, str]:
    """Directories with mail, their parents and what every tree has -> modes."""
    found: dict[str, str] = {}
    for path in [archive.root / "mail", *(archive.root / "mail").rglob("*")]:
        if path.is_dir() and (path.name not in ("new", "tmp") or (path.parent / "cur").is_dir()):
            found[str(path.relative_to(archive.root))] = oct(path.stat().st_mode)
    return found


def digest_of(path: str) -> bytes:
    return bytes.fromhex(Path(path).name.partition(".")[2][:64])


def test_all_trees_come_back_as_they_were(scene: Archive) -> None:
    tree, modes, before = scene.tree(), folders(scene), rows_of(scene)
    shutil.rmtree(scene.root / "mail")
    report = rebuilt(scene, "trees")
    assert (report.changed, report.figures["links"], report.problems) == (True, len(tree), [])
    assert scene.tree() == tree
    assert all(inode == own for inode, own in links(scene).values())
    assert folders(scene) == modes
    assert verified(scene) == []
    assert {name: rows for name, rows in rows_of(scene).items() if name != "evidence_waiting"} == {
        name: rows for name, rows in before.items() if name != "evidence_waiting"
    }
    again = rebuilt(scene, "trees")
    assert (again.changed, again.as_data()["stopped"], again.figures["links"]) == (False, False, 0)


def test_a_missing_link_and_a_missing_directory_are_made(scene: Archive) -> None:
    first, second = sorted(links(scene))[:2]
    (scene.root / first).unlink()
    tmp = (scene.root / second).parent.with_name("tmp")
    tmp.rmdir()
    check = rebuilt(scene, "trees", check_mode=True)
    assert (check.changed, check.figures["links"], check.figures["directories"]) == (True, 1, 1)
    assert check.done == [first]
    assert not (scene.root / first).exists()
    assert not tmp.exists()
    assert rebuilt(scene, "trees").figures == check.figures
    assert verified(scene) == []


def test_what_is_not_ours_is_left_and_told(scene: Archive) -> None:
    path = scene.root / min(links(scene))
    strange = path.with_name("notes.txt")
    strange.write_text("mine")
    other = path.read_bytes()
    path.unlink()
    path.write_bytes(b"another message")
    report = rebuilt(scene, "trees")
    assert {(problem.kind, problem.subject) for problem in report.problems} == {
        ("placement_wrong", str(path.relative_to(scene.root))),
        ("foreign", str(strange.relative_to(scene.root))),
    }
    assert (path.read_bytes(), strange.read_text()) == (b"another message", "mine")
    assert other != b"another message"
    assert not report.changed


def test_an_object_is_read_before_it_is_linked(scene: Archive) -> None:
    damaged, gone = sorted(links(scene))[:2]
    shutil.rmtree(scene.root / "mail")
    path = scene.root / layout.object_path(digest_of(damaged))
    path.chmod(0o640)
    path.write_bytes(path.read_bytes()[:-2])
    (scene.root / layout.object_path(digest_of(gone))).unlink()
    report = rebuilt(scene, "trees")
    assert {(problem.kind, problem.subject) for problem in report.problems} == {
        ("object_damaged", layout.object_path(digest_of(damaged))),
        ("object_missing", layout.object_path(digest_of(gone))),
    }
    assert not (scene.root / damaged).exists()
    assert not (scene.root / gone).exists()
    assert path.exists()
