# SPDX-License-Identifier: GPL-3.0-or-later
"""The role kerio_connect takes what the modules take, and passes every option on; comparing gets no password."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import specs

ROLE = Path(__file__).parents[3] / "roles" / "kerio_connect"
KEYS = ("type", "required", "default", "choices", "elements")
# The role alone has it: archive_run logs in with either password while the master password is being changed.
ROTATION = {"other_password": {"type": "str", "no_log": True}}
DECLARED: dict[str, dict[str, t.Any]] = {
    "ip_address_groups": {**specs.IP_ADDRESS_GROUPS["groups"], "required": None},
    "security_policy": {"type": "dict", "options": specs.SECURITY_POLICY},
    "services": {**specs.SERVICES["services"], "required": None},
    "users": {**specs.USERS["users"], "required": None},
    "master_authentication": {"type": "dict", "options": {**specs.MASTER_AUTHENTICATION, **ROTATION}},
    "advanced_options": {"type": "dict", "options": specs.ADVANCED_OPTIONS},
    "archiving": {"type": "dict", "options": specs.ARCHIVING},
}
TASKS = {
    "security_policy": "foundations.yml",
    "master_authentication": "master_authentication.yml",
    "advanced_options": "archiving.yml",
    "archiving": "archiving.yml",
}


def arguments() -> dict[str, t.Any]:
    document = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options: dict[str, t.Any] = document["argument_specs"]["main"]["options"]
    return options


def assert_same(where: str, role: dict[str, t.Any], module: dict[str, t.Any]) -> None:
    for key in KEYS:
        assert role.get(key) == module.get(key), f"{where}: {key}"
    assert bool(role.get("no_log")) == bool(module.get("no_log")), where
    assert set(role.get("options", {})) == set(module.get("options", {})), where
    for name, option in role.get("options", {}).items():
        assert option["description"], f"{where}.{name}"
        assert_same(f"{where}.{name}", option, module["options"][name])


@pytest.mark.parametrize("kind", DECLARED)
def test_the_role_takes_what_the_module_takes(kind: str) -> None:
    assert_same(kind, arguments()[f"kerio_connect_{kind}"], DECLARED[kind])


@pytest.mark.parametrize("name", ["whole_domains", "delete_limit"])
def test_whole_domains_are_declared_as_the_module_takes_them_and_compared(name: str) -> None:
    role = f"kerio_connect_users_{name}"
    assert_same(name, arguments()[role], specs.USERS[name])
    assert yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))[role] == specs.USERS[name]["default"]
    for file in ("foundations.yml", "compare.yml"):
        text = (ROLE / "tasks" / file).read_text(encoding="utf-8")
        assert re.search(rf'^ +{name}: "{{{{ {role}(?: if kerio_connect_users is defined else \[\])? }}}}"$', text, re.M), file


@pytest.mark.parametrize(("kind", "file"), TASKS.items())
def test_the_role_passes_every_option_on(kind: str, file: str) -> None:
    text = (ROLE / "tasks" / file).read_text(encoding="utf-8")
    found = re.findall(
        rf"^ +(\w+): (?:\"|>-\s+){{{{ (?:.*\s+else )?kerio_connect_{kind}\.(\w+) \| default\(omit\) }}}}", text, re.M
    )
    assert set(found) == {(name, name) for name in set(DECLARED[kind]["options"]) - set(ROTATION)}


def variable(name: str, **values: t.Any) -> t.Any:
    """Return a variable of the role as Ansible evaluates it."""
    loader = DataLoader()
    variables = loader.load_from_file(str(ROLE / "vars" / "main.yml"), trusted_as_template=True)
    return Templar(loader=loader, variables={**variables, **values}).template(variables[name])


def test_comparing_gets_no_password() -> None:
    users = [
        {"address": "archive@example.com", "password": "not-a-secret-1", "update_password": "always", "enabled": True},
        {"address": "b@example.com", "state": "absent"},
    ]
    compared = variable("kerio_connect_users_compared", kerio_connect_users=users)
    assert compared == [{"address": "archive@example.com", "enabled": True}, {"address": "b@example.com", "state": "absent"}]
    master = {"enabled": True, "ip_address_group": "A", "password": "not-a-secret-2", "other_password": "not-a-secret-3"}
    compared = variable("kerio_connect_master_compared", kerio_connect_master_authentication=master)
    assert compared == {"enabled": True, "ip_address_group": "A"}


def test_groups_that_must_be_gone_are_told_from_the_others() -> None:
    groups = [{"name": "A", "entries": []}, {"name": "B", "state": "absent"}, {"name": "C", "state": "present", "entries": []}]
    assert variable("kerio_connect_groups_present", kerio_connect_ip_address_groups=groups) == [groups[0], groups[2]]
    assert variable("kerio_connect_groups_absent", kerio_connect_ip_address_groups=groups) == [groups[1]]
    assert variable("kerio_connect_groups_present") == variable("kerio_connect_groups_absent") == []


@pytest.mark.parametrize(
    ("probe", "state"),
    [
        ({"kerio_connect_probe": {"answer": "wrong"}}, "wrong"),
        ({"kerio_connect_probe": {"unreachable": True, "msg": "no route"}}, "cannot_tell"),
        ({"kerio_connect_probe": {"skipped": True}}, "unset"),
        ({}, "unset"),
    ],
)
def test_what_the_probe_said_of_the_password(probe: dict[str, t.Any], state: str) -> None:
    assert variable("kerio_connect_password_state", **probe) == state
