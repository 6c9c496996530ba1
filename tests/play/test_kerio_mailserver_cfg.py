# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_mailserver_cfg, run by ansible-playbook: it stops, edits and starts the lab's server, or leaves it alone."""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.lab.fixtures import LabServer
from tests.play.helpers import SECRET, Answer, Step, assert_one_sentence, one, play

OLD, NEW = (f'<variable name="AutoExpungeOnDelete">{value}</variable>' for value in "10")
# The lab's init script, except that the first start after the file `fail-once` appeared fails.
SCRIPT = """#!/bin/sh
if [ "$1" = start ] && rm {marker} 2> /dev/null; then echo "cannot start today" >&2; exit 1; fi
exec {script} "$1"
"""


@dataclass
class Host:
    """A Kerio host: the server and the folder that holds the state of jobs."""

    server: LabServer
    state: Path

    @property
    def cfg(self) -> Path:
        return Path(self.server.mailserver_cfg)

    def text(self) -> str:
        return self.cfg.read_text(encoding="utf-8")

    def seen(self) -> tuple[int, bytes, dict[str, object]]:
        """Return what no check may change: the process, the bytes of the file, and every file of the host and when it was
        written, but for the logs and stores that the running server writes by itself."""
        tree: dict[str, object] = {}
        for folder in (self.cfg.parent, self.state):
            for path in sorted(folder.rglob("*")):
                info = path.lstat()
                if "store" not in path.relative_to(folder).parts and path.suffix not in (".log", ".jsonl"):
                    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                    tree[str(path)] = (digest, info.st_ino, info.st_mode, info.st_uid, info.st_mtime_ns)
        return self.server.pid, self.cfg.read_bytes(), tree

    def step(self, script: str = "", **options: t.Any) -> Step:
        server = self.server
        given = {
            "path": server.mailserver_cfg,
            "service": {"script": script or server.service_script, "pid_file": server.pid_file},
            "ready": {"host": server.host, "api_port": server.admin_port, "imap_port": server.imap_port, "timeout": 20},
            "settle": 0.2,
            "state_dir": str(self.state),
        }
        wanted = {} if "variables" in options else {"permanent_delete": True}
        return Step("kerio_mailserver_cfg", {**given, **wanted, **options})

    def rewrite(self, old: str, new: str) -> None:
        """Edit the file by hand, while the server is stopped."""
        self.server.service("stop")
        self.replace(old, new)
        self.server.service("start")

    def replace(self, old: str, new: str) -> None:
        text = self.text()
        assert old in text
        self.cfg.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def host(mail1: LabServer, tmp_path: Path) -> t.Iterator[Host]:
    """The state of the jobs must not hold a password either."""
    state = tmp_path / "state"
    yield Host(mail1, state)
    kept = [path for path in state.rglob("*") if path.is_file()]
    assert [path for path in kept if SECRET in path.read_text(encoding="utf-8", errors="replace")] == []


def assert_failed_and_true(answer: Answer, **state: t.Any) -> None:
    """Assert that the error tells what is true now."""
    told = answer.result["error"]["state"]
    assert {name: told[name] for name in state} == state


@pytest.mark.shows("run", "again", "check")
def test_it_stops_edits_and_starts_once_and_a_check_only_looks(host: Host) -> None:
    before = host.seen()
    check = one(replace(host.step(), check=True))
    assert host.seen() == before
    assert check.status == "changed"
    assert check.result["reasons"] == ["AutoExpungeOnDelete is 1, not 0"]

    real = one(host.step())
    assert real.status == "changed"
    assert (
        real.diff
        == check.diff
        == {
            "before": {"AutoExpungeOnDelete": "1"},
            "after": {"AutoExpungeOnDelete": "0"},
            "before_header": str(host.cfg),
            "after_header": str(host.cfg),
        }
    )
    assert real.result["process"]["pid"] == host.server.pid != before[0]
    backup = Path(real.result["backup_file"]).read_text(encoding="utf-8")
    assert backup.count(OLD) == 1
    assert host.text() == backup.replace(OLD, NEW)

    after = host.seen()
    again, check_again = play(host.step(), replace(host.step(), check=True))
    assert [(a.status, a.result["reasons"]) for a in (again, check_again)] == [("ok", [])] * 2
    assert host.seen() == after


@pytest.mark.shows("by_hand")
def test_what_was_changed_by_hand_is_put_right_and_nothing_else(host: Host) -> None:
    one(host.step())
    host.rewrite(NEW, OLD)
    host.server.api("AdvancedOptions.set", {"options": {"miscellaneous": {"insertXEnvelopeTo": True}}})
    answer = one(host.step())
    assert answer.diff["before"] == {"AutoExpungeOnDelete": "1"}
    assert NEW in host.text()
    # What an administrator set meanwhile was in the memory of the server alone until it stopped.
    assert host.server.api("AdvancedOptions.get")["options"]["miscellaneous"]["insertXEnvelopeTo"] is True


def test_an_edit_that_the_running_server_has_not_read_is_made_true(host: Host) -> None:
    pid = host.server.pid
    host.replace(OLD, NEW)
    seen = host.seen()
    check = one(replace(host.step(), check=True))
    assert host.seen() == seen
    reason = f"process {pid} was started before the file was last changed, so it may not have read it"
    assert (check.status, check.result["reasons"]) == ("changed", [reason])
    assert check.diff["after"]["service"] == "restarted"
    # The server writes its old value back while it stops.
    real, again = play(host.step(), host.step())
    assert [real.status, again.status] == ["changed", "ok"]
    assert NEW in host.text()
    assert host.server.pid not in (0, pid)


def test_a_stopped_server_is_started_with_the_value(host: Host) -> None:
    host.server.service("stop")
    answer = one(host.step())
    assert answer.result["reasons"] == ["AutoExpungeOnDelete is 1, not 0", "the service is not running"]
    assert host.server.pid > 0
    assert NEW in host.text()


def test_several_variables_by_path_change_in_one_stop(host: Host) -> None:
    host.server.forget()
    wanted = [
        {"path": "Imap/AutoExpungeOnDelete", "value": False},
        {"path": "AdvancedOptions/Miscellaneous/LogHostNames", "value": True},
    ]
    answer = one(host.step(variables=wanted))
    assert answer.status == "changed", answer
    assert [entry["after"] for entry in answer.result["variables"]] == ["0", "1"]
    assert [event["event"] for event in host.server.events() if event["event"] in ("stop", "start")] == ["stop", "start"]
    assert host.server.api("AdvancedOptions.get")["options"]["miscellaneous"]["logHostNames"] is True


def test_a_start_that_fails_once_is_rolled_back_with_the_service_running(host: Host, tmp_path: Path) -> None:
    marker, script = tmp_path / "fail-once", tmp_path / "kerio-connect"
    script.write_text(SCRIPT.format(marker=marker, script=host.server.service_script))
    script.chmod(0o755)
    marker.touch()
    step = host.step(str(script), ready={**host.step().options["ready"], "timeout": 2})
    answer = one(step)
    assert_one_sentence(answer, "Kerio Connect service", "cannot start today", "The file was restored: AutoExpungeOnDelete = 1")
    assert f"The service runs as process {host.server.pid} and answers" in answer.msg
    assert_failed_and_true(answer, running=True, restored=True, values={"AutoExpungeOnDelete": "1"}, pid=host.server.pid)
    assert OLD in host.text()
    # The cause is gone: the next run does it.
    assert one(step).status == "changed"
    assert NEW in host.text()


def test_a_server_that_does_not_start_any_more_is_told_with_the_file_restored(host: Host) -> None:
    with host.server.switched(start_mode="refuses"):
        answer = one(host.step(ready={**host.step().options["ready"], "timeout": 1}))
        assert_one_sentence(answer, "Kerio Connect service", "Starting kerio-connect: failed", "THE SERVICE DOES NOT RUN")
        assert_failed_and_true(answer, running=False, restored=True, pid=None)
    assert OLD in host.text()
    assert host.server.pid == 0


@pytest.mark.shows("broken")
def test_a_server_that_does_not_stop_is_left_running(host: Host) -> None:
    pid = host.server.pid
    with host.server.switched(stop_mode="refuses"):
        answer = one(host.step(stop_timeout=1))
    assert_one_sentence(answer, "it did not stop within 1 s", f"process {pid} still runs", "The file needed no restoring")
    assert host.server.pid == pid
    assert OLD in host.text()


def test_what_cannot_be_done_is_one_sentence_before_anything_is_stopped(host: Host, closed_port: int) -> None:
    ready = {**host.step().options["ready"], "imap_port": closed_port}
    cases = [
        (host.step(ready=ready), ["IMAP", str(closed_port), "nothing was done", "ready.imap_port"]),
        (host.step(variables=[{"name": "NoSuchVariable", "value": "1"}]), ["NoSuchVariable"]),
        (host.step(variables=[{"path": "Administration/BuiltInAdminPassword", "value": "1"}]), ["holds a password"]),
        (host.step(path="/does/not/exist/mailserver.cfg"), ["/does/not/exist/mailserver.cfg", "No such file"]),
        (host.step(service={"script": "/does/not/exist"}), ["/does/not/exist", "service.script"]),
        (host.step(variables=[{"name": "AutoExpungeOnDelete", "value": "0"}], permanent_delete=True), ["declared twice"]),
    ]
    before = host.seen()[:2]
    for (_step, words), answer in zip(cases, play(*[step for step, _words in cases]), strict=True):
        assert_one_sentence(answer, *words)
    # A real run leaves the state of its job, which refused.
    assert host.seen()[:2] == before


@pytest.mark.parametrize("shell", ["powershell", "cmd"])
def test_a_windows_host_is_told_what_to_do_by_hand(host: Host, shell: str) -> None:
    before = host.seen()
    step = replace(host.step(), also={"vars": {"ansible_shell_type": shell}})
    for answer in play(step, replace(step, check=True)):
        assert_one_sentence(answer, "mailserver.cfg on Windows", "by hand: 1. Stop the server", "(AutoExpungeOnDelete) to 0")
        assert len(answer.result["error"]["steps"]) == 6
    assert host.seen() == before


@pytest.mark.parametrize(
    ("line", "words"),
    [("", "there is no variable 'AutoExpungeOnDelete'"), (OLD + OLD, "occurs 2 times: Imap/AutoExpungeOnDelete")],
)
def test_a_variable_that_is_absent_or_there_twice_is_not_guessed(host: Host, line: str, words: str) -> None:
    host.rewrite(OLD, line)
    before = host.seen()
    real, check = play(host.step(), replace(host.step(), check=True))
    for answer in (real, check):
        assert_one_sentence(answer, words)
    assert host.seen() == before
