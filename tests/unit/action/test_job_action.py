# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin base: calls until the job has ended, prints progress, survives a lost connection."""

from __future__ import annotations

import typing as t
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import shell_loader
from ansible.utils.display import Display

from ansible_collections.mailops.kerio.plugins.action import _job
from ansible_collections.mailops.kerio.plugins.action.kerio_mailserver_cfg import ActionModule

Data = dict[str, t.Any]


class Host:
    """Plays the module: gives out ``answers`` in turn (an exception is raised) and keeps what it was called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Data | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[Data | None] = []
        self.confirmed: list[list[str]] = []
        self.printed: list[str] = []
        self.warned: list[str] = []
        self.slept: list[float] = []
        self.resets = 0
        self.task = SimpleNamespace(
            action="mailops.kerio.kerio_mailserver_cfg", args={"permanent_delete": True}, check_mode=False, no_log=False
        )
        self.family = "sh"
        monkeypatch.setattr(ActionBase, "run", lambda _self, _tmp=None, _vars=None: {})
        monkeypatch.setattr(Display, "display", lambda _self, text, **_options: self.printed.append(text))
        monkeypatch.setattr(Display, "warning", lambda _self, text, **_options: self.warned.append(text))
        monkeypatch.setattr(_job.time, "sleep", self.slept.append)

    def run(self, cls: type[_job.JobAction] = _job.JobAction) -> Data:
        plugin = cls.__new__(cls)
        plugin._task = self.task
        plugin._connection = SimpleNamespace(reset=self._reset, _shell=SimpleNamespace(SHELL_FAMILY=self.family))
        plugin._execute_module = self._call
        result = plugin.run(task_vars={"inventory_hostname": "mail1"})
        assert self.answers == [], "answers that nobody asked for"
        return result

    def _reset(self) -> None:
        self.resets += 1

    def _call(self, module_args: Data | None = None, task_vars: Data | None = None) -> Data:
        assert task_vars == {"inventory_hostname": "mail1"}
        if module_args and "job_heard" in module_args:
            self.confirmed.append(module_args["job_heard"])
            if self.family == "lost":
                raise AnsibleConnectionFailure("gone")
            return {"changed": False, "msg": "heard"}
        self.calls.append(module_args)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def running(counter: int, line: str, **more: t.Any) -> Data:
    return {"changed": False, "job": {"state": "running", "id": "a", "counter": counter, "line": line}, **more}


def finished(counter: int, line: str, **more: t.Any) -> Data:
    return {"changed": True, "job": {"state": "finished", "id": "a", "counter": counter, "line": line}, **more}


def test_module_is_called_until_the_job_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, running(1, "one"), running(2, "two"), finished(3, "three", msg="done"))
    result = host.run()
    assert (result["changed"], result["msg"], len(host.calls)) == (True, "done", 3)
    assert host.calls[0] == host.calls[1] == host.calls[2]
    arguments = t.cast("Data", host.calls[0])
    assert arguments["permanent_delete"] is True
    assert arguments["job_owner"].count("ansible process") == 1
    assert host.task.args == {"permanent_delete": True}


def test_two_tasks_have_two_tokens() -> None:
    assert _job.caller_token() != _job.caller_token()


def test_without_a_terminal_few_lines_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_job, "ON_TERMINAL", False)
    monkeypatch.setattr(_job.time, "monotonic", lambda: 1000.0)
    host = Host(monkeypatch, *(running(number, f"line {number}") for number in range(1, 8)), finished(8, "line 8"))
    host.run()
    assert host.printed == ["kerio_mailserver_cfg: [mail1] line 1", "kerio_mailserver_cfg: [mail1] line 8"]
    assert t.cast("Data", host.calls[0])["job_wait"] == 10


def test_on_a_terminal_every_new_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_job, "ON_TERMINAL", True)
    host = Host(monkeypatch, running(0, ""), running(1, "one"), running(1, "one"), running(4, "four"), finished(4, "four"))
    host.run()
    assert host.printed == ["kerio_mailserver_cfg: [mail1] one", "kerio_mailserver_cfg: [mail1] four"]
    assert t.cast("Data", host.calls[0])["job_wait"] == 2


@pytest.mark.parametrize(("elapsed", "printed"), [(9.9, ["x a"]), (10.0, ["x a", "x b"])])
def test_interval_between_lines(monkeypatch: pytest.MonkeyPatch, elapsed: float, printed: list[str]) -> None:
    host = Host(monkeypatch)
    now = [50.0]
    lines = _job.ProgressLines("x", 10.0, lambda: now[0])
    lines.show(1, "a")
    now[0] += elapsed
    lines.show(2, "b")
    assert host.printed == printed


def test_declared_wait_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, finished(1, "x"))
    host.task.args["job_wait"] = 30
    host.run()
    assert t.cast("Data", host.calls[0])["job_wait"] == 30


def test_no_log_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, running(1, "one"), finished(2, "two"))
    host.task.no_log = True
    host.run()
    assert host.printed == []


def test_check_mode_is_one_call_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, running(1, "somebody's"))
    host.task.check_mode = True
    host.run()
    assert host.calls == [None]


def test_nothing_to_do_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, {"changed": False, "msg": "as declared"})
    assert host.run() == {"changed": False, "msg": "as declared"}
    assert host.printed == []


def test_busy_job_of_somebody_else_ends_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"changed": False, "holder": "first", "job": {"state": "busy", "id": "a", "counter": 1, "line": "theirs"}}
    assert Host(monkeypatch, answer).run()["holder"] == "first"


def test_failure_ends_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Host(monkeypatch, running(1, "x"), {"failed": True, "msg": "no"}).run() == {"failed": True, "msg": "no"}


def test_what_the_first_answer_warned_of_is_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, running(1, "x", warnings=["old one"]), finished(2, "y", warnings=["new one"]))
    assert host.run()["warnings"] == ["old one", "new one"]


@pytest.mark.parametrize(
    ("answer", "confirmed"),
    [
        (finished(1, "x"), [["a"]]),
        (finished(1, "x", previous=[{"id": "b"}, {"id": "c"}]), [["a", "b", "c"]]),
        ({"failed": True, "msg": "no", "error": {"kind": "service", "job_id": "a"}}, [["a"]]),
        ({"changed": False, "previous": [{"id": "b"}]}, [["b"]]),
        ({"changed": False, "msg": "as declared"}, []),
        ({"failed": True, "msg": "no", "error": {"kind": "input"}}, []),
        ({"changed": False, "job": {"state": "busy", "id": "theirs", "counter": 1, "line": "x"}}, []),
    ],
)
def test_what_has_arrived_is_confirmed(monkeypatch: pytest.MonkeyPatch, answer: Data, confirmed: list[list[str]]) -> None:
    host = Host(monkeypatch, running(1, "x"), dict(answer))
    assert host.run() == answer
    assert host.confirmed == confirmed


def test_confirmation_that_is_lost_does_not_spoil_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, finished(1, "x"))
    host.family = "lost"
    assert host.run()["changed"] is True
    assert host.confirmed == [["a"]]


def test_lost_connection_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(
        monkeypatch, running(1, "x"), AnsibleConnectionFailure("gone"), AnsibleConnectionFailure("gone"), finished(2, "y")
    )
    assert host.run()["changed"] is True
    assert len({t.cast("Data", call)["job_owner"] for call in host.calls}) == 1
    assert host.warned == ["mail1: gone; the job goes on, asking again"] * 2
    assert (host.slept, host.resets) == ([_job.RECONNECT_PAUSE_SECONDS] * 2, 2)


def no_answer(**said: t.Any) -> Data:
    """What Ansible makes of a module that printed nothing that can be read."""
    return {"failed": True, "module_stdout": "", "module_stderr": "", "rc": -9, "msg": "No start of json char found", **said}


def test_no_answer_at_all_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, running(1, "one"), no_answer(), finished(2, "two", msg="done"))
    assert host.run()["msg"] == "done"
    assert (len(host.calls), host.resets) == (3, 1)
    assert host.warned == ["mail1: No answer came back (exit status -9); the job goes on, asking again"]
    with pytest.raises(AnsibleConnectionFailure, match=r"exit status -9\)\. A job that has begun there goes on"):
        Host(monkeypatch, no_answer()).run()


@pytest.mark.parametrize(("rc", "said"), [(137, "Killed\n"), (-9, "muxclient: master hello exchange failed\r\n")])
def test_module_that_was_killed_is_asked_again(monkeypatch: pytest.MonkeyPatch, rc: int, said: str) -> None:
    killed = no_answer(module_stderr=said, rc=rc)
    assert Host(monkeypatch, running(1, "one"), killed, finished(2, "two", msg="done")).run()["msg"] == "done"


@pytest.mark.parametrize("stream", ["module_stdout", "module_stderr"])
def test_answer_that_cannot_be_read_is_no_lost_connection(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    assert Host(monkeypatch, running(1, "one"), no_answer(rc=1, **{stream: "Traceback"})).run()["rc"] == 1


def test_lost_connection_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10000, 50))
    monkeypatch.setattr(_job.time, "monotonic", lambda: float(next(clock)))
    host = Host(monkeypatch, running(1, "x"), *(AnsibleConnectionFailure("gone") for _ in range(3)))
    with pytest.raises(AnsibleConnectionFailure, match=r"^gone\. A job that has begun there goes on by itself, and the next run"):
        host.run()


def test_host_that_was_never_reached_is_unreachable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, AnsibleConnectionFailure("no route.\n"))
    with pytest.raises(AnsibleConnectionFailure, match=r"^no route\. A job that has begun there goes on by itself"):
        host.run()
    assert host.slept == []


def test_async_is_refused_by_ansible_itself() -> None:
    assert (_job.JobAction._supports_async, _job.JobAction._supports_check_mode) == (False, True)


class Windows(Host):
    """A host behind one of Ansible's own shells for Windows; the module, which is Python, must never be sent there."""

    def run(self, cls: type[_job.JobAction] = ActionModule) -> Data:
        plugin = cls.__new__(cls)
        plugin._task = self.task
        plugin._connection = SimpleNamespace(_shell=shell_loader.get(self.family))
        plugin._execute_module = self._call
        return plugin.run(task_vars={"inventory_hostname": "mail1"})


