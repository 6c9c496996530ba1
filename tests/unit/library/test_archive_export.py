# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_export: the job and its result, what cannot be asked for, and what the ledger says of it."""

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_module import ABOUT
from ansible_collections.mailops.kerio.plugins.modules import archive_audit, archive_export
from tests.play.trees import tree
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import Archive, mail
from tests.unit.module_utils.archive.export_scene import ALICE, BOB, damage, files, furnished, of_manifest, placed


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return furnished(tmp_path)


def export(archive: Archive, dest: Path, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(
        archive_export.main, check=check, dest=str(dest), **{"root": str(archive.root), "all_users": True, **options}
    )


@pytest.mark.shows("change", "again", "check", "diff")
def test_an_export_is_a_job_that_changes_nothing_the_second_time(archive: Archive, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    before = tree(archive.root)
    check = export(archive, dest, check=True, by="Dana", reason="Ticket 4711")
    assert (tree(archive.root), dest.exists()) == (before, False)
    done = export(archive, dest, by="Dana", reason="Ticket 4711")
    assert (check["changed"], done["changed"], check["diff"]) == (True, True, done["diff"])
    assert done["diff"]["after"].splitlines()[1] == f"{ALICE}/{ALICE}/Sent: 2 messages" and not done["diff"]["before"]
    assert (done["job"]["state"], done["exported"]["new"]) == ("finished", check["exported"]["new"])
    assert of_manifest(dest) == placed(archive)
    again = export(archive, dest, by="Dana", reason="Ticket 4711")
    assert (again["changed"], again["failed"], "diff" in again) == (False, False, False)

    archive.run(processes=1)
    told = run_module(archive_audit.main, root=str(archive.root), events=["exported"], about=str(dest))["entries"]
    manifest = hashlib.sha256((dest / "manifest.jsonl").read_bytes()).hexdigest()
    assert [(one["outcome"], one["by"], one["reason"], one["to"]) for one in told] == [
        (outcome, "Dana", "Ticket 4711", str(dest)) for outcome in ("begun", "done")
    ]
    assert (told[1]["messages"], told[1]["bytes"]) == (done["exported"]["messages"], done["exported"]["bytes"])
    assert told[1]["manifest"] == done["exported"]["manifest"] == manifest


def test_an_archive_is_the_same_with_a_slash_behind_its_name(archive: Archive, tmp_path: Path) -> None:
    export(archive, tmp_path / "dest")
    again = export(archive, tmp_path / "dest", root=f"{archive.root}/")
    assert (again["failed"], again["changed"]) == (False, False), again["msg"]


def test_the_ledger_finds_an_export_by_whose_mail_it_was(archive: Archive, tmp_path: Path) -> None:
    export(archive, tmp_path / "dest", all_users=False, users=[BOB])
    archive.run(processes=1)
    told = run_module(archive_audit.main, root=str(archive.root), events=["exported"], about="bob@")
    assert (told["count"], told["entries"][0]["selection"]["users"]) == (2, [BOB])
    size = sum(len(mail(number)) for number in (1, 4, 5))
    assert f"exported (done) 3 messages, {size} bytes, as mbox to {tmp_path}/dest, selected" in told["table"][1]


@pytest.mark.shows("error")
def test_damage_fails_the_module_once_the_rest_is_there(archive: Archive, tmp_path: Path) -> None:
    path = damage(archive, mail(1))
    done = export(archive, tmp_path / "dest", format="eml")
    assert (done["failed"], done["changed"], done["damaged"]) == (True, True, 3)
    assert done["damage"][0]["subject"] == str(path) and done["damage"][0]["remedy"].startswith("Run archive_repair")
    assert f"3 could not be exported: {path}: " in done["msg"]
    assert sum(of_manifest(tmp_path / "dest").values()) == done["exported"]["messages"] - 3


OPTIONS: dict[str, tuple[dict[str, t.Any], str]] = {
    "nobody": ({"all_users": False}, "users: nobody is named"),
    "somebody and all": ({"users": [BOB]}, "users: all_users is given as well"),
    "stranger": ({"all_users": False, "users": ["eve"]}, "the archive has no user eve"),
    "no time": ({"since": "yesterday"}, "since: 'yesterday' is no time"),
    "no span": ({"since": "2026-01-02", "before": "2026-01-02"}, "before: it is not later than since"),
    "in the archive": ({"dest": "{root}/reports/mine"}, "lies in the archive"),
    "around the archive": ({"dest": "{root}/.."}, "the archive lies in"),
    "relative": ({"dest": "here"}, "dest: "),
    "a file": ({"dest": "{root}/../file"}, "file is no directory"),
    "a link to nothing": ({"dest": "{root}/../link"}, "link is a symbolic link that leads to no directory"),
    "not mounted": ({"dest": "{root}/../absent/dest"}, "absent is not there"),
    "mode": ({"mode": "0600x"}, "'0600x' is no mode of files"),
    "mode to run": ({"mode": "0755"}, "lets files be executed"),
    "owner": ({"owner": "nobody-of-that-name"}, "there is no owner 'nobody-of-that-name'"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_what_cannot_be_asked_for_is_told_and_nothing_is_written(archive: Archive, tmp_path: Path, name: str) -> None:
    options, told = OPTIONS[name]
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nothing")
    before = files(archive.root)
    given = {"dest": str(tmp_path / "dest"), **options}
    given["dest"] = given["dest"].format(root=archive.root)
    for check in (True, False):
        result = run_module(archive_export.main, check=check, **{"root": str(archive.root), "all_users": True, **given})
        assert result["failed"] and told in result["msg"], result["msg"]
    assert {file for file in files(archive.root) - before if not file.startswith("jobs/")} == set()


def test_a_job_is_about_everything_that_makes_a_difference() -> None:
    assert set(ABOUT) == {name for name in archive_export.ARGUMENTS if not name.startswith("job_")}
