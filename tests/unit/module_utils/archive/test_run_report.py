# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sentence of a run says."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import worker_delete
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import Accounts
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_module import outcome_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import (
    FolderReport,
    MailboxReport,
    ProfileReport,
    RunReport,
)


def report(deleted: int, **spared: int) -> RunReport:
    """Of a run in which a folder had these reasons to spare messages."""
    folder = FolderReport("INBOX", opened=True, deleted=deleted, spared={name.replace("_", " "): n for name, n in spared.items()})
    return RunReport([ProfileReport("all", "multidrop", [MailboxReport("mail1", "archive@example.com", folders=[folder])])])


@pytest.mark.parametrize(
    ("spared", "words"),
    [
        ({}, ", 2 were deleted on the server"),
        ({"flagged": 3}, ", 2 were deleted on the server and 3 that are old enough were spared (3: flagged)"),
        (
            {"one": 1, "flagged": 3, "two": 2, "last": 1},
            ", 2 were deleted on the server and 7 that are old enough were spared (3: flagged, 2: two, 1: one, and others)",
        ),
    ],
)
def test_what_was_spared_is_told_with_the_reasons(spared: dict[str, int], words: str) -> None:
    assert report(2, **spared).sentence().endswith("0 were known" + words)


def test_check_mode_tells_what_would_be_spared() -> None:
    told = outcome_of(report(2, flagged=3), fail_on_errors=True, check_mode=True)["msg"]
    assert told.endswith("2 would be deleted on the server and 3 that are old enough would be spared (3: flagged)")


def test_a_server_that_moves_what_is_deleted_is_told_with_the_variable_that_mends_it() -> None:
    assert "kerio_mailserver_cfg_permanent_delete: true" in worker_delete.MOVED[1]


def test_what_is_filed_for_somebody_else_without_being_fetched_is_told() -> None:
    told = report(0)
    told.placements = 28
    assert told.changed
    assert told.sentence() == "0 new messages archived from 1 mailbox, 0 were known, 28 filed from the archive"


def test_one_is_one() -> None:
    told = report(0)
    told.profiles[0].mailboxes[0].folders[0].accounts = Accounts(new=1, known=1, copies=1, failed=1)
    assert told.sentence() == (
        "1 new message archived from 1 mailbox, 1 was known, 1 copy, 1 failed; "
        "1 problem: mail1 archive@example.com INBOX: 1 message could not be archived"
    )
    assert (
        report(1, flagged=1).sentence().endswith(", 1 was deleted on the server and 1 that is old enough was spared (1: flagged)")
    )
    checked = outcome_of(told, fail_on_errors=True, check_mode=True)["msg"]
    assert checked.startswith("1 new message would be archived from 1 mailbox, 1 was known")


def blocked(server: str, *mailboxes: str) -> list[MailboxReport]:
    return [MailboxReport(server, name, error="out of reach", blocked=True) for name in mailboxes]


AWAY = "mail1.example.com:993: the host cannot be reached. Check the network."


def test_what_one_server_says_is_told_once_with_all_that_it_stopped() -> None:
    """Alice is read by two profiles; the second server says the same of itself, and the first one something else besides."""
    odd = MailboxReport("mail3", "dora@example.com", error="no such mailbox")
    told = RunReport(
        [
            ProfileReport("all", "multiple_mailboxes", [*blocked("mail1", "alice", "bob"), odd], [("mail1", AWAY)]),
            ProfileReport("board", "multiple_mailboxes", blocked("mail1", "alice", "carol"), [("mail1", AWAY)]),
            ProfileReport("late", "single_mailbox", [], [("mail1", AWAY)]),
            ProfileReport("journal", "multidrop", blocked("mail2", "archive"), [("mail2", AWAY), ("mail1", "refused")]),
        ]
    )
    assert [(problem.profile, problem.where, problem.message) for problem in told.problems()] == [
        ("all, board, late", "mail1", f"{AWAY} (3 mailboxes of 2 profiles not read)"),
        ("journal", "mail2", f"{AWAY} (1 mailbox not read)"),
        ("journal", "mail1", "refused"),
        ("all", "mail3 dora@example.com", "no such mailbox"),
    ]
    assert told.problem_text().startswith(f"; 4 problems: mail1: {AWAY} (3 mailboxes of 2 profiles not read); mail2: ")
    assert told.as_data()["errors"] == [problem.as_data() for problem in told.problems()]
    each = [[error["message"] for error in profile["errors"]] for profile in told.as_data()["profiles"]]
    assert each[:2] == [[f"{AWAY} (2 mailboxes not read)", "no such mailbox"], [f"{AWAY} (2 mailboxes not read)"]]


def test_what_a_profile_says_of_itself_names_no_mailboxes() -> None:
    told = RunReport([ProfileReport(name, "multidrop", errors=[(f"profile {name}", "no user")]) for name in ("one", "two")])
    assert [problem.message for problem in told.problems()] == ["no user", "no user"]
    assert [problem.profile for problem in told.problems()] == ["one", "two"]
