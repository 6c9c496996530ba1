# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles that ask for the privilege to archive: who is left out is told, and a change counts from the next run on."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
ASKING = {**MULTIPLE, "users": {"with_privilege": "archive"}}
LEFT_OUT = "; profile all mailboxes: 2 users have no privilege to archive"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Three users with a message each; alice may archive, the others are as users of before there was such a privilege."""
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    for number, name in enumerate((ALICE, BOB, CAROL)):
        made.user(name)
        give(made, name, "login", "read")
        servers.folder("mail1", name).add(mail(number, name))
    give(made, ALICE, "archive")
    made.profiles = [ASKING]
    return made


def give(archive: Archive, name: str, *privileges: str) -> None:
    with Catalog.open(archive.catalog_file) as catalog:
        user = catalog.user_by_name(name)
        assert user is not None
        values = UserValues(name, "inventory", server="mail1", addresses=(name,), privileges=privileges)
        catalog.apply_users([UserStep(user.id, values)])


def preview(archive: Archive, **more: t.Any) -> RunReport:
    return Preview(archive.options(**more), Silent(), archive.servers.imap()).go()


def read(report: RunReport) -> list[str]:
    return [one.mailbox for profile in report.profiles for one in profile.mailboxes]


def test_who_lacks_it_is_left_out_and_told(archive: Archive) -> None:
    check = preview(archive)
    report = archive.run()
    for told in (check, report):
        assert (read(told), told.problems(), told.accounts().new) == ([ALICE], [], 1)
        (data,) = told.as_data()["profiles"]
        assert (data["left_out"], data["left_out_count"]) == ([BOB, CAROL], 2)
        assert told.sentence().endswith(LEFT_OUT)
    assert not archive.placed(BOB)


def test_what_is_given_and_taken_counts_from_the_next_run_on(archive: Archive) -> None:
    archive.run()
    give(archive, BOB, "administer")
    give(archive, ALICE, "login", "read")
    archive.servers.folder("mail1", ALICE).add(mail(7, ALICE))
    report = archive.run()
    assert (read(report), report.profiles[0].left_out) == ([BOB], [ALICE, CAROL])
    assert [sum(archive.placed(name).values()) for name in (ALICE, BOB, CAROL)] == [1, 1, 0]
    # What came in meanwhile is found when it is given again, and nothing is archived twice.
    give(archive, ALICE, "archive")
    again = archive.run()
    assert (read(again), again.accounts().new, again.accounts().known) == ([ALICE, BOB], 1, 2)
    assert not archive.run().changed


def test_a_profile_that_does_not_ask_reads_everybody(archive: Archive) -> None:
    archive.profiles = [MULTIPLE]
    report = archive.run()
    (data,) = report.as_data()["profiles"]
    assert (read(report), data["left_out"], data["left_out_count"]) == ([ALICE, BOB, CAROL], [], 0)
    assert "privilege" not in report.sentence()


def test_a_profile_whose_users_all_lack_it_is_an_error(archive: Archive) -> None:
    archive.profiles = [{**ASKING, "users": {"with_privilege": "archive", "except": [ALICE]}}]
    for report in (preview(archive), archive.run()):
        (problem,) = report.problems()
        assert problem.where == "profile all mailboxes"
        assert "none of the 2 archive users that it chooses has the privilege archive" in problem.message
        assert "archive_users" in problem.message


def test_only_users_whom_the_profile_would_read_are_told(archive: Archive) -> None:
    archive.user("dora@example.com", server="mail2")
    with Catalog.open(archive.catalog_file) as catalog:
        catalog.ensure_user("successor", origin="profile")
    archive.profiles = [{**ASKING, "users": {"with_privilege": "archive", "except": [BOB]}}]
    assert archive.run().profiles[0].left_out == [CAROL]


def test_the_one_mailbox_that_is_asked_for_may_be_left_out(archive: Archive) -> None:
    (problem,) = archive.run(mailbox=BOB).problems()
    assert problem.where == f"mailbox {BOB}"
    assert problem.message.endswith("A user who has no privilege to archive is left out.")


def test_a_result_lists_some_of_very_many(archive: Archive) -> None:
    report = archive.run()
    profile = dataclasses.replace(report.profiles[0], left_out=[f"{number:03}" for number in range(201)])
    data = profile.as_data()
    assert (len(data["left_out"]), data["left_out_count"]) == (200, 201)
    assert profile.left_out_text().startswith("profile all mailboxes: 201 users have")
    assert dataclasses.replace(profile, left_out=["x"]).left_out_text() == (
        "profile all mailboxes: 1 user has no privilege to archive"
    )
