# SPDX-License-Identifier: GPL-3.0-or-later
"""Root that works as the account that owns the archive: what it makes, where it cannot be led, and how it comes back."""

from __future__ import annotations

import os
import pwd
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job, job_account
from ansible_collections.mailops.kerio.plugins.module_utils.errors import JobError
from tests.unit.module_utils.job_work import Held, ended

ACCOUNT = pwd.getpwnam("nobody")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="no right to be another user on this machine")


@pytest.fixture
def theirs(open_path: Path) -> Path:
    """A folder of the account."""
    folder = open_path / "theirs"
    folder.mkdir()
    os.chown(folder, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
    return folder


def numbers(pid: int | str = "self") -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return {name: " ".join(rest.split()) for name, _, rest in (line.partition(":") for line in lines)}


@root_only
def test_root_works_as_the_account_and_comes_back(theirs: Path) -> None:
    before = {key: numbers()[key] for key in ("Uid", "Gid", "Groups")}
    with job_account.acting(ACCOUNT.pw_name):
        uid, gid = ACCOUNT.pw_uid, ACCOUNT.pw_gid
        assert (os.getresuid(), os.getresgid()) == ((uid, uid, 0), (gid, gid, 0))
        assert set(os.getgroups()) == {gid}
        (theirs / "made").touch()
        with pytest.raises(PermissionError):
            (theirs.parent / "made").touch()
        with job_account.as_root():
            (theirs.parent / "of root").touch()
        assert os.geteuid() == uid
    assert {key: numbers()[key] for key in before} == before
    assert [(theirs / "made").stat().st_uid, (theirs.parent / "of root").stat().st_uid] == [uid, 0]


@root_only
def test_root_comes_back_from_an_error() -> None:
    with pytest.raises(ValueError, match="within"), job_account.acting(ACCOUNT.pw_name):
        raise ValueError("within")
    assert os.getresuid() == (0, 0, 0)


@root_only
def test_job_of_the_account_never_becomes_root_again(theirs: Path) -> None:
    work = Held(theirs)
    with job_account.acting(ACCOUNT.pw_name):
        running = job.start(theirs / "jobs", "edit", work, about={}, owner="first")
    seen = numbers(running.pid)
    assert (seen["Uid"], seen["Gid"]) == (" ".join([str(ACCOUNT.pw_uid)] * 4), " ".join([str(ACCOUNT.pw_gid)] * 4))
    assert seen["CapPrm"].strip("0") == ""
    work.go.touch()
    with job_account.acting(ACCOUNT.pw_name):
        assert ended(theirs / "jobs").state == job.FINISHED
    assert (theirs / "jobs" / "edit" / "result.json").stat().st_uid == ACCOUNT.pw_uid


@root_only
@pytest.mark.parametrize("link", ["jobs", "jobs/edit", "jobs/edit.lock"])
def test_links_of_the_account_lead_to_nothing_of_roots(theirs: Path, link: str) -> None:
    closed = theirs.parent / "closed"
    closed.mkdir(mode=0o700)
    (closed / "secret").touch(mode=0o600)
    (theirs / link).parent.mkdir(exist_ok=True)
    os.chown((theirs / link).parent, ACCOUNT.pw_uid, -1)
    (theirs / link).symlink_to(closed / "secret" if link.endswith("lock") else closed)
    with job_account.acting(ACCOUNT.pw_name), pytest.raises(JobError):
        job.start(theirs / "jobs", "edit", lambda _reporter: {}, about={}, owner="first")
    assert [path.name for path in closed.iterdir()] == ["secret"]


@root_only
def test_account_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(JobError, match="account kerio-nobody-such: there is none of that name"),
        job_account.acting("kerio-nobody-such"),
    ):
        pass


def test_nothing_happens_without_an_account_or_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.getresuid()
    with job_account.acting(""), job_account.acting("root"):
        assert os.getresuid() == before
    monkeypatch.setattr(job_account.os, "geteuid", lambda: 1000)
    forbidden: t.Any = pytest.fail
    monkeypatch.setattr(job_account.os, "setresuid", forbidden)
    with job_account.acting("no-such-account"):
        assert os.getresuid() == before
