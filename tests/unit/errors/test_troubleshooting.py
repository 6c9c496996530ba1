# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/troubleshooting.md: what it quotes is said by the code, under the kind that it names, and it knows every kind."""

from __future__ import annotations

import ast
import errno
import functools
import importlib
import os
import re
from typing import NamedTuple

import pytest

from tests.unit.errors import sites
from tests.unit.errors.values import HOLE

PAGE = (sites.ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
BASE = "ansible_collections.mailops.kerio.plugins"
# What SQLite says of a file that is none of its own any more (its source, sqlite3ErrStr).
SQLITE = {"database disk image is malformed"}
SYSTEM = {os.strerror(code) for code in errno.errorcode}
# Said by the code where it tells of a message and not where it raises an error.
ELSEWHERE = {"could not be archived in"}


class Row(NamedTuple):
    """One line of the tables."""

    quoted: str
    kind: str


ROWS = [Row(*found) for found in re.findall(r"^\| `([^`]+)` \| `(\w+)` \| [^|]+ \| [^|]+ \|$", PAGE, flags=re.MULTILINE)]


def kind_of(name: str) -> str:
    module = importlib.import_module(f"{BASE}.{sites.classes()[name].removesuffix('.py').replace('/', '.')}")
    return str(getattr(module, name).kind)


@functools.cache
def said() -> dict[str, set[str]]:
    """Every wording of a part of a message, with the kinds of errors that say it; of a factory's words, all kinds it makes."""
    found: dict[str, set[str]] = {}
    for words in sites.words():
        for text in (*words.subject, *words.cause, *words.remedy):
            found.setdefault(text, set()).add(kind_of(words.kind))
    for site, text in sites.texts_of_factories():
        makers = {sites.name_of(function.returns) for _, function in sites.factories()[site.callee]}
        found.setdefault(text, set()).update(map(kind_of, makers))
    return found


@functools.cache
def constants() -> str:
    """All that stands in quotes in the tree, for words that are put together before they come to an error."""
    nodes = (node for tree in sites.trees().values() for node in ast.walk(tree))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def quotes(quoted: str, text: str) -> bool:
    """Whether a quotation is in a text; the last word of it may stand where the text has a gap for one."""
    return quoted in text or f"{quoted.rpartition(' ')[0]} {HOLE}" in text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.quoted)
def test_what_is_quoted_is_said(row: Row) -> None:
    kinds = set().union(*(kinds for text, kinds in said().items() if quotes(row.quoted, text)))
    if kinds:
        assert row.kind in kinds
    else:
        assert row.quoted in constants() or row.quoted in SYSTEM | SQLITE


def test_every_line_of_the_tables_is_read() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(ROWS) == len(lines) > 60
    assert len({row.quoted for row in ROWS}) == len(ROWS)


def test_every_kind_has_a_line() -> None:
    assert {row.kind for row in ROWS} == {kind_of(name) for name in sites.classes() if name != sites.BASE}


def test_what_is_quoted_between_the_tables_is_said() -> None:
    assert all(text in PAGE and text in constants() for text in ELSEWHERE)
