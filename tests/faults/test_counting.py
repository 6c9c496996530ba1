# SPDX-License-Identifier: GPL-3.0-or-later
"""Fault cases are counted once, by the process to which all results come, also when xdist spreads the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TESTS = """
import pytest

@pytest.mark.fault("hostile")
@pytest.mark.parametrize("number", range(5))
def test_passes(number):
    pass

@pytest.mark.fault("disk", 12)
def test_of_twelve():
    pass

@pytest.mark.fault("crash")
def test_enumerates(fault_points):
    fault_points(7)
    fault_points(2410)

@pytest.mark.fault("hostile")
def test_fails():
    raise AssertionError

@pytest.fixture
def broken():
    raise AssertionError

@pytest.mark.fault("power")
def test_is_not_set_up(broken):
    pass

def test_of_another_matter():
    pass
"""
PLUGIN = """
from tests.faults import counting
from tests.faults.counting import *
from pathlib import Path
counting.FILE = Path({file!r})
"""


def run(folder: Path, text: str, *options: str) -> tuple[int, str]:
    """Run pytest on ``text`` with the plugin, which writes to ``folder``."""
    (folder / "test_sample.py").write_text(text, encoding="utf-8")
    (folder / "sample_plugin.py").write_text(PLUGIN.format(file=str(folder / "build" / "faults.json")), encoding="utf-8")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_DEBUG_TEMPROOT": str(folder)}  # else it clears away what others left
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "sample_plugin",
            "-p",
            "xdist",
            "-c",
            "none.ini",
            *options,
        ],
        cwd=folder,
        env={**os.environ, **alone, "PYTHONPATH": os.pathsep.join([str(folder), str(REPOSITORY)])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "with xdist"])
def test_what_passed_is_counted_by_kind_and_what_failed_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "none.ini").write_text("[pytest]\n", encoding="utf-8")
    _status, output = run(tmp_path, TESTS, *options)
    told = json.loads((tmp_path / "build" / "faults.json").read_text(encoding="utf-8"))
    assert told == {
        "kinds": {
            "hostile": {"tests": 5, "points": 5},
            "crash": {"tests": 1, "points": 2410},
            "disk": {"tests": 1, "points": 12},
        },
        "points": 2427,
        "failed": ["test_sample.py::test_fails", "test_sample.py::test_is_not_set_up"],
    }
    assert "fault cases: hostile 5 in 5 tests, crash 2,410 in 1 tests, disk 12 in 1 tests" in output


def test_a_session_without_fault_cases_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "none.ini").write_text("[pytest]\n", encoding="utf-8")
    status, _output = run(tmp_path, "def test_of_another_matter(): pass\n")
    assert status == 0
    assert not (tmp_path / "build").exists()


def test_a_kind_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.ini").write_text("[pytest]\n", encoding="utf-8")
    status, output = run(tmp_path, 'import pytest\n@pytest.mark.fault("typo")\ndef test_it(): pass\n')
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "typo is no kind of fault" in output
