# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as Ansible calls them: templates that fail, and documentation that is theirs."""

from __future__ import annotations

import inspect
import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVarsVars

from ansible_collections.mailops.kerio.plugins.filter import site
from tests.reference import sources

BROKEN = trust_as_template("{{ lookup('ansible.builtin.file', '/nowhere') }}")
UNSET = trust_as_template("{{ vault_unset }}")
DEFINE = "'vault_unset' is undefined. Define it in the inventory, or give the vault that has it, and run again"
CANNOT = "Its variables in the inventory cannot be used: "


def hostvars(hosts: dict[str, dict[str, t.Any]]) -> dict[str, HostVarsVars]:
    return {name: HostVarsVars(dict(values), DataLoader(), name) for name, values in hosts.items()}


def filtered(words: str, hosts: dict[str, dict[str, t.Any]], **values: t.Any) -> t.Any:
    """What a template makes of hostvars whose templates are evaluated when they are read."""
    templar = Templar(loader=DataLoader(), variables={"known": hostvars(hosts), **values})
    return templar.template(trust_as_template("{{ known | mailops.kerio." + words + " }}"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, ""),
        ({"kerio_connect_imap_ca_file": BROKEN}, f"{CANNOT}The lookup plugin 'ansible.builtin.file' failed: Unable to access"),
        ({"kerio_connect_imap_timeout": UNSET}, CANNOT + DEFINE),
        ({"kerio_connect_archive_hosts": [UNSET]}, CANNOT + DEFINE),
        ({"kerio_connect_archiving": {"domains": [{"remote_address": BROKEN}]}}, f"{CANNOT}The lookup plugin"),
        ({"kerio_connect_name": UNSET}, "Its name cannot be used: " + DEFINE),
        # As for Jinja's filter `default`: the vault is not at hand in runs that need no password.
        ({"kerio_connect_master_authentication": {"password": UNSET}}, ""),
        ({"kerio_connect_password": BROKEN}, ""),
    ],
)
def test_a_host_of_which_a_template_fails_is_left_out_alone(values: dict[str, t.Any], told: str) -> None:
    groups = {"kerio_servers": ["mail1", "mail2"], "archive_hosts": ["archive1"]}
    hosts = {"mail1": values, "mail2": {}, "archive1": {"archive_profiles": []}}
    found = filtered("prepared(groups, chosen)", hosts, groups=groups, chosen=list(hosts))
    assert list(found["facts"]) == (["mail1"] if told else [])
    assert "".join(found["told"]).startswith(f"mail1: {told}" if told else "")


def test_a_template_that_fails_where_nobody_looked_before_is_told_in_ansibles_words() -> None:
    with pytest.raises(Exception, match="Unable to access the file '/nowhere'"):
        filtered("archive_servers(['mail1'])", {"mail1": {"kerio_connect_host": BROKEN}})


def test_every_filter_is_documented_with_what_it_takes() -> None:
    functions = {**site.OF_HOSTS, **site.OTHERS}
    assert set(functions) == set(sources.FILTERS) == set(site.FilterModule().filters())
    for name, function in functions.items():
        document = sources.filter_plugin(name).document
        assert document["name"] == name
        assert document["positional"].split(", ") == list(document["options"])
        assert len(document["options"]) == len(inspect.signature(function).parameters), name
        assert f"mailops.kerio.{name}" in sources.filter_plugin(name).examples
