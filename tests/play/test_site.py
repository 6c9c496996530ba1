# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/site.yml on inventory/lab, as an operator runs it: check, first run, again, and what happened in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standalone.kerio_enforce import reports
from standalone.kerio_enforce.config import Config
from standalone.kerio_enforce.metrics import Metrics
from tests.lab.fixtures import Factory, Lab
from tests.lab.playbooks import ROOT, PlaybookRun, run_playbook
from tests.play import quick
from tests.play.archive_site import LEFT_OUT, Watch, send
from tests.play.helpers import SECRET, assert_no_secret, run
from tests.play.trees import Tree, tree

SITE = ROOT / "playbooks" / "site.yml"
INVENTORY = ROOT / "inventory" / "lab"
CONTROLLER = Config(Path(), "", "main", Path(), "", "", {})
MOST_LINES = 50  # of a run over two servers that has nothing to do
RECORDS = ("lab-calls.jsonl", "imap-commands.jsonl", "imap-logins.jsonl", "smtp-messages.jsonl")


@pytest.fixture(scope="module")
def lab(lab_factory: Factory) -> Lab:
    return lab_factory(servers=2, users=4)


def site(lab: Lab, work: Path, *args: str, how: Callable[..., PlaybookRun] = run) -> PlaybookRun:
    done = how(SITE, *args, inventory=INVENTORY, KERIO_LAB_JSON=str(lab.file), KERIO_LAB_WORK_DIR=str(work))
    assert done.rc == 0, done.output
    assert "deprecat" not in done.output.lower()
    return done


def quietly(playbook: Path, *args: str, inventory: Path, **environment: str) -> PlaybookRun:
    """Run a playbook as an operator does, without a word more."""
    done = run_playbook(playbook, *args, inventory=inventory, **{**quick.environment(), **environment})
    assert_no_secret(done)
    return done


def touched(done: PlaybookRun) -> list[tuple[str, str]]:
    return [(task.host, task.action.rsplit(".", 1)[-1]) for task in done.changed()]


def installed(lab: Lab) -> Tree:
    """What the servers keep, but for the lab's records of who asked what and for logs."""
    found = tree(*(server.install for server in lab.servers))
    return {path: entry for path, entry in found.items() if Path(path).name not in RECORDS and "/store/logs" not in path}


def new(done: PlaybookRun) -> int:
    (task,) = done.of("archive_run")
    return sum(int(profile["new"]) for profile in task.result["profiles"])


def checkpoints(done: PlaybookRun) -> list[str]:
    """The lines that tell a checkpoint of the ledger."""
    lines = [line for task in done.of("assert") for line in str(task.result.get("msg", "")).splitlines()]
    return [line for line in lines if line.startswith("checkpoint: ")]


def assert_watched(report: Path, profiles: dict[str, Any]) -> None:
    """Assert that metrics made of the report have what the run said of itself, mailbox by mailbox."""
    figures = reports.merged({}, json.loads(report.read_text(encoding="utf-8")), {}, 1000, whole=True)
    found = {family.name: dict(family.samples) for family in Metrics(CONTROLLER).families({}, figures, 1000)}
    assert set(found["kerio_archive_server_last_success_timestamp_seconds"].values()) == {1000}
    expected = {}
    for name, profile in profiles.items():
        for mailbox in profile["mailboxes"]:
            key = {"archive_host": "archive1", "profile": name, "server": mailbox["server"], "mailbox": mailbox["mailbox"]}
            expected[tuple(key.items())] = mailbox["new"] + mailbox["copies"], mailbox["seen"]
    archived = found["kerio_archive_mailbox_archived_messages_total"]
    there = found["kerio_archive_mailbox_server_messages"]
    assert {key: (archived[key], there[key]) for key in archived} == expected
    assert all(found["kerio_archive_mailbox_last_success_timestamp_seconds"].values())
    assert all(found["kerio_archive_mailbox_server_uidnext"][key] > count for key, count in there.items())


