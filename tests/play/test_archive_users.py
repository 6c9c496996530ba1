# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_users in playbooks: check, run, again, change, delete, error."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from tests.lab.playbooks import PlaybookRun, run_playbook

PLAY = """\
- name: Ensure the archive has its users
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Ensure the users are those of the server
      mailops.kerio.archive_users:
        root: "{{ root }}"
        directories: [{server: mail1, users: "{{ people }}"}]
        not_users: [archive@example.com]
        delete: true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Store.create(str(tmp_path / "archive")).close()
    Catalog.open(str(tmp_path / "archive/catalog.sqlite3")).close()
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts").write_text(f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    return tmp_path


def play(folder: Path, people: list[dict[str, t.Any]], *args: str) -> PlaybookRun:
    variables = json.dumps({"root": str(folder / "archive"), "people": people})
    return run_playbook(folder / "play.yml", "-e", variables, "--diff", *args, inventory=folder / "hosts")


def person(login: str, **more: t.Any) -> dict[str, t.Any]:
    return {"id": f"id-{login}", "login": login, "domain": "example.com", "address": f"{login}@example.com", **more}


def counts(run: PlaybookRun) -> dict[str, int]:
    assert run.rc == 0, run.output
    (task,) = run.of("archive_users")
    found: dict[str, int] = task.result["counts"]
    return found


def test_check_run_again_change_delete(folder: Path) -> None:
    people = [person("ann"), person("ben"), person("archive")]
    wanted = {"create": 2, "change": 0, "delete": 0}
    assert counts(play(folder, people, "--check")) == wanted
    assert counts(play(folder, people)) == wanted
    again = play(folder, people)
    assert again.changed() == [] and counts(again) == dict.fromkeys(wanted, 0)
    renamed = play(folder, [person("anna", id="id-ann")])
    assert counts(renamed) == {"create": 0, "change": 1, "delete": 1}
    with Catalog.open(str(folder / "archive/catalog.sqlite3")) as catalog:
        assert [(user.name, user.tree) for user in catalog.users()] == [("anna@example.com", "ann@example.com")]


def test_a_masked_directory_is_an_error(folder: Path) -> None:
    (failed,) = play(folder, [person("ann", address="********@example.com")]).failed()
    assert failed.result["error"]["kind"] == "input" and "masked by Ansible" in failed.result["msg"]
