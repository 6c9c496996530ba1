# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_export in playbooks: export.yml checked, run, again and after a change by hand; what is refused."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import Step, assert_one_sentence, play, run
from tests.play.trees import tree
from tests.unit.module_utils.archive.export_scene import ALICE, files, furnished, of_manifest, placed


def playbook(folder: Path, root: Path, *args: str, **variables: t.Any) -> PlaybookRun:
    given = {"archive_host_root": str(root), "archive_host_python": sys.executable, **variables}
    (folder / "variables.json").write_text(json.dumps(given), "utf-8")
    host = f"archive1 ansible_connection=local ansible_python_interpreter={sys.executable}"
    (folder / "hosts").write_text(f"[archive_hosts]\n{host}\n", "utf-8")
    return run(ROOT / "playbooks/export.yml", "-e", f"@{folder}/variables.json", *args, inventory=folder / "hosts")


@pytest.mark.shows("check")
def test_the_playbook_tells_before_it_writes(tmp_path: Path) -> None:
    archive = furnished(tmp_path)
    before = tree(archive.root)
    options = {"archive_export_dest": str(tmp_path / "dest"), "archive_export_users": [ALICE], "archive_export_format": "eml"}
    check = playbook(tmp_path, archive.root, "--check", **options)
    assert check.rc == 0, check.output
    (would,) = check.of("archive_export")
    assert (would.result["exported"]["new"], would.result["changed"]) == (10, True)
    assert f"+{ALICE}/{ALICE}/Sent: 2 messages" in check.output
    assert (tree(archive.root), (tmp_path / "dest").exists()) == (before, False)


@pytest.mark.shows("run", "again", "by_hand", "broken")
def test_an_export_is_there_stays_and_is_mended(tmp_path: Path) -> None:
    archive = furnished(tmp_path)
    dest = tmp_path / "dest"
    options = {"root": str(archive.root), "dest": str(dest), "all_users": True, "format": "maildir"}
    export = Step("archive_export", options)
    by_hand = Step("ansible.builtin.shell", {"cmd": f"find {dest} -name '*:2,S' -delete"})
    other = Step("archive_export", {**options, "format": "eml"})
    inside = Step("archive_export", {**options, "dest": f"{archive.root}/mail"})
    first, again, _deleted, mended, wrong_form, refused = play(export, export, by_hand, export, other, inside)
    assert (first.status, again.status, mended.status) == ("changed", "ok", "changed"), first.result
    assert first.result["exported"]["new"] == sum(placed(archive).values())
    assert mended.result["exported"]["new"] == first.result["exported"]["new"] - 1
    assert of_manifest(dest) == placed(archive)
    assert_one_sentence(wrong_form, "format:", "Give the same, or another dest")
    assert_one_sentence(refused, "dest:", "lies in the archive")
    assert not [file for file in files(dest) if file.startswith(".")]
