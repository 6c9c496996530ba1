# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/archive.yml with ``-e archive_mode=...`` on inventory/lab, as an operator runs it, and what its last task says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note
from tests.lab.fixtures import Factory, Lab
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.lab.service import wait_until
from tests.play.archive_site import FETCHED, Watch, stuck
from tests.play.helpers import run
from tests.play.trees import tree
from tests.unit.module_utils.archive.test_evidence import PEM

PLAYBOOKS, INVENTORY = ROOT / "playbooks", ROOT / "inventory" / "lab"
PATIENCE_SECONDS = 60.0
MOST_LINES = 25  # a sentence and the table
# Ansible 2.21 and later tell what a module was given only when asked to.
TOLD = {"ansible_inject_invocation": True}


@pytest.fixture(scope="module")
def lab(lab_factory: Factory) -> Lab:
    made = lab_factory(servers=2, users=2)
    made.fill(40)
    return made


def playbook(lab: Lab, work: Path, name: str, **variables: t.Any) -> PlaybookRun:
    given = ("-e", json.dumps(variables)) if variables else ()
    return run(PLAYBOOKS / f"{name}.yml", *given, inventory=INVENTORY, KERIO_LAB_JSON=str(lab.file), KERIO_LAB_WORK_DIR=str(work))


def last_message(done: PlaybookRun) -> list[str]:
    lines = str(done.of("assert")[-1].result["msg"]).splitlines()
    assert len(lines) <= MOST_LINES
    return lines


def stop_note(root: Path) -> Path:
    return root / "jobs" / "archive_run" / "stop.json"


