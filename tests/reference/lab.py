# SPDX-License-Identifier: GPL-3.0-or-later
"""The switches of the lab, read from tests/lab/switches.py: what each one is stands behind it as a comment."""

from __future__ import annotations

import ast
import re
import typing as t

from tests.reference.markup import code
from tests.reference.sources import ROOT

FILE = ROOT / "tests" / "lab" / "switches.py"
# What stands for the positions of a switch that has any value of its type.
ANY = {"bool": ["`true`", "`false`"], "str": ["text"], "int": ["number"], "float": ["number"]}
COMMENT = re.compile(r"  # (.+)$")


class Switch(t.NamedTuple):
    name: str
    positions: list[str]
    default: object
    meaning: str


class Group(t.NamedTuple):
    title: str
    switches: list[Switch]


def groups() -> list[Group]:
    """Return the switches by what they are of, in the order of the file."""
    text = FILE.read_text(encoding="utf-8")
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    found = [Group(_title(node), _switches(node, text.splitlines())) for node in classes]
    return [group for group in found if group.switches]


def _title(node: ast.ClassDef) -> str:
    """The first sentence of the class, without the part of the collected facts that it is from."""
    sentence = (ast.get_docstring(node) or "").split(". ")[0]
    return re.sub(r" \(sheet[^)]*\)", "", sentence).rstrip(".")


def _switches(node: ast.ClassDef, lines: list[str]) -> list[Switch]:
    return [_switch(one, lines[one.lineno - 1]) for one in node.body if isinstance(one, ast.AnnAssign)]


def _switch(node: ast.AnnAssign, line: str) -> Switch:
    assert node.value is not None
    comment = COMMENT.search(line)
    kind = node.annotation
    choices = ast.literal_eval(kind.slice) if isinstance(kind, ast.Subscript) else ()
    positions = [code(choice) for choice in choices] or ANY[ast.unparse(kind)]
    return Switch(ast.unparse(node.target), positions, ast.literal_eval(node.value), comment[1] if comment else "")
