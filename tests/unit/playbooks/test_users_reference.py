# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/users.md names every variable of users.yml and every field of the guide, and its examples do what they show."""

from __future__ import annotations

import copy
import re
import typing as t

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.mailops.kerio.plugins.module_utils.archive import users, users_rights, users_sync
from ansible_collections.mailops.kerio.plugins.module_utils.site import users as site_users
from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Reader
from ansible_collections.mailops.kerio.plugins.modules import archive_users
from tests.unit.module_utils.archive.users_scene import ROOT, Data, Scene, directory, person, scene
from tests.unit.playbooks.templating import ROOT as CHECKOUT

__all__ = ["scene"]
TEXT = (CHECKOUT / "docs" / "users.md").read_text(encoding="utf-8")
BLOCKS = [
    re.sub("^  ", "", block, flags=re.MULTILINE) if indent else block
    for indent, block in re.findall(r"^( *)```yaml\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
]
PLAYBOOK = yaml.safe_load((CHECKOUT / "playbooks" / "users.yml").read_text(encoding="utf-8"))
OWN = ("directories", "unread", "elsewhere")  # what no operator declares for archive_users alone
GUIDE = (
    "Server Name",
    "Ignore SSL Security Warnings",
    "User Name, Password",
    "Domains and Groups",
    "Automatically delete users",
    "Kerio IMAP Server",
    "IMAP Server Access",
    "Ignore SSL warnings",
    "CRAM-MD5 and DIGEST-MD5",
    "Default Privileges",
    "Test Settings",
    "Synchronize now",
    "test the authentication for a user",
)


def options() -> dict[str, str]:
    """Variable of the inventory -> option of the module, as users.yml has them."""
    blocks = (task.get("block", []) for play in PLAYBOOK for task in play.get("tasks", []))
    (task,) = (task for block in blocks for task in block if "mailops.kerio.archive_users" in task)
    given = {option: re.findall(r"archive_users_[a-z_]+", text) for option, text in task["mailops.kerio.archive_users"].items()}
    return {names[0]: option for option, names in given.items() if names and option not in OWN}


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    part = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def planned(place: Scene, example: Data) -> users.UserPlan:
    """Plan an example for an archive whose users are those that the document speaks of; Dora left."""
    one = directory(*(person(login) for login in ("alice", "bob", "scanner")), domains=["example.com"])
    dora = directory(*one["users"], person("dora"), domains=["example.com"])
    two = directory(*(person(login, "example.org", groups=["sales"]) for login in ("gina", "henri")), server="mail2")
    begin = {"root": ROOT, "directories": [dora, two]}
    place.catalog.apply_users(place.plan(wish_of(begin)).steps)
    place.catalog.apply_users(place.plan(wish_of({**begin, "directories": [one, two], "delete": True})).steps)
    named = {options()[variable]: value for variable, value in example.items()}
    return place.plan(wish_of({"root": ROOT, "directories": [one, two], **named}))


def wish_of(parameters: Data) -> users.Wish:
    # The validator writes into what it is given.
    result = ArgumentSpecValidator(copy.deepcopy(archive_users.OPTIONS)).validate(parameters)
    assert not result.error_messages
    return users_sync.wish(result.validated_parameters)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_can_be_planned(scene: Scene, block: str) -> None:
    planned(scene, yaml.safe_load(block))


def test_examples_show_every_variable_and_do_what_they_show(scene: Scene) -> None:
    examples = [yaml.safe_load(block) for block in BLOCKS]
    assert {variable for example in examples for variable in example} == set(options())
    scope = next(example for example in examples if "archive_users_scope" in example)
    assert set(planned(scene, scope).staying) == {"scanner@example.com"}
    rights = next(example for example in examples if "archive_users_privileges" in example)
    given = {step.values.name: step.values for step in planned(scene, rights).steps}
    assert given["bob@example.com"].reads == ("alice@example.com", "dora@example.com")
    assert given["auditor"].privileges == ("audit", "login")


def test_tables_name_every_variable_option_privilege_and_field_of_the_guide() -> None:
    table = re.findall(r"^\| `(archive_users_\w+)` \| `(\w+)` \|", TEXT, re.MULTILINE)
    assert dict(table) == options()
    assert [cells[0].strip("`") for cells in rows("Privileges")] == list(users_rights.PRIVILEGES)
    fields = " / ".join(cells[0] for cells in rows("The guide's fields"))
    assert [field for field in GUIDE if field not in fields] == []


def test_what_the_guides_fields_are_here_is_there() -> None:
    specs = yaml.safe_load((CHECKOUT / "roles/kerio_connect/meta/argument_specs.yml").read_text(encoding="utf-8"))
    known = set(specs["argument_specs"]["main"]["options"]) | set(options())
    named = {
        name for cells in rows("The guide's fields") for name in re.findall(r"\b(?:kerio_connect|archive_users)_\w+", cells[1])
    }
    assert named <= known and len(named) > 10


def test_the_documented_defaults_are_those_of_the_module() -> None:
    defaults = {name: spec.get("default") for name, spec in archive_users.OPTIONS.items()}
    told = re.findall(r"^\| `archive_users_\w+` \| `(\w+)` \|.*; `?([^`;]+?)`? unless given \|$", TEXT, re.MULTILINE)
    assert {option: yaml.safe_load(text) for option, text in told} == {
        option: defaults[option] for option in ("default_privileges", "delete", "delete_limit", "delete_limit_share")
    }


def test_the_example_inventory_shows_every_variable() -> None:
    lines = (CHECKOUT / "inventory/example/group_vars/archive_hosts.yml").read_text(encoding="utf-8")
    everything = yaml.safe_load(re.sub(r"^( *)# (?=- | {2}|[a-z_]+: |[a-z_]+:$)", r"\1", lines, flags=re.MULTILINE))
    shown = {name: value for name, value in everything.items() if name in options()}
    assert set(shown) == set(options())
    wish_of({"root": ROOT, "unread": ["mail1.example.com"], **{options()[name]: value for name, value in shown.items()}})


@pytest.mark.parametrize(
    ("read", "directories", "unread"),
    [(["mail1", "mail2"], ["mail1", "two"], []), (["mail1"], ["mail1"], ["two"]), ([], [], ["mail1", "two"])],
)
def test_a_server_without_a_directory_is_unread_under_its_own_name(
    read: list[str], directories: list[str], unread: list[str]
) -> None:
    servers: dict[str, t.Any] = {"mail1": {}, "mail2": {"kerio_connect_name": "two"}}
    for name in read:
        servers[name] = {**servers[name], "kerio_connect_directory": {"server": servers[name].get("kerio_connect_name", name)}}
    found = site_users.sources(
        Reader({**servers, "archive1": {}}), {"kerio_servers": list(servers), "archive_hosts": ["archive1"]}, "archive1"
    )
    assert ([one["server"] for one in found["directories"]], found["unread"]) == (directories, unread)