def test_site_yml(lab: Lab, tmp_path: Path) -> None:
    placed = lab.fill(200)
    mail1, mail2 = lab.servers
    before = installed(lab)

    check = site(lab, tmp_path, "--check")
    settings = {(server.name, "kerio_archiving") for server in lab.servers} | {
        (server.name, name)
        for server in lab.servers
        for name in ("kerio_security_policy", "kerio_advanced_options", "kerio_master_authentication", "kerio_mailserver_cfg")
    }
    everything = settings | {("archive1", name) for name in ("archive_store", "archive_users")}
    assert set(touched(check)) == everything
    assert [server.writes() for server in lab.servers] == [[], []]
    assert installed(lab) == before
    assert list(tmp_path.iterdir()) == []

    report = tmp_path / "site.json"
    first = site(lab, tmp_path, "-e", f"site_report={report}")
    assert set(touched(first)) == everything | {("archive1", "archive_run")}
    wanted = sum(1 for one in placed if one.folder not in LEFT_OUT and not one.copy_of)
    (task,) = first.of("archive_run")
    by_name = {profile["name"]: profile for profile in task.result["profiles"]}
    assert by_name["mailboxes"]["seen"] == by_name["mailboxes"]["new"] == wanted
    assert sum(profile["failed"] for profile in by_name.values()) == 0
    # Nobody keeps checkpoints here, so each run prints its own.
    assert [line.split()[:2] for line in checkpoints(first)] == [["checkpoint:", f"archive1{tmp_path}/archive"]]
    assert checkpoints(check) == []
    assert_watched(report, by_name)
    archive = mail1.api("Archive.get")["options"]
    assert archive["isEnabled"] and archive["remoteArchive"] == {"enabled": True, "value": mail1.archive_mailbox}
    for server in lab.servers:
        assert '<variable name="AutoExpungeOnDelete">0<' in Path(server.mailserver_cfg).read_text("utf-8")
        assert server.pid

    kept, archived, watch = installed(lab), tree(tmp_path / "archive"), Watch(mail1, mail2)
    for server in lab.servers:
        server.forget()
    again = site(lab, tmp_path, how=quietly)
    assert touched(again) == []
    # A server more is a line more, the one of the recap.
    assert len(again.output.splitlines()) <= MOST_LINES
    assert "skipping" not in again.output
    assert not watch.commands()["UID FETCH"]
    assert [server.writes() for server in lab.servers] == [[], []]
    assert installed(lab) == kept
    assert {p: e for p, e in tree(tmp_path / "archive").items() if "/cur/" in p or "/objects/" in p} == {
        p: e for p, e in archived.items() if "/cur/" in p or "/objects/" in p
    }

    options = mail1.api("Archive.get")["options"]
    mail1.api("Archive.set", {"options": {**options, "archiveRelayedMessages": False}})
    for number, (server, login) in enumerate(((mail1, "alice"), (mail1, "dora"), (mail2, "ines")), 1):
        send(server, server.user(login)["address"], number=number)
    kept, archived = installed(lab), tree(tmp_path)
    foreseen = site(lab, tmp_path, "--check")
    assert installed(lab) == kept
    assert tree(tmp_path) == archived
    last = site(lab, tmp_path)
    for done in (foreseen, last):
        assert touched(done) == [("mail1", "kerio_archiving"), ("archive1", "archive_run")]
        change = done.changed()[0]
        assert change.result["diff"]["before"] == {"archiving": {"relayed_messages": False}}
        assert change.result["diff"]["after"] == {"archiving": {"relayed_messages": True}}
    assert new(last) == 3
    (task,) = last.of("archive_run")
    assert sum(profile["copies"] for profile in task.result["profiles"]) == 3
    assert mail1.api("Archive.get")["options"]["archiveRelayedMessages"] is True
    assert [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []
