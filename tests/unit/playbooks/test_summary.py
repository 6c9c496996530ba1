# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs tell at their end, as text and as the report: each host with its state, the failures by name, what was archived."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_data
from tests.unit.playbooks.templating import PLAYBOOKS, evaluate

Facts = dict[str, t.Any]
LONG = "nothing answers at 192.0.2.1:4040. " + "many words " * 60 + "Start the server, and run again"
FOLDERS = [{"name": "INBOX", "new": 2}, {"name": "Sent Items", "new": 0}]
MAILBOX = {"server": "mail1", "mailbox": "alice@example.com", "new": 2, "known": 0, "bytes": 9, "folders": FOLDERS}
PROFILE = {"name": "all", "new": 2, "mailboxes": [MAILBOX]}
RUN = {"new": 2, "outcome": "ok", "errors": []}
ARCHIVED = {"msg": "2 new messages archived from 1 mailbox", "run": RUN, "profiles": [PROFILE], "forecast": {"days": 9}}


def told(
    servers: dict[str, Facts], keepers: dict[str, Facts], name: str = "", *, gone: t.Iterable[str] = (), **more: t.Any
) -> t.Any:
    """A variable of the summary, or its lines without a name; ``gone`` are hosts that Ansible has taken out of the run."""
    known = {**servers, **keepers}
    values = {
        "hostvars": known,
        "groups": {"kerio_servers": list(servers), "archive_hosts": list(keepers)},
        "ansible_play_hosts_all": list(known),
        "ansible_play_hosts": [host for host in known if host not in gone],
        "ansible_check_mode": False,
        "kerio_summary_of": "site",
        **more,
    }
    found = evaluate("summary.yml", name or "summary_text", **values)
    return found if name else found.splitlines()


def test_it_is_short_when_all_is_well() -> None:
    assert told({"mail1": {}, "mail2": {"kerio_changed": True}}, {"archive1": {"archive_run_result": ARCHIVED}}) == [
        "servers          1 changed: mail2",
        "servers          1 ok: mail1",
        "archive hosts    1 ok: archive1",
        "archive1: 2 new messages archived from 1 mailbox",
    ]


def test_a_look_at_the_archives_says_of_servers_only_what_failed() -> None:
    servers = {"mail1": {}, "mail2": {"kerio_failures": ["it is declared wrong"]}}
    lines = told(servers, {"archive1": {}}, kerio_summary_of="report")
    assert lines[:2] == ["servers          1 failed: mail2", "archive hosts    1 ok: archive1"]
    assert lines[-1] == "mail2: it is declared wrong"


def test_a_check_says_what_would_change() -> None:
    (line, *_rest) = told({"mail1": {"kerio_changed": True}}, {}, ansible_check_mode=True)
    assert line == "servers          1 would change: mail1"


def test_a_failure_is_told_by_name_with_its_cause_and_what_to_do() -> None:
    lines = told({"mail1": {"kerio_failures": [LONG], "kerio_changed": True}, "mail2": {}}, {})
    assert lines[:3] == [
        "servers          1 failed: mail1",
        "servers          1 ok: mail2",
        "1 failure, each told above as a whole:",
    ]
    assert lines[3].startswith("mail1: nothing answers at 192.0.2.1:4040.")
    assert lines[-1].endswith("Start the server, and run again")
    assert len(lines) <= 6


def test_what_failed_of_a_host_in_both_groups_is_told_of_the_one_that_failed() -> None:
    both = {"archive_failures": ["its disk is full"]}
    assert told({"host1": both}, {"host1": both}, gone=["host1"]) == [
        "servers          1 ok: host1",
        "archive hosts    1 failed: host1",
        "1 failure, each told above as a whole:",
        "host1: its disk is full",
    ]
    both = {"kerio_failures": ["it is off"]}
    lines = told({"host1": both}, {"host1": both}, gone=["host1"])
    assert lines[:2] == ["servers          1 failed: host1", "archive hosts    1 ok: host1"]


def test_a_failure_that_begins_with_the_name_is_not_told_by_name_again() -> None:
    for text in ("mail1: it is off", "mail1 (192.0.2.1:4040): it is off"):
        assert told({"mail1": {"kerio_failures": [text]}}, {})[-1] == text
    assert told({"mail1": {"kerio_failures": ["mail10: it is off"]}}, {})[-1] == "mail1: mail10: it is off"


