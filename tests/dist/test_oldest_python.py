# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on Kerio hosts is known by imports, written for the oldest Python there, and works with it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.dist import kerio_hosts, oldest, pythons
from tests.dist.pythons import ROOT

# Those that start no process, and take a second or two; `make matrix` runs all.
QUICK = ("test_mailserver_cfg.py", "test_job_folder.py", "test_plan.py", "test_runner.py")


@pytest.fixture(scope="module")
def python() -> str:
    found = pythons.find(pythons.OLDEST_ON_HOSTS)
    if found is None:
        pytest.skip("no Python 3.8 on this machine")
    return found


def for_the_oldest() -> set[Path]:
    """Return the files of which ruff is told that they are for Python 3.8, but for the program that checks proofs."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    targets = settings["tool"]["ruff"]["per-file-target-version"]
    patterns = {pattern for pattern, target in targets.items() if target == "py38"} - {"standalone/check_proof.py"}
    return {path for pattern in patterns for path in ROOT.glob(pattern)}


def test_plays_say_which_modules_run_on_kerio_hosts() -> None:
    assert "kerio_mailserver_cfg" in kerio_hosts.modules()
    assert not {"kerio_info", "kerio_master_login", "archive_run"} & set(kerio_hosts.modules())


def test_linter_takes_for_the_oldest_python_what_runs_with_it() -> None:
    assert for_the_oldest() == kerio_hosts.code() | kerio_hosts.helpers()


@pytest.mark.parametrize("module", kerio_hosts.modules())
def test_units_of_archive_hosts_are_never_called_there(module: str) -> None:
    assert "job_service" not in (ROOT / "library" / f"{module}.py").read_text(encoding="utf-8")


def test_it_compiles_and_can_be_imported(python: str) -> None:
    done = oldest.import_all(python)
    assert (done.stdout, done.stderr) == (f"(3, 8) {len(kerio_hosts.code())}\n", "")


def test_its_quick_unit_tests_pass(python: str) -> None:
    tests = [path for path in kerio_hosts.tests() if path.name in QUICK]
    assert len(tests) == len(QUICK)
    command = oldest.test_command(python, tests, "--quiet", "-p", "no:xdist")
    done = subprocess.run(command, cwd=ROOT, env=oldest.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed in", done.stdout, re.MULTILINE), done.stdout
