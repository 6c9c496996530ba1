# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook runs and which variables it reads, itself and in the files that it imports."""

from __future__ import annotations

import functools
import re
import typing as t
import warnings
from pathlib import Path

import jinja2
from jinja2 import nodes

from tests.reference import filters
from tests.reference.sources import MODULES, ROLES, ROOT, Json, load_file, playbook_options, role_options

FOLDER = ROOT / "playbooks"
# Their values are expressions without braces around them.
BARE = ("when", "that", "failed_when", "changed_when", "until")
# What Ansible and Jinja give to every template.
GIVEN = {
    *("dict", "groups", "hostvars", "inventory_dir", "inventory_hostname", "item", "lookup", "loop", "now", "omit"),
    *("playbook_dir", "query", "range", "role_path"),
}
JINJA = jinja2.Environment(autoescape=True)  # it parses, and renders nothing
OPENING = re.compile(r"\A---\n# SPDX-.*\n((?:#.*\n)+)")


class Play(t.NamedTuple):
    name: str
    hosts: str
    playbook: str


class Uses(t.NamedTuple):
    """What a file reads and runs, and the names that it gives values to itself."""

    reads: frozenset[str]
    gives: frozenset[str]
    modules: frozenset[str]
    roles: frozenset[str]


def about(name: str) -> str:
    """Return the comment at the top of a playbook, which says what it does."""
    found = OPENING.match((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return " ".join(line.lstrip("# ") for line in found[1].splitlines()) if found else ""


def plays(name: str) -> list[Play]:
    """Return the plays of a playbook; one that imports another playbook has its name."""
    return [
        Play(play["name"], play.get("hosts", ""), play.get("ansible.builtin.import_playbook", "").removesuffix(".yml"))
        for play in load_file(FOLDER / f"{name}.yml")
    ]


@functools.cache
def uses(name: str) -> Uses:
    """Return what a playbook uses with its files of tasks and variables; playbooks that it imports are not looked into."""
    found = [_uses_of(content) for content in _with_tasks(load_file(FOLDER / f"{name}.yml"))]
    return Uses(
        followed(frozenset().union(*(part.reads for part in found))),
        frozenset().union(*(part.gives for part in found)),
        frozenset().union(*(part.modules for part in found)),
        frozenset().union(*(part.roles for part in found)),
    )


def _with_tasks(content: Json) -> t.Iterator[Json]:
    yield content
    for key, value in pairs(content):
        if key in ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks"):
            yield from _with_tasks(load_file(FOLDER / value))


@functools.cache
def shared() -> dict[str, frozenset[str]]:
    """Return the variables of playbooks/vars, each with what its value reads."""
    return {name: _uses_of([value]).reads for file in (FOLDER / "vars").glob("*.yml") for name, value in load_file(file).items()}


def followed(reads: frozenset[str]) -> frozenset[str]:
    """Add what is read by way of the shared variables."""
    more = reads.union(*(shared().get(name, frozenset()) for name in reads))
    return reads if more == reads else followed(more)


def pairs(content: Json) -> t.Iterator[tuple[str, Json]]:
    """Yield every key with its value, at any depth."""
    for value in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from pairs(value)
    if isinstance(content, dict):
        yield from content.items()


def strings(content: Json, key: str = "") -> t.Iterator[str]:
    """Yield every text at any depth, bare expressions as templates."""
    if isinstance(content, dict):
        for inside, value in content.items():
            yield from strings(value, inside)
    elif isinstance(content, list):
        for value in content:
            yield from strings(value, key)
    elif isinstance(content, str):
        yield "{{ " + content + " }}" if key in BARE and "{{" not in content else content


def _uses_of(content: Json) -> Uses:
    found = list(pairs(content))
    vars_of = [value for key, value in found if key in ("vars", "ansible.builtin.set_fact") and isinstance(value, dict)]
    # A module is a key of a task; a role is named. Two of them have one name.
    named = [str(value) for key, value in found if key in ("name", "role")]
    return Uses(
        frozenset().union(*map(names, strings(content))),
        frozenset().union((value for key, value in found if key == "register"), *vars_of),
        frozenset(key.removeprefix("mailops.kerio.") for key, _ in found) & set(MODULES),
        frozenset(name.removeprefix("mailops.kerio.") for name in named) & set(ROLES),
    )


def parsed(text: str) -> nodes.Template | None:
    """Return what Jinja understands of a text, None when it is no template."""
    if "{{" not in text and "{%" not in text:
        return None
    # Ansible takes regular expressions as they stand; Jinja alone says that Python would not.
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return JINJA.parse(text)


def names(text: str) -> set[str]:
    """Return the variables that a template reads and does not set, also those of playbooks that it reads of other hosts."""
    known = playbook_options()
    template = parsed(text)
    if template is None:
        return {text} & set(known)
    found = list(template.find_all(nodes.Name))
    own = {name.name for name in found if name.ctx == "load"} - {name.name for name in found if name.ctx != "load"}
    attributes = {node.attr for node in template.find_all(nodes.Getattr)}
    constants = {node.value for node in template.find_all(nodes.Const) if isinstance(node.value, str)}
    behind = frozenset().union(*(filters.constants(node.name) for node in template.find_all(nodes.Filter)))
    return own | {name for name in attributes | constants if name in known} | (behind & {*known, *role_options()})


@functools.cache
def given_by_roles() -> frozenset[str]:
    """Return the names that roles give values to, for plays to read."""
    files = [file for role in ROLES for part in ("vars", "tasks") for file in (ROOT / "roles" / role / part).glob("*.yml")]
    return frozenset().union(*(_given(file) for file in files))


def _given(file: Path) -> frozenset[str]:
    content = load_file(file)
    return _uses_of(content).gives | frozenset(content if isinstance(content, dict) else ())
