# SPDX-License-Identifier: GPL-3.0-or-later
"""What drift.yml makes of the results of its modules: a verdict for each server, and a text."""

from __future__ import annotations

import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.unit.playbooks.templating import PLAYBOOKS, evaluate

Result = dict[str, t.Any]
LOOKUP = "{{ lookup('ansible.builtin.template', playbook_dir ~ '/../templates/drift.txt.j2') }}"
OFF = {"kind": "archiving", "key": "", "option": "enabled", "server": False, "declared": True, "meaning": "word " * 40}
REFUSED = {"id": "imap-service-off", "severity": "refuse", "subject": "mail1", "text": "It is off.", "accepted": False}
CFG = {"variable": "AutoExpungeOnDelete", "before": "0", "after": "0"}


def servers(**facts: Result) -> list[Result]:
    found: list[Result] = evaluate("drift.yml", "drift_servers", hostvars=facts, ansible_play_hosts_all=list(facts))
    return found


def one(**facts: t.Any) -> Result:
    return servers(mail1=facts)[0]


def text(**facts: Result) -> list[str]:
    loader = DataLoader()
    variables = {"drift_servers": servers(**facts), "playbook_dir": str(PLAYBOOKS)}
    told: str = Templar(loader=loader, variables=variables).template(trust_as_template(LOOKUP))
    return told.splitlines()


@pytest.mark.parametrize(
    ("facts", "in_step"),
    [
        ({"kerio_connect_comparison": {}}, True),
        ({"kerio_connect_comparison": {"differences": [OFF]}}, False),
        ({"kerio_connect_comparison": {"relations": [REFUSED]}}, False),
        ({"kerio_connect_comparison": {"relations": [{**REFUSED, "accepted": True}]}}, True),
        ({"kerio_connect_comparison": {"relations": [{**REFUSED, "severity": "warn"}]}}, True),
        ({"kerio_connect_comparison": {"cannot_tell": ["Nobody knows."]}}, True),
        ({"kerio_failures": ["mail1: nothing listens there."]}, False),
        ({"kerio_mailserver_cfg_result": {"skipped": True}}, True),
        ({"kerio_mailserver_cfg_result": {"unreachable": True, "msg": "no route"}}, False),
        ({"kerio_mailserver_cfg_result": {"failed": True, "msg": "no such file"}}, False),
        ({"kerio_mailserver_cfg_result": {"variables": [CFG], "reasons": []}}, True),
        ({"kerio_mailserver_cfg_result": {"variables": [{**CFG, "before": "1"}], "reasons": ["it is 1"]}}, False),
        ({"kerio_mailserver_cfg_result": {"variables": [CFG], "reasons": ["the service has not read it"]}}, False),
        ({"kerio_connect_probe": {"skipped": True}}, True),
        ({"kerio_connect_probe": {"answer": "right"}}, True),
        ({"kerio_connect_probe": {"answer": "wrong", "server_text": "NO"}}, False),
        ({"kerio_connect_probe": {"answer": "cannot_tell", "server_text": "BYE"}}, False),
        ({"kerio_connect_probe": {"unreachable": True, "msg": "no route"}}, False),
        ({"kerio_connect_probe": {"failed": True, "msg": "imapclient is missing"}}, False),
    ],
)
def test_unknown_is_not_in_step(facts: Result, in_step: bool) -> None:
    assert one(**facts)["in_step"] is in_step


def test_what_ansible_writes_before_the_cause_is_left_out() -> None:
    lost = {"unreachable": True, "msg": "Task failed: no route"}
    assert one(kerio_mailserver_cfg_result=lost)["unknown"] == ["mailserver.cfg: no route"]


def test_a_service_that_has_not_read_the_file_is_one_difference() -> None:
    found = one(kerio_mailserver_cfg_result={"variables": [CFG], "reasons": ["it was started before"]})["differences"]
    assert [(entry["option"], entry["server"]) for entry in found] == [("service", "it was started before")]


def test_order_is_that_of_the_names() -> None:
    assert [entry["server"] for entry in servers(mail9={}, mail10={}, mail1={})] == ["mail1", "mail10", "mail9"]


def test_text_fits_a_terminal_and_separates_servers() -> None:
    lines = text(mail1={"kerio_connect_comparison": {"differences": [OFF], "relations": [REFUSED]}}, mail2={}, mail3={})
    assert lines[:5] == [
        "mail1: 1 setting differs, 1 relation is violated",
        "  archiving > enabled",
        "      server: false",
        "      Git:    true",
        "      " + " ".join(["word"] * 13),
    ]
    assert max(map(len, lines)) <= 72
    assert lines[-5:] == ["  violated: imap-service-off", "      It is off.", "", "mail2: in step", "mail3: in step"]


def test_lists_tell_what_is_on_one_side_alone() -> None:
    both, there, here = {"host": "192.0.2.1"}, {"host": "192.0.2.9", "enabled": False}, {"network": "192.0.2.0/24"}
    entries = {"kind": "ip_address_groups", "key": "A", "option": "entries", "server": [both, there], "declared": [here, both]}
    lines = text(mail1={"kerio_connect_comparison": {"differences": [{**entries, "meaning": ""}]}})
    assert lines == [
        "mail1: 1 setting differs",
        "  ip_address_groups > A > entries",
        "      only on the server: host: 192.0.2.9, enabled: false",
        "      only in Git: network: 192.0.2.0/24",
    ]
