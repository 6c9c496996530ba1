# SPDX-License-Identifier: GPL-3.0-or-later
"""A report in words: the outcome in a line, what to look at, and the text of a mail."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import report_data, report_words
from tests.unit.module_utils.archive.report_scene import FINE, NOW

Data = dict[str, t.Any]
UNKNOWN = [{"address": "x@example.com", "messages": 2}, {"address": "y@example.com", "messages": 1}]
STALE = {"profile": "all", "server": "mail1", "mailbox": "a@example.com", "method": "multidrop", "tried": NOW, "succeeded": None}


def report(days: int = 3, **more: t.Any) -> Data:
    return report_data.report_of({"playbook": "site", "check": False, "started": NOW, "finished": NOW, **more}, days)


@pytest.mark.parametrize(
    ("new", "check", "failed", "expected"),
    [
        (1, False, [], "2 servers and 1 archive host ok, 1 new message archived"),
        (1234, True, [], "2 servers and 1 archive host ok, 1,234 new messages would be archived"),
        (0, False, [], "2 servers and 1 archive host ok, nothing new archived"),
        (5, False, ["a"], "1 of 2 servers failed, 5 new messages archived"),
        (0, False, ["a", "b", "c"], "2 of 2 servers and the archive host failed, nothing new archived"),
    ],
)
def test_the_outcome_in_a_line(new: int, check: bool, failed: list[str], expected: str) -> None:
    states = {name: {**FINE, "failures": ["down"] if name in failed else []} for name in ("a", "b", "c")}
    hosts = {"c": {**states.pop("c"), "result": {"run": {"new": new}}}}
    assert report_words.sentence(report(check=check, servers=states, archive_hosts=hosts)) == expected


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        ({}, "1 archive host ok, nothing archived"),
        ({"totals": {"objects": 1}}, "1 archive host ok, 1 message in the archive"),
        ({"mailboxes": [STALE]}, "1 archive host ok, nothing archived, but 1 mailbox was not archived for 1 day"),
        ({"unknown_addresses": UNKNOWN}, "1 archive host ok, nothing archived, but 2 addresses are unknown"),
        (
            {"mailboxes": [STALE, STALE], "unknown_addresses": UNKNOWN},
            "1 archive host ok, nothing archived, but 2 mailboxes were not archived for 1 day and more",
        ),
    ],
)
def test_a_line_that_says_ok_says_what_to_look_at(archive: Data, expected: str) -> None:
    assert report_words.sentence(report(1, archive_hosts={"a": {**FINE, "archive": archive}})) == expected


def test_an_archive_that_nobody_could_read_is_not_said_to_be_empty() -> None:
    away = {"a": {**FINE, "failures": ["no route to host"]}}
    assert (
        report_words.sentence(report(playbook="report", archive_hosts=away))
        == "The archive host failed, no archive could be read"
    )


def test_the_text_of_a_mail_says_what_to_look_at_without_the_page() -> None:
    hosts = {"a": {**FINE, "archive": {"mailboxes": [STALE], "unknown_addresses": UNKNOWN}}}
    lines = ["  1 mailbox was not archived for 3 days", "  2 addresses are unknown", "", report_words.ATTACHED, ""]
    found = report(archive_hosts=hosts)
    assert report_words.mail_text(found, "done").split("\n") == ["done", "", "To look at:", *lines]
    failed = report(archive_hosts=hosts, servers={"mail1": {**FINE, "failures": ["down"]}})
    assert report_words.mail_text(failed, "") == "\n".join([report_words.sentence(failed), "", "Also to look at:", *lines])
    assert report_words.mail_text(report(servers={"mail1": FINE}), "done\n") == "done\n"
