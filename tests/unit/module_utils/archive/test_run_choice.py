# SPDX-License-Identifier: GPL-3.0-or-later
"""One profile now, one mailbox now, and profiles that mean nobody."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

ALICE, BOB, JOURNAL = "alice@example.com", "bob@example.com", "archive@example.com"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE, "a.angstrom@example.com", groups=("staff@example.com",))
    made.user(BOB)
    for number, mailbox in enumerate((ALICE, BOB, JOURNAL)):
        servers.folder("mail1", mailbox).add(mail(number, ALICE))
    made.profiles = [MULTIPLE, multidrop(credentials="master")]
    return made


def go(archive: Archive, check: bool, **more: t.Any) -> RunReport:
    if check:
        return Preview(archive.options(**more), Silent(), archive.servers.imap()).go()
    return archive.run(**more)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("asked", "mailboxes"),
    [
        (ALICE, [ALICE]),
        (" Alice@Example.COM ", [ALICE]),
        ("A.Angstrom@example.com", [ALICE]),
        (BOB, [BOB]),
        ("Archive@example.com", [JOURNAL]),
    ],
)
def test_one_mailbox_now_by_login_or_by_any_name_of_its_user(
    archive: Archive, asked: str, mailboxes: list[str], check: bool
) -> None:
    report = go(archive, check, mailbox=asked)
    assert [one.mailbox for profile in report.profiles for one in profile.mailboxes] == mailboxes
    assert report.problems() == []
    assert report.accounts().new == 1


def test_one_mailbox_is_told_as_one(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Silent, "progress", lambda _self, line, **_data: told.append(line))
    archive.run()
    begun = [line.partition("] ")[2] for line in told if "looking for what changed" in line]
    assert begun == ["2 mailboxes: looking for what changed", "1 mailbox: looking for what changed"]


def test_the_address_of_a_group_is_no_mailbox(archive: Archive) -> None:
    (problem,) = archive.run(mailbox="staff@example.com").problems()
    assert problem.where == "mailbox staff@example.com"


def test_one_profile_now_in_any_case(archive: Archive) -> None:
    assert [profile.name for profile in archive.run(only=["JOURNAL"]).profiles] == ["journal"]
    with pytest.raises(InputError, match="Use one of all mailboxes, journal"):
        archive.run(only=["journals"])


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "wrong",
    [
        {"users": {"only": ["carol@example.com"]}},
        {"users": {"except": [ALICE, BOB]}},
        {"servers": ["mail2"]},
    ],
)
def test_a_profile_that_means_nobody_is_an_error_that_names_the_remedy(
    archive: Archive, wrong: dict[str, t.Any], check: bool
) -> None:
    archive.hosts = ["mail1", "mail2"]
    archive.profiles = [{**MULTIPLE, **wrong}]
    (problem,) = go(archive, check).problems()
    assert problem.where == "profile all mailboxes"
    assert "choose none of the 2 archive users" in problem.message
    assert "archive_users" in problem.message


@pytest.mark.parametrize("check", [True, False])
def test_a_user_whom_nobody_is_called_is_told(archive: Archive, check: bool) -> None:
    archive.profiles = [{**MULTIPLE, "users": {"only": ["Alice@example.com", "carol@example.com", "alcie@example.com"]}}]
    report = go(archive, check)
    assert report.warnings == [
        "profile all mailboxes, key users: no archive user has the name or address alcie@example.com, carol@example.com"
    ]
    assert (report.problems(), report.accounts().new) == ([], 1)


def test_multidrop_without_users_is_an_error_and_a_single_mailbox_makes_its_user(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "imap.log")
    servers.folder("mail1", ALICE).add(mail(1))
    archive = Archive(tmp_path / "archive", servers)
    archive.profiles = [
        multidrop(credentials="master"),
        {"name": "one", "method": "single_mailbox", "mailbox": ALICE, "target_user": "leaver", "credentials": "master"},
    ]
    report = archive.run()
    (problem,) = report.problems()
    assert problem.where == "profile journal"
    assert "Synchronise the users first (users.yml, module archive_users)" in problem.message
    assert archive.placed("leaver") == {f'["{ALICE}", "INBOX"]': 1}


# Profiles that are renamed or removed


@pytest.mark.parametrize("what", ["renamed", "removed"])
@pytest.mark.parametrize("method", ["multiple", "multidrop"])
def test_a_profile_that_is_renamed_or_removed_reads_nothing_again_and_loses_nothing(
    archive: Archive, method: str, what: str
) -> None:
    both = [MULTIPLE, multidrop(credentials="master")]
    inbox = archive.servers.folder("mail1", ALICE if method == "multiple" else JOURNAL)
    inbox.add(mail(7, "nobody@example.com"), mail(8, ALICE))
    inbox.bad.add(3)
    archive.profiles = both
    archive.run()
    before, fetched = archive.substance(), len(archive.servers.commands("FETCH"))
    inbox.bad.clear()
    index = 0 if method == "multiple" else 1
    renamed = [dict(one, name="renamed") if number == index else one for number, one in enumerate(both)]
    archive.profiles = renamed if what == "renamed" else [one for number, one in enumerate(both) if number != index]
    report = archive.run()
    again = len(archive.servers.commands("FETCH")) - fetched
    assert again == (1 if what == "renamed" else 0)  # the one that failed before, and no other
    after = archive.substance()
    assert set(before["placements"]) <= set(after["placements"]) and set(before["objects"]) <= set(after["objects"])
    assert report.problems() == []
    archive.profiles = both
    last = archive.run()
    assert last.problems() == []
    assert last.accounts().failed == 0
    assert len(archive.servers.commands("FETCH")) - fetched == 1
    assert not archive.run().changed
