# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml over hosts of which some cannot be dealt with: all others are, and the end names them."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

from tests.lab.fixtures import Factory, Lab
from tests.lab.playbooks import ROOT, PlaybookRun
from tests.play.archive_site import LEFT_OUT
from tests.play.helpers import SECRET, failed_logins, run
from tests.unit.module_utils.archive.page_reader import Reader
from tests.unit.module_utils.imap.certificates import Authority
from tests.unit.smtp_sink import SmtpSink

REPORT = ROOT / "playbooks" / "report.yml"
SITE = ROOT / "playbooks" / "site.yml"
INVENTORY = ROOT / "inventory" / "lab"
SUMMARY = "Ensure it is told what was done"
SETTINGS = {f"mailops.kerio.{name}" for name in ("kerio_compare", "kerio_security_policy", "kerio_archiving")}
DOWN, FORGED, FAR, REFUSING, FINE = "mail1", "mail2", "mail3", "mail4", "mail5"


def inventory(folder: Path, lab: Lab, closed_port: int, mail: dict[str, object]) -> Path:
    """What is added to inventory/lab: three servers more, what is wrong with four, and who gets the report."""
    far = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": closed_port}
    hosts = {
        DOWN: {"kerio_connect_port": closed_port},
        FORGED: {"kerio_connect_ca_file": lab[FINE].ca_file},
        FAR: {**far, "kerio_connect_probe_host": "archive1"},
        REFUSING: {"kerio_connect_password": f"{SECRET}-of-somebody-else"},
        FINE: {},
    }
    keeper = {"archive_profiles": [{"name": "mailboxes", "method": "multiple_mailboxes"}]}
    groups = {"kerio_servers": {"hosts": hosts}, "archive_hosts": {"hosts": {"archive1": keeper}}}
    groups["all"] = {"vars": {"site_report_mail": mail}}
    path = folder / "hosts.json"
    path.write_text(json.dumps(groups), encoding="utf-8")
    return path


def site(lab: Lab, more: Path, work: Path, playbook: Path = SITE, **variables: object) -> PlaybookRun:
    given = ("-i", str(more), "-e", json.dumps(variables))
    return run(playbook, *given, inventory=INVENTORY, KERIO_LAB_JSON=str(lab.file), KERIO_LAB_WORK_DIR=str(work))


def test_the_last_one_is_done_and_the_summary_names_the_others(lab_factory: Factory, tmp_path: Path, closed_port: int) -> None:
    lab = lab_factory(servers=5, users=2)
    placed = [one for one in lab.fill(40) if one.folder not in LEFT_OUT and not one.copy_of]
    report, work = tmp_path / "site.json", tmp_path / "work"
    work.mkdir()
    authority, password = Authority(tmp_path), f"{SECRET}-report-pw"
    with SmtpSink(authority.server_context(), login=f"robot:{password}") as sink:
        mail = {"to": ["ops@example.com"], "from": "a@example.com", "host": "127.0.0.1", "port": sink.port, "user": "robot"}
        more = inventory(tmp_path, lab, closed_port, {**mail, "password": password, "ca_file": str(authority.ca_file)})
        page = tmp_path / "site.html"
        done = site(lab, more, work, kerio_connect_serial=1, site_report=str(report), site_report_html=str(page))
    assert done.rc == 2, done.output

    # One after the other.
    configured = [task.host for task in done.tasks if task.action in SETTINGS]
    assert configured == sorted(configured) and set(configured) == {DOWN, FORGED, FAR, REFUSING, FINE}
    settings = lab[FINE].api("Archive.get")["options"]
    assert settings["isEnabled"] and settings["remoteArchive"]["value"] == lab[FINE].archive_mailbox
    assert '<variable name="AutoExpungeOnDelete">0<' in Path(lab[FINE].mailserver_cfg).read_text("utf-8")
    # The one that is not reached over SSH is configured over its administration, and its mail archived, all the same.
    (archived,) = done.of("archive_run")
    found = {box["mailbox"]: box["new"] for profile in archived.result["profiles"] for box in profile["mailboxes"]}
    wanted = {one.address for one in placed if one.server in (FAR, FINE)}
    assert wanted and {address for address, new in found.items() if new} == wanted

    # One wrong password costs one attempt, or a second play would help to lock the administrator out.
    assert len(failed_logins(lab[REFUSING])) == 1

    told = done.tasks[-1]
    assert told.task == SUMMARY
    lines = str(told.result["msg"]).splitlines()
    assert lines[:3] == [
        "servers          4 failed: mail1, mail2, mail3, mail4",
        "servers          1 changed: mail5",
        "archive hosts    1 changed: archive1",
    ]
    causes = {DOWN: "nothing listens there", FORGED: "certificate", FAR: "Connection refused", REFUSING: "refused"}
    for name, cause in causes.items():
        assert any(line.startswith((f"{name}: ", f"{name} (")) for line in lines), lines
        assert cause in "\n".join(lines), lines
    assert len(lines) <= 24

    written = json.loads(report.read_text(encoding="utf-8"))
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert {name: bool(host["failures"]) for name, host in written["servers"].items()} == {
        DOWN: True,
        FORGED: True,
        FAR: True,
        REFUSING: True,
        FINE: False,
    }
    assert {name: (host["changed"], host["unreachable"]) for name, host in written["servers"].items()} == {
        DOWN: (False, False),
        FORGED: (False, False),
        FAR: (True, True),
        REFUSING: (False, False),
        FINE: (True, False),
    }
    assert written["archive_hosts"]["archive1"]["run"]["new"] == sum(found.values())
    new, failures = sum(found.values()), sum(len(host["failures"]) for host in written["servers"].values())
    assert (written["counts"]["new"], written["counts"]["failures"]) == (new, failures)
    sentence = f"4 of 5 servers failed, {new:,} new messages archived"
    shown = Reader(page.read_text(encoding="utf-8"), written, sentence)
    assert shown.wrong == []
    assert {f"/servers/{name}/failures/0" for name in (DOWN, FORGED, FAR, REFUSING)} <= set(shown.shown)
    keeper = written["archive_hosts"]["archive1"]
    assert [run["objects"] for run in keeper["growth"]] == [keeper["archive"]["totals"]["objects"]] != [0]
    (kept,) = sink.kept
    assert (kept.login, kept.encrypted, kept.recipients) == ("robot", True, ["ops@example.com"])
    assert kept.mail["Subject"] == f"kerio-archive: {sentence}"
    (attached,) = kept.mail.iter_attachments()
    assert attached.get_content() == page.read_text(encoding="utf-8") + "\n"
    text = kept.mail.get_body(("plain",))
    assert text is not None and text.get_content().splitlines()[:3] == lines[:3]
    written_to = [f"The report is in {path}" for path in (report, page)]
    assert lines[-3:] == [*written_to, "The report was mailed to ops@example.com"]
    look_in_between(lab, more, work, tmp_path / "now.json", written)


