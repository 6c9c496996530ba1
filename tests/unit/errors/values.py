# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts that an expression can be, as far as the source tells: constants, their joins, alternatives and tables."""

from __future__ import annotations

import ast
import itertools
import typing as t

HOLE = "{}"
MOST = 60  # wordings of one expression
DEEPEST = 8  # names that lead to names
_SAME = {"strip", "rstrip", "lstrip", "lower", "upper", "title", "capitalize", "replace"}


class Values:
    """Reads expressions of parsed files."""

    def __init__(self, trees: t.Mapping[str, ast.Module]) -> None:
        self._trees = trees
        self._functions = {path: dict(_functions_of(tree)) for path, tree in trees.items()}
        self._imports = {path: list(imports_of(path, tree)) for path, tree in trees.items()}
        self._given: dict[int, dict[str, list[ast.expr]]] = {}
        self._depth = 0

    def of_arguments(self, path: str, call: ast.Call, count: int) -> list[tuple[str, ...]]:
        """Return the texts of the first ``count`` arguments; one with a star stands for all that follow."""
        found: list[tuple[str, ...]] = []
        for argument in call.args:
            if isinstance(argument, ast.Starred):
                found += self._unpacked(path, argument.value, count - len(found))
            else:
                found.append(self.of(path, argument))
        return (found + [(HOLE,)] * count)[:count]

    def _unpacked(self, path: str, node: ast.expr, count: int) -> list[tuple[str, ...]]:
        for one in self._definitions(path, node):
            if isinstance(one[1], ast.Tuple) and len(one[1].elts) == count:
                return [self.of(one[0], part) for part in one[1].elts]
        return [(HOLE,)] * count

    def of(self, path: str, node: ast.expr) -> tuple[str, ...]:
        """Return every text that ``node`` can be, HOLE for what only a run can tell."""
        if self._depth > DEEPEST:
            return (HOLE,)
        self._depth += 1
        try:
            return tuple(dict.fromkeys(itertools.islice(self._of(path, node), MOST))) or (HOLE,)
        finally:
            self._depth -= 1

    def _of(self, path: str, node: ast.expr) -> t.Iterator[str]:
        if isinstance(node, ast.Constant):
            yield str(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield from map("".join, itertools.product(*(self.of(path, part) for part in node.values)))
        elif isinstance(node, ast.FormattedValue):
            yield from self.of(path, node.value) if not node.format_spec else (HOLE,)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield from map("".join, itertools.product(self.of(path, node.left), self.of(path, node.right)))
        else:
            for part in self._alternatives(path, node):
                yield from self.of(*part)

    def _alternatives(self, path: str, node: ast.expr) -> t.Iterator[tuple[str, ast.expr]]:
        """The expressions that ``node`` stands for."""
        if isinstance(node, ast.IfExp):
            yield from ((path, node.body), (path, node.orelse))
        elif isinstance(node, ast.BoolOp):
            yield from ((path, value) for value in node.values)
        elif isinstance(node, ast.Subscript):
            yield from self._members(path, node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from self._method(path, node, node.func)
        elif isinstance(node, (ast.Name, ast.Attribute)):
            yield from self._definitions(path, node)

    def _method(self, path: str, node: ast.Call, function: ast.Attribute) -> t.Iterator[tuple[str, ast.expr]]:
        if function.attr == "get":
            yield from self._members(path, function.value)
            yield from ((path, default) for default in node.args[1:])
        elif function.attr in _SAME:
            yield (path, function.value)
        elif function.attr == "format":
            # Its own holes read like ours.
            yield (path, function.value)

    def _members(self, path: str, node: ast.expr) -> t.Iterator[tuple[str, ast.expr]]:
        """The values of a table."""
        for where, definition in [(path, node), *self._definitions(path, node)]:
            if isinstance(definition, ast.Dict):
                yield from ((where, value) for value in definition.values)

    def _definitions(self, path: str, node: ast.expr) -> list[tuple[str, ast.expr]]:
        """What the name was given, in its function or at the top of its file or of the file that it comes from."""
        if isinstance(node, ast.Attribute):
            module = self._module(path, node.value)
            return self._at_top(module, node.attr) if module else []
        if not isinstance(node, ast.Name):
            return []
        function = self._functions[path].get(id(node))
        inside = self._assigned(function).get(node.id, []) if function else []
        return [(path, value) for value in inside] or self._at_top(path, node.id)

    def _at_top(self, path: str, name: str) -> list[tuple[str, ast.expr]]:
        own = [(path, value) for value in self._assigned(self._trees[path]).get(name, [])]
        return own or [
            found
            for module, original, alias in self._imports[path]
            if alias == name and f"{module}.py" in self._trees
            for found in self._at_top(f"{module}.py", original)
        ]

    def _module(self, path: str, node: ast.expr) -> str:
        """The file that the name of a module stands for."""
        names = {alias: f"{module}/{original}.py" for module, original, alias in self._imports[path]}
        found = names.get(node.id, "") if isinstance(node, ast.Name) else ""
        return found if found in self._trees else ""

    def _assigned(self, scope: ast.Module | ast.FunctionDef) -> dict[str, list[ast.expr]]:
        """What each name is given in a function, or at the top of a file."""
        if id(scope) not in self._given:
            found = self._given[id(scope)] = {}
            for node in ast.walk(scope) if isinstance(scope, ast.FunctionDef) else scope.body:
                for target, value in _assignments(node):
                    for name, one in _matched(target, value):
                        found.setdefault(name, []).append(one)
        return self._given[id(scope)]


def _functions_of(tree: ast.AST, function: ast.FunctionDef | None = None) -> t.Iterator[tuple[int, ast.FunctionDef]]:
    """The function that each part of a file is in."""
    for child in ast.iter_child_nodes(tree):
        inner = child if isinstance(child, ast.FunctionDef) else function
        if inner is not None:
            yield id(child), inner
        yield from _functions_of(child, inner)


def imports_of(path: str, tree: ast.Module) -> t.Iterator[tuple[str, str, str]]:
    """(path of the module without its ending, name there, name here) of what a file imports."""
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom):
            name = (statement.module or "").replace(".", "/")
            folder = path.split("/")[: -statement.level] if statement.level else []
            module = "/".join([*folder, *filter(None, [name])]) if statement.level else name.rpartition("kerio/plugins/")[2]
            yield from ((module, alias.name, alias.asname or alias.name) for alias in statement.names)


def _assignments(node: ast.AST) -> t.Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield node.target, node.value


def _matched(target: ast.expr, value: ast.expr) -> t.Iterator[tuple[str, ast.expr]]:
    """The names of an assignment, each with what it gets."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, part in zip(target.elts, value.elts, strict=False):
            yield from _matched(one, part)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.IfExp):
        yield from _matched(target, value.body)
        yield from _matched(target, value.orelse)
