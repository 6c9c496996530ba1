# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_repair in playbooks: an archive of a run, damaged by hand, restored from a copy made with cp, and from the server."""

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


def objects_of(root: Path) -> list[Path]:
    return sorted(path for path in (root / "objects").glob("*/*") if path.is_file())


def contents(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in [*objects_of(root), *(root / "mail").rglob("cur/*")]}


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_what_was_damaged_by_hand_is_as_it_was(lab_factory: Factory, tmp_path: Path) -> None:
    root, backup = tmp_path / "archive", tmp_path / "backup"
    site = furnish(lab_factory(servers=2, users=2), 40)
    play(*site.ready(root), site.run(root, MAILBOXES))
    subprocess.run(["cp", "-a", root, backup], check=True)
    before = contents(root)
    first, second, *_ = objects_of(root)
    first.chmod(0o640)
    first.write_bytes(b"damaged")
    for path in [second, *(path for path in (root / "mail").rglob("cur/*") if second.name in path.name)]:
        path.unlink()
    damaged = tree(root)

    alone, check = play(repair(root, check=True), repair(root, check=True, backups=[str(backup)]))
    assert tree(root) == damaged
    assert (alone.status, alone.result["left"] > 0) == ("ignored", True)
    assert check.changed
    done, again = play(repair(root, backups=[str(backup)]), repair(root, backups=[str(backup)]))
    assert (done.status, done.changed, done.result["left"]) == ("changed", True, 0)
    assert done.result["steps"] == check.result["steps"]
    assert contents(root) == before
    assert (again.status, again.msg) == ("ok", "No damage")
    (run,) = play(site.run(root, MAILBOXES))
    assert (run.changed, run.result["run"]["new"]) == (False, 0)

    second.unlink()
    for path in [path for path in (root / "mail").rglob("cur/*") if second.name in path.name]:
        path.unlink()
    asked, run, whole = play(repair(root, from_server=True), site.run(root, MAILBOXES), repair(root))
    assert (asked.status, asked.result["steps"][0]["action"]) == ("ignored", "read_again")
    assert run.status == "changed"
    assert (whole.status, whole.msg) == ("ok", "No damage")
    assert contents(root).keys() == before.keys()


@pytest.mark.shows("broken")
def test_where_there_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (empty,) = play(repair(tmp_path / "empty"))
    assert_one_sentence(empty, f"{tmp_path}/empty: it holds no archive.", "Create the archive with archive_store, or mount")
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]
