# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against a service that starts, stops and rewrites its file like the real one."""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.mailops.kerio.plugins.doc_fragments import job as job_fragment
from ansible_collections.mailops.kerio.plugins.doc_fragments import kerio_host as host_fragment
from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import service_unit
from ansible_collections.mailops.kerio.plugins.modules import kerio_mailserver_cfg
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.kerio.fake_kerio import CFG, FakeKerio

ROLE = Path(__file__).parents[3] / "roles" / "kerio_mailserver_cfg"


@pytest.fixture
def fake(tmp_path: Path) -> t.Iterator[FakeKerio]:
    fake = FakeKerio(tmp_path)
    fake.service().start()
    (tmp_path / "calls").unlink()
    yield fake
    fake.end()


def run(fake: FakeKerio, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    defaults: dict[str, t.Any] = {
        "path": str(fake.cfg),
        "service": {
            "script": str(fake.script),
            "pid_file": str(fake.folder / "kms.pid"),
            "watchdog": str(fake.folder / "watchdog"),
        },
        "ready": {"api_port": fake.api_port, "imap_port": fake.imap_port, "timeout": 10},
        "settle": 0.2,
        "state_dir": str(fake.folder / "state"),
    }
    if "variables" not in options:
        options.setdefault("permanent_delete", True)
    return run_module(kerio_mailserver_cfg.main, check=check, **{**defaults, **options})


def diff(fake: FakeKerio, before: dict[str, str], after: dict[str, str]) -> dict[str, t.Any]:
    return {"before_header": str(fake.cfg), "after_header": str(fake.cfg), "before": before, "after": after}


@pytest.mark.shows("change", "again")
def test_it_changes_once(fake: FakeKerio) -> None:
    first = run(fake)
    assert (first["failed"], first["changed"], first["warnings"]) == (False, True, [])
    assert first["variables"] == [{"variable": "AutoExpungeOnDelete", "before": "1", "after": "0"}]
    assert first["diff"] == diff(fake, {"AutoExpungeOnDelete": "1"}, {"AutoExpungeOnDelete": "0"})
    assert b'"AutoExpungeOnDelete">0<' in fake.cfg.read_bytes()
    assert fake.calls() == ["stop", "start"]
    again = run(fake)
    assert (again["failed"], again["changed"], again["reasons"]) == (False, False, [])
    assert again["msg"] == f"{fake.cfg} has the declared values and the running service has read them"
    assert "diff" not in again
    assert fake.calls() == ["stop", "start"]


def test_intent_is_translated_both_ways(fake: FakeKerio) -> None:
    assert run(fake, permanent_delete=False)["changed"] is False
    assert run(fake, check=True, permanent_delete=True)["reasons"] == ["AutoExpungeOnDelete is 1, not 0"]


@pytest.mark.shows("check")
def test_check_mode_says_the_same_and_touches_nothing(fake: FakeKerio) -> None:
    process, files = fake.service().processes(), sorted(fake.folder.rglob("*"))
    forecast = run(fake, check=True)
    assert (forecast["failed"], forecast["changed"]) == (False, True)
    assert forecast["msg"] == "The service would be restarted, because AutoExpungeOnDelete is 1, not 0"
    assert forecast["diff"] == diff(fake, {"AutoExpungeOnDelete": "1"}, {"AutoExpungeOnDelete": "0"})
    assert (fake.cfg.read_bytes(), fake.calls(), fake.service().processes()) == (CFG, [], process)
    assert sorted(fake.folder.rglob("*")) == files
    real = run(fake)
    assert (real["changed"], real["diff"]) == (forecast["changed"], forecast["diff"])
    assert run(fake, check=True)["changed"] is False


@pytest.mark.shows("diff")
def test_restart_that_changes_no_value_is_in_the_diff(fake: FakeKerio) -> None:
    later = time.time() + 5
    os.utime(fake.cfg, (later, later))
    result = run(fake, check=True, permanent_delete=False)
    before = {"AutoExpungeOnDelete": "1", "service": "has not read the file"}
    assert result["diff"] == diff(fake, before, {"AutoExpungeOnDelete": "1", "service": "restarted"})


@pytest.mark.parametrize(
    ("value", "text"),
    [(False, "0"), (True, "1"), (5, "5"), ("a & b", "a & b"), ("", "")],
    ids=["false", "true", "int", "str", "empty"],
)
def test_value_is_written_as_kerio_writes_it(fake: FakeKerio, value: t.Any, text: str) -> None:
    result = run(fake, check=True, variables=[{"path": "Imap/Greeting", "value": value}])
    assert result["variables"][0]["after"] == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variables": [{"name": "X", "value": [1]}]}, "value of X: it is of type list"),
        ({"variables": []}, "variables: the list is empty"),
        ({"variables": [{"name": "X", "value": 1}, {"path": "X", "value": 2}]}, "X: it is declared twice"),
        ({"variables": [{"name": "AutoExpungeOnDelete", "value": 1}], "permanent_delete": True}, "it is declared twice"),
        ({"variables": [{"path": "Administration/BuiltInAdminPassword", "value": 1}]}, "it holds a password"),
        ({"variables": [{"name": "Nothing", "value": 1}]}, "there is no variable 'Nothing' in it"),
        ({"path": "/nowhere/mailserver.cfg"}, "No such file"),
        ({"service": {"script": "/nowhere/init"}}, "nor an executable /nowhere/init"),
        ({"backup_keep": 0}, "Keep one backup at least"),
        ({"variables": [{"value": 1}]}, "one of the following is required: name, path"),
        ({"service": {"name": "a", "script": "/b"}}, "mutually exclusive"),
    ],
)
def test_what_cannot_be_is_refused(fake: FakeKerio, options: dict[str, t.Any], message: str) -> None:
    for check in (True, False):
        result = run(fake, check=check, **options)
        assert result["failed"], result
        assert message in result["msg"]
    assert fake.calls() == []


