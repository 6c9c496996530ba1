# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the house that a script can check: sizes, licences, tests and documentation for every module and role."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.dist import kerio_hosts
from tests.reference import sources

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "collections" / "ansible_collections" / "mailops" / "kerio"
MODULES = sorted(path.stem for path in (ROOT / "library").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())

# What runs on Kerio hosts must parse with the oldest target Python of ansible-core 2.19.
ON_KERIO_HOSTS = sorted(kerio_hosts.code())


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in listing.split("\0") if name]


# Files that cannot have a line about their licence, or need none.
NO_LICENCE_LINE = {
    "*.md": "a page begins with its title; README.md tells the licence of all of them",
    "*LICENSE": "it is the licence",
    "*/tests/sanity/ignore-*.txt": "ansible-test refuses a line that is only a comment",
}


def test_every_file_carries_the_licence() -> None:
    excepted = {path for pattern in NO_LICENCE_LINE for path in tracked(pattern)}
    # What a link leads to is tracked as well. An empty file (__init__.py) has nothing to license.
    files = [path for path in tracked() if path.is_file() and not path.is_symlink() and path not in excepted]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files}
    line = "SPDX-License-Identifier: GPL-3.0-or-later"
    assert [name for name, text in texts.items() if text and line not in text[:400]] == []


def test_python_files_are_short() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in tracked("*.py")}
    assert {name: count for name, count in lines.items() if count > 400} == {}


@pytest.mark.parametrize("path", ON_KERIO_HOSTS, ids=lambda path: path.name)
def test_what_runs_on_kerio_hosts_parses_with_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_unit_and_play_tests_and_documentation(module: str) -> None:
    assert (ROOT / "tests" / "unit" / "library" / f"test_{module}.py").exists()
    assert (ROOT / "tests" / "play" / f"test_{module}.py").exists()
    documented = [path for path in tracked("docs/*.md", "README.md") if module in path.read_text(encoding="utf-8")]
    assert documented


@pytest.mark.parametrize("role", ROLES)
def test_every_role_says_what_it_takes(role: str) -> None:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    assert all(option.startswith(f"{role}_") for option in options)
    defaults = ROOT / "roles" / role / "defaults" / "main.yml"
    declared = yaml.safe_load(defaults.read_text(encoding="utf-8")) if defaults.exists() else {}
    assert set(declared) <= set(options)


def test_every_module_is_in_an_action_group() -> None:
    runtime = yaml.safe_load((COLLECTION / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    grouped = {module for group in runtime["action_groups"].values() for module in group}
    hosts_own = {"archive_login", "kerio_mailserver_cfg", "kerio_master_login", "kerio_preflight_host", "kerio_preflight_imap"}
    assert grouped == set(MODULES) - hosts_own


@pytest.mark.parametrize(
    "name",
    [
        "plugins/modules",
        "plugins/module_utils",
        "plugins/action",
        "plugins/callback",
        "plugins/filter",
        "plugins/doc_fragments",
        "roles",
        "playbooks",
    ],
)
def test_the_link_tree_leads_to_the_folders_at_the_top(name: str) -> None:
    link = COLLECTION / name
    assert link.is_symlink()
    assert link.resolve().parent == ROOT


def tasks_of(document: object) -> list[dict[str, object]]:
    """Return every task and play of a YAML file, blocks included."""
    found: list[dict[str, object]] = []
    for entry in document if isinstance(document, list) else []:
        found.append(entry)
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers"):
            found += tasks_of(entry.get(part))
    return found


@pytest.mark.parametrize(
    "path",
    tracked("roles/*/tasks/*.yml", "roles/*/handlers/*.yml", "playbooks/*.yml"),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_task_says_what_it_ensures(path: Path) -> None:
    for task in tasks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
        assert str(task.get("name", "")).startswith("Ensure "), f"{path}: {task}"


# What looks like a module in a text and is none: columns of the catalog, and a group of the inventory.
NO_MODULES = {"archive_hosts", "kerio_id", "kerio_login"}


def variables() -> set[str]:
    """Return the variables of all roles and playbooks; a message may name the one that gives a module its option."""
    return {*sources.role_options(), *sources.playbook_options()}


@pytest.mark.parametrize("path", tracked("module_utils/*.py"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_sends_the_operator_to_a_module_that_is_not_there(path: Path) -> None:
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    ]
    named = {name for text in texts for name in re.findall(r"\b(?:archive|kerio)_[a-z_]+\b", text)}
    assert named <= {*MODULES, *ROLES, *variables(), *NO_MODULES}
