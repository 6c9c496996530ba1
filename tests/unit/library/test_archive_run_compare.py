# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_run in its mode compare: the job, check mode, the file in the archive, what fails; the mail comes from memory."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run, run_look
from ansible_collections.mailops.kerio.plugins.modules import archive_run
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.compare_scene import ALICE, BOB, files, object_of
from tests.unit.module_utils.archive.engine_fake import MASTER, MULTIPLE, Archive, FakeServers, mail


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Two archived messages of a user, and one more on the server."""
    for module in (run, run_look):
        monkeypatch.setattr(module, "Imap", servers.imap)
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    made.profiles = [MULTIPLE]
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    made.run()
    servers.folder("mail1", ALICE).add(mail(3))
    return made


@pytest.fixture
def servers(tmp_path: Path) -> FakeServers:
    return FakeServers(tmp_path / "imap.log")


def compare(archive: Archive, *, check: bool = False, **more: t.Any) -> dict[str, t.Any]:
    servers = [{"name": "mail1", "master_password": MASTER}]
    asked = {"root": str(archive.root), "servers": servers, "profiles": [MULTIPLE], "mode": "compare", **more}
    return run_module(archive_run.main, check=check, **asked)


def report(archive: Archive) -> Path:
    return archive.root / "reports" / "compare.json"


def test_a_comparison_is_a_job_of_its_own_and_leaves_its_report(archive: Archive) -> None:
    before = archive.dump()
    result = compare(archive, compare_sample=1, compare_sizes=True)
    assert (result["failed"], result["changed"]) == (False, False)
    assert result["msg"] == "2 of 3 messages in 1 mailbox on the servers are in the archive; not in it: 1 new"
    assert (result["compare"]["on_server"], result["compare"]["archived"], result["compare"]["new"]) == (3, 2, 1)
    assert (result["compare"]["sizes_compared"], result["compare"]["messages_read"]) == (2, 1)
    assert (result["run"]["errors"], len(result["table"])) == ([], 2)
    assert result["job"]["state"] == "finished"
    assert result["job"]["line"].startswith(f"[mail1] 1/1 {ALICE} 3 messages")
    assert (archive.root / "jobs" / "archive_compare").is_dir()
    kept = json.loads(report(archive).read_text("utf-8"))
    assert kept["compare"]["profiles"][0]["mailboxes"][0]["folders"][0]["reasons"][0]["uids"] == "3"
    assert archive.dump() == before
    assert not any(MASTER.encode() in path.read_bytes() for path in archive.root.rglob("*") if path.is_file())


def test_check_mode_compares_and_writes_nothing(archive: Archive) -> None:
    before = files(archive.root)
    result = compare(archive, check=True, compare_sample=1)
    assert (result["msg"].partition(" on ")[0], result["failed"]) == ("2 of 3 messages in 1 mailbox", False)
    assert files(archive.root) == before


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_a_missing_object_and_a_mailbox_that_does_not_open_fail_unless_told_not_to(
    archive: Archive, check: bool, fails: bool
) -> None:
    archive.user(BOB)
    object_of(archive, 2).unlink()
    result = compare(archive, check=check, fail_on_errors=fails)
    assert (result["failed"], result["changed"]) == (fails, False)
    assert {error["where"] for error in result["run"]["errors"]} == {f"mail1 {ALICE} INBOX", f"mail1 {BOB}"}
    assert (result["compare"]["missing"], result["compare"]["archived"]) == (1, 1)
    assert "; 2 problems: " in result["msg"]
    assert report(archive).exists() != check


@pytest.mark.parametrize("sample", [-1, 1_000_001])
def test_a_sample_that_cannot_be_is_refused(archive: Archive, sample: int) -> None:
    result = compare(archive, compare_sample=sample)
    assert result["failed"]
    assert result["msg"] == f"compare_sample: {sample} cannot be used. Give a whole number from 0 to 1000000."


def test_one_mailbox_is_compared_when_it_is_asked_for(archive: Archive) -> None:
    archive.user(BOB)
    assert compare(archive, check=True, mailbox=ALICE)["failed"] is False
    assert compare(archive, check=True, mailbox="nobody@example.com")["failed"] is True


def test_without_an_archive_it_says_so(archive: Archive, tmp_path: Path) -> None:
    archive.root = tmp_path / "none"
    for check in (True, False):
        assert compare(archive, check=check)["failed"]
    assert not archive.root.exists()