def test_test_and_estimate_before_the_first_run_and_stop_of_a_run(lab: Lab, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    nobody = playbook(lab, tmp_path, "archive", archive_mode="test")
    assert nobody.rc != 0 and not root.exists()
    assert last_message(nobody)[0] == "0 of 0 mailboxes can be read"
    kept = keeping(tmp_path)
    assert any("Synchronise the users first (users.yml" in line for line in last_message(nobody))

    for name in ("configure", "users"):
        done = playbook(lab, tmp_path, name)
        assert done.rc == 0, done.output
    before, watch = tree(root), Watch(*lab.servers)
    tested = playbook(lab, tmp_path, "archive", archive_mode="test")
    assert tested.rc == 0, tested.output
    assert last_message(tested)[0] == "6 of 6 mailboxes can be read"
    assert not any(watch.commands()[name] for name in FETCHED)
    estimated = playbook(lab, tmp_path, "archive", archive_mode="estimate")
    assert estimated.rc == 0, estimated.output
    assert tree(root) == before
    assert "reading alone takes about" in last_message(estimated)[0]
    assert [task for done in (tested, estimated) for task in done.changed()] == []

    runs: list[PlaybookRun] = []
    with stuck() as silent:
        variables = {"kerio_connect_imap_port": silent.port, "kerio_connect_imap_timeout": 120, **kept}
        running = threading.Thread(target=lambda: runs.append(playbook(lab, tmp_path, "archive", **variables)))
        running.start()
        silent.taken()
        stopping = threading.Thread(target=lambda: runs.append(playbook(lab, tmp_path, "archive", archive_mode="stop")))
        stopping.start()
        assert wait_until(stop_note(root).exists, PATIENCE_SECONDS)
    for thread in (running, stopping):
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    stops = [done for done in runs if "The run of " in last_message(done)[0]]
    assert [done.rc for done in stops] == [0]
    assert "stopped on request before the end" in last_message(stops[0])[0]
    nothing = playbook(lab, tmp_path, "archive", archive_mode="stop")
    assert (nothing.rc, last_message(nothing)) == (0, ["Nothing to stop: no run is under way"])
    first = checkpoints(tmp_path)
    real = playbook(lab, tmp_path, "archive", **kept)
    assert real.rc == 0
    (task,) = real.of("archive_run")
    assert checkpoints(tmp_path) == first + task.result["checkpoint"] + "\n"
    assert not any(line.startswith("checkpoint: ") for line in last_message(real))
    seen = estimated.of("archive_run")[0].result["estimate"]
    assert seen["messages"] == task.result["run"]["seen"] > 0
    compare(lab, tmp_path, root)
    prove(lab, tmp_path, kept)
    verify(lab, tmp_path, root, kept)


def keeping(work: Path) -> dict[str, t.Any]:
    """Variables of a site that signs checkpoints and keeps them beside its inventory."""
    keys = [evidence_note.Signer(PEM, f"archive1{work}/archive").verifier_key]
    folder = str(work / "inventory" / "checkpoints")
    (work / "inventory").mkdir()
    return {
        "archive_ledger_checkpoints_dir": folder,
        "archive_ledger_verifier_keys": keys,
        "vault_archive_ledger_key": PEM,
    }


def checkpoints(work: Path) -> str:
    return (work / "inventory" / "checkpoints" / "archive1.checkpoints").read_text("utf-8")


def prove(lab: Lab, work: Path, kept: dict[str, t.Any]) -> None:
    """A run without news keeps the file; what it holds is signed, continued, and proven so by prove.yml."""
    before = checkpoints(work)
    again = playbook(lab, work, "archive", **kept, **TOLD)
    assert (again.rc, [task.action for task in again.changed()]) == (0, []), again.output
    assert checkpoints(work) == before
    (given,) = again.of("archive_run")[0].result["invocation"]["module_args"]["ledger_checkpoints"]
    assert before.endswith(f"\n\n{given}\n") and given.count("\n") == 5
    key = "".join(PEM.splitlines()[1:-1])
    assert key not in again.output and key not in json.dumps([task.result for task in again.tasks])
    message = next((work / "archive" / "mail").rglob("cur/*")).name
    asked = {
        "archive_proof_messages": [message],
        "archive_proof_dest": f"{work}/proofs",
        "archive_audit_events": ["users"],
        **kept,
    }
    where = {"KERIO_LAB_JSON": str(lab.file), "KERIO_LAB_WORK_DIR": str(work)}
    both = [{"import_playbook": str(PLAYBOOKS / f"{name}.yml")} for name in ("prove", "audit")]
    (work / "both.json").write_text(json.dumps(both), "utf-8")
    proven = run(work / "both.json", "-e", json.dumps(asked), inventory=INVENTORY, **where)
    assert proven.rc == 0, proven.output
    checker = [sys.executable, "-I", str(ROOT / "standalone" / "check_proof.py")]
    for words in (["consistency", "consistency.proof"], ["checkpoint", str(work / "inventory/checkpoints/archive1.checkpoints")]):
        subprocess.run([*checker, *words, "--key", kept["archive_ledger_verifier_keys"][0]], cwd=work / "proofs", check=True)
    assert before.startswith((work / "proofs" / "consistency.proof").read_text("utf-8").split("\n\n", 1)[1].split("\n\n")[0])
    assert sorted(path.suffix for path in (work / "proofs").iterdir()) == [".eml", ".proof", ".tlog-proof"]
    told = last_message(proven)
    assert re.fullmatch(r"\S+ \S+  \S+@\S+  users: created .*", told[0]) and "created alice@" in "".join(told)


def compare(lab: Lab, work: Path, root: Path) -> None:
    """compare.yml over the archive of the run, before and after somebody removed an object."""
    whole = playbook(lab, work, "compare", archive_compare_sample=2, archive_compare_sizes=True)
    assert whole.rc == 0, whole.output
    assert "in 6 mailboxes on the servers are in the archive" in last_message(whole)[0]
    assert whole.changed() == []
    compared = whole.of("archive_run")[0].result["compare"]
    assert compared["archived"] + compared["copy"] == compared["on_server"] == compared["sizes_compared"] > 12
    lost = next((root / "objects").glob("*/*"))
    lost.rename(root / "lost")
    missing = playbook(lab, work, "compare")
    (root / "lost").rename(lost)
    assert missing.rc != 0
    assert any("have no intact object (UID " in line for line in last_message(missing))


def verify(lab: Lab, work: Path, root: Path, kept: dict[str, t.Any]) -> None:
    """verify.yml over the archive of the run, before and after somebody removed a message of a user."""
    check, whole = (playbook(lab, work, "verify", **more) for more in ({"archive_verify_sample": 3}, kept | TOLD))
    given = whole.of("archive_verify")[0].result["invocation"]["module_args"]["ledger_checkpoints"]
    assert "".join(f"{checkpoint}\n" for checkpoint in given) == checkpoints(work)
    assert (check.rc, whole.rc) == (0, 0), whole.output
    assert "no damage" in last_message(whole)[0]
    assert [task for done in (check, whole) for task in done.changed()] == []
    next((root / "mail").rglob("cur/*")).unlink()
    damaged = playbook(lab, work, "verify")
    assert damaged.rc != 0
    assert last_message(damaged)[0].startswith("2 damaged")
    assert last_message(damaged)[-1] == "1 placement_missing"


@pytest.mark.parametrize("value", ["tset", "Stop"])
def test_a_mode_that_does_not_exist_is_refused_with_those_that_do(lab: Lab, tmp_path: Path, value: str) -> None:
    done = playbook(lab, tmp_path, "archive", archive_mode=value)
    assert done.rc != 0
    # Where it failed, and at the end.
    task, told = done.failed()
    assert told.result["msg"] == task.result["msg"]
    assert f"archive, test, estimate, stop, compare, got: {value}" in task.result["msg"]
