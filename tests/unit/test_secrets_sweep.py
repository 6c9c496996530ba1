# SPDX-License-Identifier: GPL-3.0-or-later
"""The sweep for secrets finds what leaks, names it without its value, and knows the places that may hold one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import secret_marks
from tests.lab.secret_marks import MARK
from tests.play import quick
from tests.secrets_sweep import LOOKS, OWN, TYPED, Sampler

KEY = "-----BEGIN PRIVATE KEY-----\\nMC4CAQ"


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    finds: list[str] = []
    monkeypatch.setattr(secret_marks, "found", finds)
    return finds


@pytest.fixture
def folder() -> Iterator[Path]:
    """Gone before the session is swept."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_file_that_leaks_is_named_with_the_name_of_the_secret(found: list[str], folder: Path) -> None:
    write(folder / "jobs" / "run.json", f'{{"password": "{MARK}-master-0a1b"}}')
    write(folder / "log", f"{KEY}\n{MARK}-alice {MARK}")
    write(folder / "catalog.sqlite3", f"\0\0{MARK}-bob\0")
    write(folder / "test0" / "lab.json", f"{MARK}-alice")
    write(folder / "test0" / "tls" / "ca.key", KEY)
    write(folder / "control0" / "worktree" / "tests" / "scene.py", f"{MARK}-of-the-vault")
    write(folder / "control0" / "worktree" / "roles" / "scene.py", f"{MARK}-published")
    write(folder / "archive" / "objects" / "ab" / "message", f"{MARK}-alice")
    write(folder / "lab.json.old", "nothing")
    secret_marks.look(folder)
    names = ("a private key", "alice", secret_marks.NAMELESS)
    expected = {f"{folder}/jobs/run.json: master", f"{folder}/catalog.sqlite3: bob", *(f"{folder}/log: {name}" for name in names)}
    expected |= {f"{folder}/control0/worktree/roles/scene.py: published"}
    assert set(found) == expected
    assert not any("0a1b" in line for line in found)


def test_a_log_that_leaks_is_named(found: list[str], folder: Path) -> None:
    """As a module writes it that a playbook of the tests has started."""
    texts = [f"Invoked with servers=[{{'password': '{MARK}-a\\\\b'}}]", "Invoked with root=/nowhere"]
    program = f"import syslog\nfor text in {texts!r}:\n    syslog.syslog(syslog.LOG_INFO, text)"
    environment = {"PYTHONPATH": str(quick.START), quick.KEPT: str(folder / "kept")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    secret_marks.look(folder)
    (line,) = found
    assert line.startswith(f"{folder}/system-log-") and line.endswith(": a")


def test_an_output_that_leaks_is_named(found: list[str]) -> None:
    secret_marks.hear("all is well", "output of site.yml")
    assert found == []
    secret_marks.hear(f"login with {MARK}-admin refused", "output of site.yml")
    assert found == ["output of site.yml: admin"]


def process(proc: Path, pid: int, parent: int, command: str, environment: str = "") -> None:
    for name, text in (("cmdline", command), ("environ", environment), ("stat", f"{pid} (a (b) c) S {parent} 1")):
        write(proc / str(pid) / name, text.replace(" ", "\0") if name != "stat" else text)


def test_processes_of_the_session_and_what_these_start_are_looked_at(found: list[str], folder: Path) -> None:
    process(folder, 10, 1, "python -m ansible", f"{OWN}=this PATH=/bin")
    process(folder, 11, 10, f"doveadm --password {MARK}-keeper")
    process(folder, 12, 1, f"grep {MARK}-foreign", f"{OWN}=other")
    process(folder, 13, 1, "restic", f"{OWN}=this RESTIC_PASSWORD={MARK}-allowed MAIL_PASSWORD={MARK}-backup")
    sampler = Sampler("this", folder)
    for _ in range(LOOKS):
        sampler.sample()
    assert {line.rpartition(": ")[2] for line in found} == {"keeper", "backup"}
    assert not any("foreign" in line or MARK in line.rpartition(": ")[2] for line in found)


def test_a_process_that_begins_another_program_is_looked_at_again(found: list[str], folder: Path) -> None:
    process(folder, 10, 1, "python", f"{OWN}=this")
    sampler = Sampler("this", folder)
    sampler.sample()
    process(folder, 10, 1, f"curl -u Admin:{MARK}-admin", f"{OWN}=this")
    sampler.sample()
    assert [line.rpartition(": ")[2] for line in found] == ["admin"]


def test_variables_of_a_playbook_that_a_test_types_are_left_out_but_nothing_else(found: list[str], folder: Path) -> None:
    typed = " ".join(TYPED)
    command = f"python {typed} -i hosts site.yml -e {MARK}-typed --limit {MARK}-limit"
    process(folder, 10, 1, command, f"{OWN}=this V={MARK}-variable")
    process(folder, 11, 10, f"python -c {MARK}-module -e {MARK}-option")
    process(folder, 12, 11, f"sh -c python {typed} -e {MARK}-shell")
    for name in ("sudo", "ssh", "ansible-playbook"):
        process(folder, 20 + len(name), 10, f"{name} -e {MARK}-{name.partition('-')[0]}")
    sampler = Sampler("this", folder)
    for _ in range(LOOKS):
        sampler.sample()
    names = {"limit", "variable", "module", "option", "shell", "sudo", "ssh", "ansible"}
    assert {line.rpartition(": ")[2] for line in found} == names
