# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as transient units: what systemd is told, how code, secrets and lock get there, and what is told of their end."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import job, job_process, job_unit
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, JobError
from tests.unit.module_utils.job_work import Data, ended, until

ROOT = Path(__file__).parents[3]
SECRET = "not-a-secret-1"


def work(folder: Path, password: str, reporter: job.Reporter) -> Data:
    """Work of a module, as a unit gets it: a function that has a name, and data."""
    reporter.progress("begun")
    until(lambda: (folder / "go").exists() or reporter.stop_requested)
    return {"password": len(password), "umask": os.umask(0)}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """A folder with the program that stands for systemd-run."""
    folder = tmp_path / "fake"
    folder.mkdir()
    program = folder / "systemd-run"
    source = Path(__file__).with_name("fake_systemd_run.py").read_text("utf-8")
    program.write_text(f"#!{sys.executable}\n{source}", "utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(job_unit, "SYSTEMD_RUN", str(program))
    monkeypatch.setattr(job_unit, "BOOTED", folder)
    monkeypatch.setattr(job_unit.job_account, "may_be_root", lambda: True)
    # The unit finds this test and the collection by the names of their folders.
    monkeypatch.setattr(job_unit, "_BOOTSTRAP", f"import sys; sys.path[:0] = {sys.path!r}\n{job_unit._BOOTSTRAP}")
    yield folder
    (tmp_path / "go").touch()
    ended(tmp_path / "state")


def begin(folder: Path, **limits: str) -> job.JobStatus:
    service = job_unit.Service("archive", job_unit.AUTO, limits, (str(folder),))
    task = functools.partial(work, folder, SECRET)
    return job.start(folder / "state", "edit", task, about={"a": 1}, owner="first", secrets=[SECRET], service=service)


def told(fake: Path) -> tuple[dict[str, str], list[str]]:
    """The properties of the unit and all that systemd-run was told."""
    command = json.loads((fake / "command").read_text("utf-8"))
    options = [option.partition("=")[2] for option in command if option.startswith("--property=")]
    return dict(t.cast("tuple[str, str]", tuple(option.split("=", 1))) for option in options), command


def test_job_is_a_unit_with_its_account_its_limits_and_its_own_folders(fake: Path, tmp_path: Path) -> None:
    running = begin(tmp_path, MemoryMax="1G")
    assert (running.state, running.owner, running.about) == (job.RUNNING, "first", {"a": 1})
    properties, command = told(fake)
    assert (
        properties.items()
        >= {
            "User": "archive",
            "MemoryMax": "1G",
            "NoNewPrivileges": "yes",
            "ProtectSystem": "strict",
            "CapabilityBoundingSet": "",
            "LimitCORE": "0",
            "ReadWritePaths": f'"{tmp_path}"',
        }.items()
    )
    unit = f"kerio-archive-edit-{running.id[:8]}.service"
    assert {f"--unit={unit}", "--pipe", "--collect"} <= set(command)
    assert json.loads((tmp_path / "state" / "edit" / "state.json").read_bytes())["unit"] == unit
    (tmp_path / "go").touch()
    done = ended(tmp_path / "state")
    assert (done.state, done.result, done.pid) == (job.FINISHED, {"password": len(SECRET), "umask": 0o022}, running.pid)


def test_secrets_are_on_no_command_line_in_no_environment_and_in_no_file(fake: Path, tmp_path: Path) -> None:
    running = begin(tmp_path)
    process = Path(f"/proc/{running.pid}")
    assert SECRET.encode() not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    wanted = {"/dev/null", str(tmp_path / "state" / "edit.lock"), str(tmp_path / "state" / "edit" / "log")}
    # It closes the pipe for the answer a moment after it has answered.
    assert until(lambda: {str(entry.readlink()) for entry in (process / "fd").iterdir() if entry.is_symlink()} == wanted)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*") if path.is_file()}
    assert modes == {0o600}
    (tmp_path / "go").touch()
    assert until((fake / "left").exists) and until((fake / "left").read_text) == "0", "systemd holds that file to the end"


@pytest.mark.usefixtures("fake")
def test_lock_passes_into_the_unit_without_a_gap_and_outlives_systemd_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    lock = tmp_path / "state" / "edit.lock"

    def held() -> bool:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            return False

    class Watched(subprocess.Popen[bytes]):
        def kill(self) -> None:
            seen.append(held())
            super().kill()
            self.wait()
            seen.append(held())

    monkeypatch.setattr(job_unit.subprocess, "Popen", Watched)
    running = begin(tmp_path)
    assert seen == [True, True]
    assert held(), "the module has closed its own copy"
    assert job.process_start(running.pid) is not None
    with pytest.raises(BusyError) as caught:
        begin(tmp_path)
    assert caught.value.details["id"] == running.id
    (tmp_path / "go").touch()
    assert ended(tmp_path / "state").state == job.FINISHED
    until(lambda: not held())


def test_what_systemd_says_is_the_reason_when_there_is_no_unit(fake: Path, tmp_path: Path) -> None:
    (fake / "broken").touch()
    with pytest.raises(JobError, match=r"Failed to start transient service unit: it is broken\. "):
        begin(tmp_path)
    (fake / "broken").unlink()
    assert begin(tmp_path).state == job.RUNNING


def test_host_without_dbus_is_told_what_to_install(fake: Path, tmp_path: Path) -> None:
    (fake / "systemd-run").write_text(
        "#!/bin/sh\necho Failed to connect to bus: No such file or directory >&2\nexit 1\n", "utf-8"
    )
    with pytest.raises(JobError, match=r"No such file or directory\. Install the package dbus"):
        begin(tmp_path)


@pytest.mark.usefixtures("fake")
def test_unit_that_cannot_begin_says_why(tmp_path: Path) -> None:
    (tmp_path / "state" / "edit" / "log").mkdir(parents=True)
    with pytest.raises(JobError, match=r"IsADirectoryError|Is a directory|PermissionError"):
        begin(tmp_path)
    (tmp_path / "state" / "edit" / "log").rmdir()
    assert begin(tmp_path).state == job.RUNNING


def test_unit_goes_on_when_its_starter_dies_before_the_answer(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(pipe: t.BinaryIO) -> bytes:
        until((fake / "begun").exists)
        pipe.close()
        return job_process.RUNS

    monkeypatch.setattr(job_unit, "_answer", deaf)
    # What is killed with the connection is the module, and systemd-run if it is still there.
    begin(tmp_path)
    until(lambda: job.status(tmp_path / "state", "edit").progress.line == "begun")
    (tmp_path / "go").touch()
    assert ended(tmp_path / "state").state == job.FINISHED


@pytest.mark.parametrize(
    ("result", "cause", "remedy"),
    [
        ("oom-kill", "it needed more memory than its limit or the host has, so kerio-", "Raise archive_host_memory_max"),
        ("signal", "ended without a result: it was killed", "log and journalctl -u kerio-archive-edit-"),
    ],
)
def test_unit_that_needs_more_memory_than_its_limit_is_told_so(
    fake: Path, tmp_path: Path, result: str, cause: str, remedy: str
) -> None:
    (fake / "result").write_text(result, "utf-8")
    running = begin(tmp_path)
    os.kill(running.pid, signal.SIGKILL)
    dead = ended(tmp_path / "state")
    assert dead.state == job.DIED and dead.error is not None
    assert cause in dead.error["cause"] and remedy in dead.error["remedy"]
    # The next unit ends as it does, whatever the one before it did.
    (fake / "result").unlink()
    os.kill(begin(tmp_path).pid, signal.SIGKILL)
    after = ended(tmp_path / "state")
    assert after.error is not None and "ended without a result" in after.error["cause"]


def test_code_that_is_deleted_when_the_module_ends_goes_along(fake: Path, tmp_path: Path) -> None:
    """As Ansible ships a module: in an archive that only root can read, and not for long."""
    shipped = tmp_path / "shipped" / "payload.zip"
    shipped.parent.mkdir(mode=0o700)
    package = "ansible_collections/mailops/kerio/plugins/module_utils"
    with zipfile.ZipFile(shipped, "w") as archive:
        for path in ("ansible_collections", "ansible_collections/mailops", "ansible_collections/mailops/kerio"):
            archive.writestr(f"{path}/__init__.py", "")
        for path in ("ansible_collections/mailops/kerio/plugins", package):
            archive.writestr(f"{path}/__init__.py", "")
        for file in [ROOT / "module_utils" / "errors.py", *(ROOT / "module_utils").glob("job*.py")]:
            archive.write(file, f"{package}/{file.name}")
        archive.writestr(
            f"{package}/shipped.py",
            "def work(folder, reporter):\n    from pathlib import Path\n    import time\n"
            "    while not Path(folder, 'go').exists(): time.sleep(0.005)\n    return {'from': __file__}\n",
        )
    code = (
        "import functools, sys, pathlib\n"
        "from ansible_collections.mailops.kerio.plugins.module_utils import job, job_unit, job_account, shipped\n"
        "folder, fake = sys.argv[1:]\n"
        "job_unit.SYSTEMD_RUN, job_unit.BOOTED = fake + '/systemd-run', pathlib.Path(fake)\n"
        "job_account.may_be_root = lambda: True\n"
        "service = job_unit.Service('', 'true', {}, (folder,))\n"
        "work = functools.partial(shipped.work, folder)\n"
        "print(job.start(folder + '/state', 'edit', work, about={}, owner='x', service=service).state)\n"
    )
    environment = {"PYTHONPATH": str(shipped), "PATH": os.environ["PATH"]}
    arguments = [sys.executable, "-c", code, tmp_path, fake]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert (done.stdout, done.stderr) == ("running\n", "")
    shutil.rmtree(shipped.parent)
    (tmp_path / "go").touch()
    result = ended(tmp_path / "state").outcome()
    assert result["from"].startswith("/proc/self/fd/") and result["from"].endswith("module_utils/shipped.py")


@pytest.mark.parametrize(
    ("systemd", "booted", "root", "unit"),
    [("auto", True, True, True), ("auto", False, True, False), ("auto", True, False, False), ("false", True, True, False)],
)
def test_without_systemd_or_root_a_job_is_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: str, booted: bool, root: bool, unit: bool
) -> None:
    monkeypatch.setattr(job_unit, "BOOTED", tmp_path if booted else tmp_path / "none")
    monkeypatch.setattr(job_unit, "SYSTEMD_RUN", sys.executable)
    monkeypatch.setattr(job_unit.job_account, "may_be_root", lambda: root)
    assert job_unit.Service("archive", systemd).in_unit is unit


@pytest.mark.parametrize(("booted", "cause"), [(False, "systemd does not run"), (True, "only root can start a unit")])
def test_declared_unit_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, booted: bool, cause: str
) -> None:
    monkeypatch.setattr(job_unit, "BOOTED", tmp_path if booted else tmp_path / "none")
    monkeypatch.setattr(job_unit, "SYSTEMD_RUN", sys.executable)
    monkeypatch.setattr(job_unit.job_account, "may_be_root", lambda: False)
    service = job_unit.Service("archive", job_unit.ALWAYS)
    with pytest.raises(JobError, match=rf"archive_host_systemd is true: {cause}"):
        job.start(tmp_path / "state", "edit", job_process.Reporter, about={}, owner="x", service=service)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("writes", "sees", "home", "tmp"),
    [
        (["/srv/a"], [], "yes", "yes"),
        (["/home/a"], [], "read-only", "yes"),
        (["/srv/a"], ["/root/backup"], "read-only", "yes"),
        (["/var/tmp/a"], [], "yes", "no"),  # noqa: S108
        (["/homes/a", "/var/tmpfs"], ["/srv/home"], "yes", "yes"),  # noqa: S108
    ],
)
def test_folders_are_hidden_unless_the_job_needs_them(writes: list[str], sees: list[str], home: str, tmp: str) -> None:
    properties = job_unit.Service("archive", job_unit.AUTO, {}, writes, sees).properties()
    assert (properties["ProtectHome"], properties["PrivateTmp"]) == (home, tmp)


def test_what_a_link_leads_to_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "archive").symlink_to("/home/archive")
    assert job_unit.Service("archive", job_unit.AUTO, {}, [str(tmp_path / "archive")]).properties()["ProtectHome"] == "read-only"


def test_unit_of_root_can_change_owners_and_little_else() -> None:
    properties = job_unit.Service("root", job_unit.AUTO, {}, ['/srv/a b"c']).properties()
    assert "User" not in properties
    assert properties["CapabilityBoundingSet"].split() == ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"]
    assert properties["ReadWritePaths"] == '"/srv/a b\\"c"'
