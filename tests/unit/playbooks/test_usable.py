# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an archive host has a Python environment to look with: one that is fresh is passed over in check mode only."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.unit.playbooks.templating import PLAYBOOKS, ROOT


@pytest.mark.parametrize(
    ("there", "check", "usable"), [(True, True, True), (True, False, True), (False, True, False), (False, False, True)]
)
def test_a_fresh_host_is_passed_over_in_check_mode_only(there: bool, check: bool, usable: bool) -> None:
    loader = DataLoader()
    variables = loader.load_from_file(str(ROOT / "roles/archive_host/vars/main.yml"), trusted_as_template=True)
    known = {"archive_host_interpreter_file": {"stat": {"exists": there}}, "ansible_check_mode": check}
    found = Templar(loader=loader, variables={**variables, **known}).template(variables["archive_host_usable"])
    assert found is usable


# It tells as a finding that there is no environment yet, whether in check mode or not.
OTHERWISE = {"preflight.yml"}


def with_interpreter(content: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Yield every task, at any depth, that works with the interpreter of the archive host."""
    if isinstance(content, dict) and "archive_host_interpreter" in str(content.get("vars", {}).get("ansible_python_interpreter")):
        yield content
    for inside in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from with_interpreter(inside)


def test_every_playbook_asks_before_it_works_with_the_interpreter() -> None:
    asked = {
        (path.name, task["name"]): task.get("when")
        for path in PLAYBOOKS.glob("*.yml")
        for task in with_interpreter(yaml.safe_load(path.read_text(encoding="utf-8")))
    }
    assert len(asked) > 10
    assert {where: when for where, when in asked.items() if where[0] not in OTHERWISE and when != "archive_host_usable"} == {}
