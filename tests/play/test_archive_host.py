# SPDX-License-Identifier: GPL-3.0-or-later
"""The role archive_host: a real Python environment from its pins, an interpreter that is there already, a fit archive root."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import run
from tests.play.trees import tree

ROLE = ROOT / "roles" / "archive_host"
STORE = "Ensure the archive exists and its file system is fit for it"


def play(folder: Path, *args: str, **variables: t.Any) -> PlaybookRun:
    """Run the role on this host, with all it makes below ``folder``; no package of the system is touched."""
    document = {
        "name": "Ensure the archive host is ready",
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "roles": [{"role": "mailops.kerio.archive_host"}],
    }
    own = {
        "ansible_python_interpreter": sys.executable,
        "archive_host_root": str(folder / "archive"),
        "archive_host_python_env": str(folder / "host" / "python"),
        "archive_host_base_python": getattr(sys, "_base_executable", sys.executable),
        "archive_host_packages": [],
        "archive_host_become_install": False,
        "archive_host_reserve": 1,
        **variables,
    }
    (folder / "play.json").write_text(json.dumps([document]), "utf-8")
    return run(folder / "play.json", "-e", json.dumps(own), *args, inventory="host,")


def changed(done: PlaybookRun) -> list[str]:
    """The tasks that changed something, without the name of the role."""
    assert done.rc == 0, done.output
    return [task.task.rpartition(" : ")[2] for task in done.changed()]


def made(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "play.json")


@pytest.mark.shows("run", "again", "check")
def test_the_environment_is_installed_once_as_pinned(tmp_path: Path) -> None:
    check = play(tmp_path, "--check")
    assert "Ensure the pinned requirements are on the host" in changed(check)
    assert made(tmp_path) == []

    first = play(tmp_path)
    assert changed(first) == [
        "Ensure the directory of the Python environment exists",
        "Ensure the pinned requirements are on the host",
        "Ensure the libraries are installed as pinned",
        STORE,
    ]
    python = tmp_path / "host" / "python" / "bin" / "python"
    listing = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True).stdout
    installed = {f"{entry['name'].lower().replace('_', '-')}=={entry['version']}" for entry in json.loads(listing)}
    pins = re.findall(r"(?m)^\S+==\S+", (ROLE / "files" / "requirements.txt").read_text("utf-8").lower())
    assert len(pins) > 5 and set(pins) <= installed
    (store,) = first.of("archive_store")
    assert store.result["archive"]["format"] == "kerio-archive 1"

    assert changed(play(tmp_path)) == []
    assert changed(play(tmp_path, "--check")) == []

    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "zstandard"], check=True)
    assert changed(play(tmp_path)) == ["Ensure the libraries are installed as pinned"]


def test_an_interpreter_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    given = {"archive_host_python": sys.executable}
    assert changed(play(tmp_path, "--check", **given)) == [STORE]
    assert made(tmp_path) == []
    assert changed(play(tmp_path, **given)) == [STORE]
    assert made(tmp_path) == ["archive"]
    before = tree(tmp_path / "archive")
    assert changed(play(tmp_path, **given)) == []
    assert tree(tmp_path / "archive") == before
    (tmp_path / "archive").chmod(0o2755)
    assert changed(play(tmp_path, **given)) == [STORE]


def told(done: PlaybookRun) -> str:
    """The one sentence in which a play failed."""
    assert done.rc != 0
    (task,) = done.failed()
    assert "Traceback" not in str(task.result["msg"])
    return str(task.result["msg"])


@pytest.mark.shows("broken")
def test_what_is_not_fit_is_told_and_nothing_is_made(tmp_path: Path, bare_python: str) -> None:
    sentence = told(play(tmp_path, archive_host_python=bare_python))
    assert sentence.startswith(f"{bare_python}: ")
    assert "No module named 'argon2'. " in sentence
    assert "Install argon2-cffi, cryptography, imapclient, requests and zstandard for it" in sentence
    assert "archive_host_python" in sentence
    sentence = told(play(tmp_path, archive_host_python="/no/such/python"))
    assert sentence.startswith("/no/such/python: there is no such file. Install ") and "archive_host_python" in sentence
    assert made(tmp_path) == []
    sentence = told(play(tmp_path, archive_host_python=sys.executable, archive_host_reserve=1 << 30))
    assert f"{tmp_path}: " in sentence and "bytes are free, the reserve is 1,125,899,906,842,624. Make room" in sentence
    assert made(tmp_path) == []


def test_another_file_than_the_pinned_one_is_refused_and_nothing_of_it_is_installed(tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    (index / "argon2_cffi-25.1.0-py3-none-any.whl").write_bytes(b"not what was pinned")
    done = play(tmp_path, archive_host_pip_args=f"--no-index --find-links {index}")
    assert done.rc != 0
    sentence = str(done.failed()[-1].result["msg"])
    assert sentence.startswith(f"{tmp_path}/host/python.requirements.txt: the package index has another file, or wants another")
    assert "argon2" in sentence and "sha256" in sentence.lower()
    assert not list((tmp_path / "host" / "python").rglob("argon2*"))
    assert not (tmp_path / "archive").exists()
