# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks with hosts that are not reached as the controller is: over SSH, with PowerShell, or not at all just now."""

from __future__ import annotations

import json
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory, Lab
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import SECRET, assert_untouched, failed_logins, run, switch_master, written

PLAYBOOKS = ROOT / "playbooks"
GROUP = "Archive hosts"


@dataclass
class Fleet:
    """mail1 is reached over SSH, mail2 is a Windows host; both, and the archive host, have nobody who listens on the SSH port."""

    lab: Lab
    inventory: Path

    def play(self, playbook: str, *args: str, **values: t.Any) -> PlaybookRun:
        report = {"drift_report": str(self.inventory / "drift.json"), "kerio_mailserver_cfg_throttle": 0}
        return run(PLAYBOOKS / playbook, *args, "-e", json.dumps({**report, **values}), inventory=self.inventory / "hosts.json")

    def text(self, name: str) -> str:
        return (self.inventory / "host_vars" / f"{name}.yml").read_text(encoding="utf-8")


@pytest.fixture
def fleet(lab_factory: Factory, tmp_path: Path, closed_port: int) -> Fleet:
    lab = lab_factory(servers=2, users=2, start=True)
    far = {"ansible_host": "127.0.0.1", "ansible_port": closed_port, "ansible_connection": "ssh", "ansible_become": True}
    hosts = {}
    for server in lab.servers:
        hosts[server.name] = {
            **far,
            "kerio_connect_port": server.admin_port,
            "kerio_connect_user": server.admin_user,
            "kerio_connect_password": server.admin_password,
            "kerio_connect_ca_file": server.ca_file,
            "kerio_connect_imap_port": server.imaps_port,
            "kerio_connect_probe_host": "archive1",
            "kerio_connect_probe_python": sys.executable,
            "vault_kerio_master_password": server.master_password,
        }
        server.forget()
    hosts["mail2"].update(ansible_shell_type="powershell", ansible_become=False, kerio_mailserver_cfg_become=False)
    # As in the example inventory: nothing but a name and, here, a port.
    keeper = {"ansible_host": "127.0.0.1", "ansible_port": closed_port, "archive_host_root": str(tmp_path / "archive")}
    groups = {"kerio_servers": {"hosts": hosts}, "archive_hosts": {"hosts": {"archive1": keeper}}}
    (tmp_path / "hosts.json").write_text(json.dumps(groups), encoding="utf-8")
    return Fleet(lab, tmp_path)


def adopt_whatever_can_be_read(fleet: Fleet) -> None:
    adopted = fleet.play("adopt.yml")
    assert adopted.rc == 0, adopted.output
    assert {task.action for task in adopted.changed()} == {"ansible.builtin.file", "ansible.builtin.copy"}
    left_out = {task.host: task.result["msg"] for task in adopted.of("debug")}
    for name, reason in (
        ("mail1", "Connection refused"),
        ("mail2", "mailserver.cfg on Windows: the guarded edit"),
    ):
        text = fleet.text(name)
        assert "\nkerio_connect_archiving:" in text
        assert "\nkerio_mailserver_cfg_permanent_delete:" not in text
        assert "# mailserver.cfg could not be read, so kerio_mailserver_cfg_permanent_delete is not declared: " in text
        (told,) = left_out[name]
        assert reason in told
        assert SECRET not in text
    assert all(len(line) <= 130 for name in ("mail1", "mail2") for line in fleet.text(name).splitlines())


def test_only_mailserver_cfg_needs_the_host_itself(fleet: Fleet) -> None:
    mail1, mail2 = fleet.lab.servers
    for server in (mail1, mail2):
        switch_master(server, True)
        server.forget()
    adopt_whatever_can_be_read(fleet)
    step = fleet.play("drift.yml")
    assert step.rc == 0, step.output
    assert step.changed() == []

    declared = fleet.play("drift.yml", kerio_mailserver_cfg_permanent_delete=True)
    assert declared.rc != 0
    assert declared.changed() == []
    report = json.loads((fleet.inventory / "drift.json").read_text(encoding="utf-8"))
    unknown = {entry["server"]: entry["unknown"] for entry in report["servers"]}
    assert [len(texts) for texts in unknown.values()] == [1, 1]
    assert "Connection refused" in unknown["mail1"][0]
    assert "by hand: 1. Stop the server" in unknown["mail2"][0]
    assert [entry["differences"] for entry in report["servers"]] == [[], []]
    for server in (mail1, mail2):
        assert_untouched(server)

    # The password is tried from the archive host, which is down, and from nowhere else; the settings are dealt with all the same.
    change = {"insert_x_envelope_to": True}
    done = fleet.play("configure.yml", "--limit", "kerio_servers", kerio_connect_advanced_options=change)
    assert done.rc == 0, done.output
    probes = done.of("kerio_master_login")
    assert {task.host for task in probes} == {"mail1", "mail2"}
    assert all(task.result["unreachable"] for task in probes), probes
    assert sorted((task.host, task.action) for task in done.changed()) == [
        ("mail1", "mailops.kerio.kerio_advanced_options"),
        ("mail2", "mailops.kerio.kerio_advanced_options"),
    ]
    for server in (mail1, mail2):
        assert (written(server), failed_logins(server)) == (["AdvancedOptions.set"], [])
