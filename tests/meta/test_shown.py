# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module's tests show what every module must do. A test says what it shows with ``pytest.mark.shows``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.meta.test_house import MODULES, ROLES, ROOT

# Modules that change nothing have no change to repeat or to diff.
READING = {
    "archive_audit",
    "archive_info",
    "archive_login",
    "archive_rehearse",
    "archive_verify",
    "kerio_compare",
    "kerio_directory_info",
    "kerio_info",
    "kerio_master_login",
    "kerio_preflight",
    "kerio_preflight_host",
    "kerio_preflight_imap",
}
UNIT = {"change", "again", "check", "diff", "error"}
PLAY = {"run", "again", "check", "by_hand", "broken"}
UNIT_READING = {"read", "check", "error"}
PLAY_READING = {"run", "check", "by_hand", "broken"}
# What cannot be shown, and why.
EXCEPT = {
    ("unit", "archive_run"): {"diff"},  # its documentation: archived messages are counted, not shown
}
# helpers.settle runs a step as a check on a server that refuses writes, for real, and again.
BY_CALL = {"settle": {"run", "again", "check"}}


def shown(files: list[Path]) -> set[str]:
    """Return what the tests of some files say that they show."""
    found: set[str] = set()
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= _by_marker(node) | _by_call(node)
    return found


def _by_marker(test: ast.FunctionDef) -> set[str]:
    marks = [mark for mark in test.decorator_list if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.shows"]
    return {word.value for mark in marks for word in mark.args if isinstance(word, ast.Constant)}


def _by_call(test: ast.FunctionDef) -> set[str]:
    called = {node.func.id for node in ast.walk(test) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return {word for name in called & set(BY_CALL) for word in BY_CALL[name]}


def files_of(layer: str, module: str) -> list[Path]:
    """Return the files of a module; those of a longer name that begins the same belong to another module."""
    longer = {other for other in MODULES if other != module and other.startswith(module)}
    files = ROOT.glob(f"tests/{layer}/test_{module}*.py")
    return [path for path in files if not any(path.stem.startswith(f"test_{other}") for other in longer)]


@pytest.mark.parametrize("module", MODULES)
def test_unit_tests_show_a_change_again_check_diff_and_errors(module: str) -> None:
    needed = (UNIT_READING if module in READING else UNIT) - EXCEPT.get(("unit", module), set())
    assert needed - shown(files_of("unit/library", module)) == set()


@pytest.mark.parametrize("module", MODULES)
def test_play_tests_show_a_run_again_check_a_change_by_hand_and_something_broken(module: str) -> None:
    needed = PLAY_READING if module in READING else PLAY
    assert needed - shown(files_of("play", module)) == set()


# Where the plays of a role are.
ROLE_TESTS = {
    "archive_access": "play/test_archive_access.py",
    "archive_host": "play/test_archive_host.py",
    "controller": "hosts/test_controller.py",
    "kerio_connect": "play/test_role_configure.py",
    "kerio_mailserver_cfg": "play/test_role_configure.py",
}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_played_again_checked_and_broken(role: str) -> None:
    assert {"run", "again", "check", "broken"} - shown([ROOT / "tests" / ROLE_TESTS[role]]) == set()
