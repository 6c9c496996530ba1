# SPDX-License-Identifier: GPL-3.0-or-later
"""archive_run while another run goes on, and after its controller was killed; no password can be seen meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_lock import RootLock
from tests.lab.fixtures import Factory
from tests.lab.playbooks import ROOT, environment
from tests.lab.service import wait_until
from tests.play.archive_site import MAILBOXES, Background, Site, Stuck, furnish, stuck
from tests.play.helpers import SECRET, Answer, Step, play
from tests.play.trees import tree

SLOW = {"name": "slow", "method": "single_mailbox", "servers": ["slow"], "mailbox": "slow@example.com", "target_user": "slow"}


@pytest.fixture(scope="module")
def site(lab_factory: Factory) -> Site:
    return furnish(lab_factory(servers=2, users=3), 60)


@pytest.fixture
def root(site: Site, tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    play(*site.ready(path))
    return path


@pytest.fixture
def held() -> t.Iterator[Stuck]:
    with stuck() as server:
        yield server


def long_run(site: Site, root: Path, server: Stuck) -> Step:
    """A run of all profiles that stays at work until the stuck server lets it go."""
    slow = {"name": "slow", "host": "127.0.0.1", "port": server.port, "timeout": 120}
    servers = [*(site.access(each) for each in site.servers), slow]
    passwords = {**site.passwords, "leaver": site.gina(), "slow": f"{SECRET}-slow"}
    everything = [SLOW, *({"servers": ["mail1", "mail2"], **profile} for profile in site.profiles())]
    return site.run(root, *everything, servers=servers, passwords=passwords, fail_on_errors=False)


def visible() -> t.Iterator[tuple[str, bytes]]:
    """What every process shows of itself: its command line and its environment."""
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                yield f"{process}/{name}", (process / name).read_bytes()


def record(root: Path, name: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads((root / "jobs" / "archive_run" / name).read_text("utf-8"))
    return found


def figures(answer: Answer) -> tuple[bool, bool, int]:
    return answer.changed, answer.failed, answer.result["run"]["new"]


def test_a_second_run_ends_well_and_names_the_holder(site: Site, root: Path, held: Stuck) -> None:
    first = Background(long_run(site, root, held))
    held.taken()
    shown = dict(visible())
    assert any(str(record(root, "state.json")["pid"]) in path for path in shown)
    assert [path for path, text in shown.items() if any(secret in text for secret in site.secrets())] == []

    before = tree(root / "objects", root / "mail")
    looked = Step("archive_info", {"root": str(root), "runs": 1})
    users = Step("archive_users", {**site.ready(root)[1].options, "users": [{"name": "auditor"}]})
    second, check, info, synchronised = play(site.run(root), site.run(root, MAILBOXES, check=True), looked, users)
    assert (second.changed, second.failed) == (False, False)
    holder = record(root, "attendant.json")["owner"]
    assert second.msg == f"Nothing done: archive_run is under way for {holder}"
    assert second.result["holder"] == holder and "ansible process" in holder
    assert check.result["run"]["new"] == site.expected()
    assert info.result["runs"][0]["finished"] is None
    assert synchronised.changed
    assert tree(root / "objects", root / "mail") == before

    held.let_go()
    (ended,) = first.answers()
    assert figures(ended)[:2] == (True, False)
    assert ended.result["run"]["outcome"] == "problems"
    (trouble,) = ended.result["run"]["errors"]
    assert trouble["where"] == "slow"
    (profile,) = [one for one in ended.result["profiles"] if one["name"] == "mailboxes"]
    assert profile["seen"] == site.expected()
    files = [path for path in root.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_an_archive_that_something_else_uses_is_left_alone(site: Site, root: Path) -> None:
    before = tree(root / "objects", root / "mail", root / "catalog.sqlite3")
    lock = RootLock(str(root / "lock"), "archive_verify")
    (answer,) = play(site.run(root))
    assert (answer.changed, answer.failed) == (False, False)
    assert answer.msg.startswith(f"Nothing done: {root}/lock: the archive is in use by archive_verify (process {os.getpid()} on ")
    assert answer.msg.endswith("Wait until that run is over; the next playbook run archives what is new then.")
    assert answer.result["holder"]["what"] == "archive_verify"
    assert tree(root / "objects", root / "mail", root / "catalog.sqlite3") == before
    lock.release()
    (answer,) = play(site.run(root))
    assert answer.changed and answer.result["run"]["outcome"] == "ok"


def family(ancestor: int) -> list[int]:
    """A process and all that descend from it; Ansible's workers are in sessions of their own."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(process.name)] = int((process / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
    found = [ancestor]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def start_and_kill(step: Step, server: Stuck) -> None:
    """Run a step by an ansible-playbook of its own, and kill that with all of its processes once the job is at work."""
    task = {"name": "Ensure the mail is archived", "mailops.kerio.archive_run": {key: f"{{{{ {key} }}}}" for key in step.options}}
    document = {"name": "Ensure", "hosts": "all", "connection": "local", "gather_facts": False, "tasks": [task]}
    task["vars"] = {"ansible_python_interpreter": sys.executable}
    with tempfile.TemporaryDirectory() as folder:
        playbook, variables = Path(folder) / "run.json", Path(folder) / "variables.json"
        playbook.write_text(json.dumps([document]), encoding="utf-8")
        variables.write_text(json.dumps(dict(step.options)), encoding="utf-8")
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "server,", str(playbook), "-e", f"@{variables}"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        own = environment(Path(sys.executable), {"RECORD_RESULTS": f"{folder}/results"})
        with subprocess.Popen(command, cwd=ROOT, env=own, **quiet) as controller:
            server.taken()
            assert wait_until((Path(step.options["root"]) / "jobs" / "archive_run" / "attendant.json").exists, 30)
            doomed = family(controller.pid)
            assert len(doomed) >= 3  # ansible-playbook, its worker, the module
            assert record(Path(step.options["root"]), "state.json")["pid"] not in doomed
            for process in doomed:
                os.kill(process, signal.SIGKILL)
            assert controller.wait() == -signal.SIGKILL


