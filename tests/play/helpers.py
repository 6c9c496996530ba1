# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules by ansible-playbook as an operator would, several tasks a playbook, and reads back what each of them said.

Every run is as talkative as can be (-vvv), so that a password that leaks anywhere is seen: each password of the tests carries
``SECRET``, and ``run`` fails when that shows up in what was printed or returned.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.dist import kerio_hosts
from tests.lab.fixtures import LabServer
from tests.lab.playbooks import PlaybookRun, Task, run_playbook
from tests.play import quick

SECRET = "not-a-secret"
Options = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Step:
    """One task: a module of the collection by its last name (others by their full name) and its options.

    ``python`` is the interpreter; ``also`` are further keywords of the task, such as ``environment``.
    """

    module: str
    options: Options = field(default_factory=dict)
    check: bool = False
    python: str = sys.executable
    also: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What one task returned; ``status`` is that of ``Task``, where failures are "ignored" so that the next task runs."""

    status: str
    result: dict[str, t.Any]
    output: str = field(repr=False)

    @property
    def changed(self) -> bool:
        return bool(self.result["changed"])

    @property
    def failed(self) -> bool:
        return self.status in ("failed", "ignored", "unreachable")

    @property
    def msg(self) -> str:
        return str(self.result["msg"])

    @property
    def diff(self) -> t.Any:
        return self.result.get("diff")

    @property
    def warnings(self) -> list[str]:
        return list(self.result.get("warnings", []))


def connection(server: LabServer, **changed: t.Any) -> dict[str, t.Any]:
    """Return the connection options of the modules that talk to the admin API; None takes one out."""
    options = {
        "api_host": server.host,
        "api_port": server.admin_port,
        "api_user": server.admin_user,
        "api_password": server.admin_password,
        "ca_file": server.ca_file,
        "server_name": server.name,
        **changed,
    }
    return {name: value for name, value in options.items() if value is not None}


def play(*steps: Step, parallel: bool = False, defaults: Options | None = None, **environment: str) -> list[Answer]:
    """Run ``steps`` in one playbook, with local connection and ``--diff``; return their answers in order.

    ``parallel``: each on a host of its own, all at the same time. ``defaults`` are the ``module_defaults`` of the play.
    ``environment`` is that of ansible-playbook.
    """
    names = [f"step{number}" for number in range(len(steps))]
    tasks = {name: _task(step, name) for step, name in zip(steps, names, strict=True)}
    values = {name: dict(step.options) for name, step in zip(names, steps, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        for name, task in tasks.items():
            Path(folder, f"{name}.json").write_text(json.dumps([task], indent=1), encoding="utf-8")
        # Each host includes its own file: tasks that it would skip cost a process each.
        own = {"name": "Ensure the step of this host", "ansible.builtin.include_tasks": "{{ inventory_hostname }}.json"}
        play_of_all = {
            "name": "Ensure the steps of a test",
            "hosts": "all",
            "connection": "local",
            "gather_facts": False,
            "strategy": "free" if parallel else "linear",
            "module_defaults": dict(defaults or {}),
            "tasks": [own] if parallel else list(tasks.values()),
        }
        playbook, variables = Path(folder, "playbook.json"), Path(folder, "variables.json")
        playbook.write_text(json.dumps([play_of_all], indent=1), encoding="utf-8")
        variables.write_text(json.dumps(values), encoding="utf-8")
        inventory = ",".join(names if parallel else ["server"]) + ","
        done = run(playbook, "--forks", str(len(steps)), "-e", f"@{variables}", inventory=inventory, **environment)
    told = {task.task: task for task in done.tasks}
    assert all(task["name"] in told for task in tasks.values()), done.output
    return [_answer(told[task["name"]], done) for task in tasks.values()]


def run(playbook: Path, *args: str, inventory: Path | str, **environment: str) -> PlaybookRun:
    """Run a playbook with ``-vvv --diff``; fail when a password shows up in anything that it says."""
    done = run_playbook(playbook, "-vvv", "--diff", *args, inventory=inventory, **{**quick.environment(), **environment})
    assert_no_secret(done)
    return done


def assert_no_secret(done: PlaybookRun) -> None:
    """Assert that no password shows up in anything that a run printed or returned."""
    returned = json.dumps([task.result for task in done.tasks], ensure_ascii=False)
    assert SECRET not in done.output, _around(done.output)
    assert SECRET not in returned, _around(returned)


def one(step: Step, **how: t.Any) -> Answer:
    """Run a single step."""
    return play(step, **how)[0]


def assert_untouched(server: LabServer) -> None:
    """Assert that nobody tried to change anything over the admin API, nor failed to log in, since the record was emptied."""
    assert server.writes() == []
    assert failed_logins(server) == []


def failed_logins(server: LabServer) -> list[str]:
    """Return the names of the logins that the server refused and counted."""
    return [event["name"] for event in server.events("login") if event["outcome"] != "ok"]


def written(server: LabServer) -> list[str]:
    """Return the methods that were called to change something, in order."""
    return [call["method"] for call in server.writes()]


def assert_one_sentence(answer: Answer, *words: str) -> None:
    """Assert that a task failed with one line that has ``words``, names the object, the cause and the remedy, and no trace."""
    assert answer.failed, answer
    assert not answer.changed
    error = answer.result["error"]
    assert all(error[part] for part in ("subject", "cause", "remedy")), error
    assert answer.msg.startswith(error["subject"])
    assert "\n" not in answer.msg
    assert "Traceback" not in answer.output
    for word in words:
        assert word in answer.msg


def _task(step: Step, name: str) -> dict[str, t.Any]:
    """Return the task. Options go through variables, because Ansible quotes the lines of a failed task."""
    action = step.module if "." in step.module else f"mailops.kerio.{step.module}"
    return {
        "name": f"Ensure {name} ({step.module})",
        action: {option: f"{{{{ {name}.{option} }}}}" for option in step.options},
        "check_mode": step.check,
        "ignore_errors": True,
        **step.also,
        "vars": {"ansible_python_interpreter": _interpreter(step), **step.also.get("vars", {})},
    }


def _interpreter(step: Step) -> str:
    """Return the Python of a step; `make matrix` gives one of old hosts to what runs on hosts of Kerio."""
    old = os.environ.get("KERIO_HOST_PYTHON")
    return old if old and step.python == sys.executable and step.module in kerio_hosts.modules() else step.python


def _answer(task: Task, done: PlaybookRun) -> Answer:
    return Answer(task.status, task.result, done.output)


def _around(text: str) -> str:
    place = text.index(SECRET)
    return f"a password was shown: {text[max(0, place - 300) : place + 60]}"


def settle(server: LabServer, step: Step, *calls: str) -> Answer:
    """Run ``step`` as a check, for real, and again; return the real answer.

    Asserts that the check told the same changes and tried nothing, not even on a server that would refuse it, that the real run
    made exactly the writing ``calls``, and that the run after it found nothing to do.
    """
    server.forget()
    server.refuse_writes()
    check = one(replace(step, check=True))
    server.refuse_writes(False)
    assert check.status == "changed", check
    assert_untouched(server)
    real, again = play(step, step)
    assert real.status == "changed", real
    assert real.diff == check.diff
    assert (again.status, again.diff["before"], again.diff["after"]) == ("ok", {}, {}), again
    assert written(server) == list(calls)
    assert failed_logins(server) == []
    return real


def switch_master(server: LabServer, on: bool, group: str = "Archive hosts", password: str = "") -> None:
    """Switch master authentication on or off as an administrator does, with the password of the lab unless one is given."""
    groups = server.api("IpAddressGroups.getGroupList")["groups"]
    identity = next(entry["id"] for entry in groups if entry["name"] == group)
    settings = {"isEnabled": on, "groupRestriction": identity, "password": password or server.master_password}
    server.api("AdvancedOptions.set", {"options": {"masterAuthentication": settings}})
