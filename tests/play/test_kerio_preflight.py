# SPDX-License-Identifier: GPL-3.0-or-later
"""kerio_preflight and preflight.yml against the lab: what differs is told, and one server that refuses stops no other."""

from __future__ import annotations

import imaplib
import json
import ssl
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.modules import kerio_preflight
from tests.lab.fixtures import Lab, LabServer
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.helpers import Answer, Step, assert_untouched, connection, play, run, switch_master
from tests.unit.library.module_run import run_module
from tests.unit.module_utils.preflight_page import FACTS

TOLD = "Ensure it is told what was found"
REFUSES = {"fail_methods": "Session.login=1000"}


def verdicts(result: dict[str, t.Any]) -> dict[str, str]:
    return {row["id"]: row["verdict"] for row in result["facts"]}


def differing(answer: Answer) -> set[str]:
    return {name for name, verdict in verdicts(answer.result).items() if verdict == "differs"}


# A position of the double's switches, what differs then, and what cannot be told.
POSITIONS: list[tuple[dict[str, t.Any], set[str], set[str]]] = [
    ({}, set(), set()),
    ({"profile": "2013"}, {"api-members"}, set()),
    ({"profile": "9.0"}, {"api-members"}, set()),
    ({"profile": "9.4"}, set(), set()),
    ({"extra_members": True}, set(), set()),
    ({"absent_members": "SecurityPolicy.antiHammering"}, {"api-members"}, set()),
    ({"write_only": "absent"}, set(), set()),
    ({"unknown_members": "reject"}, set(), set()),
    ({"language": "de"}, set(), set()),
    ({"group_role": "object"}, set(), set()),
    ({"list_limit": 1}, set(), set()),
    ({"session_calls": 5}, {"api-session"}, set()),
    ({"auth_methods": "CRAM-MD5,PLAIN"}, {"api-authentication-methods"}, set()),
    ({"fail_methods": "Aliases.get=-32601"}, {"api-methods"}, set()),
    ({"fail_methods": "Aliases.get=-32602"}, set(), {"api-methods"}),
    ({"fail_methods": "Archive.get=1004"}, set(), {"api-methods", "api-members", "api-values"}),
    ({"hang_methods": "Groups.get"}, set(), {"api-methods"}),
]


def test_positions_of_the_double(mail1: LabServer) -> None:
    for switches, differ, untold in POSITIONS:
        with mail1.switched(**switches):
            found = verdicts(run_module(kerio_preflight.main, **{**connection(mail1), "timeout": 0.5}))
        del found["api-clock"]  # the double tells no date
        assert {name for name, verdict in found.items() if verdict == "differs"} == differ, switches
        assert {name for name, verdict in found.items() if verdict == "cannot_tell"} == untold, switches
    assert_untouched(mail1)


@pytest.mark.shows("run", "check", "by_hand", "broken")
def test_what_somebody_changed_by_hand_is_seen_and_an_auditor_is_told_to_be_none(mail1: LabServer, mail2: LabServer) -> None:
    open_to_all = {"isEnabled": True, "groupRestriction": "", "password": mail1.master_password}
    mail1.api("AdvancedOptions.set", {"options": {"masterAuthentication": open_to_all}})
    auditor = mail1.add_user("auditor", role="Auditor")
    mail1.forget()
    mail1.refuse_writes()
    real, check, little, untrusted = play(
        Step("kerio_preflight", connection(mail1)),
        Step("kerio_preflight", connection(mail1), check=True),
        Step("kerio_preflight", connection(mail1, api_user="auditor", api_password=auditor["password"])),
        Step("kerio_preflight", connection(mail1, ca_file=mail2.ca_file)),
    )
    assert_untouched(mail1)
    assert (real.status, check.status) == ("ok", "ok")
    assert differing(real) == differing(check) == {"api-master-group"}
    assert real.result["facts"] == check.result["facts"]
    assert differing(little) == {"api-rights"}
    assert verdicts(little.result)["api-lists"] == "cannot_tell"
    assert differing(untrusted) == {"api-certificate"}
    assert untrusted.failed
    assert "certificate cannot be verified" in untrusted.msg
    assert "\n" not in untrusted.msg


