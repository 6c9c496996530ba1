# SPDX-License-Identifier: GPL-3.0-or-later
"""The program runs by itself, with any Python from 3.8 on, and needs nothing of this project."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.standalone.ledgers import (
    SIGNER,
    checkpoint,
    consistency_proof,
    entry,
    ledger,
    message,
    message_proof,
)

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "standalone" / "check_proof.py"
LEDGER = ledger(7)


def pythons() -> list[str]:
    """Return this interpreter and all others from 3.8 on: those of the system, and those that pyenv installed."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [
        *Path("/usr/bin").glob("python3.*"),
        *Path("/usr/local/bin").glob("python3.*"),
        *pyenv.glob("versions/3.*/bin/python3.*"),
    ]
    good = [path for path in found if re.fullmatch(r"python3\.([89]|\d\d)", path.name)]
    return [sys.executable, *sorted(map(str, good))]


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """Return a folder with the program and files for it, and nothing else."""
    shutil.copy(PROGRAM, tmp_path)
    files = {
        "message.eml": message(2),
        "proof": message_proof(2, LEDGER).encode(),
        "bad": message_proof(2, LEDGER).replace("index 2", "index 3").encode(),
        "changes": consistency_proof(3, LEDGER).encode(),
        "checkpoint": checkpoint(LEDGER).encode(),
        "entries": b"".join(one + b"\n" for one in LEDGER),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={"LC_ALL": "C.UTF-8", **environment}, capture_output=True, encoding="utf-8", check=False
    )


CALLS = [
    ("message message.eml proof", 0, "the message was archived"),
    ("message message.eml bad", 1, "NOT PROVEN: The entry is not number 3"),
    ("consistency changes", 0, "begins with the 3 of the older checkpoint"),
    ("checkpoint checkpoint", 0, "7 entries"),
    ("ledger entries --checkpoint checkpoint", 0, "The first 7 entries"),
    ("message message.eml entries", 2, "CANNOT BE CHECKED: entries is another kind of file"),
]


@pytest.mark.parametrize("python", pythons())
def test_the_standard_library_alone_is_enough_without_signatures(alone: Path, python: str) -> None:
    for words, status, said in CALLS:
        done = run(alone, python, "-I", "-S", "-W", "error", "check_proof.py", *words.split(), "--unsigned")
        assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done


@pytest.mark.parametrize("python", pythons())
def test_signatures_are_checked_where_the_library_is_and_never_taken_for_right_where_it_is_not(alone: Path, python: str) -> None:
    there = run(alone, python, "-I", "-c", "import cryptography").returncode == 0
    done = run(alone, python, "-I", "check_proof.py", "checkpoint", "checkpoint", "--key", SIGNER.vkey)
    assert (done.returncode, "need the Python package cryptography" in done.stderr) == ((0, False) if there else (2, True)), done


def test_this_interpreter_has_the_library(alone: Path) -> None:
    done = run(alone, sys.executable, "-I", "check_proof.py", "message", "message.eml", "proof", "--key", SIGNER.vkey)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "PROVEN"), done


def test_it_can_be_started_as_a_program(alone: Path) -> None:
    done = run(alone, "./check_proof.py", "checkpoint", "checkpoint", "--unsigned", PATH=os.environ["PATH"])
    assert done.returncode == 0, done


def test_a_terminal_without_unicode_shows_names_all_the_same(alone: Path) -> None:
    (alone / "proof").write_text(message_proof(0, [entry(2, folder="Entwürfe")]), encoding="utf-8")
    done = run(
        alone, sys.executable, "check_proof.py", "message", "message.eml", "proof", "--unsigned", PYTHONIOENCODING="ascii:strict"
    )
    assert (done.returncode, "folder: Entw\\xfcrfe" in done.stdout) == (0, True), done


def test_it_is_one_file_for_python_3_8_that_imports_nothing_else() -> None:
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"), feature_version=(3, 8))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or ".")
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}
    assert os.access(PROGRAM, os.X_OK)
