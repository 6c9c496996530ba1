# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_repair in playbooks: an archive of a run, damaged by hand, restored from a copy made with cp."""

from __future__ import annotations

import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.play.archive_site import MAILBOXES, furnish
from tests.play.helpers import Step, assert_one_sentence, play
from tests.play.trees import tree


def repair(root: Path, *, check: bool = False, **options: t.Any) -> Step:
    return Step("archive_repair", {"root": str(root), **options}, check, python=sys.executable)


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_what_was_damaged_by_hand_is_as_it_was(lab_factory: Factory, tmp_path: Path) -> None:
    root, backup = tmp_path / "archive", tmp_path / "backup"
    site = furnish(lab_factory(servers=2, users=2), 40)
    play(*site.ready(root), site.run(root, MAILBOXES))
    subprocess.run(["cp", "-a", root, backup], check=True)
    objects = sorted(path for path in (root / "objects").glob("*/*") if path.is_file())
    contents = {path: path.read_bytes() for path in objects}
    objects[0].chmod(0o640)
    objects[0].write_bytes(b"damaged")
    objects[1].unlink()
    for path in sorted((root / "mail").rglob("cur/*"))[:3]:
        path.unlink()
    damaged = tree(root)

    alone, check = play(repair(root, check=True), repair(root, check=True, backups=[str(backup)]))
    assert tree(root) == damaged
    assert (alone.status, alone.result["left"] > 0) == ("ignored", True)
    assert check.changed
    done, again = play(repair(root, backups=[str(backup)]), repair(root, backups=[str(backup)]))
    assert (done.status, done.changed, done.result["left"]) == ("changed", True, 0)
    assert done.result["steps"] == check.result["steps"]
    assert {path: path.read_bytes() for path in objects} == contents
    assert (again.status, again.msg) == ("ok", "Nothing to repair")
    (verified,) = play(Step("archive_verify", {"root": str(root)}, python=sys.executable))
    assert verified.result["damaged"] == 0
    (run,) = play(site.run(root, MAILBOXES))
    assert (run.changed, run.result["run"]["new"]) == (False, 0)


@pytest.mark.shows("broken")
def test_where_there_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (empty,) = play(repair(tmp_path / "empty"))
    assert_one_sentence(empty, f"{tmp_path}/empty: it holds no archive.", "Create the archive with archive_store, or mount")
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]
