# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts try each position of every switch, call every method of the admin API, and have numbers to be spoken of by."""

from __future__ import annotations

import ast
import collections
import functools
import re
import typing as t
from pathlib import Path

import pytest

from tests.lab.admin_rpc import METHODS  # which the import of the fixtures has filled
from tests.lab.switches import Switches
from tests.reference import lab

HERE = Path(__file__)
HINTS = t.get_type_hints(Switches)
# Switches that a fact sets by these methods of a server.
BY_METHOD = {"refuse_writes": "refuse_writes", "clock_ahead": "pass_minutes"}

# A value with its type, since 0 equals False.
Typed = tuple[type, object]


@functools.cache
def facts() -> list[tuple[str, set[Typed]]]:
    """Each test with the values, and the names of arguments and of attributes, that it and what it calls consist of."""
    found = []
    for file in sorted(set(HERE.parent.glob("test_*.py")) - {HERE}):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        outside = _names(tree)
        tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
        found += [(test.name, _words(test, outside)) for test in tests]
    return found


def _names(tree: ast.Module) -> dict[str, ast.AST]:
    """What a file gives names to."""
    named: dict[str, ast.AST] = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            named[ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)] = node
    return named


def _words(start: ast.AST, outside: dict[str, ast.AST]) -> set[Typed]:
    found, seen, waiting = set[Typed](), set[str](), [start]
    while waiting:
        for node in ast.walk(waiting.pop()):
            match node:
                case ast.Constant(value=value):
                    found.add((type(value), value))
                case ast.keyword(arg=str(name)) | ast.Attribute(attr=name):
                    found.add((str, name))
                case ast.Name(id=name) if name in outside and name not in seen:
                    seen.add(name)
                    waiting.append(outside[name])
    return found


def other_positions(name: str) -> list[object]:
    """Those that a server does not have from the beginning, which all other facts try."""
    default = getattr(Switches(), name)
    choices = (True, False) if HINTS[name] is bool else t.get_args(HINTS[name])
    return [choice for choice in choices if choice != default]


@pytest.mark.parametrize("name", sorted(set(HINTS) - set(BY_METHOD)))
def test_switches_001_a_fact_tries_each_position(name: str) -> None:
    words = [words for _, words in facts() if (str, name) in words]
    assert words
    assert [one for one in other_positions(name) if (type(one), one) not in set().union(*words)] == []


@pytest.mark.parametrize("name", sorted(BY_METHOD))
def test_switches_002_a_fact_calls_the_method_that_sets_it(name: str) -> None:
    assert name in HINTS
    assert [test for test, words in facts() if (str, BY_METHOD[name]) in words]


def test_switches_003_each_says_what_it_is_and_is_in_the_reference() -> None:
    rows = [one for group in lab.groups() for one in group.switches]
    assert sorted(one.name for one in rows) == sorted(HINTS)
    assert [one.name for one in rows if not one.meaning] == []
    assert [one.name for one in rows if one.default != getattr(Switches(), one.name)] == []


def test_switches_004_facts_have_numbers_and_no_two_the_same() -> None:
    numbers = [(name, re.match(r"test_([a-z]+_\d{3})_[a-z]", name)) for name, _ in facts()]
    assert [name for name, number in numbers if not number] == []
    counted = collections.Counter(number[1] for _, number in numbers if number)
    assert [number for number, times in counted.items() if times > 1] == []


@pytest.mark.parametrize("name", sorted(METHODS))
def test_switches_005_a_fact_calls_each_method(name: str) -> None:
    interface, _, method = name.partition(".")
    in_parts = {(str, interface), (str, f".{method}")}  # of those that all kinds of objects have
    assert [test for test, words in facts() if (str, name) in words or in_parts <= words]
