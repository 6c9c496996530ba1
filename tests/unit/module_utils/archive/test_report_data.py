# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says of facts: what is missed, what is known of already, who does not match, and the outcome in a line."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import info_people, report_chart, report_data, run_stuck
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_mailboxes import MailboxPass
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from tests.unit.module_utils.archive.report_scene import FINE, NOW

Data = dict[str, t.Any]
DAY = 86_400
UID_7 = {"server": "mail1", "mailbox": "alice@example.com", "folder": "INBOX", "uidvalidity": 1, "uid": 7}


def keeper(**more: t.Any) -> Data:
    """What the report has of an archive host."""
    return report(archive_hosts={"archive1": {**FINE, **more}})["archive_hosts"]["archive1"]  # type: ignore[no-any-return]


def report(**more: t.Any) -> Data:
    return report_data.report_of({"playbook": "site", "check": False, "started": NOW, "finished": NOW, **more}, 3)


def looked(name: str, succeeded: int | None, method: str = "multiple_mailboxes") -> Data:
    return {
        "profile": "all",
        "server": "mail1",
        "mailbox": f"{name}@example.com",
        "method": method,
        "tried": NOW,
        "succeeded": succeeded,
    }


def test_a_mailbox_is_missed_after_so_many_whole_days_or_when_none_was_ever_done() -> None:
    ages = {"fresh": 0, "almost": 3 * DAY - 1, "just": 3 * DAY, "long": 40 * DAY + 5}
    mailboxes = [looked(name, NOW - age) for name, age in ages.items()] + [looked("never", None)]
    found = keeper(archive={"mailboxes": mailboxes})["stale"]
    assert [(one["mailbox"].partition("@")[0], one["days"]) for one in found] == [("never", None), ("long", 40), ("just", 3)]


def test_messages_that_the_operator_knows_of_are_quiet() -> None:
    messages = [{**UID_7, "state": "quarantined"}, {**UID_7, "uid": 8, "state": "quarantined"}]
    known = [{**UID_7, "uid": "8"}, "no entry"]
    found = keeper(archive={"failed_messages": messages, "states": {"failed": 300, "quarantined": 2}}, acknowledged=known)
    assert [one["acknowledged"] for one in found["failed_messages"]] == [False, True]
    assert found["failed_messages_count"] == 301
    assert keeper(archive={"failed_messages": messages[1:]}, acknowledged=known)["failed_messages_count"] == 0


def test_users_and_mailboxes_that_do_not_match_are_told_once() -> None:
    archive = {
        "mailboxes": [looked("archive", NOW, "multidrop"), looked("alice", NOW)],
        "users_without_mailbox": [
            {"user": "bob", "server": "mail1", "why": "a"},
            {"user": "carol", "server": "mail1", "why": "b"},
        ],
        "users_without_mailbox_count": 2,
        "mailboxes_without_user": [{"server": "mail1", "mailbox": "erik@example.com", "why": "c"}],
        "mailboxes_without_user_count": 1,
    }
    left_out = ["Archive@example.com", "erik@example.com", "spam@example.com"]
    found = keeper(archive=archive, users={"would_leave": [{"name": "carol", "why": "gone"}], "left_out": left_out})
    assert [(one["user"], one["why"]) for one in found["users_without_mailbox"]] == [("carol", "gone"), ("bob", "a")]
    assert [one["mailbox"] for one in found["mailboxes_without_user"]] == ["erik@example.com", "spam@example.com"]
    assert (found["users_without_mailbox_count"], found["mailboxes_without_user_count"]) == (2, 2)


def test_who_of_the_catalog_has_no_mailbox() -> None:
    users = [User(number, name, name, addresses=(f"{name}@example.com",)) for number, name in enumerate(("alice", "bob"))]
    users += [User(7, "off", "off", addresses=("off@example.com",), enabled=False), User(8, "@catchall", "@catchall")]
    read = [
        MailboxPass("all", "mail1", name, "multiple_mailboxes", 1, 1, 0, 0, {}) for name in ("Alice@example.com", "x@example.com")
    ]
    assert [one["user"] for one in info_people.users_without_mailbox(users, read)] == ["bob"]
    named = [one._replace(method="single_mailbox") for one in read]
    assert info_people.users_without_mailbox(users, named) == []
    sources = [("mail1", name) for name in ("Alice@example.com", "x@example.com", "off@example.com")]
    assert [one["mailbox"] for one in info_people.mailboxes_without_user(users, read, sources)] == ["x@example.com"]
    assert info_people.mailboxes_without_user(users, named, sources) == []


def test_an_insecure_option_is_no_second_warning() -> None:
    server = {**FINE, "name": "first", "access": "IMAP-SSL", "api_verified": True, "imap_verified": False}
    (text,) = report(servers={"mail1": server})["servers"]["mail1"]["insecure"]
    assert text.startswith("The certificate of first is not verified")
    hosts = {"archive1": {**FINE, "result": {"warnings": [text, "the clock was set"]}}}
    found = report(servers={"mail1": server}, archive_hosts=hosts)
    assert found["archive_hosts"]["archive1"]["warnings"] == ["the clock was set"]
    assert (found["counts"]["insecure"], found["counts"]["warnings"], found["outcome"]) == (1, 1, "attention")


