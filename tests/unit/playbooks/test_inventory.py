# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that has no hosts to deal with, or not all that were meant, says so: Ansible itself warns at most, and ends it well."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.unit.playbooks.templating import PLAYBOOKS, ROOT, evaluate

Groups = dict[str, list[str]]
BOTH: Groups = {"kerio_servers": ["mail1", "2001:db8::1"], "archive_hosts": ["archive1"], "controllers": ["control1"]}
NEEDS = ["kerio_servers", "archive_hosts"]


def inventory(name: str, groups: Groups, *, limit: str = "", **more: t.Any) -> t.Any:
    known = {"all": [host for members in groups.values() for host in members], **groups}
    limited = {"ansible_limit": limit} if limit else {}
    return evaluate("inventory.yml", name, groups=known, **limited, **more)


@pytest.mark.parametrize(
    ("groups", "needs", "empty"),
    [
        (BOTH, NEEDS, []),
        ({**BOTH, "archive_hosts": []}, NEEDS, ["archive_hosts"]),
        ({**BOTH, "archive_hosts": []}, ["kerio_servers"], []),
        ({"archive_hosts": ["archive1"]}, NEEDS, ["kerio_servers"]),
        ({"kerio_server": ["mail1"], "archive_host": ["archive1"]}, NEEDS, NEEDS),
        ({}, NEEDS, NEEDS),
    ],
)
def test_a_group_without_hosts_is_told_where_it_is_needed(groups: Groups, needs: list[str], empty: list[str]) -> None:
    assert inventory("inventory_empty", groups, prepare_needs=needs) == empty


def test_any_of_the_groups_is_enough_where_none_is_asked_for() -> None:
    assert inventory("inventory_empty", {"kerio_servers": ["mail1"]}) == []
    assert inventory("inventory_empty", {"mail": ["mail1"]}) == NEEDS


@pytest.mark.parametrize(
    ("limit", "strangers"),
    [
        ("", []),
        ("mail1", []),
        ("mail1,archvie1", ["archvie1"]),
        ("mail1:archvie1", ["archvie1"]),
        (" mail1 , mial2", ["mial2"]),
        ("kerio_servers,!mial1,&foo", ["mial1", "foo"]),
        ("all:!control1", []),
        ("controllers,localhost", []),
        # Names with colons; patterns, expressions and files are Ansible's own.
        ("2001:db8::1", []),
        ("2001:db8::1,2001:db8::2", ["2001:db8::2"]),
        ("mail[1:9],mail?,x*,~y.*,@failed.retry", []),
    ],
)
def test_a_name_in_the_limit_that_nobody_has_is_found(limit: str, strangers: list[str]) -> None:
    assert inventory("inventory_strangers", BOTH, limit=limit) == strangers


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        ("control1,archive1", ["archive1"]),
        ("control1", []),
        ("all,!kerio_servers,!archive_hosts", []),
        ("all:!archive_hosts", ["mail1", "2001:db8::1"]),
        ("mail*", ["mail1"]),
        ("mail[2:3]", []),
    ],
)
def test_a_limit_leaves_servers_or_archive_hosts(limit: str, left: list[str]) -> None:
    assert inventory("inventory_left", BOTH, limit=limit) == left


def test_what_a_file_of_names_leaves_is_not_looked_at() -> None:
    assert inventory("inventory_wrong", BOTH, limit="@failed.retry") == ""


def test_the_first_fault_is_told() -> None:
    told = functools.partial(inventory, "inventory_wrong")
    assert told({}, limit="mial1").startswith("The inventory has no host in kerio_servers and archive_hosts.")
    assert told(BOTH, limit="control1,mial1").startswith("--limit names mial1, and no host and no group")
    assert told(BOTH, limit="control1").startswith("--limit control1 leaves no host of kerio_servers and archive_hosts.")
    assert told(BOTH, limit="mail1") == told(BOTH) == ""
    assert told({}, kerio_failures_later=True) == "", "it was told by the first that looked"


def test_site_does_nothing_without_archive_hosts(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.json"
    hosts.write_text(
        json.dumps({"kerio_servers": {"hosts": {"mail1": {}}}, "archive_host": {"hosts": {"archive1": {}}}}), "utf-8"
    )
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", hosts, PLAYBOOKS / "site.yml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("fatal: ")]
    assert told.startswith("fatal: [mail1]: FAILED! => The inventory has no host in archive_hosts. Name the hosts there")
    assert told.endswith(f"Ansible has read: {hosts}")
    assert done.stdout.count("PLAY [") == 1, "no other play has begun"
