# SPDX-License-Identifier: GPL-3.0-or-later
"""What filters read: the names of variables in the code that works for them, followed from function to function."""

from __future__ import annotations

import ast
import functools
import typing as t
from pathlib import Path

from tests.reference.sources import ROOT

SITE = ROOT / "module_utils" / "site"
PLUGIN = ROOT / "filter_plugins" / "site.py"
FOREIGN = "ansible_collections.mailops.kerio.plugins.module_utils.site"

Place = tuple[Path, str]


@functools.cache
def constants(name: str) -> frozenset[str]:
    """Return the texts in the code behind a filter; of a name that is no filter of ours there are none."""
    found: set[str] = set()
    seen: set[Place] = set()
    waiting = [place for place in (_behind().get(name),) if place]
    while waiting:
        place = waiting.pop()
        node = _defined(place[0]).get(place[1])
        if node is not None and place not in seen:
            seen.add(place)
            found |= {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}
            waiting += _used(node, place[0])
    return frozenset(found)


@functools.cache
def _behind() -> dict[str, Place]:
    """Return the function behind each filter, by its full name."""
    tables = [node.value for node in ast.walk(ast.parse(PLUGIN.read_text("utf-8"))) if isinstance(node, ast.AnnAssign)]
    pairs = [pair for table in tables if isinstance(table, ast.Dict) for pair in zip(table.keys, table.values, strict=True)]
    return {
        f"mailops.kerio.{key.value}": (SITE / f"{value.value.id}.py", value.attr)
        for key, value in pairs
        if isinstance(key, ast.Constant) and isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name)
    }


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def _defined(path: Path) -> dict[str, ast.stmt]:
    """Return what a file defines at its top, by name."""
    found: dict[str, ast.stmt] = {}
    for node in _tree(path).body:
        match node:
            case ast.FunctionDef(name) | ast.ClassDef(name) | ast.AnnAssign(ast.Name(name)):
                found[name] = node
            case ast.Assign([ast.Name(name)]):
                found[name] = node
    return found


@functools.cache
def _imported(path: Path) -> dict[str, Place]:
    """Return what a file takes from the others: a file of its own name, or a name of one."""
    found = {}
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(FOREIGN):
            file = str(node.module).removeprefix(FOREIGN).lstrip(".")
            for alias in node.names:
                found[alias.name] = (SITE / f"{file or alias.name}.py", alias.name if file else "")
    return found


def _used(node: ast.stmt, path: Path) -> t.Iterator[Place]:
    for part in ast.walk(node):
        match part:
            case ast.Attribute(ast.Name(name), attribute) if name in _imported(path):
                yield _imported(path)[name][0], attribute
            case ast.Name(name):
                yield _imported(path).get(name, (path, name))
