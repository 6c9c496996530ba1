# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/site.yml when archive_users refuses: mail is archived for the users that are there, and the run fails at its end."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store_setup
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep, UserValues
from tests.lab.fixtures import Factory, Lab
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.archive_site import LEFT_OUT
from tests.play.helpers import run

PLAYBOOKS, INVENTORY = ROOT / "playbooks", ROOT / "inventory" / "lab"
TOLD = "Ensure everything declared for the server was done"
ALICE, GINA, HENRI = "alice@example.com", "gina@example.org", "henri@example.org"
TYPO = {"archive_users_rights": [{"user": "alise@example.com", "privileges": ["login"]}], "archive_only": ["mailboxes"]}
REFUSED = "The archive users are not synchronised: "


@pytest.fixture(scope="module")
def lab(lab_factory: Factory) -> Lab:
    made = lab_factory(servers=2, users=2)
    henri = made["mail2"].user("henri")["id"]
    assert made["mail2"].api("Users.set", {"userIds": [henri], "pattern": {"isEnabled": False}})["errors"] == []
    return made


def played(lab: Lab, work: Path, *books: str, **variables: t.Any) -> PlaybookRun:
    """Run playbooks as site.yml imports them."""
    later = {book: {"vars": {"kerio_failures_later": True}} for book in books[:-1]}
    imports = [{"ansible.builtin.import_playbook": str(PLAYBOOKS / f"{book}.yml"), **later.get(book, {})} for book in books]
    together = work / "together.yml"
    together.write_text(json.dumps(imports), encoding="utf-8")
    given = ("-e", json.dumps({**TYPO, **variables}))
    return run(together, *given, inventory=INVENTORY, KERIO_LAB_JSON=str(lab.file), KERIO_LAB_WORK_DIR=str(work))


def archive_with(work: Path, *names: str) -> Path:
    """An archive as an earlier run left it: its users are there, and Henri is disabled."""
    root = work / "archive"
    store_setup.ensure(store_setup.Wish(str(root)), check_mode=False)
    with Catalog.of(str(root)) as catalog:
        for name in names:
            server = "mail1" if name.endswith(".com") else "mail2"
            values = UserValues(name, "inventory", server=server, addresses=(name,), enabled=name != HENRI)
            catalog.apply_users([UserStep(None, values)])
    return root


def users(root: Path) -> list[User]:
    with Catalog.of(str(root), readonly=True) as catalog:
        return catalog.users(deleted=True)


def failures(done: PlaybookRun) -> list[tuple[str, str]]:
    return [(task.host, task.action.rsplit(".", 1)[-1]) for task in done.failed()]


def test_mail_of_both_servers_is_archived_and_the_refusal_is_told_at_the_end(lab: Lab, tmp_path: Path) -> None:
    root = archive_with(tmp_path, ALICE, GINA, HENRI)
    before = users(root)
    placed = [one for one in lab.fill(60) if one.folder not in LEFT_OUT and not one.copy_of]
    done = played(lab, tmp_path, "site", archive_access_enabled=True, archive_access_port="none")
    assert done.rc == 2, done.output
    (archived,) = done.of("archive_run")
    wanted = Counter(one.address for one in placed)
    assert wanted[ALICE] and wanted[GINA] and wanted[HENRI]
    (profile,) = archived.result["profiles"]
    found = {box["mailbox"]: box["new"] for box in profile["mailboxes"]}
    assert found == {ALICE: wanted[ALICE], GINA: wanted[GINA], HENRI: 0}
    # Henri is disabled at the server too, which does not open his mailbox: a warning, and no failure of the run.
    assert (archived.status, archived.result["run"]["errors"], archived.result["run"]["withheld"]) == ("changed", [], 1)
    assert [text for text in archived.result["warnings"] if f"the archive user {HENRI} is disabled; its mail cannot" in text]
    assert users(root) == before
    last = done.failed()[-1]
    assert (last.host, last.task) == ("archive1", TOLD)
    refused, access = str(last.result["msg"]).split("\n", 1)
    assert refused.startswith(REFUSED) and "alise@example.com" in refused
    assert access
    # The servers were left out of nothing.
    assert {host for host, _action in failures(done)} == {"archive1"}


def test_without_users_nothing_is_archived_and_that_is_told(lab: Lab, tmp_path: Path) -> None:
    books = ("users", "archive", "failures")
    root = archive_with(tmp_path)
    done = played(lab, tmp_path, *books)
    assert done.rc == 2 and not list(root.glob("mail/**/cur/*"))
    told = str(done.failed()[-1].result["msg"]).splitlines()
    assert any("there are no archive users with an address to file for" in line for line in told)
    assert [line for line in told if line.startswith(REFUSED) and "alise@example.com" in line]
