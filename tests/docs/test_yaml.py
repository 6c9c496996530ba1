# SPDX-License-Identifier: GPL-3.0-or-later
"""Every block in YAML of the docs, and every example of a module: variables, tasks and plays that Ansible and we would take."""

from __future__ import annotations

import importlib
import re
import typing as t

import pytest

from tests.docs import blocks, variables
from tests.docs.blocks import Block
from tests.docs.variables import Data, load
from tests.meta.test_house import MODULES
from tests.unit.library.module_run import PACKAGE

# A block may be several files, each below a comment that names it.
FILE = re.compile(r"^# (\S+\.ya?ml)\b.*$", re.MULTILINE)
PLAY = {
    "become", "connection", "gather_facts", "hosts", "module_defaults", "name", "roles", "tasks", "vars", "vars_files",
    "vars_prompt",
}  # fmt: skip
GROUPS = {"all", "archive_hosts", "controllers", "kerio_servers"}


def documents(text: str) -> t.Iterator[t.Any]:
    """What is in a block, file by file."""
    for part in FILE.split(text)[::2]:
        if part.strip():
            yield load(part)


def problems(document: t.Any) -> list[str]:
    """What is wrong with variables, an inventory, tasks or plays; which of them it is, is told by their shape."""
    if isinstance(document, dict):
        return problems_of_inventory(document) if set(document) <= GROUPS else variables.problems_of_variables(document)
    if not isinstance(document, list) or not all(isinstance(one, dict) for one in document):
        return [f"this is no variables, inventory, tasks or plays: {document!r}"]
    found = []
    for one in document:
        found += problems_of_play(one) if "hosts" in one or _imported(one) else variables.problems_of_task(one)
    return found


def problems_of_inventory(groups: Data) -> list[str]:
    found = []
    for group in groups.values():
        found += variables.problems_of_variables((group or {}).get("vars", {}))
        for host in ((group or {}).get("hosts") or {}).values():
            found += variables.problems_of_variables(host or {})
        found += problems_of_inventory((group or {}).get("children") or {})
    return found


def _imported(play: Data) -> str:
    return str(play.get("ansible.builtin.import_playbook", ""))


def problems_of_play(play: Data) -> list[str]:
    if _imported(play):
        name = _imported(play).removeprefix("mailops.kerio.").removesuffix(".yml").rsplit("/", 1)[-1]
        return [] if (blocks.ROOT / "playbooks" / f"{name}.yml").exists() else [f"there is no playbook {name}"]
    found = [f"{key} is no keyword of a play" for key in play if key not in PLAY]
    for task in play.get("tasks", []):
        found += variables.problems_of_task(task)
    return found


@pytest.mark.parametrize("page", sorted({block.page for block in blocks.blocks("yaml")}))
def test_blocks_of_pages(page: str) -> None:
    assert [(block.place, found) for block in blocks.page(page).blocks("yaml") if (found := problems_of_block(block))] == []


def problems_of_block(block: Block) -> list[str]:
    return [found for document in documents(block.text) for found in problems(document)]


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_modules(module: str) -> None:
    examples = load(importlib.import_module(f"{PACKAGE}.modules.{module}").EXAMPLES)
    assert [(task["name"], found) for task in examples if (found := variables.problems_of_task(task))] == []


@pytest.mark.parametrize("file", sorted(blocks.ROOT.glob("inventory/example/**/*.yml")), ids=lambda file: file.name)
def test_the_example_inventory(file: t.Any) -> None:
    """What it says, and what it says in comments as a variable that may be set."""
    text = file.read_text(encoding="utf-8")
    assert problems(load(text) or {}) == []
    told = [line.removeprefix("# ") for line in text.splitlines() if re.match(r"# (archive|controller|kerio)_\w+: ", line)]
    assert [(line, found) for line in told if (found := problems(load(line)))] == []


def test_what_is_wrong_is_found() -> None:
    task = {"name": "Ensure it", "mailops.kerio.archive_info": {"rooot": "/srv"}}
    for document, words in (
        ({"archive_host_rot": "/srv"}, "no such variable"),
        ({"archive_host_cpu_weight": "much"}, "archive_host_cpu_weight"),
        ({"archive_export_format": "pst"}, "archive_export_format"),
        ({"archive_profiles": [{"name": "all", "method": "multiple_mailboxes", "filtre": {}}]}, "filtre"),
        ({"kerio_servers": {"hosts": {"mail1.example.com": {"kerio_connect_prot": 1}}}}, "kerio_connect_prot"),
        ([task], "rooot"),
        ([{"hosts": "all", "taks": []}], "taks"),
        ([{"hosts": "all", "tasks": [{"name": "Ensure it", "ansible.builtin.file": {"pth": "/"}}]}], "pth"),
        ("text", "this is no"),
    ):
        assert words in "\n".join(problems(document)), document
