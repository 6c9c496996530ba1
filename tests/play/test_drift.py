# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/drift.yml: what somebody changed by hand is told, as text and as JSON, and nothing is written to a server."""

from __future__ import annotations

import json
import stat
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.fixtures import Factory, Lab, LabServer
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import assert_untouched, failed_logins, run, switch_master

PLAYBOOKS = ROOT / "playbooks"
INVENTORY = ROOT / "inventory" / "lab"
TOLD = "Ensure what differs is told"


@dataclass
class Watched:
    """Two servers that configure.yml has just dealt with."""

    lab: Lab
    work: Path

    @property
    def report(self) -> Path:
        return self.work / "drift.json"

    def play(self, playbook: str, *args: str, **values: t.Any) -> PlaybookRun:
        extra = ["-e", json.dumps({"kerio_mailserver_cfg_throttle": 0, "drift_report": str(self.report), **values})]
        environment = {"KERIO_LAB_JSON": str(self.lab.file), "KERIO_LAB_WORK_DIR": str(self.work)}
        return run(PLAYBOOKS / playbook, *args, *extra, inventory=INVENTORY, **environment)

    def drift(self, *args: str, **values: t.Any) -> tuple[PlaybookRun, dict[str, t.Any], str]:
        """Return the run, what the report says by server, and the text."""
        self.report.unlink(missing_ok=True)
        done = self.play("drift.yml", *args, **values)
        assert self.report.exists(), done.output
        report = json.loads(self.report.read_text(encoding="utf-8"))
        (told,) = [task for task in done.tasks if task.task == TOLD]
        return done, report, told.result["msg"]


