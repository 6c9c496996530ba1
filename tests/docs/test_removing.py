# SPDX-License-Identifier: GPL-3.0-or-later
"""The page on removing names all that roles leave on hosts."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from tests.docs import blocks
from tests.docs.blocks import ROOT

PAGE = "docs/removing.md"
ROW = re.compile(r"^\| (controller|archive host|Kerio server) \| (.+) \| (.*) \|$")
# Folders and accounts, by the ends of the variables that name them.
LEFT = re.compile(r"_(account|user|group|home|program|config|textfile_dir|python_env|state|state_dir|packages|unit_dir)$")
# Accounts that packages of Debian bring and take away.
OF_PACKAGES = {"archive_access_auth_user", "archive_access_auth_group", "archive_access_login_user"}


def defaults() -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for path in sorted(ROOT.glob("roles/*/defaults/main.yml")):
        found |= yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return found


def rows() -> dict[str, str]:
    """What the table says, by the variables that set it."""
    found = [ROW.match(line) for line in blocks.page(PAGE).lines]
    return {name: row[2] for row in found if row for name in re.findall(r"`(\w+)`", row[3])}


# Switches and limits have such endings as well.
LEAVING = sorted(
    name for name, value in defaults().items() if LEFT.search(name) and isinstance(value, str | list) and name not in OF_PACKAGES
)


def test_roles_leave_what_this_test_looks_for() -> None:
    assert {"archive_host_user", "archive_access_state", "controller_home", "kerio_mailserver_cfg_state_dir"} <= set(LEAVING)


@pytest.mark.parametrize("name", LEAVING)
def test_what_a_role_leaves_is_named(name: str) -> None:
    said, value = rows().get(name), defaults()[name]
    assert said is not None, f"{PAGE} does not name what {name} sets"
    assert not isinstance(value, str) or "{{" in value or f"`{value}" in said or value in said, f"{name}: {value}"
