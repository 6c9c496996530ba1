# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules, roles and playbooks say of themselves, read from their files without running them."""

from __future__ import annotations

import ast
import functools
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
MODULES = tuple(sorted(path.stem for path in (ROOT / "library").glob("*.py")))
ROLES = tuple(sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir()))
FILTERS = tuple(sorted(path.stem for path in (ROOT / "filter_plugins").glob("*.yml")))
PLAYBOOKS = tuple(sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml")))
# What a module adds to what its fragments say of these.
LISTS = ("notes", "requirements", "seealso")
TABLES = ("attributes", "options")

Json = t.Any
Document = dict[str, Json]


class Module(t.NamedTuple):
    document: Document
    examples: str
    returns: Document


def load(text: str) -> Json:
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


def load_file(path: Path) -> Json:
    return load(path.read_text(encoding="utf-8"))


@functools.cache
def texts(path: Path) -> dict[str, str]:
    """Return the texts that a file gives names to, such as DOCUMENTATION."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {
        ast.unparse(node.targets[0]): node.value.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }


@functools.cache
def fragment(full_name: str) -> Document:
    """Return what a documentation fragment of this collection says, such as mailops.kerio.attributes.info."""
    file, _, part = full_name.removeprefix("mailops.kerio.").partition(".")
    document: Document = load(texts(ROOT / "doc_fragments" / f"{file}.py")[part.upper() or "DOCUMENTATION"])
    return document


@functools.cache
def module(name: str) -> Module:
    """Return the documentation of a module together with that of its fragments, as ansible-doc puts them together."""
    own = texts(ROOT / "library" / f"{name}.py")
    document = load(own["DOCUMENTATION"])
    parts = [fragment(part) for part in document.get("extends_documentation_fragment", [])]
    for key in LISTS:
        document[key] = [entry for part in (document, *parts) for entry in part.get(key, [])]
    for key in TABLES:
        # Its own come first, and count; of two fragments, the one that is named first.
        document[key] = _merged([document, *parts], key)
    return Module(document, own["EXAMPLES"].strip("\n"), load(own["RETURN"]))


def filter_plugin(name: str) -> Module:
    """Return the documentation of a filter."""
    own = load_file(ROOT / "filter_plugins" / f"{name}.yml")
    return Module(own["DOCUMENTATION"], own["EXAMPLES"].strip("\n"), own["RETURN"])


def _merged(parts: list[Document], key: str) -> Document:
    found: Document = {}
    for part in parts:
        found = {**found, **part.get(key, {}), **found}
    return found


@functools.cache
def entry_point(role: str) -> Document:
    """Return what the argument specification of a role says of its entry point main; the others take the same variables."""
    specification: Document = load_file(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    return specification


def role_options() -> dict[str, tuple[str, Document]]:
    """Return every variable of a role with the role's name and its description."""
    return {name: (role, option) for role in ROLES for name, option in entry_point(role)["options"].items()}


@functools.cache
def playbook_options() -> dict[str, Document]:
    """Return the variables that belong to playbooks, those that go to an option of a module with what the module says of it."""
    declared = load_file(ROOT / "playbooks" / "vars" / "options.yml")["playbook_options"]
    return {name: _resolved(option) for name, option in declared.items()}


def _resolved(option: Document) -> Document:
    if "of" not in option:
        return option
    name, _, key = option["of"].partition(".")
    return {**module(name).document["options"][key], **option}
