# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module documents is what it takes; its examples and return values can be read."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.module_utils import basic

from tests.meta.test_house import MODULES
from tests.reference import sources
from tests.unit.library.module_run import begun

KEYS = ("type", "required", "default", "choices", "elements")


def spec_of(name: str) -> dict[str, t.Any]:
    """Return the argument spec that a module gives to Ansible."""
    told = begun(name)
    assert told.arguments["supports_check_mode"] is True
    return told.spec


def compare(spec: dict[str, t.Any], options: dict[str, t.Any]) -> None:
    assert set(spec) == set(options)
    for name, option in options.items():
        for key in KEYS:
            assert spec[name].get(key) == option.get(key), f"{name}: {key}"
        compare(spec[name].get("options", {}), option.get("suboptions", {}))


def secrets_without_no_log(spec: dict[str, t.Any]) -> list[str]:
    """Return the options, at any depth, that Ansible takes for a password and that do not say whether they are one."""
    found = [name for name, option in spec.items() if basic.PASSWORD_MATCH.search(name) and "no_log" not in option]
    return found + [name for option in spec.values() for name in secrets_without_no_log(option.get("options", {}))]


@pytest.mark.parametrize("name", MODULES)
def test_documentation_is_the_argument_spec(name: str) -> None:
    compare(spec_of(name), sources.module(name).document["options"])


@pytest.mark.parametrize("name", MODULES)
def test_every_option_that_may_be_a_secret_says_whether_it_is(name: str) -> None:
    assert secrets_without_no_log(spec_of(name)) == []


@pytest.mark.parametrize("name", MODULES)
def test_documentation_tells_what_a_module_supports_where_it_runs_and_what_is_near_it(name: str) -> None:
    document = sources.module(name).document
    assert set(document["attributes"]) >= {"check_mode", "diff_mode", "platform"}
    assert document["attributes"]["platform"]["platforms"]
    assert document["seealso"]


def test_no_part_of_a_fragment_is_named_like_a_fragment() -> None:
    """Ansible would take the other one: attributes.kerio was kerio, and its attributes were not shown."""
    files = sorted((sources.ROOT / "doc_fragments").glob("*.py"))
    parts = {name.lower() for file in files for name in sources.texts(file)}
    assert {"documentation", "info"} <= parts
    assert parts & {file.stem for file in files} == set()


@pytest.mark.parametrize("name", MODULES)
def test_examples_and_return_values_can_be_read(name: str) -> None:
    _, examples, returns = sources.module(name)
    tasks = yaml.safe_load(examples)
    assert all(task["name"].startswith("Ensure ") for task in tasks)
    assert any(f"mailops.kerio.{name}" in task for task in tasks)
    for value in returns.values():
        assert set(value) >= {"description", "returned", "type"}
