# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_info in playbooks: a new archive, check mode, and a folder that is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from tests.lab.playbooks import PlaybookRun, run_playbook

PLAY = """\
- name: Ensure the archive is known
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Ensure its figures are read
      mailops.kerio.archive_info:
        root: "{{ root }}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts").write_text(f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    return tmp_path


def play(folder: Path, *args: str) -> PlaybookRun:
    return run_playbook(folder / "play.yml", "-e", f"root={folder}/archive", *args, inventory=folder / "hosts")


def test_a_new_archive_is_empty_and_reading_it_changes_nothing(folder: Path) -> None:
    Store.create(str(folder / "archive")).close()
    Catalog.open(str(folder / "archive/catalog.sqlite3")).close()
    before = sorted((folder / "archive").rglob("*"))
    for args in ((), ("--check",)):
        run = play(folder, *args)
        assert run.rc == 0, run.output
        (task,) = run.of("archive_info")
        assert task.result["totals"]["objects"] == 0
        assert task.result["runs"] == []
        assert not run.changed()
    assert sorted((folder / "archive").rglob("*")) == before


def test_a_folder_without_an_archive_is_an_error_that_names_the_remedy(folder: Path) -> None:
    run = play(folder)
    assert run.rc != 0
    assert "archive_store" in run.output