@pytest.mark.parametrize(
    ("count", "failures", "keepers"), [(1, 0, 0), (40, 3, 0), (7, 1, 1), (7, 3, 30), (40, 0, 30), (40, 3, 1), (150, 1, 30)]
)
def test_it_has_24_lines_of_76_columns_however_many_there_are(count: int, failures: int, keepers: int) -> None:
    facts: Facts = {"kerio_failures": [f"{number} {LONG}" for number in range(failures)]} if failures else {}
    servers = {f"mail{number}.a-rather-long-name.example.com": facts if number % 3 else {} for number in range(count)}
    servers["changed"] = {"kerio_changed": True}
    result = {"archive_run_result": {**ARCHIVED, "msg": "word " * 80}, "archive_failures": [LONG] * failures}
    written = {"done": [f"The report is in /srv/{number}" for number in range(3)]}
    hosts = {f"archive{number}.example.com": result if number % 2 else {} for number in range(keepers)}
    lines = told(servers, hosts, summary_written=written)
    assert lines[-3:] == written["done"]
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 76
    total = failures * (sum(1 for one in servers.values() if "kerio_failures" in one) + keepers // 2)
    shown = [line for line in lines if "nothing answers" in line]
    assert bool(shown) == bool(total)
    rest = [line for line in lines if line == f"and {total - len(shown)} more"]
    assert len(rest) == (total > len(shown))


def test_one_that_ansible_lost_has_failed() -> None:
    found = told({"mail1": {}, "mail2": {}}, {"archive1": {}}, "summary_facts", gone=["mail2", "archive1"])
    assert [bool(host["failures"]) for host in (*found["servers"].values(), *found["archive_hosts"].values())] == [
        False,
        True,
        True,
    ]


def test_a_report_that_is_not_written_is_the_failure_and_not_that_of_the_host_that_fails_for_it() -> None:
    written = {"failed": True, "msg": "/x/a.html: it cannot be written.", "done": ["The report is in /srv/a.json"]}
    assert told({"mail1": {}, "mail2": {}}, {"archive1": {}}, gone=["mail1"], summary_written=written) == [
        "servers          2 ok: mail1, mail2",
        "archive hosts    1 ok: archive1",
        "1 failure, each told above as a whole:",
        "The report is not written or mailed as a whole: /x/a.html: it cannot be",
        "  written.",
        "The report is in /srv/a.json",
    ]


def test_the_report_has_every_host_and_what_was_archived_but_no_folder_without_news() -> None:
    servers: dict[str, Facts] = {
        "mail2": {"kerio_failures": ["down"], "kerio_unreachable": True, "kerio_connect_validate_certs": "no"},
        "mail1": {"kerio_changed": True, "kerio_connect_name": "first", "kerio_connect_imap_access": "IMAP"},
        "mail3": {"kerio_connect_imap_validate_certs": False},
        "mail4": {"kerio_variables_wrong": True, "kerio_failures": ["unset"], "kerio_connect_validate_certs": "no"},
    }
    run = {"archive_run_result": {**ARCHIVED, "run": {**RUN, "profiles": [PROFILE]}}, "archive_changed": True}
    away = {"archive_unreachable": True, "archive_failures": ["away"]}
    facts = told(servers, {"archive1": run, "archive2": away}, "summary_facts", kerio_started=1_795_960_000)
    found = report_data.report_of(facts, 3)
    assert json.loads(json.dumps(found)) == found
    assert found["finished"] >= found["started"] == 1_795_960_000
    assert (found["version"], found["playbook"], found["check"], found["outcome"]) == (1, "site", False, "failed")
    kept = ("failures", "changed", "unreachable", "msg", "run", "profiles", "forecast", "holder")
    mailbox = {**MAILBOX, "folders": [{"name": "INBOX", "new": 2}], "folders_count": 2, "troubled": False}
    assert {key: found["archive_hosts"]["archive1"][key] for key in kept} == {
        "failures": [],
        "changed": True,
        "unreachable": False,
        "msg": ARCHIVED["msg"],
        "run": RUN,
        "profiles": [{**PROFILE, "mailboxes": [mailbox]}],
        "forecast": {"days": 9},
        "holder": "",
    }
    assert found["archive_hosts"]["archive2"]["unreachable"] is True
    states = {name: (one["failures"], one["changed"], one["unreachable"]) for name, one in found["servers"].items()}
    assert states == {
        "mail2": (["down"], False, True),
        "mail1": ([], True, False),
        "mail3": ([], False, False),
        "mail4": (["unset"], False, False),
    }
    insecure = {name: [text.split(" (")[0] for text in one["insecure"]] for name, one in found["servers"].items()}
    assert insecure == {
        "mail2": ["The certificate of the administration of mail2 is not verified", "The certificate of mail2 is not verified"],
        "mail1": ["first is read without TLS"],
        "mail3": ["The certificate of mail3 is not verified"],
        "mail4": [],
    }


def test_where_the_report_is_stands_at_the_end() -> None:
    done = ["The report is in /srv/site.json", "The report was mailed to ops@example.com"]
    lines = told({"mail1": {}}, {}, summary_written={"done": done, "failed": True})
    assert lines[-2:] == done


@pytest.mark.parametrize(
    ("given", "page"),
    [
        ({}, "report.html"),
        ({"site_report_html": "a.html"}, "a.html"),
        ({"site_report": "a.json"}, ""),
        ({"site_report_mail": {"to": ["ops@example.com"]}}, ""),
        ({"site_report": "a.json", "site_report_html": "a.html"}, "a.html"),
    ],
)
def test_a_look_in_between_writes_a_page_unless_something_else_is_asked_for(given: Facts, page: str) -> None:
    for playbook, expected in (("report", page), ("site", given.get("site_report_html", ""))):
        found = evaluate("summary.yml", "summary_page", kerio_summary_of=playbook, ansible_check_mode=False, **given)
        assert found == expected


@pytest.mark.parametrize(
    ("playbook", "variable"),
    [("failures", "summary_json"), ("failures", "summary_page"), ("drift", "drift_report"), ("preflight", "preflight_report")],
)
def test_a_file_may_be_named_from_home_or_from_where_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, playbook: str, variable: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (words,) = re.findall(rf'"({{{{ {variable} \|.*}}}})"', (PLAYBOOKS / f"{playbook}.yml").read_text(encoding="utf-8"))
    for given, meant in (("~/a.json", "home/a.json"), ("b.json", "b.json"), ("/srv/c.json", "/srv/c.json")):
        templar = Templar(loader=DataLoader(), variables={variable: given})
        assert templar.template(trust_as_template(words)) == str(tmp_path / meant)


@pytest.mark.parametrize("check", [False, True])
def test_nobody_gets_a_mail_of_a_check(check: bool) -> None:
    mail = {"to": ["ops@example.com"]}
    given = {"site_report_mail": mail, "ansible_check_mode": check}
    assert evaluate("summary.yml", "summary_mail", **given) == ({} if check else mail)
    assert evaluate("summary.yml", "summary_mail", ansible_check_mode=check) == {}


@pytest.mark.parametrize(
    ("facts", "failures"),
    [
        ({}, []),
        ({"kerio_failures": ["a"], "archive_failures": ["b", "c"]}, ["a", "b", "c"]),
        ({"summary_written": {"failed": False}}, []),
        (
            {"summary_written": {"failed": True, "msg": "no such folder"}},
            ["The report is not written or mailed as a whole: no such folder"],
        ),
    ],
)
def test_a_host_fails_for_what_was_not_done_and_one_of_them_for_the_report(facts: Facts, failures: list[str]) -> None:
    for host, expected in (("mail1", failures), ("mail2", [text for text in failures if "report" not in text])):
        given = {"ansible_play_hosts_all": ["mail1", "mail2"], "inventory_hostname": host, "site_report": "/x/site.json", **facts}
        assert evaluate("summary.yml", "summary_own_failures", **given) == expected


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("mail1: it is off. Switch it on", "mail1: it is off. Switch it on"),
        (
            "Task failed: Finalization of task args for 'a.b.c' failed: Error while resolving value for 'r': 'x' is undefined",
            "'x' is undefined. Define it in the inventory, or give the vault that has it, and run again",
        ),
        (
            "Task failed: Premature end of stream waiting for become success.\n>>> Standard Error\nsudo: a password is required",
            "Premature end of stream waiting for become success.\n>>> Standard Error\nsudo: a password is required. "
            "Let ansible_user use sudo without a password, or give --ask-become-pass, and run again",
        ),
        (None, "See above"),
    ],
)
def test_what_ansible_itself_says_is_told_with_what_to_do(message: str | None, text: str) -> None:
    result = {} if message is None else {"msg": message}
    assert evaluate("failed.yml", "failed_told", ansible_failed_result=result) == text