def test_the_playbook_tells_of_both_servers_if_one_refuses(lab: Lab, mail1: LabServer, mail2: LabServer, tmp_path: Path) -> None:
    switch_master(mail1, True)
    archive = mail1.api("Archive.get")["options"]
    remote = {"enabled": True, "value": mail1.archive_mailbox}
    mail1.api("Archive.set", {"options": {**archive, "isEnabled": True, "remoteArchive": remote}})
    put(mail1, "alice", b"Subject: one\r\n\r\nBody.\r\n")
    mail1.forget()
    report = tmp_path / "preflight.json"
    given = {
        "preflight_mailbox": "alice@example.com",
        "preflight_plain_port": mail1.imap_port,
        "preflight_report": str(report),
        "preflight_scratch_mailbox": "bob@example.com",
        "preflight_write": True,
    }
    environment = {"KERIO_LAB_JSON": str(lab.file), "KERIO_LAB_WORK_DIR": str(tmp_path)}
    with mail2.switched(**REFUSES):
        done = run(
            ROOT / "playbooks" / "preflight.yml", "-e", json.dumps(given), inventory=ROOT / "inventory" / "lab", **environment
        )
    assert done.rc != 0
    assert mail1.writes() == []
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    first, second = json.loads(report.read_text(encoding="utf-8"))["servers"]
    rows = facts(first)
    assert set(rows) <= {fact.name for fact in FACTS}
    assert [part["where"] for part in first["parts"]] == ["admin API", "host", "IMAP from archive1"]
    assert [part["failure"] for part in first["parts"]] == ["", "", ""]
    differ = {"cfg-value", "service-watchdog", "imap-before-tls", "write-moment", "write-delete"}
    assert {name for name, verdict in rows.items() if verdict == "differs"} == differ
    # The double tells no date, and its archive mailbox is empty.
    untold = {"api-clock", "imap-clock", "imap-envelope", "imap-envelope-recipients"}
    assert {name for name, verdict in rows.items() if verdict == "cannot_tell"} == untold
    assert "login of Admin" in second["parts"][0]["failure"]
    assert [part["failure"] for part in second["parts"][1:]] == ["", ""]
    told = facts(second)
    assert (told["cfg-variable"], told["imap-certificate"], told["api-version"]) == ("holds", "holds", "cannot_tell")
    assert_text(message(done))
    assert "Do not begin to archive yet: mail2 (admin API)." in done.failed()[-1].result["msg"]


def facts(server: dict[str, t.Any]) -> dict[str, str]:
    return {row["id"]: row["verdict"] for part in server["parts"] for row in part["facts"]}


def put(server: LabServer, login: str, body: bytes) -> None:
    """Put a message into somebody's INBOX, if it has none."""
    context = ssl.create_default_context(cafile=server.ca_file)
    with imaplib.IMAP4_SSL(server.host, server.imaps_port, ssl_context=context) as imap:
        imap.login(server.user(login)["address"], server.user(login)["password"])
        if imap.select("INBOX")[1] == [b"0"]:
            imap.append("INBOX", "", "", body)


def message(done: PlaybookRun) -> str:
    (task,) = [task for task in done.tasks if task.task == TOLD]
    return str(task.result["msg"])


def assert_text(text: str) -> None:
    lines = text.splitlines()
    assert lines[0].startswith("mail1: 5 differ, 4 cannot be told, ")
    assert any(line.startswith("mail2: ") for line in lines)
    assert "  could not look: admin API" in lines
    assert text.count("login of Admin") == 1
    assert "  differs: cfg-value" in lines
    assert all(len(line) <= 72 for line in lines)