def test_a_job_whose_controller_was_killed_goes_on_and_the_next_run_attaches(site: Site, root: Path, held: Stuck) -> None:
    step = long_run(site, root, held)
    start_and_kill(step, held)
    started = record(root, "state.json")
    assert Path(f"/proc/{started['pid']}").exists()
    killed = record(root, "attendant.json")
    aged = dict(killed, at=killed["at"] - 61.0)  # nobody has asked for a minute
    (root / "jobs" / "archive_run" / "attendant.json").write_text(json.dumps(aged), "utf-8")
    second = Background(step)
    assert wait_until(lambda: record(root, "attendant.json")["owner"] != killed["owner"], 30)
    held.let_go()
    (answer,) = second.answers()
    assert answer.result["job"]["id"] == started["id"]
    assert (answer.changed, answer.failed) == (True, False)
    (profile,) = [one for one in answer.result["profiles"] if one["name"] == "mailboxes"]
    assert profile["seen"] == site.expected()
    (again,) = play(site.run(root))
    assert (again.changed, again.result["run"]["new"]) == (False, 0)
    assert "previous" not in again.result


def test_a_job_that_ended_alone_is_reported_by_the_next_run(site: Site, root: Path, held: Stuck) -> None:
    start_and_kill(long_run(site, root, held), held)
    job = record(root, "state.json")["id"]
    held.let_go()
    assert wait_until((root / "jobs" / "archive_run" / "result.json").exists, 60)
    (answer,) = play(site.run(root))
    assert figures(answer) == (False, False, 0)
    assert answer.result["run"]["known"] == answer.result["run"]["seen"]
    (previous,) = answer.result["previous"]
    assert (previous["id"], previous["state"], previous["error"]) == (job, "finished", None)
    assert previous["result"]["changed"] and " new messages archived from " in previous["result"]["msg"]
    (last,) = play(site.run(root))
    assert "previous" not in last.result
