# SPDX-License-Identifier: GPL-3.0-or-later
"""The guarded edit: every failure ends with the service running on a consistent file, and with the truth in the error."""

from __future__ import annotations

import errno
import os
import signal
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.errors import (
    ArchiveToolError,
    BusyError,
    CfgError,
    ServiceError,
)
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import service
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_file import CfgFile
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.cfg_job import GuardedEdit, Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.mailserver_cfg import Selector
from tests.unit.module_utils.kerio.cfg_edit import DELETE, EDITED, SAVED, Quiet, edit, journal, leftovers
from tests.unit.module_utils.kerio.fake_kerio import FakeKerio


@pytest.fixture
def fake(tmp_path: Path) -> t.Iterator[FakeKerio]:
    (tmp_path / "state").mkdir()
    fake = FakeKerio(tmp_path)
    fake.service().start()
    (tmp_path / "calls").unlink()
    yield fake
    fake.end()


def failure(work: GuardedEdit, kind: type[ArchiveToolError]) -> dict[str, t.Any]:
    """Run the edit, which must fail with ``kind``; return the state that the error tells, with the error's text as ``said``."""
    with pytest.raises(kind) as caught:
        work(Quiet())
    return dict(caught.value.details["state"], said=caught.value.cause)


def assert_runs(fake: FakeKerio, state: dict[str, t.Any], data: bytes) -> None:
    """Assert that the service answers on ``data``, and that the error said so."""
    processes = fake.service().processes()
    assert (state["running"], state["not_answering"], state["pid"]) == (True, [], processes[0].pid)
    assert "and answers" in state["said"]
    assert fake.service().ready.missing() == []
    assert fake.cfg.read_bytes() == data


def test_variable_that_is_missing_fails_before_the_stop(fake: FakeKerio) -> None:
    with pytest.raises(CfgError, match="there is no variable 'Nothing' in it"):
        edit(fake, Wanted(Selector(name="Nothing"), "1"))(Quiet())
    assert fake.calls() == []


def test_variable_that_is_asked_for_twice_is_refused(fake: FakeKerio) -> None:
    twice = Wanted(Selector(path="Imap/AutoExpungeOnDelete"), "1")
    with pytest.raises(CfgError, match="asked for twice, as AutoExpungeOnDelete and Imap/AutoExpungeOnDelete"):
        edit(fake, DELETE, twice).probe()


def test_server_that_does_not_answer_where_we_look_is_not_stopped(fake: FakeKerio) -> None:
    ready = service.Ready("127.0.0.1", fake.imap_port, 0, 1)
    with pytest.raises(ServiceError, match="it runs, but there is no answer from admin API"):
        edit(fake, ready=ready)(Quiet())
    assert fake.calls() == []


def test_server_whose_process_is_not_found_is_not_stopped(fake: FakeKerio) -> None:
    work = edit(fake, process="/nowhere/mailserver", pid_file="/nowhere/kms.pid")
    for look in (work.probe, lambda: work(Quiet())):
        with pytest.raises(ServiceError, match=rf"no process runs /nowhere/mailserver, .* {fake.api_port}, {fake.imap_port};"):
            look()
    assert fake.calls() == []