def refusal(host: Windows, family: str, check: bool) -> str:
    host.family, host.task.check_mode = family, check
    with pytest.raises(AnsibleActionFail) as caught:
        host.run()
    assert host.calls == []
    return str(caught.value)


@pytest.mark.parametrize("family", ["powershell", "cmd"])
@pytest.mark.parametrize("check", [True, False])
def test_windows_host_is_told_the_steps(monkeypatch: pytest.MonkeyPatch, family: str, check: bool) -> None:
    host = Windows(monkeypatch)
    host.task.args["variables"] = [{"path": "Imap/X", "value": False}, {"name": "Y", "value": "a b"}]
    said = refusal(host, family, check)
    assert said.startswith("mailserver.cfg on Windows: the guarded edit supports Linux servers only. Do it by hand: 1. ")
    file = r"C:\Program Files\Kerio\MailServer\mailserver.cfg"
    steps = [
        "1. Stop the server with Kerio Connect Monitor and wait (up to 5 minutes) until Task Manager shows no mailserver.exe",
        f"2. Copy {file} to a safe place",
        f'3. In {file} set the text of the one <variable name="X"> (Imap/X) to 0',
        f'4. In {file} set the text of the one <variable name="Y"> (Y) to a b',
        f'5. In {file} set the text of the one <variable name="AutoExpungeOnDelete"> (AutoExpungeOnDelete) to 0',
        "6. Save with the same encoding and line ends",
        "7. Start the server with Kerio Connect Monitor",
        "8. Open the file again: the value must still be there",
    ]
    assert "; ".join(steps) in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"variables": [{"name": "AdminPassword", "value": "x"}]}, "it holds a password"),
        ({"variables": [{"value": "x"}]}, "one of the following is required: name, path"),
        ({"variables": ["X=1"]}, "variables"),
        ({}, "one of the following is required: permanent_delete, variables"),
    ],
)
def test_windows_host_is_told_what_is_wrong_with_the_options(monkeypatch: pytest.MonkeyPatch, args: Data, words: str) -> None:
    host = Windows(monkeypatch)
    host.task.args = args
    assert words in refusal(host, "powershell", False)


def test_linux_host_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Host(monkeypatch, finished(1, "x")).run(ActionModule)["changed"] is True
