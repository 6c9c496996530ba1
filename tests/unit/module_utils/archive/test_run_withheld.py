# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailboxes of disabled users, where the server opens them to a master and where it does not."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_estimate, run_test, run_withheld, verdict
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_folder import Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_compare import Compare
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_delete_plan import has_problems
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import KnownPeople, Secrets, mailboxes_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_module import outcome_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import MailboxReport, ProfileReport, RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.errors import LoginRefusedError
from tests.lab.facts.imap_fixtures import lab_certificate as lab_certificate
from tests.lab.facts.imap_fixtures import rig as rig
from tests.lab.facts.imap_rig import HOST, MASTER, Rig
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, refused_master

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
COUNTED = "; 1 mailbox of disabled users could not be read"
SUCCESSOR = {"name": "leaver", "method": "single_mailbox", "mailbox": BOB, "target_user": ALICE, "credentials": "master"}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Three users with a message each; Bob is disabled."""
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    for number, name in enumerate((ALICE, BOB, CAROL)):
        made.user(name)
        servers.folder("mail1", name).add(mail(number, name))
    enable(made, BOB, False)
    made.profiles = [MULTIPLE]
    return made


def enable(archive: Archive, name: str, enabled: bool) -> None:
    with Catalog.open(archive.catalog_file) as catalog:
        user = catalog.user_by_name(name)
        assert user is not None
        catalog.apply_users(
            [UserStep(user.id, UserValues(name, "inventory", server="mail1", addresses=(name,), enabled=enabled))]
        )


def close(archive: Archive) -> dict[str, t.Any]:
    """From now on the server refuses X-SETUSER for Bob."""
    return archive.servers.hosts["mail1"].pop(BOB)


def assert_withheld(report: RunReport) -> None:
    """It is a warning of its own, counted, and nothing that fails a run."""
    assert (report.problems(), report.outcome) == ([], "ok")
    (told,) = [text for text in report.warnings if BOB in text]
    assert told.startswith(
        f"mail1 {BOB}: the archive user {BOB} is disabled; its mail cannot be read until the account is enabled"
    )
    assert f"(NO no such user {BOB})" in told
    assert report.sentence().endswith(COUNTED)
    assert report.as_data()["withheld"] == 1
    (profile,) = report.as_data()["profiles"]
    rows = {mailbox["mailbox"]: mailbox["withheld"] for mailbox in profile["mailboxes"]}
    assert (profile["withheld"], rows) == (1, {ALICE: False, BOB: True, CAROL: False})
    assert not outcome_of(report, fail_on_errors=True)["failed"]


def test_a_run_warns_archives_the_rest_and_reads_it_as_soon_as_it_is_opened(archive: Archive) -> None:
    inside = close(archive)
    assert_withheld(Preview(archive.options(), Silent(), archive.servers.imap()).go())
    first = archive.run()
    assert_withheld(first)
    assert first.accounts().new == 2
    before = archive.dump()
    again = archive.run()
    assert_withheld(again)
    assert (again.changed, again.eventful, archive.dump()) == (False, False, before)
    archive.servers.hosts["mail1"][BOB] = inside
    opened = archive.run()
    assert (opened.accounts().new, sum(archive.placed(BOB).values())) == (1, 1)
    assert (opened.withheld, opened.withheld_text(), opened.warnings) == ({}, "", [])


def test_a_mailbox_that_cannot_be_opened_any_more_loses_nothing(archive: Archive) -> None:
    archive.run()
    before = archive.dump()
    inside = close(archive)
    archive.profiles = [{**MULTIPLE, "users": {"only": [BOB]}, "delete": {"after_days": 0}}]
    report = archive.run()
    assert (len(report.withheld), report.problems(), report.deleted, report.profiles[0].mailboxes[0].folders) == (1, [], 0, [])
    assert archive.dump() == before
    assert archive.rows("SELECT count(*) FROM receipts") == [(0,)]
    assert list(inside["INBOX"].messages) == [1]


def test_it_keeps_another_profile_from_deleting_there() -> None:
    assert has_problems(MailboxReport("mail1", BOB, disabled=BOB, withheld=True, error="refused"))


def test_an_enabled_user_stays_an_error(archive: Archive) -> None:
    enable(archive, BOB, True)
    close(archive)
    report = archive.run()
    (problem,) = report.problems()
    assert (problem.where, "no such user" in problem.message) == (f"mail1 {BOB}", True)
    assert (report.withheld, report.as_data()["withheld"], report.warnings) == ({}, 0, [])
    assert outcome_of(report, fail_on_errors=True)["failed"]


def test_whose_mailbox_it_is_counts_and_not_who_gets_the_mail(archive: Archive) -> None:
    """Two profiles over one mailbox: one login, one warning."""
    archive.profiles = [SUCCESSOR, {**SUCCESSOR, "name": "again", "target_user": CAROL}]
    close(archive)
    report = archive.run()
    assert report.problems() == []
    assert (len(report.withheld), len([text for text in report.warnings if BOB in text])) == (1, 1)
    assert [profile.as_data()["withheld"] for profile in report.profiles] == [1, 1]
    assert archive.servers.commands("LOGIN") == [f"LOGIN mail1 {BOB}"]
    # Alice is the disabled one now, and gets Bob's mail.
    enable(archive, BOB, True)
    enable(archive, ALICE, False)
    assert [problem.where for problem in archive.run().problems()] == [f"mail1 {BOB}"] * 2


def test_whoever_is_at_home_elsewhere_is_declared_wrongly(archive: Archive) -> None:
    servers = parse_servers([{"name": "mail1"}, {"name": "mail2"}])
    with Catalog.open(archive.catalog_file) as catalog:
        people = KnownPeople(catalog.users())
    profiles = parse_profiles([{**SUCCESSOR, "name": name, "servers": [name]} for name in servers], servers)
    secrets = Secrets(dict.fromkeys(servers, MASTER))
    found = [mailboxes_of(profile, servers, secrets, people)[0][0] for profile in profiles]
    assert {mailbox.server.name: mailbox.report.disabled for mailbox in found} == {"mail1": BOB, "mail2": ""}


def test_the_comparison_and_the_estimate_say_what_they_did_not_see(archive: Archive) -> None:
    archive.run()
    close(archive)
    compare = Compare(archive.options(), Silent(), Wish(), archive.servers.imap())
    estimate = run_estimate.Estimate(archive.options(), Silent(), archive.servers.imap())
    for report in (compare.go(), estimate.go()):
        assert (report.problems(), len([text for text in report.warnings if "is disabled; its mail" in text])) == ([], 1)
    assert compare.comparison.sentence().endswith(COUNTED)
    assert run_estimate.sentence(estimate).endswith(COUNTED)
    (profile,) = compare.comparison.as_data()["profiles"]
    assert [one["withheld"] for one in profile["mailboxes"]] == [False, True, False]


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"stage": "X-SETUSER", "answer": "NO"}, True),
        ({"stage": "X-SETUSER", "answer": "BAD"}, True),
        ({"stage": "X-SETUSER", "answer": "BYE"}, False),
        ({"stage": "X-SETUSER", "answer": "closed"}, False),
        ({"stage": "LOGIN", "answer": "NO"}, False),
    ],
)
def test_only_a_plain_refusal_of_the_mailbox_is_a_warning(archive: Archive, details: dict[str, str], expected: bool) -> None:
    options = archive.options()
    with Catalog.open(archive.catalog_file) as catalog:
        people = KnownPeople(catalog.users())
    mailboxes, _wrong = mailboxes_of(options.profiles[0], options.servers, options.secrets, people)
    error = LoginRefusedError("mail1:993", "refused", "Check", **details)
    assert [run_withheld.withheld(mailbox, error) for mailbox in mailboxes] == [False, expected, False]
    assert not run_withheld.withheld(mailboxes[1], refused_master("mail1:993"))


def test_a_result_warns_of_some_of_very_many() -> None:
    mailboxes = [MailboxReport("mail1", f"{number:02}@x", disabled="x", withheld=True, error="closed") for number in range(22)]
    report = RunReport([ProfileReport("all", "multiple_mailboxes", mailboxes)])
    told = report.withheld_warnings()
    assert (len(told), told[0]) == (21, "mail1 00@x: closed")
    assert told[-1] == "and 2 mailboxes more of disabled users; the result has them with withheld: true"
    assert report.withheld_text() == "; 22 mailboxes of disabled users could not be read"


@pytest.mark.parametrize("switch", ["accept", "no"])
def test_both_answers_of_a_server(rig: Rig, archive: Archive, lab_certificate: tuple[Path, Path], switch: str) -> None:
    """What Kerio does is not known: a run and the test of it are right in either case."""
    rig.master()
    rig.switch(disabled_setuser=switch)
    next(user for user in rig.state.directory.users if user["loginName"] == "bob")["isEnabled"] = False
    servers = parse_servers([{"name": "mail1", "host": HOST, "port": rig.imaps, "ca_file": str(lab_certificate[0])}])
    options = Options(str(archive.root), servers, parse_profiles([MULTIPLE], servers), Secrets({"mail1": MASTER}), processes=1)
    test = run_test.Test(options, Silent())
    tested = test.go()
    rows = {row["mailbox"]: row for row in run_test.as_data(tested, test.found)["test"]}
    report = Run(options, Silent()).go()
    opened = switch == "accept"
    for told in (tested, report):
        assert (told.problems(), len(told.withheld)) == ([], 0 if opened else 1)
        assert len([text for text in told.warnings if f"{BOB} is disabled" in text]) == (0 if opened else 1)
    expected = verdict.FINE if opened else verdict.USER_DISABLED
    assert {name: row["verdict"] for name, row in rows.items()} == {ALICE: verdict.FINE, BOB: expected, CAROL: verdict.FINE}
    assert rows[BOB]["login"] == ("ok" if opened else "failed")
    ended = "3 of 3 mailboxes can be read" if opened else f"2 of 3 mailboxes can be read{COUNTED}"
    assert run_test.sentence(tested, test.found) == ended
    folders = {mailbox.mailbox: len(mailbox.folders) for mailbox in report.profiles[0].mailboxes}
    assert folders[ALICE] >= 2 and (folders[BOB] >= 2) == opened
