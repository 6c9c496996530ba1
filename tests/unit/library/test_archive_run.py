# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_run as a module: the job, check mode, partial failure, secrets; the mail comes from an in-memory IMAP."""

from __future__ import annotations

import os
import signal
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import run, run_look
from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_module as run_module_of_archive
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.modules import archive_run
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.archive.engine_fake import MASTER, MULTIPLE, OTHER, Archive, FakeServers, mail, multidrop
from tests.unit.module_utils.archive.test_evidence import PEM

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
JOURNAL = "archive@example.com"


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeServers:
    made = FakeServers(tmp_path / "imap.log")
    for module in (run, run_look):
        monkeypatch.setattr(module, "Imap", made.imap)
    return made


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    return made


def options(root: Path, **more: t.Any) -> dict[str, t.Any]:
    return {
        "root": str(root),
        "servers": [{"name": "mail1", "master_password": MASTER}],
        "profiles": [MULTIPLE],
        "processes": 1,
        **more,
    }


def server(**more: t.Any) -> dict[str, t.Any]:
    return {"name": "mail1", "master_password": MASTER, **more}


def module(archive: Archive, *, check: bool = False, **more: t.Any) -> dict[str, t.Any]:
    return run_module(archive_run.main, check=check, **options(archive.root, **more))


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """A folder and every path below it with the size and the time of the last change."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in [root, *sorted(root.rglob("*"))]}


def test_passwords_are_not_logged() -> None:
    assert archive_run.ARGUMENTS["passwords"]["no_log"] is True
    for name in ("master_password", "other_master_password"):
        assert archive_run.ARGUMENTS["servers"]["options"][name]["no_log"] is True


def test_every_password_is_a_secret() -> None:
    given = {"servers": [server(other_master_password=OTHER)], "passwords": {"journal": "not-a-secret-journal"}}
    params = options(Path("/archive"), only=[], mailbox=None, fail_on_errors=True, connections=0, **given)
    params.update(quarantine_after=5, acknowledged=[], reconcile_days=7)
    params.update(ledger_key=PEM, ledger_origin=None, ledger_checkpoints=[], job_owner=None)
    assert set(run_module_of_archive.secrets_of(params)) == {MASTER, OTHER, "not-a-secret-journal", PEM, PEM.splitlines()[1]}
    shown = repr(run_module_of_archive.options_of({**params, "reserve": 0}))
    assert "not-a-secret" not in shown and PEM.splitlines()[1] not in shown


def test_examples_and_return_values_are_yaml() -> None:
    assert all(task["name"].startswith("Ensure ") for task in yaml.safe_load(archive_run.EXAMPLES))
    assert {"profiles", "run"} <= set(yaml.safe_load(archive_run.RETURN))


@pytest.mark.shows("change", "again")
def test_a_run_is_a_job_and_a_second_one_changes_nothing(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    first = module(archive)
    assert (first["failed"], first["changed"]) == (False, True)
    assert first["msg"].startswith("2 new messages archived from 1 mailbox,")
    assert first["profiles"][0]["new"] == first["run"]["new"] == 2
    assert first["profiles"][0]["mailboxes"][0]["folders"][0]["bytes"] == len(mail(1) + mail(2))
    assert first["job"]["state"] == "finished"
    assert first["job"]["line"].startswith("[mail1] 1/1 alice@example.com 2 messages")
    second = module(archive)
    assert not second["changed"]
    assert second["run"]["known"] == 2


@pytest.mark.shows("check")
def test_check_mode_counts_and_writes_nothing(archive: Archive, servers: FakeServers) -> None:
    inbox = servers.folder("mail1", ALICE).add(mail(1))
    module(archive)
    inbox.add(mail(2), mail(3))
    servers.folder("mail1", ALICE, "Old").add(mail(4))
    before = snapshot(archive.root)
    fetched = len(servers.commands("FETCH"))
    result = module(archive, check=True)
    assert (result["changed"], result["run"]["new"], result["run"]["known"]) == (True, 3, 1)
    assert "would be archived" in result["msg"]
    assert "job" not in result
    assert snapshot(archive.root) == before
    assert len(servers.commands("FETCH")) == fetched
    assert module(archive)["run"]["new"] == 3
    assert not module(archive, check=True)["changed"]


def test_check_mode_before_there_is_an_archive(tmp_path: Path, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1))
    single = {"name": "one", "method": "single_mailbox", "mailbox": ALICE, "target_user": "alice", "credentials": "master"}
    other = {**MULTIPLE, "name": "others"}
    result = run_module(archive_run.main, check=True, **options(tmp_path / "none", profiles=[single, MULTIPLE, other]))
    assert not result["failed"]
    assert result["profiles"][0]["new"] == 1
    (told,) = [warning for warning in result["warnings"] if "no archive users" in warning]
    assert told.startswith(f"Of {MULTIPLE['name']}, others it cannot be told")
    assert "A run of site.yml makes them before it archives" in told
    assert not (tmp_path / "none").exists()


def test_check_mode_sees_what_a_new_user_opens_again(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", JOURNAL).add(mail(1, to=CAROL))
    profiles = {"profiles": [multidrop(credentials="master")]}
    assert module(archive, **profiles)["run"]["left"] == 1
    archive.user(CAROL)
    assert module(archive, check=True, **profiles)["run"]["new"] == 1


@pytest.mark.shows("error")
def test_a_run_with_problems_archives_the_rest_then_fails_with_everything(archive: Archive, servers: FakeServers) -> None:
    archive.user(BOB)
    servers.folder("mail1", ALICE, bad={2}).add(mail(1), mail(2))
    result = module(archive)
    assert (result["failed"], result["changed"]) == (True, True)
    assert "2 problems" in result["msg"]
    assert f"mail1 {BOB}" in result["msg"]
    assert result["run"]["profiles"][0]["failed"] == 1
    assert len(archive.tree()) == 1
    lenient = module(archive, fail_on_errors=False)
    assert not lenient["failed"]
    assert len(lenient["run"]["errors"]) == 2


def test_the_other_master_password_is_used_and_told_and_left_nowhere(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1))
    rotating = [server(master_password=OTHER, other_master_password=MASTER)]
    result = module(archive, servers=rotating)
    assert (result["failed"], result["run"]["new"]) == (False, 1)
    assert any("mail1: the server still takes the other master password" in warning for warning in result["warnings"])
    assert len(servers.commands("WRONG")) == 1
    assert [path for path in archive.root.rglob("*") if path.is_file() and b"not-a-secret" in path.read_bytes()] == []


def test_a_master_password_refused_before_is_told_and_not_tried(archive: Archive, servers: FakeServers) -> None:
    result = module(archive, servers=[server(refused="mail1: it is wrong and cannot be set")])
    assert result["failed"]
    assert "is not tried again: mail1: it is wrong and cannot be set" in result["msg"]
    assert not servers.commands("LOGIN")
    assert module(archive, servers=[server(refused="")])["failed"] is True  # the mailbox of the user is not there
    assert servers.commands("LOGIN")


def test_unverified_certificates_are_told_every_time(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE)
    unverified = [{"name": "mail1", "master_password": MASTER, "validate_certs": False}]
    for check, mode in ((True, "archive"), (False, "archive"), (False, "archive"), (False, "test"), (True, "estimate")):
        result = module(archive, check=check, mode=mode, servers=unverified)
        assert any("validate_certs" in warning for warning in result["warnings"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"servers": [{"name": "mail1", "access": "IMAP", "master_password": MASTER}]}, "without TLS"),
        ({"profiles": [{"name": "p", "method": "pop3"}]}, "profile p, key method"),
        ({"profiles": ["all"]}, "profile number 1: 'all' is no dictionary. Give each profile as a dictionary of keys"),
        ({"only": ["nobody"]}, "no profile has this name"),
        ({"servers": [server(other_master_password=MASTER)]}, "other_master_password: it is the same as master_password"),
        (
            {"servers": [server(other_master_password="too-short-1")]},
            "other_master_password: it is shorter than 12 characters",
        ),
        ({"servers": [server(other_master_password=OTHER, master_password=None)]}, "there is no master_password beside it"),
        ({"connections": -1}, "connections: -1 cannot be used. Give a whole number from 0 to 10000"),
        ({"processes": -1}, "processes: -1 cannot be used"),
        ({"reserve": -1}, "reserve: -1 cannot be used"),
        ({"quarantine_after": 0}, "quarantine_after: 0 cannot be used. Give a whole number from 1"),
        ({"reconcile_days": -1}, "reconcile_days: -1 cannot be used"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_asked(
    archive: Archive, servers: FakeServers, change: dict[str, t.Any], words: str
) -> None:
    before = snapshot(archive.root)
    result = module(archive, **change)
    assert result["failed"]
    assert words in result["msg"]
    assert not servers.commands("LOGIN")
    assert snapshot(archive.root) == before


def test_without_an_archive_nothing_is_started(tmp_path: Path, servers: FakeServers) -> None:
    result = run_module(archive_run.main, **options(tmp_path / "none"))
    assert result["failed"]
    assert "none" in result["msg"]
    assert not (tmp_path / "none").exists()
    assert not servers.commands("LOGIN")


def test_an_archive_in_use_ends_well_and_names_the_holder(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1))
    with Store.open(str(archive.root), lock="archive_verify"):
        result = module(archive)
    assert (result["failed"], result["changed"]) == (False, False)
    assert "archive_verify" in result["msg"]
    assert result["holder"]["what"] == "archive_verify"


def test_no_secret_is_left_on_disk(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1))
    servers.folder("mail1", JOURNAL).add(mail(2))
    password = f"not-a-secret-{JOURNAL}"
    result = module(archive, profiles=[MULTIPLE, multidrop()], passwords={"journal": password})
    assert result["run"]["new"] == 2
    for path in archive.root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert MASTER.encode() not in content
            assert password.encode() not in content


@pytest.mark.parametrize("check", [True, False])
def test_the_mode_test_says_what_is_wrong_and_leaves_no_trace(archive: Archive, servers: FakeServers, check: bool) -> None:
    archive.user(BOB)
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    before = snapshot(archive.root)
    result = module(archive, mode="test", check=check)
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"].startswith(f"1 of 2 mailboxes can be read; 1 problem: mail1 {BOB}: ")
    assert {row["mailbox"]: (row["verdict"], row["messages"]) for row in result["test"]} == {
        ALICE: ("fine", 2),
        BOB: ("no_such_mailbox", 0),
    }
    assert result["run"]["verdicts"] == {"fine": 1, "no_such_mailbox": 1}
    assert [entry["where"] for entry in result["run"]["errors"]] == [f"mail1 {BOB}"]
    assert snapshot(archive.root) == before
    assert not servers.commands("FETCH")
    assert module(archive, mode="test", check=check, fail_on_errors=False)["failed"] is False
    assert module(archive, mode="test", check=check, mailbox=ALICE)["msg"] == "1 of 1 mailbox can be read"


@pytest.mark.parametrize("how", ["mode", "signal"])
def test_a_run_is_stopped_by_another_call_or_by_a_signal(
    archive: Archive, servers: FakeServers, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for name in ("INBOX", "Old", "Older"):
        servers.folder("mail1", ALICE, name).add(*(mail(number) for number in range(40)))
    message = servers.message

    def slowly(*args: t.Any) -> t.Any:
        time.sleep(0.05)
        return message(*args)

    monkeypatch.setattr(servers, "message", slowly)
    nothing = module(archive, mode="stop")
    assert (nothing["changed"], nothing["msg"]) == (False, "Nothing to stop: no run is under way")
    assert module(archive, job_owner="me", job_wait=1)["job"]["state"] == "running"
    assert "would be stopped" in module(archive, mode="stop", check=True)["msg"]
    if how == "mode":
        stopped = module(archive, mode="stop")
        assert (stopped["failed"], stopped["changed"]) == (False, True)
        assert stopped["msg"].startswith("The run of me has ended: ")
        assert "stopped on request" in stopped["msg"]
    else:
        os.kill(job.status(archive.root / "jobs", "archive_run").pid, signal.SIGTERM)
    result = module(archive, job_owner="me", job_wait=30, job_seen=2**31 - 1)
    assert (result["failed"], result["run"]["outcome"], result["job"]["state"]) == (False, "stopped", "finished")
    assert result["run"]["new"] < 120
    monkeypatch.undo()
    monkeypatch.setattr(run, "Imap", servers.imap)
    assert module(archive)["run"]["new"] == 120 - result["run"]["new"]


@pytest.mark.parametrize("check", [True, False])
def test_the_mode_estimate_counts_and_leaves_no_trace(archive: Archive, servers: FakeServers, check: bool) -> None:
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    before = snapshot(archive.root)
    result = module(archive, mode="estimate", check=check)
    assert (result["failed"], result["changed"]) == (False, False)
    assert (result["estimate"]["messages"], result["estimate"]["bytes"]) == (2, len(mail(1) + mail(2)))
    assert result["msg"].startswith("2 messages, ")
    assert result["run"]["errors"] == []
    assert snapshot(archive.root) == before
    assert module(archive)["run"]["bytes"] == result["estimate"]["bytes"]