@pytest.fixture(scope="module")
def watched(lab_factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    watched = Watched(lab_factory(servers=2, users=2), tmp_path_factory.mktemp("work"))
    done = watched.play("configure.yml")
    assert done.rc == 0, done.output
    for server in watched.lab.servers:
        server.forget()
    return watched


def differences(entry: dict[str, t.Any]) -> list[tuple[t.Any, ...]]:
    return [(found["kind"], found["key"], found["option"], found["server"], found["declared"]) for found in entry["differences"]]


def by_hand(server: LabServer) -> None:
    """Change five things, mailserver.cfg among them."""
    archive = server.api("Archive.get")["options"]
    server.api("Archive.set", {"options": {**archive, "isEnabled": False, "archiveRelayedMessages": False}})
    entries = server.api("IpAddressGroups.get", {"query": {}})["list"]
    other = {"groupId": "", "groupName": "Archive hosts", "type": "Host", "host": "192.0.2.9", "description": "", "enabled": True}
    server.api("IpAddressGroups.create", {"groups": [other]})
    (gone,) = [entry["id"] for entry in entries if entry["groupName"] == "Archive hosts"]
    server.api("IpAddressGroups.remove", {"groupIds": [gone]})
    policy = server.api("SecurityPolicy.get")["options"]
    methods = [{**entry, "enabled": True} if entry["value"] == "CRAM-MD5" else entry for entry in policy["authenticationMethods"]]
    server.api("SecurityPolicy.set", {"options": {**policy, "authenticationMethods": methods}})
    server.service("stop")
    path = Path(server.mailserver_cfg)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"AutoExpungeOnDelete">0<', '"AutoExpungeOnDelete">1<'), encoding="utf-8")
    server.service("start")
    server.forget()


def test_servers_in_step(watched: Watched) -> None:
    done, report, text = watched.drift()
    assert done.rc == 0, done.output
    assert text.splitlines() == ["mail1: in step", "mail2: in step"]
    assert report["in_step"] is True
    assert [(entry["server"], entry["in_step"]) for entry in report["servers"]] == [("mail1", True), ("mail2", True)]
    assert stat.S_IMODE(watched.report.stat().st_mode) == 0o600
    assert done.of("kerio_master_login") == []
    for server in watched.lab.servers:
        assert_untouched(server)


def test_five_changes_by_hand_are_told_exactly(watched: Watched) -> None:
    mail1 = watched.lab["mail1"]
    by_hand(mail1)
    cfg = Path(mail1.mailserver_cfg).read_bytes()
    mail1.refuse_writes()
    done, report, text = watched.drift()
    assert done.rc != 0
    assert "Not in step with the inventory: mail1." in done.failed()[0].result["msg"]
    assert_untouched(mail1)
    mail1.refuse_writes(False)
    assert Path(mail1.mailserver_cfg).read_bytes() == cfg
    (found,) = [entry for entry in report["servers"] if not entry["in_step"]]
    assert found["server"] == "mail1"
    assert differences(found) == [
        ("ip_address_groups", "Archive hosts", "entries", [{"host": "192.0.2.9"}], [{"host": "127.0.0.1"}]),
        ("security_policy", "", "authentication_methods", {"CRAM-MD5": True}, {"CRAM-MD5": False}),
        ("archiving", "", "enabled", False, True),
        ("archiving", "", "relayed_messages", False, True),
        ("mailserver_cfg", "", "AutoExpungeOnDelete", "1", "0"),
    ]
    assert all(difference["meaning"] for difference in found["differences"])
    lines = text.splitlines()
    assert lines[0] == "mail1: 5 settings differ"
    assert lines[-1] == "mail2: in step"
    assert "      only on the server: host: 192.0.2.9" in lines
    assert all(len(line) <= 72 for line in lines)
    first = watched.report.read_bytes()
    watched.drift()
    assert watched.report.read_bytes() == first
    put_right = watched.play("configure.yml")
    assert put_right.rc == 0, put_right.output
    assert watched.drift("--limit", "mail1")[0].rc == 0


def test_the_master_password_is_tried_when_asked_for_alone(watched: Watched) -> None:
    mail1 = watched.lab["mail1"]
    switch_master(mail1, True, password="not-a-secret-other-1")
    mail1.forget()
    assert watched.drift("--limit", "mail1")[0].rc == 0
    assert failed_logins(mail1) == []
    done, report, text = watched.drift("--limit", "mail1", drift_probe_master_password=True)
    switch_master(mail1, True)
    assert done.rc != 0
    (found,) = report["servers"]
    assert differences(found) == [("master_authentication", "", "password", "another one", "(secret)")]
    assert "master_authentication > password" in text
    assert failed_logins(mail1) == ["X-MASTERAUTH"]


def test_what_cannot_be_looked_at_is_not_in_step(watched: Watched) -> None:
    mail2 = watched.lab["mail2"]
    mail2.service("stop")
    done, report, text = watched.drift()
    mail2.service("start")
    assert done.rc != 0
    step, unknown = report["servers"]
    assert (step["in_step"], unknown["in_step"]) == (True, False)
    assert unknown["unknown"][0].startswith("settings: mail2 ")
    assert "mail2: cannot be looked at" in text


def test_a_violated_relation_is_told_unless_it_is_accepted(watched: Watched) -> None:
    nobody = {"enabled": True, "remote_address": "nobody@example.com"}
    done, report, text = watched.drift("--limit", "mail1", kerio_connect_archiving=nobody)
    assert done.rc != 0
    (found,) = report["servers"]
    assert "archive-mailbox-exists" in [relation["id"] for relation in found["relations"]]
    assert "  violated: archive-mailbox-exists" in text.splitlines()
    accept = ["archive-mailbox-exists"]
    _, report, text = watched.drift("--limit", "mail1", kerio_connect_archiving=nobody, kerio_connect_accept=accept)
    assert "violated" not in text


def test_a_password_in_the_wrong_place_is_refused_unseen(watched: Watched) -> None:
    misplaced = {"enabled": True, "password": "not-a-secret-misplaced"}
    done, report, _ = watched.drift("--limit", "mail1", kerio_connect_archiving=misplaced)
    assert done.rc != 0
    (found,) = report["servers"]
    assert "kerio_connect_archiving" in found["unknown"][0]
    assert done.of("kerio_compare") == []