def test_growth_is_of_the_last_runs_the_oldest_first() -> None:
    runs = [
        {"id": number, "started": 1, "finished": None, "outcome": "", "summary": {"objects": number}}
        for number in range(40, 0, -1)
    ]
    runs[0]["summary"] = {"message": "it died"}
    found = keeper(archive={"runs": runs})["growth"]
    assert [one["id"] for one in found] == list(range(11, 41))
    assert (found[0]["objects"], found[-1]["objects"], found[-1]["stored_bytes"]) == (11, 0, 0)


@pytest.mark.parametrize(
    ("most", "top"), [(0, 2), (1, 2), (2, 2), (3, 4), (7, 8), (9, 10), (11, 20), (100, 100), (101, 200), (999, 1000)]
)
def test_an_axis_ends_at_a_number_that_can_be_halved_and_read(most: int, top: int) -> None:
    assert report_chart.axis_top(most) == top


def box(name: str, server: str = "mail1", **more: t.Any) -> Data:
    """A mailbox of a run."""
    figures = dict.fromkeys(("new", "known", "bytes", "failed", "quarantined"), 0)
    return {"server": server, "mailbox": f"{name}@example.com", "error": "", "blocked": False, **figures, "folders": [], **more}


def test_what_was_read_of_a_server_is_the_sum_over_archive_hosts_by_the_name_that_profiles_have() -> None:
    one = [box("alice", new=3, known=7, bytes=10), box("bob", new=1, error="closed"), box("carol", "mail2", blocked=True)]
    other = [box("dora", new=10, folders=[{"name": "INBOX", "error": "NO"}]), box("erik", failed=1)]
    hosts = {name: {**FINE, "result": {"profiles": [{"mailboxes": boxes}]}} for name, boxes in (("a", one), ("b", other))}
    servers = report(servers={"x": {**FINE, "name": "mail1"}, "mail2": FINE, "mail3": FINE}, archive_hosts=hosts)["servers"]
    keys = ("mailboxes", "troubled", "new", "known", "bytes")
    figures = {name: [server[key] for key in keys] for name, server in servers.items()}
    assert figures == {"x": [4, 3, 14, 7, 10], "mail2": [1, 1, 0, 0, 0], "mail3": [0, 0, 0, 0, 0]}


def test_a_mailbox_is_quiet_when_all_its_messages_in_quarantine_are_known() -> None:
    stuck = [{**UID_7, "state": "quarantined"}, {**UID_7, "mailbox": "bob@example.com", "state": "quarantined"}]
    stuck.append({**UID_7, "mailbox": "bob@example.com", "uid": 8, "state": "quarantined"})
    profiles = [{"mailboxes": [box("alice", quarantined=1), box("bob", quarantined=2)]}]
    known = [{**UID_7, "mailbox": "Alice@example.com"}, {**UID_7, "mailbox": "bob@example.com"}]
    found = keeper(archive={"failed_messages": stuck}, result={"profiles": profiles}, acknowledged=known)
    assert [one["troubled"] for one in found["profiles"][0]["mailboxes"]] == [False, True]


def test_failures_that_say_no_more_than_the_list_of_messages_are_marked() -> None:
    where = "mail1 alice@example.com INBOX: "
    texts = ["down", where + run_stuck.quarantined(1, 7, 5, "NO", "x"), where + run_stuck.quarantined(1, 8, 5, "NO", "x")]
    messages = [{**UID_7, "state": "quarantined"}, {**UID_7, "uid": 8, "state": "quarantined"}]
    archive = {"failed_messages": messages}
    assert keeper(failures=texts, archive=archive)["message_failures"] == [1, 2]
    # The list does not show one that is acknowledged; a failure of the same run still names it.
    assert keeper(failures=texts, archive=archive, acknowledged=[UID_7])["message_failures"] == [2]


def test_all_unknown_addresses_are_counted_though_not_all_are_listed() -> None:
    listed = [{"address": "x@example.com", "messages": 2}]
    assert keeper(archive={"unknown_addresses": listed, "unknown_addresses_count": 900})["unknown_addresses_count"] == 900
    profile = {"mailboxes": [], "unknown_addresses": listed, "unknown_address_count": 700}
    found = report(archive_hosts={"a": {**FINE, "result": {"profiles": [profile]}}})
    assert found["counts"]["unknown_addresses"] == 700


def test_a_look_at_no_archive_is_not_well() -> None:
    with pytest.raises(InputError, match="no archive host was looked at"):
        report(playbook="report", servers={"mail1": FINE})
    assert report(servers={"mail1": FINE})["outcome"] == "ok"
