# SPDX-License-Identifier: GPL-3.0-or-later
"""What the admin API modules have in common."""

from __future__ import annotations

import importlib

import pytest
import yaml
from ansible.module_utils import basic

from tests.meta.test_documentation import spec_of

PACKAGE = "ansible_collections.mailops.kerio.plugins"
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
