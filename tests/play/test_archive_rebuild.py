# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_rebuild in playbooks: a catalog that is lost, one that is spoiled by hand, trees, and where there is no archive."""

from __future__ import annotations

import json
import shutil
import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.archive_site import MAILBOXES, Watch, furnish
from tests.play.helpers import Step, assert_one_sentence, play, run
from tests.play.trees import tree
from tests.unit.module_utils.archive.engine_fake import Archive, alices, mail


def rebuild(root: Path, what: str, *, check: bool = False, **options: t.Any) -> Step:
    return Step("archive_rebuild", {"root": str(root), "what": what, **options}, check, python=sys.executable)


def verify(root: Path) -> Step:
    return Step("archive_verify", {"root": str(root)}, python=sys.executable)


def placements(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in (root / "mail").rglob("cur/*"))


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_catalog_and_trees_come_back_and_the_next_run_fetches_nothing(lab_factory: Factory, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    site = furnish(lab_factory(servers=2, users=2), 40)
    *_ready, archived = play(*site.ready(root), site.run(root, MAILBOXES))
    assert archived.changed
    placed = placements(root)
    for path in root.glob("catalog.sqlite3*"):
        path.unlink()
    before = tree(root)
    (check,) = play(rebuild(root, "catalog", check=True))
    assert (check.changed, tree(root)) == (True, before)
    made, refused, whole = play(rebuild(root, "catalog"), rebuild(root, "catalog"), verify(root))
    assert (made.status, made.result["rebuilt"]["placements"]) == ("changed", len(placed))
    assert refused.failed
    assert "replace: true" in refused.msg
    assert whole.result["damaged"] == 0

    # By hand: the catalog overwritten, and all trees removed.
    (root / "catalog.sqlite3").write_bytes(b"spoiled")
    again, idle = play(rebuild(root, "catalog"), rebuild(root, "trees"))
    assert (again.changed, idle.changed) == (True, False)
    assert [path.read_bytes() for path in root.glob("catalog.sqlite3.*.broken")] == [b"spoiled"]
    shutil.rmtree(root / "mail")
    linked, idle, whole = play(rebuild(root, "trees"), rebuild(root, "trees"), verify(root))
    assert (linked.result["rebuilt"]["links"], idle.changed, whole.result["damaged"]) == (len(placed), False, 0)
    assert placements(root) == placed

    watch = Watch(*site.servers)
    *_users, run = play(*site.ready(root), site.run(root, MAILBOXES))
    assert (run.result["run"]["objects"], run.result["run"]["placements"]) == (0, 0)
    assert not watch.commands()["UID FETCH"]
    assert placements(root) == placed


@pytest.mark.shows("broken")
def test_where_there_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (empty,) = play(rebuild(tmp_path / "empty", "catalog"))
    assert_one_sentence(empty, f"{tmp_path}/empty: it holds no archive.", "Create the archive with archive_store, or mount")
    assert list((tmp_path / "empty").iterdir()) == []


def playbook(archive: Archive, *args: str, **variables: object) -> PlaybookRun:
    given = {"archive_host_root": str(archive.root), "archive_host_python": sys.executable, **variables}
    file, inventory = archive.root.parent / "variables.json", archive.root.parent / "hosts"
    file.write_text(json.dumps(given), encoding="utf-8")
    host = f"archive1 ansible_connection=local ansible_python_interpreter={sys.executable}"
    inventory.write_text(f"[archive_hosts]\n{host}\n", encoding="utf-8")
    return run(ROOT / "playbooks/rebuild.yml", "-e", f"@{file}", *args, inventory=inventory)


def test_the_playbook_rebuilds_what_is_said(tmp_path: Path) -> None:
    archive = alices(tmp_path, *map(mail, range(3)))
    substance = archive.substance()
    Path(archive.catalog_file).unlink()
    unsaid = playbook(archive)
    assert unsaid.rc != 0
    assert "archive_rebuild_what is not set" in unsaid.output
    check = playbook(archive, "--check", archive_rebuild_what="catalog")
    assert (check.rc, Path(archive.catalog_file).exists()) == (0, False), check.output
    done = playbook(archive, archive_rebuild_what="catalog")
    assert done.rc == 0, done.output
    assert [task.action for task in done.changed()] == ["mailops.kerio.archive_rebuild"]
    assert "the catalog was made anew: 3 objects" in " ".join(done.output.split())
    assert archive.substance() == substance
