# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight.yml makes of the results of its modules: where it could not look, a verdict, and a text."""

from __future__ import annotations

import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.unit.playbooks.templating import PLAYBOOKS, evaluate

Result = dict[str, t.Any]
LOOKUP = "{{ lookup('ansible.builtin.template', playbook_dir ~ '/../templates/preflight.txt.j2') }}"
REACHED = "See why it cannot be reached."


def fact(name: str, verdict: str = "holds", *, stops: bool = False, found: str = "It is so.") -> Result:
    return {"id": name, "verdict": verdict, "found": found, "remedy": "Set it. " * 20, "stops": stops}


def looked(*facts: Result, **more: t.Any) -> Result:
    return {"facts": list(facts), "reached": True, "item": "mail1", **more}


GOOD: Result = {
    "kerio_connect_preflight": {"facts": [fact("api-version")], "by_hand": [{"id": "archive-loop", "check": "Count."}]},
    "kerio_mailserver_cfg_preflight": {"facts": [fact("cfg-place")]},
}
IMAP: Result = {"look_imap": {"results": [looked(fact("imap-uids"))]}}


def servers(server: Result, reader: Result, taken: list[str] | None = None) -> list[Result]:
    found: list[Result] = evaluate(
        "preflight.yml",
        "look_servers",
        hostvars={"mail1": {**server, "kerio_archived_by": ["archive1"] if taken is None else taken}, "archive1": reader},
        groups={"kerio_servers": ["mail1"], "archive_hosts": ["archive1"]},
        ansible_play_hosts_all=["mail1"],
    )
    return found


def failures(server: Result, reader: Result, taken: list[str] | None = None) -> dict[str, str]:
    return {part["where"]: part["failure"] for part in servers(server, reader, taken)[0]["failures"]}


def verdict(found: list[Result]) -> str:
    told: str = evaluate("preflight.yml", "look_verdict", look_servers=found)
    return told


def text(found: list[Result]) -> list[str]:
    variables = {"look_servers": found, "playbook_dir": str(PLAYBOOKS)}
    told: str = Templar(loader=DataLoader(), variables=variables).template(trust_as_template(LOOKUP))
    return told.splitlines()


def test_a_server_as_it_is_assumed_is_one_line_and_what_is_done_by_hand() -> None:
    found = servers(GOOD, IMAP)
    assert failures(GOOD, IMAP) == {}
    assert verdict(found) == ""
    assert text(found) == ["mail1: 0 differ, 0 cannot be told, 3 hold", "  by hand: archive-loop"]


SKIPPED: Result = {"look_imap": {"results": [{"item": "mail1", "skipped": True}]}}
NOT_REACHED: Result = {"look_imap": {"results": [looked(fact("imap-uids", "cannot_tell"), reached=False, msg="refused")]}}
LOST: Result = {"unreachable": True, "msg": "Task failed: no route"}
BROKEN: Result = {"look_imap": {"results": [{"item": "mail1", "msg": "imapclient is missing"}]}}


@pytest.mark.parametrize(
    ("server", "reader", "where", "words"),
    [
        ({**GOOD, "kerio_failures": ["mail1: login refused."]}, IMAP, "admin API", "login refused"),
        ({**GOOD, "kerio_mailserver_cfg_preflight": LOST}, IMAP, "host", "no route"),
        ({**GOOD, "kerio_mailserver_cfg_preflight": {"failed": True, "msg": "no Python"}}, IMAP, "host", "no Python"),
        (GOOD, SKIPPED, "IMAP from archive1", "no Python environment yet"),
        (GOOD, NOT_REACHED, "IMAP from archive1", "refused"),
        (GOOD, BROKEN, "IMAP from archive1", "imapclient is missing"),
        (GOOD, {"archive_failures": [REACHED]}, "IMAP from archive1", REACHED),
        (GOOD, {}, "IMAP", "No archive host looked"),
    ],
)
def test_where_it_could_not_look_is_told_and_fails(server: Result, reader: Result, where: str, words: str) -> None:
    told = failures(server, reader)
    assert list(told) == [where]
    assert words in told[where]
    assert "Task failed" not in told[where]
    found = servers(server, reader)
    assert verdict(found) == f"Do not begin to archive yet: mail1 ({where}). What to set is told above."
    assert f"  could not look: {where}" in text(found)


def test_a_server_that_no_archive_host_reads_is_told() -> None:
    assert "No archive host looked" in failures(GOOD, IMAP, taken=[])["IMAP"]


def test_what_differs_is_told_and_only_what_stops_fails() -> None:
    differs = {"look_imap": {"results": [looked(fact("imap-uidplus", "differs"))]}}
    stops = {"look_imap": {"results": [looked(fact("imap-seen", "differs", stops=True), fact("imap-uidplus", "differs"))]}}
    assert verdict(servers(GOOD, differs)) == ""
    assert verdict(servers(GOOD, stops)) == "Do not begin to archive yet: mail1 (imap-seen). What to set is told above."
    lines = text(servers(GOOD, stops))
    assert lines[0] == "mail1: 2 differ, 0 cannot be told, 2 hold"
    assert [line for line in lines if line.startswith(("  stops", "  differs"))] == [
        "  stops: imap-seen",
        "  differs: imap-uidplus",
    ]
    assert all(len(line) <= 72 for line in lines)


def test_what_cannot_be_told_for_one_reason_is_told_once() -> None:
    untold = [fact(name, "cannot_tell", found="Nobody knows.") for name in ("imap-a", "imap-b")]
    lines = text(servers(GOOD, {"look_imap": {"results": [looked(*untold)]}}))
    assert "  cannot tell: imap-a, imap-b" in lines
    assert lines.count("      Nobody knows.") == 1


def test_it_is_told_before_the_report_is_written_and_that_is_written_whatever_the_verdict_is() -> None:
    tell, judge = DataLoader().load_from_file(str(PLAYBOOKS / "preflight.yml"))[-1]["tasks"]
    assert ["ansible.builtin.debug" in tell, "ansible.builtin.assert" in judge["block"][0]] == [True, True]
    (write,) = judge["always"]
    assert "preflight_report" in write["ansible.builtin.copy"]["dest"]
