# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds every place of the tree that makes an error for the operator, by its syntax, and the words that it can say there.

A place is a call of an error class, or of a function that says in its annotation that it returns one: each has words of its own.
"""

from __future__ import annotations

import ast
import functools
import itertools
import typing as t
from dataclasses import dataclass
from pathlib import Path

from tests.unit.errors.values import HOLE, Values, imports_of

ROOT = Path(__file__).parents[3]
FOLDERS = ("module_utils", "library", "action_plugins")
BASE = "ArchiveToolError"
PARTS = ("subject", "cause", "remedy")


@dataclass(frozen=True)
class Site:
    """One place: the function that it is in, what is called there, and which of these calls it is, counted from 1."""

    path: str
    function: str
    callee: str
    number: int
    line: int
    call: ast.Call

    @property
    def key(self) -> str:
        """What stays when lines above it come or go."""
        return f"{self.path} {self.function} {self.callee} {self.number}"


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Every file of the tree that can make an error, by its path."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def name_of(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return getattr(node, "id", None) or getattr(node, "attr", "")


@functools.cache
def _definitions() -> list[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    nodes = ((path, node) for path, tree in trees().items() for node in ast.walk(tree))
    return [(path, node) for path, node in nodes if isinstance(node, (ast.ClassDef, ast.FunctionDef))]


@functools.cache
def classes() -> dict[str, str]:
    """Every error class and the file that has it, the base included."""
    found = {BASE: "module_utils/errors.py"}
    before = 0
    while len(found) > before:
        before = len(found)
        for path, node in _definitions():
            if isinstance(node, ast.ClassDef) and any(name_of(base) in found for base in node.bases):
                found.setdefault(node.name, path)
    return found


@functools.cache
def factories() -> dict[str, list[tuple[str, ast.FunctionDef]]]:
    """Every function that returns an error, by its name."""
    found: dict[str, list[tuple[str, ast.FunctionDef]]] = {}
    for path, node in _definitions():
        if isinstance(node, ast.FunctionDef) and name_of(node.returns) in classes():
            found.setdefault(node.name, []).append((path, node))
    return found


@functools.cache
def _imports() -> dict[str, set[tuple[str, str, str]]]:
    """(path of the module, name there, name here) of what each file imports."""
    return {path: set(imports_of(path, tree)) for path, tree in trees().items()}


def _makes_an_error(path: str, function: ast.expr) -> bool:
    """Whether what is called is one of the error classes or of their factories, as this file knows the name."""
    name = name_of(function)
    if name in classes():
        return True
    makers = {where for where, _ in factories().get(name, [])}
    if isinstance(function, ast.Attribute) and not (isinstance(function.value, ast.Name) and function.value.id == "self"):
        known = {f"{module}/{original}.py" for module, original, here in _imports()[path] if here == name_of(function.value)}
    else:
        known = {path, *(f"{module}.py" for module, original, here in _imports()[path] if here == name and original == name)}
    return bool(makers & known)


@functools.cache
def sites() -> dict[str, Site]:
    """Every place, by its key."""
    found: dict[str, Site] = {}
    for path, tree in trees().items():
        counts: dict[tuple[str, str], t.Iterator[int]] = {}
        for function, call in sorted(_calls(tree, ()), key=lambda one: (one[1].lineno, one[1].col_offset)):
            if _makes_an_error(path, call.func):
                callee = name_of(call.func)
                number = next(counts.setdefault((function, callee), itertools.count(1)))
                site = Site(path, function, callee, number, call.lineno, call)
                found[site.key] = site
    return found


def _calls(node: ast.AST, names: tuple[str, ...]) -> t.Iterator[tuple[str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        inner = (*names, child.name) if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else names
        if isinstance(child, ast.Call):
            yield ".".join(inner) or "-", child
        yield from _calls(child, inner)


@dataclass(frozen=True)
class Words:
    """What an error class is given at a place; what only a run can tell is HOLE."""

    site: Site
    kind: str
    subject: tuple[str, ...]
    cause: tuple[str, ...]
    remedy: tuple[str, ...]

    def sentences(self) -> t.Iterator[str]:
        """What is printed, in every wording."""
        for subject, cause, remedy in itertools.product(self.subject, self.cause, self.remedy):
            yield f"{subject}: {cause.rstrip('. ')}. {remedy.rstrip('. ')}."


@functools.cache
def words() -> list[Words]:
    """The words of every place that calls an error class with all three parts."""
    values = Values(trees())
    found = []
    for site in sites().values():
        if site.callee in classes():
            parts = values.of_arguments(site.path, site.call, len(PARTS))
            found.append(Words(site, site.callee, *parts))
    return found


def texts_of_factories() -> list[tuple[Site, str]]:
    """What places that call a function of these give it as words, with the place."""
    values = Values(trees())
    return [
        (site, text)
        for site in sites().values()
        if site.callee in factories()
        for argument in site.call.args
        for text in values.of(site.path, argument)
        if text.replace(HOLE, "").strip(" :")
    ]
