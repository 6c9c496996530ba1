# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_repair in playbooks: repair.yml over a damaged archive and its copy; what a server has; what cannot be repaired."""

from __future__ import annotations

import json
import shutil
import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.archive_site import MAILBOXES, furnish
from tests.play.helpers import Step, assert_one_sentence, play, run
from tests.play.trees import tree
from tests.unit.module_utils.archive.engine_fake import alices, mail


def repair(root: Path, *, check: bool = False, **options: t.Any) -> Step:
    return Step("archive_repair", {"root": str(root), **options}, check, python=sys.executable)


def playbook(root: Path, *args: str, **variables: t.Any) -> PlaybookRun:
    file, inventory = root.with_name("variables.json"), root.with_name("hosts")
    file.write_text(json.dumps({"archive_host_root": str(root), "archive_host_python": sys.executable, **variables}), "utf-8")
    host = f"archive1 ansible_connection=local ansible_python_interpreter={sys.executable}"
    inventory.write_text(f"[archive_hosts]\n{host}\n", "utf-8")
    return run(ROOT / "playbooks/repair.yml", "-e", f"@{file}", *args, inventory=inventory)


def contents(root: Path) -> dict[Path, bytes]:
    files = [path for path in [*root.glob("objects/*/*"), *root.glob("mail/**/cur/*")] if path.is_file()]
    return {path.relative_to(root): path.read_bytes() for path in files}


def take_away(root: Path, path: Path) -> None:
    """Remove an object with all of its placements."""
    for each in [path, *root.glob(f"mail/**/cur/*.{path.name}_*")]:
        each.unlink()


@pytest.mark.shows("run", "again", "check", "by_hand")
def test_what_was_damaged_by_hand_is_as_it_was(tmp_path: Path) -> None:
    archive = alices(tmp_path, *map(mail, range(3)))
    root, backup = archive.root, tmp_path / "backup"
    shutil.copytree(root, backup)
    before = contents(root)
    first, second, third = sorted(root.glob("objects/*/*"))
    first.chmod(0o640)
    first.write_bytes(b"damaged")
    take_away(root, second)
    third.chmod(0o660)
    damaged = tree(root)

    alone, check = (playbook(root, "--check", "--diff", **more) for more in ({}, {"archive_repair_backups": [str(backup)]}))
    assert tree(root) == damaged
    assert (alone.rc == 0, check.rc) == (False, 0)
    assert f"-object_missing objects/{second.parent.name}/{second.name}" in check.output
    done, again = (playbook(root, archive_repair_backups=[str(backup)]) for _ in range(2))
    assert (done.rc, again.rc) == (0, 0), done.output
    (looked, repaired), (nothing,) = (
        [task.result for one in runs for task in one.of("archive_repair")] for runs in ((check, done), (again,))
    )
    assert looked["steps"] == repaired["steps"]
    assert {step["action"] for step in repaired["steps"]} == {"set_mode", "restore_object", "link_placement"}
    assert (looked["changed"], repaired["changed"], nothing["changed"]) == (True, True, False)
    assert (repaired["left"], nothing["msg"]) == (0, "No damage")
    assert contents(root) == before


def test_what_a_server_has_is_there_again_after_the_next_run(lab_factory: Factory, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    site = furnish(lab_factory(servers=2, users=1), 12)
    play(*site.ready(root), site.run(root, MAILBOXES))
    before = contents(root)
    take_away(root, min(path for path in root.glob("objects/*/*") if path.stat().st_nlink > 1))
    asked, archived, whole = play(repair(root, from_server=True), site.run(root, MAILBOXES), repair(root))
    assert (asked.status, {step["action"] for step in asked.result["steps"]}) == ("ignored", {"read_again"})
    assert archived.status == "changed"
    assert (whole.status, whole.msg) == ("ok", "No damage")
    assert contents(root) == before


@pytest.mark.shows("broken")
def test_where_there_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (empty,) = play(repair(tmp_path / "empty"))
    assert_one_sentence(empty, f"{tmp_path}/empty: it holds no archive.", "Create the archive with archive_store, or mount")
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]