@pytest.mark.shows("error")
def test_failure_tells_the_state(fake: FakeKerio) -> None:
    fake.set("loses_value_once")
    result = run(fake)
    assert result["failed"]
    assert "the server did not keep AutoExpungeOnDelete = 0" in result["msg"]
    state = result["error"]["state"]
    assert (state["running"], state["values"], state["restored"]) == (True, {"AutoExpungeOnDelete": "1"}, False)
    after = run(fake)
    assert (after["changed"], after["warnings"]) == (True, []), "the failure was delivered, so it is not told again"


def test_unit_that_would_kill_the_server_is_warned_of_in_check_and_in_real_runs(
    fake: FakeKerio, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = fake.folder / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(f'#!/bin/sh\n[ "$1" = show ] && echo "1min 30s" || exec {fake.script} "$1"\n', encoding="utf-8")
    systemctl.chmod(0o755)
    monkeypatch.setitem(service_unit.ENVIRONMENT, "PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    options = {"name": "kms.service", "pid_file": str(fake.folder / "kms.pid"), "watchdog": str(fake.folder / "watchdog")}
    expected = "systemd kills kms.service when its stop takes longer than 1min 30s (TimeoutStopSec)"
    for check, changed in ((True, True), (False, True), (False, False), (True, False)):
        result = run(fake, check=check, service=options)
        assert (result["failed"], result["changed"]) == (False, changed)
        assert [warning[: len(expected)] for warning in result["warnings"]] == [expected]
    assert fake.calls() == ["stop", "start"]
    assert run(fake, check=True, service=options, stop_timeout=100)["warnings"] == []


def wait_for_the_stop(fake: FakeKerio) -> None:
    deadline = time.monotonic() + 20
    while "stop" not in fake.calls():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def end_of_job(fake: FakeKerio) -> None:
    folder = next((fake.folder / "state").glob("*.lock"))
    while job.wait(folder.parent, folder.stem, 60, seen=1000).state == job.RUNNING:
        pass


def test_call_returns_while_the_job_runs_and_another_caller_is_told_who(fake: FakeKerio) -> None:
    fake.set("stops_slowly")
    first = run(fake, job_owner="first", job_wait=0)
    assert (first["changed"], first["job"]["state"]) == (False, "running")
    wait_for_the_stop(fake)
    second = run(fake, job_owner="second", job_wait=0)
    text = f"{fake.cfg} is being changed for first; nothing was done here"
    assert (second["changed"], second["holder"], second["msg"], second["warnings"]) == (False, "first", text, [text])
    assert run(fake, check=True)["warnings"] == [f"A job is changing {fake.cfg} right now, started by first"]
    fake.unset("stops_slowly")
    end = run(fake, job_owner="first", job_wait=60, job_seen=1000)
    assert (end["changed"], end["job"]["state"], end["variables"][0]["after"]) == (True, "finished", "0")


def test_job_that_nobody_waited_for_is_told_to_the_next_run(fake: FakeKerio) -> None:
    run(fake, job_owner="first", job_wait=0)
    end_of_job(fake)
    second = run(fake)
    assert (second["changed"], len(second["previous"])) == (False, 1)
    told = "An earlier job for first ended without anybody waiting for it and succeeded: AutoExpungeOnDelete = 0"
    assert second["warnings"] == [told]
    assert "previous" not in run(fake)


def test_killed_job_fails_with_the_service_back_and_the_next_run_does_it(fake: FakeKerio) -> None:
    fake.set("stops_slowly")
    run(fake, job_owner="first", job_wait=0)
    wait_for_the_stop(fake)
    folder = next((fake.folder / "state").glob("*.lock"))
    os.kill(job.status(folder.parent, folder.stem).pid, signal.SIGKILL)
    fake.unset("stops_slowly")
    result = run(fake, job_owner="first", job_wait=60, job_seen=1000)
    assert result["failed"]
    assert "was killed by signal 9" in result["msg"]
    assert result["error"]["state"]["not_answering"] == []
    assert run(fake)["changed"] is True


def test_state_files_are_for_the_owner_only_and_quote_nothing_else_of_the_file(fake: FakeKerio) -> None:
    fake.cfg.write_bytes(CFG.replace(b"example.com", b"not-a-secret-1"))
    fake.service().stop()
    fake.cfg.write_bytes(CFG.replace(b"example.com", b"not-a-secret-1"))
    result = run(fake)
    assert "not-a-secret" not in json.dumps(result)
    files = [path for path in (fake.folder / "state").rglob("*") if path.is_file()]
    assert files
    assert not any(b"not-a-secret" in path.read_bytes() for path in files)


def test_state_folder_that_others_can_write_is_not_believed(fake: FakeKerio) -> None:
    state = fake.folder / "open"
    state.mkdir()
    state.chmod(0o777)
    for check in (True, False):
        result = run(fake, check=check, state_dir=str(state))
        assert result["failed"]
        assert "everybody can write to" in result["msg"]
    assert (list(state.iterdir()), fake.calls()) == ([], [])


@pytest.mark.parametrize(
    ("system", "tool"), [("Darwin", "pgrep mailserver"), ("Windows", "Task Manager"), ("FreeBSD", "Stop the server")]
)
def test_other_systems_are_told_the_steps(fake: FakeKerio, monkeypatch: pytest.MonkeyPatch, system: str, tool: str) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    for check in (True, False):
        result = run(fake, check=check)
        assert result["failed"]
        assert result["error"]["subject"] == f"mailserver.cfg on {system}"
        assert len(result["error"]["steps"]) == 6
        assert tool in result["error"]["steps"][0]
        assert 'name="AutoExpungeOnDelete"> (AutoExpungeOnDelete) to 0' in result["error"]["steps"][2]
    assert fake.calls() == []


def compare(documented: dict[str, t.Any], spec: dict[str, t.Any], where: str) -> None:
    assert documented.keys() == spec.keys(), where
    for name, option in documented.items():
        for key in ("type", "default", "elements", "required"):
            default = "str" if key == "type" else None
            assert option.get(key, default) == spec[name].get(key, default), f"{where}.{name}.{key}"
        compare(option.get("suboptions", {}), spec[name].get("options", {}), f"{where}.{name}")


def test_documentation_is_what_the_module_takes() -> None:
    module = importlib.import_module("ansible_collections.mailops.kerio.plugins.modules.kerio_mailserver_cfg")
    texts = [one.ModuleDocFragment.DOCUMENTATION for one in (job_fragment, host_fragment)]
    documented = {
        name: option for text in (module.DOCUMENTATION, *texts) for name, option in yaml.safe_load(text)["options"].items()
    }
    compare(documented, module.ARGUMENTS, "kerio_mailserver_cfg")
    assert yaml.safe_load(module.RETURN).keys() >= {
        "variables",
        "reasons",
        "backup_file",
        "process",
        "holder",
        "previous",
        "error",
    }
    for example in yaml.safe_load(module.EXAMPLES):
        assert example["mailops.kerio.kerio_mailserver_cfg"].keys() <= module.ARGUMENTS.keys()


def test_role_passes_every_option_on_and_has_the_same_defaults() -> None:
    module = importlib.import_module("ansible_collections.mailops.kerio.plugins.modules.kerio_mailserver_cfg")
    task = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text(encoding="utf-8"))[0]
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"][
        "options"
    ]
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    passed = task["mailops.kerio.kerio_mailserver_cfg"]
    assert set(passed) == set(module.ARGUMENTS) - {"job_owner", "job_wait", "job_seen", "job_heard"}
    assert {name: option["default"] for name, option in options.items() if "default" in option} == defaults
    for name in passed:
        option = options[f"kerio_mailserver_cfg_{name}"]
        assert option.get("default") == module.ARGUMENTS[name].get("default"), name
        assert option.get("options", {}).keys() == module.ARGUMENTS[name].get("options", {}).keys(), name
