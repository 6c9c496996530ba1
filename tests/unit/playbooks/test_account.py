# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of an archive host is made when there is none of its name, and left as it is otherwise."""

from __future__ import annotations

import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.unit.playbooks.templating import ROOT

TASKS = ROOT / "roles" / "archive_host" / "tasks" / "account.yml"


@pytest.mark.parametrize(("found", "made"), [(None, True), (["x", "1001", "1001", "", "/home/mail", "/bin/bash"], False)])
def test_account_of_a_directory_that_lists_nobody_is_asked_for_by_its_name(found: t.Any, made: bool) -> None:
    loader = DataLoader()
    tasks = loader.load_from_file(str(TASKS), trusted_as_template=True)
    variables = {"archive_host_user": "mail-archive"}
    asked = Templar(loader=loader, variables=variables).template(tasks[0]["ansible.builtin.getent"])
    assert asked == {"database": "passwd", "key": "mail-archive", "fail_key": False}
    account = tasks[-1]
    given = {**variables, **account["vars"], "ansible_facts": {"getent_passwd": {asked["key"]: found}}}
    wanted = Templar(loader=loader, variables={**given, "omit": "left"}).template(account["ansible.builtin.user"])
    assert (wanted["home"], wanted["shell"]) == (("/nonexistent", "/usr/sbin/nologin") if made else ("left", "left"))
