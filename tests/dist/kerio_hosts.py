# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on Kerio hosts, found in the plays and by imports: modules, what they import, and the unit tests of that.

Nobody keeps a list: whoever writes a play for the hosts of the servers, or an import more, has to write for their Python as well.
"""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

import yaml

from tests.meta.test_layers import PREFIX, ROOT, UTILS, imported

MODULES = PREFIX.replace("module_utils", "modules")
NAMES = "mailops.kerio."
GROUP = "kerio_servers"
TESTS = ROOT / "tests"
# Imported there and never called: units of systemd and their account are those of archive hosts, whose Python is newer.
NEVER_CALLED = ("test_job_account.py", "test_job_unit.py")
PARTS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")
ROLES = ("ansible.builtin.include_role", "ansible.builtin.import_role")
FILES = ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks")


@functools.cache
def modules() -> list[str]:
    """Return the modules of this collection that a play runs on hosts of the servers, by their last names."""
    found: set[str] = set()
    for playbook in sorted((ROOT / "playbooks").glob("*.yml")):
        for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
            if play.get("hosts") == GROUP and play.get("connection") != "local":
                found |= named(play, playbook.parent)
    return sorted(found)


def named(task: dict[str, t.Any], folder: Path) -> set[str]:
    """Return the modules of a play, a block or a task, and of the roles and files that it brings in."""
    found = {key.removeprefix(NAMES) for key in task if key.startswith(NAMES)}
    for inner in (inner for part in PARTS for inner in task.get(part) or []):
        found |= named(inner, folder)
    for role in (task[key]["name"].removeprefix(NAMES) for key in ROLES if key in task):
        for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
            found |= _in_file(path)
    for file in (task[key] for key in FILES if key in task):
        found |= _in_file(folder / (file if isinstance(file, str) else file["file"]))
    return found


def _in_file(path: Path) -> set[str]:
    """Return the modules of a file of tasks."""
    tasks = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    return {module for task in tasks for module in named(task, path.parent)}


def code() -> set[Path]:
    """Return the files of the modules and all that they import of this collection, directly or not."""
    return closure({ROOT / "library" / f"{name}.py" for name in modules()})


def tests() -> list[Path]:
    """Return the unit tests which import of this collection nothing but what runs there."""
    there = code()
    fragments = ROOT / "doc_fragments"
    found = []
    for path in sorted((TESTS / "unit").rglob("test_*.py")):
        ours = {file for file in closure({path}) if not file.is_relative_to(TESTS) and not file.is_relative_to(fragments)}
        if ours and ours <= there and path.name not in NEVER_CALLED:
            found.append(path)
    return found


def helpers() -> set[Path]:
    """Return what the tests import of the tests, themselves included."""
    return {path for path in closure(set(tests())) if path.is_relative_to(TESTS)}


def closure(start: set[Path]) -> set[Path]:
    """Return files and all that they import of this repository, directly or not."""
    seen: set[Path] = set()
    waiting = set(start)
    while waiting:
        file = waiting.pop()
        seen.add(file)
        waiting |= _imported_files(file) - seen
    return seen


@functools.cache
def _imported_files(file: Path) -> frozenset[Path]:
    return frozenset(path for name in imported(file) for path in _files(name))


def _files(name: str) -> list[Path]:
    """Return the file of a full name of an import, which may end with what is taken from the file."""
    bases = {PREFIX: UTILS, MODULES: ROOT / "library", "tests.": TESTS}
    for prefix, folder in bases.items():
        if name.startswith(prefix):
            path = folder.joinpath(*name.removeprefix(prefix).split("."))
            return [file for file in (path.with_suffix(".py"), path.parent.with_suffix(".py")) if file.exists()]
    return []
