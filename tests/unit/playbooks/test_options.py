# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable whose name a playbook does not know is refused, because it would do all of what it was to do a part of."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.reference import playbooks
from tests.unit.playbooks.templating import PLAYBOOKS

LOADER = DataLoader()
TASK = LOADER.load_from_file(str(PLAYBOOKS / "tasks" / "options.yml"), trusted_as_template=True)[0]
OPTIONS = yaml.safe_load((PLAYBOOKS / "vars" / "options.yml").read_text(encoding="utf-8"))


def checked(prefix: str, **given: t.Any) -> tuple[list[str], str]:
    """Return the names that are refused, and what is told of them."""
    values = {**OPTIONS, **TASK["vars"], "options_prefix": prefix, **given}
    templar = Templar(loader=LOADER, variables=values)
    return templar.template(TASK["vars"]["options_unknown"]), templar.template(TASK["ansible.builtin.assert"]["fail_msg"])


def test_a_wrong_name_is_told_with_the_right_ones() -> None:
    unknown, told = checked("archive_export_", archive_export_user=["alice"], archive_export_dest="/srv/x")
    assert unknown == ["archive_export_user"]
    assert told.startswith("archive_export_user is no variable of this playbook. Correct the name")
    assert "archive_export_users" in told
    assert "archive_restore_user" not in told


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"archive_restore_user": "alice", "archive_restore_folders": ["INBOX"]},
        {"archive_restore_result": {"msg": "what the playbook registers"}},
        {"archive_export_user": "of another playbook"},
    ],
)
def test_right_names_and_those_of_others_pass(given: dict[str, t.Any]) -> None:
    assert checked("archive_restore_", **given)[0] == []


@pytest.mark.parametrize(
    "name", [path.stem for path in PLAYBOOKS.glob("*.yml") if "tasks/options.yml" in path.read_text("utf-8")]
)
def test_the_prefix_is_that_of_variables_of_the_playbook(name: str) -> None:
    plays = yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text(encoding="utf-8"))
    (play,) = (play for play in plays if "vars/options.yml" in play.get("vars_files", []))
    prefix = play["tasks"][0]["vars"]["options_prefix"]
    own = {option for option in OPTIONS["playbook_options"] if option.startswith(prefix)}
    assert own
    assert own - playbooks.uses(name).reads == set()
