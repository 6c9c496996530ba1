# SPDX-License-Identifier: GPL-3.0-or-later
"""What the admin API modules have in common, and that the role passes every option on."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import basic

from tests.meta.test_documentation import documented, spec_of

ROOT = Path(__file__).parents[3]
PACKAGE = "ansible_collections.mailops.kerio.plugins"
ROLE = ROOT / "roles" / "kerio_connect"
MODULES = [
    "kerio_advanced_options",
    "kerio_archiving",
    "kerio_directory_info",
    "kerio_info",
    "kerio_master_authentication",
]


@pytest.mark.parametrize("name", MODULES)
def test_every_option_that_may_be_a_secret_says_whether_it_is(name: str) -> None:
    for option, entry in spec_of(name).items():
        if basic.PASSWORD_MATCH.search(option) and entry["type"] == "str":
            assert entry["no_log"] is (option in ("api_password", "password"))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_tells_which_methods_it_called(name: str) -> None:
    assert "calls" in yaml.safe_load(importlib.import_module(f"{PACKAGE}.modules.{name}").RETURN)


@pytest.mark.parametrize(
    ("module", "variable", "tasks", "computed"),
    [
        ("kerio_archiving", "kerio_connect_archiving", "main.yml", set()),
        ("kerio_advanced_options", "kerio_connect_advanced_options", "main.yml", set()),
        (
            "kerio_master_authentication",
            "kerio_connect_master_authentication",
            "master_authentication.yml",
            {"password_state", "password_state_reason"},
        ),
    ],
)
def test_role_declares_and_passes_every_option(module: str, variable: str, tasks: str, computed: set[str]) -> None:
    connection = set(documented("kerio_info")) - {"gather"}
    options = {name: entry for name, entry in documented(module).items() if name not in connection | computed}
    arguments = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    declared = arguments["argument_specs"]["main"]["options"][variable]["options"]
    assert {name: entry["type"] for name, entry in declared.items()} == {name: entry["type"] for name, entry in options.items()}
    text = (ROLE / "tasks" / tasks).read_text(encoding="utf-8")
    passed = set(re.findall(rf"^ +(\w+): (?:\"|>-\s+){{{{ {variable}\.(\w+) \| default\(omit\) }}}}", text, re.MULTILINE))
    assert passed == {(name, name) for name in options}
