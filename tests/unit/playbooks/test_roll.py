# SPDX-License-Identifier: GPL-3.0-or-later
"""How many servers are dealt with at a time, from the inventory; and no restart after as many failures as the operator allows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.unit.playbooks.templating import PLAYBOOKS, ROOT, evaluate

Values = dict[str, t.Any]
CFG = '<config><variable name="AutoExpungeOnDelete">1</variable></config>\n'


def roll(name: str, settings: Values) -> t.Any:
    groups = {"kerio_servers": ["mail1", "mail2"], "archive_hosts": ["archive1"]}
    return evaluate("roll.yml", name, groups=groups, hostvars={"mail1": settings, "mail2": {}}, inventory_hostname="archive1")


@pytest.mark.parametrize(
    ("settings", "batches", "restarts"),
    [
        ({}, ["100%"], ["100%"]),
        ({"kerio_connect_serial": 5}, ["5"], ["100%"]),
        ({"kerio_connect_serial": "25%"}, ["25%"], ["100%"]),
        ({"kerio_connect_serial": [1, "25%", "100%"]}, ["1", "25%", "100%"], ["100%"]),
        ({"kerio_mailserver_cfg_throttle": 3}, ["100%"], ["100%"]),
        # Who counts failures waits for each end; without a limit of servers that are down, for one after the other.
        ({"kerio_mailserver_cfg_stop_after_failures": 1}, ["100%"], ["1"]),
        ({"kerio_mailserver_cfg_stop_after_failures": "2", "kerio_mailserver_cfg_throttle": "3"}, ["100%"], ["3"]),
        ({"kerio_mailserver_cfg_stop_after_failures": 1, "kerio_mailserver_cfg_throttle": 0}, ["100%"], ["1"]),
    ],
)
def test_plays_know_the_settings_of_the_first_server(settings: Values, batches: list[str], restarts: list[str]) -> None:
    assert roll("roll_usable", settings) is True
    named = {name: ["archive1"] for name in roll("roll_groups", settings)}
    assert evaluate("roll.yml", "roll_batches_of_settings", groups=named) == batches
    assert evaluate("roll.yml", "roll_batches_of_restarts", groups=named) == restarts


def test_plays_of_their_own_deal_with_all_at_a_time() -> None:
    assert evaluate("roll.yml", "roll_batches_of_settings", groups={}) == ["100%"]
    assert evaluate("roll.yml", "roll_batches_of_restarts", groups={}) == ["100%"]


@pytest.mark.parametrize(
    "settings",
    [
        {"kerio_connect_serial": 0},
        {"kerio_connect_serial": "0%"},
        {"kerio_connect_serial": "half"},
        {"kerio_connect_serial": []},
        {"kerio_connect_serial": [1, "101%"]},
        {"kerio_mailserver_cfg_throttle": "one"},
        {"kerio_mailserver_cfg_stop_after_failures": -1},
        {"kerio_mailserver_cfg_stop_after_failures": True},
    ],
)
def test_a_setting_that_means_nothing_is_refused(settings: Values) -> None:
    assert roll("roll_usable", settings) is False


def restarts_play() -> Values:
    """The play of configure.yml that edits mailserver.cfg."""
    plays = yaml.safe_load((PLAYBOOKS / "configure.yml").read_text(encoding="utf-8"))
    (play,) = (play for play in plays if "roll_batches_of_restarts" in str(play.get("serial")))
    play["vars_files"] = [str(PLAYBOOKS / name) for name in play["vars_files"]]
    return t.cast("Values", play)


def test_no_restart_begins_after_too_many_failures(tmp_path: Path) -> None:
    """Of mail1 no service is found, so that editing its file fails; the files of the others say something else than declared."""
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "kerio_mailserver_cfg_become": False,
        "kerio_mailserver_cfg_path": str(tmp_path / "mailserver.cfg"),
        "kerio_mailserver_cfg_state_dir": str(tmp_path / "jobs"),
        "kerio_mailserver_cfg_permanent_delete": True,
        "kerio_mailserver_cfg_stop_after_failures": 1,
        "kerio_mailserver_cfg_service": {"script": "/bin/true", "pid_file": str(tmp_path / "pid")},
    }
    hosts = {"mail1": {"kerio_mailserver_cfg_service": {}}, "mail2": {}, "mail3": {}}
    (tmp_path / "mailserver.cfg").write_text(CFG, encoding="utf-8")
    inventory, playbook = tmp_path / "hosts.json", tmp_path / "book.json"
    inventory.write_text(json.dumps({"kerio_servers": {"vars": common, "hosts": hosts}}), encoding="utf-8")
    imports = [{"ansible.builtin.import_playbook": str(PLAYBOOKS / f"{name}.yml")} for name in ("prepare", "failures")]
    playbook.write_text(json.dumps([imports[0], restarts_play(), imports[1]]), encoding="utf-8")
    program = Path(sys.executable).with_name("ansible-playbook")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    command = [program, "-i", inventory, playbook]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    told = dict(re.findall(r"^fatal: \[(mail.)\]: FAILED! => (?!as told above)(.+)$", done.stdout, re.MULTILINE))
    assert {name: "mailserver.cfg is not edited" in text for name, text in told.items()} == {
        "mail1": False,
        "mail2": True,
        "mail3": True,
    }, done.stdout
    assert (tmp_path / "mailserver.cfg").read_text(encoding="utf-8") == CFG
