# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_info: totals, open states, unknown addresses, last runs; nothing is written."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import values_of
from ansible_collections.mailops.kerio.plugins.modules import archive_info
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

JOURNAL = "archive@example.com"


@pytest.fixture(autouse=True)
def _free(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 GiB, however much the disk of the test has."""
    monkeypatch.setattr(filesystem, "space", lambda _path: filesystem.Space(100 << 30, 1_000_000))


@pytest.mark.shows("read", "check")
def test_what_an_archive_holds(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "imap.log")
    archive = Archive(tmp_path / "archive", servers)
    archive.user("alice@example.com")
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    archive.profiles = [multidrop()]
    servers.folder("mail1", JOURNAL, bad={4}).add(mail(1), mail(2), mail(3, to="x@example.com"), mail(4))
    archive.run()
    before = sorted(archive.root.rglob("*"))
    result = run_module(archive_info.main, root=str(archive.root), runs=1)
    assert not result["changed"]
    assert {key: result["totals"][key] for key in ("objects", "placements", "users")} == {
        "objects": 2,
        "placements": 2,
        "users": 1,
    }
    assert result["states"] == {"excluded": 0, "left": 1, "failed": 1, "quarantined": 0}
    assert result["receipts"] == {"deleted": 0, "planned": 0}
    assert {"address": "x@example.com", "messages": 1} in result["unknown_addresses"]
    (watched,) = result["mailboxes"]
    assert (watched["profile"], watched["mailbox"], watched["archived"], watched["on_server"]) == ("journal", JOURNAL, 2, 4)
    assert (watched["left"], watched["failed"], watched["succeeded"]) == (1, 1, watched["tried"])
    (run,) = result["runs"]
    assert (run["outcome"], run["summary"]["new"]) == ("problems", 2)
    assert run_module(archive_info.main, check=True, root=str(archive.root), runs=1) == result
    assert sorted(archive.root.rglob("*")) == before


def test_how_long_the_room_lasts(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", FakeServers(tmp_path / "imap.log"))
    young = run_module(archive_info.main, root=str(archive.root))
    assert (young["forecast"]["days"], young["warnings"]) == (None, [])
    now = int(time.time())
    with Catalog.open(archive.catalog_file) as catalog, catalog.transaction():
        for day in range(40):  # 5 GB a day
            ended = now - day * 86_400 - 60
            summary = json.dumps({"objects": 1000, "stored_bytes": 5 * 10**9 - 1000 * 3600})
            catalog._db.execute("INSERT INTO runs(started, finished, summary) VALUES (?, ?, ?)", (ended, ended, summary))
    found = run_module(archive_info.main, root=str(archive.root), reserve=10 << 10)
    expected = {"days": (90 << 30) // (5 * 10**9), "limit": "bytes", "bytes_per_day": 5 * 10**9, "inodes_per_day": 1000.0}
    assert {name: found["forecast"][name] for name in expected} == expected
    assert (found["forecast"]["room_bytes"], found["forecast"]["room_inodes"]) == (90 << 30, 990_000)
    (warning,) = found["warnings"]
    assert warning.startswith(found["forecast"]["sentence"])
    assert "last 19 days, fewer than 30. Extend the file system or move the archive" in warning
    assert run_module(archive_info.main, root=str(archive.root), reserve=10 << 10, forecast_days=19)["warnings"] == []


def test_who_has_no_mailbox_which_mailboxes_are_nobodys_and_what_failed(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "imap.log")
    archive = Archive(tmp_path / "archive", servers)
    for name in ("alice", "bob", "carol"):
        archive.user(f"{name}@example.com")
        servers.folder("mail1", f"{name}@example.com").add(mail(1))
    servers.folder("mail1", JOURNAL).add(mail(2))
    servers.folder("mail1", "alice@example.com", "Sent", bad={1}).add(mail(3))
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    archive.profiles = [MULTIPLE, multidrop()]
    archive.run(quarantine_after=1)
    result = run_module(archive_info.main, root=str(archive.root))
    assert (result["users_without_mailbox"], result["mailboxes_without_user"]) == ([], [])
    where = {"server": "mail1", "mailbox": "alice@example.com", "folder": "Sent", "uidvalidity": 1, "uid": 1}
    (failed,) = result["failed_messages"]
    assert yaml.safe_load(failed.pop("acknowledge")) == where
    assert failed == {**where, "state": "quarantined", "attempts": 1, "reason": "NO internal error"}

    archive.user("dora@example.com")
    with Catalog.open(archive.catalog_file) as catalog:
        leaver = catalog.user_by_name("carol@example.com")
        assert leaver is not None
        catalog.apply_users([UserStep(leaver.id, values_of(leaver), delete=True)])
    archive.profiles = [{**MULTIPLE, "users": {"only": ["alice@example.com", "bob@example.com"]}}, multidrop()]
    archive.run()
    result = run_module(archive_info.main, root=str(archive.root))
    assert [(one["user"], one["server"]) for one in result["users_without_mailbox"]] == [("dora@example.com", "mail1")]
    assert [(one["server"], one["mailbox"]) for one in result["mailboxes_without_user"]] == [("mail1", "carol@example.com")]
    assert (result["users_without_mailbox_count"], result["mailboxes_without_user_count"]) == (1, 1)


@pytest.mark.shows("error")
def test_a_folder_without_an_archive_is_an_error(tmp_path: Path) -> None:
    result = run_module(archive_info.main, root=str(tmp_path), runs=1)
    assert result["failed"]
    assert "holds no archive" in result["msg"]