def test_of_a_loop_the_first_item_that_failed_is_told() -> None:
    items = [
        {"failed": False, "msg": "done"},
        {"failed": True, "msg": "no /etc/ca.pem"},
        {"failed": True, "msg": "no /etc/cb.pem"},
    ]
    result = {"msg": "One or more items failed", "results": items}
    assert evaluate("failed.yml", "failed_told", ansible_failed_result=result) == "no /etc/ca.pem"


@pytest.mark.parametrize(("before", "again"), [([], False), (["other"], False), (["It is not prepared: cause. Remedy"], True)])
def test_a_cause_is_told_once_of_a_host(before: list[str], again: bool) -> None:
    given = {"ansible_failed_result": {"msg": "Task failed: cause"}, "archive_failures": before}
    assert evaluate("failed.yml", "failed_again", **given) is again


def test_that_a_host_was_lost_on_the_way_is_the_cause() -> None:
    lost = {"unreachable": True, "msg": "Task failed: Failed to connect to the host via ssh: No route to host"}
    given = {"archive_host_interpreter_file": lost, "ansible_failed_result": {"msg": "Task failed: 'stat' is undefined"}}
    assert evaluate("failed.yml", "failed_told", **given) == "Failed to connect to the host via ssh: No route to host"
    for facts in ({"archive_host_interpreter_file": lost}, {"archive_run_result": lost}):
        found = told({}, {"archive1": {"archive_failures": ["lost"], **facts}}, "summary_hosts")["archive_hosts"]
        assert found["archive1"]["unreachable"] is True
