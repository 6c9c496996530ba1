# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_import in playbooks: import.yml out of another archive on the same host; again, and what cannot be taken."""

from __future__ import annotations

import json
import shutil
import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import Step, assert_one_sentence, play, run
from tests.play.trees import tree
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail
from tests.unit.module_utils.archive.import_scene import beside, mail_of

LOOK = Path(__file__).with_name("trees.py")
ALICE, BOB = "alice@example.com", "bob@example.com"


def take(root: Path, source: Path, *, check: bool = False, **options: t.Any) -> Step:
    given = {"root": str(root), "source": str(source), "reserve": 0, **options}
    return Step("archive_import", given, check, python=sys.executable)


def playbook(root: Path, *args: str, **variables: t.Any) -> PlaybookRun:
    file, inventory = root.with_name("variables.json"), root.with_name("hosts")
    given = {"archive_host_root": str(root), "archive_host_python": sys.executable, "archive_host_reserve": 0, **variables}
    file.write_text(json.dumps(given), "utf-8")
    hosts = (f"{name} ansible_connection=local ansible_python_interpreter={sys.executable}" for name in ("archive1", "archive2"))
    inventory.write_text("\n".join(["[archive_hosts]", *hosts, ""]), "utf-8")
    return run(ROOT / "playbooks/import.yml", "-e", f"@{file}", *args, inventory=inventory)


@pytest.mark.shows("run", "again", "check", "by_hand", "broken")
def test_users_come_out_of_the_other_archive_once(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "imap.log")
    there = Archive(tmp_path / "old", servers)
    for address in (ALICE, BOB):
        there.user(address)
        servers.folder("mail1", address).add(*map(mail, range(3)))
    there.profiles = [MULTIPLE]
    there.run()
    here = beside(there)
    before, empty = tree(there.root), tree(here.root)

    chosen = {"archive_import_source": str(there.root), "archive_import_users": [ALICE]}
    nobody = playbook(here.root, **chosen)
    assert nobody.rc != 0
    assert "Give one with --limit, out of archive1, archive2" in nobody.output
    assert tree(here.root) == empty
    done = playbook(here.root, "--limit", "archive2", **chosen)
    assert done.rc == 0, done.output
    (taken,) = done.of("archive_import")
    assert (taken.result["changed"], taken.result["imported"]["new"]) == (True, 3)
    assert done.of("assert")[-1].result["msg"] == taken.result["msg"]
    assert tree(there.root) == before
    assert mail_of(here) == {name: body for name, body in mail_of(there).items() if name.startswith(ALICE)}

    # One more message there since, and an object that somebody removed with its placement.
    copy = tmp_path / "copy"
    servers.folder("mail1", BOB).add(mail(7, to=BOB))
    there.run()
    shutil.copytree(there.root, copy, copy_function=shutil.copy2)
    (placed,) = [
        path
        for path in copy.glob("mail/bob*/**/cur/*")
        if path.stat().st_size and path.read_bytes() not in mail_of(here).values()
    ]
    for path in [placed, *copy.glob(f"objects/*/{placed.name.partition('.')[2][:64]}")]:
        path.unlink()
    everybody, unchanged = {"domains": ["example.com"]}, tree(here.root)
    check, look, again, missing, mended, broken = play(
        take(here.root, there.root, check=True, **everybody),
        Step("ansible.builtin.command", {"argv": [sys.executable, str(LOOK), str(here.root)]}),
        take(here.root, there.root, users=[ALICE]),
        take(here.root, copy, **everybody),
        take(here.root, there.root, **everybody),
        take(here.root, tmp_path / "empty", users=[BOB]),
    )
    assert (check.status, check.result["imported"]["new"], check.result["imported"]["known"]) == ("changed", 4, 3)
    assert json.loads(look.result["stdout"]) == unchanged
    assert (again.status, again.result["imported"]["known"]) == ("ok", 3)
    assert (missing.failed, missing.changed, missing.result["imported"]["new"]) == (True, True, 3)
    assert "archive_repair" in missing.msg
    assert (mended.status, mended.result["imported"]["new"], mended.result["imported"]["known"]) == ("changed", 1, 6)
    assert_one_sentence(broken, f"source: {tmp_path}/empty: it holds no archive. Mount it")
    assert mail_of(here) == mail_of(there)