def test_rights_that_cannot_be_copied_are_seen_before_the_stop(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    def fchown(_handle: int, _uid: int, _gid: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", fchown)
    with pytest.raises(CfgError, match="Operation not permitted"):
        edit(fake)(Quiet())
    assert (fake.calls(), leftovers(fake)) == ([], [])


def test_jobs_of_two_state_folders_do_not_change_one_file_at_once(fake: FakeKerio) -> None:
    with CfgFile(str(fake.cfg), fake.folder / "other-journal").exclusive(), pytest.raises(BusyError, match="another state_dir"):
        edit(fake)(Quiet())
    assert fake.calls() == []


def test_full_disk_is_seen_before_the_stop(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(fake.folder)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result([*real[:4], 0, *real[5:]]))
    with pytest.raises(CfgError, match="bytes left"):
        edit(fake)(Quiet())
    assert fake.calls() == []


def test_request_to_end_before_the_stop_is_obeyed(fake: FakeKerio) -> None:
    with pytest.raises(ServiceError, match="asked to end before it stopped it"):
        edit(fake)(Quiet(stop=True))
    assert fake.calls() == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_rename_that_fails(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target == fake.cfg:
            raise OSError(code, os.strerror(code), str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    state = failure(edit(fake), CfgError)
    assert os.strerror(code) in state["said"]
    assert_runs(fake, state, SAVED)
    assert leftovers(fake) == [Path(state["backup_file"]).name], "no half-written file is left"


def test_backup_that_cannot_be_written(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    def backup(_self: CfgFile, _data: bytes, _keep: int) -> Path:
        raise CfgError(str(fake.cfg), "no space left", "Make room")

    monkeypatch.setattr(CfgFile, "backup", backup)
    assert_runs(fake, failure(edit(fake), CfgError), SAVED)


def test_write_in_place_that_was_torn_is_repaired_by_the_next_run(fake: FakeKerio) -> None:
    fake.service().stop()
    backup = fake.folder / "mailserver.cfg.kerio-archive.20010101T000000Z"
    backup.write_bytes(SAVED)
    fake.cfg.write_bytes(SAVED[:50])
    journal(fake, backup)
    assert "was interrupted while it wrote in place" in edit(fake).probe().reasons[0]
    edit(fake)(Quiet())
    assert fake.cfg.read_bytes() == EDITED
    assert edit(fake).probe().reasons == []


def test_file_that_was_written_anew_after_a_torn_write_is_left_to_whoever_wrote_it(fake: FakeKerio) -> None:
    backup = fake.folder / "mailserver.cfg.kerio-archive.20010101T000000Z"
    backup.write_bytes(b"<config/>")
    file = journal(fake, backup, age=61)
    edit(fake)(Quiet())
    assert fake.cfg.read_bytes() == EDITED
    assert not file.exists()


def test_file_that_was_written_after_the_host_went_down_in_a_write_is_not_trusted(fake: FakeKerio) -> None:
    backup = fake.folder / "mailserver.cfg.kerio-archive.20010101T000000Z"
    backup.write_bytes(SAVED)
    journal(fake, backup, age=61, boot="another boot")
    with pytest.raises(CfgError, match="the host went down while it was written in place, and it was written again since"):
        edit(fake)(Quiet())
    assert fake.calls() == []


def test_write_in_place_that_was_complete_is_no_torn_one(fake: FakeKerio) -> None:
    os.link(fake.cfg, fake.folder / "second-name")
    kept: list[bytes] = []
    real, path = Path.unlink, fake.folder / "state" / "in-place.json"

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self == path and self.exists():
            kept.append(self.read_bytes())
        real(self, missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        edit(fake)(Quiet())
    path.write_bytes(kept[-1])
    work = edit(fake)
    assert work.probe().reasons == []
    work.settle(work.probe())
    assert not path.exists(), "or it would be taken for torn once the server has saved its file"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"backup": "/x"}'])
def test_journal_that_cannot_be_read_is_told_before_the_stop(fake: FakeKerio, content: bytes) -> None:
    (fake.folder / "state" / "in-place.json").write_bytes(content)
    with pytest.raises(CfgError, match=r"it may be torn, and .*in-place\.json cannot be read"):
        edit(fake)(Quiet())
    assert fake.calls() == []


def test_torn_write_without_its_backup_is_told_before_the_stop(fake: FakeKerio) -> None:
    journal(fake, Path("/nowhere/backup"))
    with pytest.raises(CfgError, match=r"its backup /nowhere/backup is gone\. .* then remove .*in-place\.json"):
        edit(fake)(Quiet())
    assert fake.calls() == []


def test_bug_in_the_middle_leaves_the_service_running(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_self: GuardedEdit) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(GuardedEdit, "_edit", explode)
    with pytest.raises(ZeroDivisionError):
        edit(fake)(Quiet())
    assert fake.service().ready.missing() == []


def start_job(fake: FakeKerio) -> job.JobStatus:
    """Start the edit as a job and return once it waits for the stop."""
    fake.set("stops_slowly")
    running = job.start(fake.folder / "state", "edit", edit(fake), about={}, owner="first")
    job.wait(fake.folder / "state", "edit", 20, seen=0)
    deadline = time.monotonic() + 20
    while "stop" not in fake.calls():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return running


def end_of_job(fake: FakeKerio) -> job.JobStatus:
    deadline = time.monotonic() + 60
    while (now := job.wait(fake.folder / "state", "edit", 60, seen=1000)).state == job.RUNNING:
        assert time.monotonic() < deadline
    return now


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_between_stop_and_start_does_not_leave_the_service_stopped(fake: FakeKerio, number: signal.Signals) -> None:
    running = start_job(fake)
    os.kill(running.pid, number)
    fake.unset("stops_slowly")
    assert end_of_job(fake).outcome()["variables"][0]["after"] == "0"
    assert fake.cfg.read_bytes() == EDITED
    assert fake.service().ready.missing() == []


def test_job_and_guardian_killed_leave_it_to_the_next_run(fake: FakeKerio) -> None:
    start_job(fake)
    state = job._read(fake.folder / "state" / "edit" / "state.json")
    for pid, _identity in reversed(state["processes"]):
        os.kill(pid, signal.SIGKILL)
    fake.unset("stops_slowly")
    assert end_of_job(fake).state == job.DIED
    fake.service().stop()
    assert edit(fake).probe().reasons == ["AutoExpungeOnDelete is 1, not 0", "the service is not running"]
    edit(fake)(Quiet())
    assert fake.cfg.read_bytes() == EDITED
    assert fake.service().ready.missing() == []


def test_path_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CfgError, match=r"No such file .* Set path .* to the mailserver\.cfg"):
        CfgFile(str(tmp_path / "missing"), tmp_path / "journal")
