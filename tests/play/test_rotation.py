# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/rotate-master-password.md over three servers: between its steps archiving goes on, and no server sees a second guess."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.blocks import played
from tests.lab.fixtures import Factory, Lab
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.archive_site import MAILBOXES, send
from tests.play.helpers import failed_logins, run

PAGE = "docs/rotate-master-password.md"
INVENTORY = ROOT / "inventory" / "lab"
OLD, NEW = "not-a-secret-master-old", "not-a-secret-master-new"
# What the vault has before the rotation, after step 1, after step 2, and at the end.
BEFORE = {"password": OLD}
BOTH = {"password": OLD, "other_password": NEW}
SWAPPED = {"password": NEW, "other_password": OLD}
AFTER = {"password": NEW}
STILL = "{}: the server still takes the other master password; finish the rotation"
NOBODY: dict[str, int] = {}


@dataclass
class Fleet:
    """Three servers and one archive; every run finds one new message on each server."""

    lab: Lab
    work: Path
    sent: int = 0

    def play(self, playbook: str, passwords: dict[str, str], *args: str) -> tuple[PlaybookRun, dict[str, int]]:
        """Run a playbook; return it with the logins that servers counted as failed, by server."""
        master = {"enabled": True, "ip_address_group": "Archive hosts", **passwords}
        # mailserver.cfg is as it comes from the installer, so that nothing is restarted.
        values = {
            "kerio_connect_master_authentication": master,
            "archive_profiles": [MAILBOXES],
            "kerio_mailserver_cfg_permanent_delete": False,
        }
        variables, third = self.work / "vault.json", self.work / "third.yml"
        variables.write_text(json.dumps(values), encoding="utf-8")
        third.write_text("kerio_servers: {hosts: {mail3: }}\n", encoding="utf-8")
        for server in self.lab.servers:
            server.forget()
        environment = {"KERIO_LAB_JSON": str(self.lab.file), "KERIO_LAB_WORK_DIR": str(self.work / "site")}
        options = ("-i", str(third), "-e", f"@{variables}", *args)
        done = run(ROOT / "playbooks" / playbook, *options, inventory=INVENTORY, **environment)
        counted = {server.name: len(failed_logins(server)) for server in self.lab.servers}
        return done, {name: count for name, count in counted.items() if count}

    def archive(
        self, passwords: dict[str, str], playbook: str = "archive.yml", unwritten: t.Sequence[str] = ()
    ) -> tuple[list[str], dict[str, int]]:
        """Have new mail of all servers archived; return the warnings and the failed logins by server.

        Nothing may fail but the configuration of the servers ``unwritten``.
        """
        for server in self.lab.servers:
            self.sent += 1
            person = next(user for user in server.users if user["address"] != server.archive_mailbox)
            send(server, person["address"], number=self.sent)
        done, failed = self.play(playbook, passwords)
        assert {task.host for task in done.failed()} == set(unwritten), done.output
        assert (done.rc == 0) == (not unwritten)
        (task,) = done.of("archive_run")
        assert [profile["new"] for profile in task.result["profiles"]] == [len(self.lab.servers)]
        return task.result.get("warnings", []), failed


@pytest.fixture
def fleet(lab_factory: Factory, tmp_path: Path) -> Fleet:
    work = tmp_path / "site"
    work.mkdir()
    return Fleet(lab_factory(servers=3, users=2), tmp_path)


def test_the_runbook_fails_no_run_and_costs_each_server_one_guess_a_run_at_most(fleet: Fleet) -> None:
    mail3 = fleet.lab["mail3"]
    assert fleet.archive(BEFORE, "site.yml") == ([], NOBODY)

    # Step 1: the new password is known and used nowhere.
    assert fleet.archive(BOTH) == ([], NOBODY)

    # A check of step 2 tries nothing.
    check, failed = fleet.play("configure.yml", SWAPPED, "--check")
    assert (check.rc, failed) == (0, NOBODY), check.output

    # Step 2, one server to begin with; a run that began earlier still has the variables of step 1.
    book, options = played(
        PAGE, "ansible-playbook -i inventory/mine playbooks/configure.yml --ask-vault-pass --limit mail1.example.com"
    )
    here = [option.removesuffix(".example.com") for option in options]
    first, failed = fleet.play(book.removeprefix("playbooks/"), SWAPPED, *here)
    assert (first.rc, failed) == (0, {"mail1": 1}), first.output
    assert fleet.archive(BOTH) == ([STILL.format("mail1")], {"mail1": 1})

    # Step 2, all servers; one of them cannot be written. Archiving in the same run begins with the other password there.
    with mail3.switched(refuse_writes=True):
        assert fleet.archive(SWAPPED, "site.yml", unwritten=["mail3"]) == ([STILL.format("mail3")], {"mail2": 1, "mail3": 1})
    assert fleet.archive(SWAPPED) == ([STILL.format("mail3")], {"mail3": 1})

    # Step 3: the next run finishes it.
    assert fleet.archive(SWAPPED, "site.yml") == ([], {"mail3": 1})

    # Step 4: the old password is forgotten.
    assert fleet.archive(AFTER) == ([], NOBODY)
