# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs of the engine against an in-memory IMAP."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
JOURNAL = "archive@example.com"


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    made = Archive(tmp_path / "archive", servers)
    made.profiles = [MULTIPLE]
    made.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    made.user(ALICE)
    return made


def test_the_first_run_archives_everything_and_the_second_nothing(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1), mail(2))
    servers.folder("mail1", ALICE, "Projects/Été").add(mail(3))
    servers.folder("mail1", ALICE, "Junk E-mail", role="junk").add(mail(4))
    first = archive.run()
    assert first.accounts().as_data() | {"seen": 3, "new": 3} == first.accounts().as_data()
    assert first.changed
    assert archive.placed(ALICE) == {
        '["alice@example.com", "INBOX"]': 2,
        '["alice@example.com", "Projects", "\\u00c9t\\u00e9"]': 1,
    }
    assert len(archive.tree()) == 3
    assert any(path.startswith("alice@example.com/alice@example.com/Projects/Été/cur/") for path in archive.tree())
    assert first.profiles[0].mailboxes[0].excluded_folders == {"Junk E-mail": "default: junk"}

    before, fetched, tree = archive.dump(), len(servers.commands("FETCH")), archive.tree()
    second = archive.run()
    assert not second.changed
    assert second.accounts().known == 3
    assert len(servers.commands("FETCH")) == fetched == 3
    assert not servers.commands("EXAMINE")[4:]
    assert archive.dump() == before
    assert archive.tree() == tree


def test_an_unchanged_mailbox_costs_one_login_and_opens_no_folder(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1))
    archive.run()
    servers.log.unlink()
    archive.run()
    assert len(servers.commands("LOGIN")) == 1
    assert not servers.commands("EXAMINE")


def test_the_same_message_twice_in_a_folder_is_placed_once(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1), mail(1))
    report = archive.run()
    assert report.accounts().new == 2
    assert len(archive.tree()) == len(archive.files()) == 1


def test_two_folders_of_a_mailbox_keep_the_message_both(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1))
    servers.folder("mail1", ALICE, "Copies").add(mail(1))
    archive.run()
    assert len(archive.tree()) == 2
    assert len(archive.files()) == 1


def test_after_a_uidvalidity_change_everything_is_read_and_nothing_placed_twice(archive: Archive, servers: FakeServers) -> None:
    inbox = servers.folder("mail1", ALICE).add(mail(1), mail(2))
    archive.run()
    tree = archive.tree()
    inbox.expunge(1)
    inbox.renumber()
    report = archive.run()
    assert report.accounts().seen == report.accounts().new == 1
    assert archive.tree() == tree
    assert sorted(archive.rows("SELECT uidvalidity, uid, state FROM source_messages")) == [(1, 1, 1), (1, 2, 1), (2, 1, 1)]


def test_open_rows_of_an_old_uidvalidity_are_closed(archive: Archive, servers: FakeServers) -> None:
    inbox = servers.folder("mail1", ALICE, bad={1}).add(mail(1))
    archive.run()
    inbox.bad.clear()
    inbox.renumber()
    archive.run()
    assert sorted(archive.rows("SELECT uidvalidity, uid, state FROM source_messages")) == [(1, 1, 8), (2, 1, 1)]


def test_vanished_messages_stay_archived(archive: Archive, servers: FakeServers) -> None:
    inbox = servers.folder("mail1", ALICE).add(mail(1), mail(2))
    archive.run()
    inbox.expunge(1)
    report = archive.run()
    assert report.accounts().as_data()["seen"] == report.accounts().known == 1
    assert not report.changed
    rows = archive.rows("SELECT uid, state, digest IS NOT NULL FROM source_messages ORDER BY uid")
    assert rows == [(1, 8, 1), (2, 1, 1)]
    assert len(archive.tree()) == 2


def test_a_message_that_disappears_while_it_is_fetched_is_recorded(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE, gone={1}).add(mail(1), mail(2))
    report = archive.run()
    assert (report.accounts().gone, report.accounts().new) == (1, 1)
    assert not report.problems()