def look_in_between(lab: Lab, more: Path, work: Path, path: Path, before: dict[str, Any]) -> None:
    """The mail server is gone meanwhile: that is told, and the rest is written."""
    done = site(lab, more, work, REPORT, site_report=str(path))
    assert done.rc == 2
    assert "The report is not written or mailed as a whole: mail server 127.0.0.1" in done.output
    assert str(done.tasks[-1].result["msg"]).splitlines()[-1] == f"The report is in {path}"
    now = json.loads(path.read_text(encoding="utf-8"))
    host, old = now["archive_hosts"]["archive1"], before["archive_hosts"]["archive1"]
    assert (host["archive"]["totals"], host["growth"], host["failures"]) == (old["archive"]["totals"], old["growth"], [])
    assert [task.host for task in done.tasks if task.action.startswith("mailops.kerio.kerio_")] == []


def test_hosts_that_are_not_reached_or_declared_wrong_stop_no_other(tmp_path: Path, closed_port: int) -> None:
    refuses = tmp_path / "sudo"
    refuses.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n", encoding="utf-8")
    refuses.chmod(0o755)
    far = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": closed_port}
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "archive_host_python": sys.executable}
    nobody = {"archive_host_become": True, "ansible_become_user": "nobody", "ansible_become_exe": str(refuses)}
    administration = {**here, "kerio_connect_port": closed_port, "kerio_connect_user": "Admin", "kerio_connect_archiving": {}}
    profiles = {"archive_profiles": [{"name": "mailboxes", "method": "multiple_mailboxes"}]}
    hosts = {
        "unset": {"kerio_connect_password": "{{ vault_unset }}"},
        "broken": {"kerio_connect_imap_ca_file": "{{ lookup('ansible.builtin.file', '/nowhere') }}"},
        "typed": {"kerio_connect_imap_access": "IMAPS"},
    }
    keepers = {
        "away": {**far, "archive_host_root": str(tmp_path / "away")},
        "refused": {**nobody, "archive_host_root": str(tmp_path / "refused")},
        "muddled": {
            "archive_host_root": str(tmp_path / "muddled"),
            "archive_profiles": "{{ lookup('ansible.builtin.file', '/nowhere') }}",
        },
    }
    groups = {
        "kerio_servers": {"vars": administration, "hosts": hosts},
        "archive_hosts": {"vars": {**here, **profiles}, "hosts": keepers},
    }
    path, report = tmp_path / "hosts.json", tmp_path / "site.json"
    path.write_text(json.dumps(groups), encoding="utf-8")
    done = run(SITE, "-e", f"site_report={report}", inventory=path)
    assert done.rc == 2, done.output
    assert done.tasks[-1].task == SUMMARY
    written = json.loads(report.read_text(encoding="utf-8"))
    failures = {name: "\n".join(one["failures"]) for kind in ("servers", "archive_hosts") for name, one in written[kind].items()}
    for name, cause in (
        ("unset", "'vault_unset' is undefined. Define it in the inventory, or give the vault that has it, and run again"),
        ("broken", "Its variables in the inventory cannot be used: The lookup plugin"),
        ("typed", "cannot be used: kerio_connect_imap_access is IMAPS. Give one of IMAP, IMAP-TLS, IMAP-SSL"),
        ("away", "Connection refused. See why `ansible away -m ansible.builtin.raw -a true` does not reach it, and run again"),
        ("refused", "Let ansible_user use sudo without a password, or give --ask-become-pass, and run again"),
        ("muddled", "Its variables in the inventory cannot be used: The lookup plugin"),
    ):
        assert cause in failures[name], failures
    # A cause is told once, and nobody is told for another.
    assert {name: text.count("/nowhere") for name, text in failures.items() if "/nowhere" in text} == {"broken": 1, "muddled": 1}
    assert [name for name, one in written["archive_hosts"].items() if one["unreachable"]] == ["away"]
    # Each was dealt with as far as that was possible.
    assert (tmp_path / "muddled" / "catalog.sqlite3").exists()
