# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reference is what `make reference` writes, and speaks of every variable that playbooks take."""

from __future__ import annotations

import functools
import re
from collections import defaultdict

import pytest
from jinja2 import nodes

from tests.reference import playbooks
from tests.reference.markup import REFERENCE
from tests.reference.pages import pages
from tests.reference.sources import FILTERS, MODULES, PLAYBOOKS, ROLES, ROOT, load_file, playbook_options, role_options

OWN_ROWS = re.compile(r"(?<!\\)\|")


@functools.cache
def wanted() -> dict[str, str]:
    return pages()


def test_the_pages_are_in_step() -> None:
    there = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / REFERENCE).rglob("*.md")}
    assert [path for path in there | wanted() if there.get(path) != wanted().get(path)] == [], "say `make reference`"


def test_every_module_role_playbook_and_filter_has_a_page() -> None:
    names = [("modules", MODULES), ("roles", ROLES), ("playbooks", PLAYBOOKS), ("filters", FILTERS)]
    assert {f"docs/reference/{kind}/{name}.md" for kind, found in names for name in found} < set(wanted())


def test_tables_have_as_many_cells_in_every_row_as_in_the_first() -> None:
    for path, text in wanted().items():
        outside_of_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for table in re.findall(r"(?:^\|.*\n)+", outside_of_code, flags=re.MULTILINE):
            assert len({len(OWN_ROWS.findall(row)) for row in table.splitlines()}) == 1, path


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_every_variable_that_a_playbook_takes_is_documented(name: str) -> None:
    given = playbooks.GIVEN | playbooks.given_by_roles() | set(playbooks.shared())
    given = given.union(*(playbooks.uses(other).gives for other in PLAYBOOKS))
    taken = {variable for variable in playbooks.uses(name).reads - given if not variable.startswith("ansible_")}
    assert taken - set(playbook_options()) - set(role_options()) == set()
    assert playbooks.about(name)


def test_every_documented_variable_is_taken_by_a_playbook() -> None:
    assert set(playbook_options()) - {name for book in PLAYBOOKS for name in playbooks.uses(book).reads} == set()
    assert set(playbook_options()) & set(role_options()) == set()


def test_variables_go_to_the_options_whose_description_they_have() -> None:
    arguments = [
        (f"{key.removeprefix('mailops.kerio.')}.{option}", value)
        for name in PLAYBOOKS
        for key, task in playbooks.pairs(load_file(playbooks.FOLDER / f"{name}.yml"))
        if key.startswith("mailops.kerio.")
        for option, value in task.items()
    ]
    reached: dict[str, set[str]] = defaultdict(set)
    for option, value in arguments:
        reached[option] |= playbooks.followed(frozenset().union(*map(playbooks.names, playbooks.strings(value))))
    declared = {name: option["of"] for name, option in playbook_options().items() if "of" in option}
    assert [name for name, option in declared.items() if name not in reached[option]] == []


def test_defaults_of_playbooks_are_the_documented_ones() -> None:
    checked = 0
    for file in [*playbooks.FOLDER.glob("*.yml"), *playbooks.FOLDER.glob("vars/*.yml")]:
        for text in playbooks.strings(load_file(file)):
            for name, default in defaults(text):
                assert default == playbook_options()[name].get("default", default), f"{file.name}: {name}"
                checked += 1
    assert checked > 20


def defaults(text: str) -> list[tuple[str, object]]:
    """Return the variables of playbooks that a template gives a value to when they are not set."""
    template = playbooks.parsed(text)
    return [
        (filtered.node.name, filtered.args[0].as_const())
        for filtered in (template.find_all(nodes.Filter) if template else ())
        if filtered.name == "default" and isinstance(filtered.node, nodes.Name) and filtered.node.name in playbook_options()
        if isinstance(filtered.args[0], nodes.Const | nodes.List | nodes.Dict)
    ]


def test_a_role_is_not_taken_for_the_module_of_its_name() -> None:
    assert (playbooks.uses("access").roles, playbooks.uses("access").modules) == ({"archive_access"}, set())
    assert playbooks.uses("verify").modules == {"archive_verify"}


def test_nothing_has_tags() -> None:
    files = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")]
    assert [file for file in files if re.search(r"^\s*(- )?tags:", file.read_text(encoding="utf-8"), re.MULTILINE)] == []