def test_one_bad_message_is_reported_and_tried_again(archive: Archive, servers: FakeServers) -> None:
    inbox = servers.folder("mail1", ALICE, bad={2}).add(mail(1), mail(2), mail(3))
    report = archive.run()
    assert (report.accounts().new, report.accounts().failed) == (2, 1)
    assert [problem.where for problem in report.problems()] == [f"mail1 {ALICE} INBOX"]
    archive.run()
    assert archive.rows("SELECT uid, attempts, reason FROM source_messages WHERE state = 5") == [(2, 2, "NO internal error")]
    inbox.bad.clear()
    report = archive.run()
    assert report.accounts().new == 1
    assert not report.problems()
    assert len(archive.tree()) == 3


def test_a_message_that_breaks_the_connection_is_found_and_the_rest_archived(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE, breaks={3}).add(*map(mail, range(1, 8)))
    report = archive.run(processes=1)
    assert (report.accounts().new, report.accounts().failed) == (6, 1)
    assert archive.rows("SELECT uid FROM source_messages WHERE state = 5") == [(3,)]


def test_one_bad_folder_stops_no_other(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE, "Broken", refuse="NO index is damaged").add(mail(1))
    servers.folder("mail1", ALICE).add(mail(2))
    report = archive.run()
    assert report.accounts().new == 1
    assert [(problem.where, "index is damaged" in problem.message) for problem in report.problems()] == [
        (f"mail1 {ALICE} Broken", True)
    ]
    assert report.outcome == "problems"


def test_one_bad_mailbox_stops_no_other(archive: Archive, servers: FakeServers) -> None:
    archive.user(BOB)
    servers.folder("mail1", ALICE).add(mail(1))
    report = archive.run()
    assert report.accounts().new == 1
    assert [problem.where for problem in report.problems()] == [f"mail1 {BOB}"]


def test_a_server_that_refuses_the_master_password_is_asked_once(archive: Archive, servers: FakeServers) -> None:
    archive.hosts = ["mail1", "mail2"]
    for number in range(5):
        archive.user(f"user{number}@example.org", server="mail2")
        servers.folder("mail2", f"user{number}@example.org").add(mail(number))
    servers.folder("mail1", ALICE).add(mail(9))
    servers.refuses_master.add("mail2")
    report = archive.run()
    assert len([line for line in servers.commands("LOGIN") if "mail2" in line]) == 1
    assert report.accounts().new == 1
    (problem,) = report.problems()
    assert problem.where == "mail2"
    assert "X-MASTERAUTH failed" in problem.message
    assert "5 mailboxes not read" in problem.message


def test_a_server_out_of_reach_is_reported_once(archive: Archive, servers: FakeServers) -> None:
    archive.user(BOB)
    servers.folder("mail1", ALICE)
    servers.down.add("mail1")
    report = archive.run()
    (problem,) = report.problems()
    assert "Connection refused" in problem.message
    assert len(servers.commands("LOGIN")) == 1


FOR_BOB = {
    "name": "for bob",
    "method": "single_mailbox",
    "mailbox": "Alice@Example.com",
    "target_user": "Bob",
    "credentials": "master",
}


