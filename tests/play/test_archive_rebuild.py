# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_rebuild in playbooks: a catalog that is lost, one that is spoiled by hand, trees, and where there is no archive."""

from __future__ import annotations

import shutil
import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.play.archive_site import MAILBOXES, Watch, furnish
from tests.play.helpers import Step, assert_one_sentence, play
from tests.play.trees import tree


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
