# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/users.yml on inventory/lab: what it asks of the servers, a server that cannot be read, and check mode."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from tests.lab.fixtures import Factory, Lab
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import run

USERS = ROOT / "playbooks" / "users.yml"
INVENTORY = ROOT / "inventory" / "lab"
READING = {"Server.getVersion", "Domains.get", "Users.get", "Groups.get", "Aliases.get"}


def users_yml(lab: Lab, work: Path, *args: str) -> PlaybookRun:
    return run(USERS, *args, inventory=INVENTORY, KERIO_LAB_JSON=str(lab.file), KERIO_LAB_WORK_DIR=str(work))


def result(done: PlaybookRun) -> dict[str, t.Any]:
    (task,) = done.of("archive_users")
    return task.result


def test_nothing_is_written_to_kerio_and_a_server_that_is_down_keeps_its_users(lab_factory: Factory, tmp_path: Path) -> None:
    lab = lab_factory(servers=2, users=2)
    root = tmp_path / "archive"
    store_setup.ensure(store_setup.Wish(str(root)), check_mode=False)
    rights = '{"archive_users_rights": [{"user": "gina@example.org", "reads": ["alice@example.com"]}]}'
    lab["mail1"].forget()
    lab["mail2"].forget()
    first = users_yml(lab, tmp_path, "-e", rights)
    assert first.rc == 0, first.output
    assert [task.action.rsplit(".", 1)[-1] for task in first.changed()] == ["archive_users"]
    for server in lab.servers:
        assert {call["method"] for call in server.calls()} == {*READING, "Session.login", "Session.logout"}
        assert server.writes() == []
    with Catalog.of(str(root), readonly=True) as catalog:
        before = {user.name: user for user in catalog.users()}
    assert set(before) == {"alice@example.com", "bob@example.com", "gina@example.org", "henri@example.org"}
    assert (before["gina@example.org"].kerio_login, before["gina@example.org"].reads) == (
        "gina@example.org",
        ("alice@example.com",),
    )

    lab["mail1"].remove_users([lab["mail1"].user("bob")["id"]])
    lab["mail2"].service("stop")
    kept = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    second = users_yml(lab, tmp_path, "--check", "-e", "archive_users_delete=true")
    why = "is not in the directory of mail1 any more"
    assert result(second)["users"] == [{"name": "bob@example.com", "action": "delete", "why": why}]
    assert result(second)["msg"] == f"{root}: would change archive users (delete bob@example.com: {why})"
    # The others go on, and at the end the server that could not be read is told.
    assert second.rc != 0 and [task.host for task in second.failed()][-1] == "mail2"
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == kept