def test_two_profiles_over_one_mailbox_file_into_both_archives_and_fetch_once(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [MULTIPLE, FOR_BOB]
    inbox = servers.folder("mail1", ALICE).add(mail(1), mail(2))
    report = archive.run()
    assert len(servers.commands("FETCH")) == 2
    assert archive.placed(ALICE) == {'["alice@example.com", "INBOX"]': 2}
    assert archive.placed("Bob") == {'["alice@example.com", "INBOX"]': 2}
    assert report.profiles[1].mailboxes[0].folders[0].refiled == 2
    before = archive.dump()
    assert not archive.run().changed
    assert archive.dump() == before

    inbox.add(mail(3))
    archive.run(only=["for bob"])
    assert archive.placed("Bob") == {'["alice@example.com", "INBOX"]': 3}
    assert archive.placed(ALICE) == {'["alice@example.com", "INBOX"]': 2}
    archive.run(only=["all mailboxes"])
    assert archive.placed(ALICE) == {'["alice@example.com", "INBOX"]': 3}
    assert len(servers.commands("FETCH")) == 3


def test_mail_that_arrives_between_two_profiles_reaches_both(archive: Archive, servers: FakeServers, tmp_path: Path) -> None:
    archive.profiles = [MULTIPLE, FOR_BOB]
    arrived = tmp_path / "arrived"
    servers.folder("mail1", ALICE, late={2: arrived}).add(mail(1), mail(2))

    def deliver(name: str) -> None:
        if name == "committed":
            arrived.touch()

    archive.run(deliver)
    assert archive.placed("Bob") == {'["alice@example.com", "INBOX"]': 2}
    assert archive.placed(ALICE) == {'["alice@example.com", "INBOX"]': 1}
    archive.run()
    assert archive.placed(ALICE) == {'["alice@example.com", "INBOX"]': 2}
    assert len(servers.commands("FETCH")) == 2


def test_mailboxes_come_before_multidrop_so_that_mail_lies_where_its_owner_has_it(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop(), MULTIPLE]
    servers.folder("mail1", ALICE, "Projects").add(mail(1))
    servers.folder("mail1", JOURNAL).add(mail(1, top=TRACE))
    report = archive.run()
    assert [profile.method for profile in report.profiles] == ["multiple_mailboxes", "multidrop"]
    assert archive.placed(ALICE) == {'["alice@example.com", "Projects"]': 1}


TRACE = "Received: from gw by mail1 for <alice@example.com>; Sat, 1 Jan 2022 00:00:00 +0000\r\n"


@pytest.mark.parametrize("journal_first", [False, True])
def test_a_copy_with_other_trace_headers_is_kept_but_not_placed(
    archive: Archive, servers: FakeServers, journal_first: bool
) -> None:
    archive.profiles = [MULTIPLE, multidrop()]
    servers.folder("mail1", ALICE).add(mail(1))
    servers.folder("mail1", JOURNAL).add(mail(1, top=TRACE))
    names = ["journal", "all mailboxes"] if journal_first else ["all mailboxes", "journal"]
    archive.run(only=names[:1])
    report = archive.run(only=names[1:])
    assert report.accounts().copies == 1
    assert len(archive.tree()) == 1
    assert len(archive.files()) == 2


def test_a_message_that_only_looks_like_a_copy_is_placed(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [MULTIPLE, multidrop()]
    servers.folder("mail1", ALICE).add(mail(1))
    servers.folder("mail1", JOURNAL).add(mail(2, top=TRACE))
    archive.run()
    assert len(archive.tree()) == 2


def test_multidrop_files_for_recipients_and_sender_once_each(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop()]
    archive.user(BOB, groups=("team@example.com",))
    archive.user(CAROL, groups=("team@example.com",))
    servers.folder("mail1", JOURNAL).add(mail(1, to="team@example.com, Bob <BOB@example.com>", sender=ALICE))
    report = archive.run()
    assert report.accounts().new == 1
    assert archive.placed(ALICE) == {'["alice@example.com", "Sent Items"]': 1}
    assert archive.placed(BOB) == {'["bob@example.com", "INBOX"]': 1}
    assert archive.placed(CAROL) == {'["carol@example.com", "INBOX"]': 1}
    assert len(archive.files()) == 1


def test_unknown_addresses_are_left_listed_and_filed_once_the_user_appears(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop()]
    servers.folder("mail1", JOURNAL).add(mail(1, to=CAROL), mail(2), mail(3, to=CAROL))
    report = archive.run()
    assert (report.accounts().new, report.accounts().left) == (1, 2)
    assert report.profiles[0].unknown == {CAROL: 2, "bob@example.net": 2}
    assert len(archive.files()) == 1
    assert not archive.run().changed
    assert len(servers.commands("FETCH")) == 3
    archive.user(CAROL)
    report = archive.run()
    assert (report.accounts().new, report.accounts().left) == (2, 0)
    assert archive.placed(CAROL) == {'["carol@example.com", "INBOX"]': 2}
    assert len(servers.commands("FETCH")) == 5


def test_a_new_user_who_matches_nothing_opens_nothing_again(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop()]
    servers.folder("mail1", JOURNAL).add(mail(1, to="dave@example.com"))
    archive.run()
    archive.user(CAROL)
    archive.run()
    assert len(servers.commands("FETCH")) == 1


def test_caught_mail_is_filed_from_the_archive_once_the_user_appears(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop(unknown_addresses="catchall")]
    servers.folder("mail1", JOURNAL).add(mail(1, to=CAROL))
    archive.run()
    assert archive.placed("@catchall") == {'["Unknown E-mail Addresses"]': 1}
    archive.user(CAROL)
    report = archive.run()
    assert report.changed
    assert archive.placed(CAROL) == {'["carol@example.com", "INBOX"]': 1}
    assert len(servers.commands("FETCH")) == 1
    assert not archive.run().changed


def test_relayed_mail_is_dropped_and_mail_of_our_domain_is_left(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop(unknown_addresses="drop_relayed")]
    servers.folder("mail1", JOURNAL).add(mail(1, to="x@else.example", sender="y@else.example"), mail(2, to=CAROL))
    report = archive.run()
    assert (report.accounts().excluded, report.accounts().left) == (1, 1)
    assert "x@else.example" in report.profiles[0].unknown


def test_a_changed_rule_reopens_what_it_touches(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop()]
    servers.folder("mail1", JOURNAL).add(mail(1, to=CAROL), mail(2))
    archive.run()
    archive.profiles = [multidrop(unknown_addresses="catchall")]
    report = archive.run()
    assert (report.accounts().new, report.accounts().left) == (1, 0)
    assert archive.placed("@catchall") == {'["Unknown E-mail Addresses"]': 1}


def test_large_messages_are_streamed_and_filed_by_their_header(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop()]
    servers.stream_above = 100
    servers.folder("mail1", JOURNAL).add(mail(1, body="x" * 5000))
    report = archive.run()
    assert report.accounts().new == 1
    assert not list((archive.root / "staging").iterdir())


def test_a_second_run_at_the_same_time_says_who_holds_the_archive(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(mail(1))
    seen: list[str] = []

    def run_again(name: str) -> None:
        if name == "synced":
            with pytest.raises(BusyError) as caught:
                archive.run()
            seen.append(str(caught.value))

    archive.run(run_again)
    assert "archive_run" in seen[0]


def test_a_profile_without_users_is_an_error_that_names_the_remedy(tmp_path: Path, servers: FakeServers) -> None:
    empty = Archive(tmp_path / "empty", servers)
    empty.profiles = [MULTIPLE]
    (problem,) = empty.run().problems()
    assert "archive_users" in problem.message


def test_a_missing_password_stops_its_profile_alone(archive: Archive, servers: FakeServers) -> None:
    archive.profiles = [multidrop(), MULTIPLE]
    archive.passwords = {}
    servers.folder("mail1", ALICE).add(mail(1))
    report = archive.run()
    assert report.accounts().new == 1
    assert "passwords" in report.problems()[0].message


def test_only_one_mailbox_now(archive: Archive, servers: FakeServers) -> None:
    archive.user(BOB)
    servers.folder("mail1", ALICE).add(mail(1))
    servers.folder("mail1", BOB).add(mail(2))
    archive.run(mailbox=BOB.upper())
    assert archive.placed(ALICE) == {}
    assert archive.placed(BOB) == {'["bob@example.com", "INBOX"]': 1}


def test_two_connections_share_one_large_folder(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", ALICE).add(*map(mail, range(4500)))
    report = archive.run()
    assert report.accounts().new == 4500
    assert len(archive.tree()) == 4500
    assert len(set(servers.commands("EXAMINE"))) == 1
    assert len(servers.commands("LOGIN")) == 3


def test_another_target_folder_is_for_new_mail_and_files_nothing_twice(archive: Archive, servers: FakeServers) -> None:
    servers.folder("mail1", JOURNAL).add(mail(1), mail(2))
    archive.profiles = [multidrop()]
    archive.run()
    archive.profiles = [multidrop(target_folder="Company/{u-email}")]
    servers.folder("mail1", JOURNAL).add(mail(3))
    archive.run()
    assert archive.placed(ALICE) == {f'["{ALICE}", "INBOX"]': 2, f'["Company", "{ALICE}"]': 1}
    before = archive.dump()
    assert not archive.run().changed
    assert archive.dump() == before
