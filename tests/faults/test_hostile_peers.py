# SPDX-License-Identifier: GPL-3.0-or-later
"""What other archivers and IMAP tools got wrong on real servers, by the reports of their users; each name says the behaviour."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.faults import imap_script as script
from tests.faults.consistency import told
from tests.faults.imap_state import DATE
from tests.faults.stage import COUNT, Stage, calm, named, of
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("hostile")

ALL = set(range(1, COUNT + 1))


def test_openarchiver_uids_near_a_thousand_million_are_not_counted_through(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.folder("high").add(*(mail(number) for number in range(200, 205)), uid=999_999_990)
        stage.folder("high").add(mail(210), uid=1_700_000_000)
        assert not stage.go().problems()
        commands = [entry for entry in stage.server.log if entry.folder == b"high"]
        assert len(commands) < 12
        stage.finish(INBOX=COUNT, Projects=3, high=6)


def test_openarchiver_a_rebuilt_folder_with_lower_uids_skips_no_mail(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.inbox.add(mail(70), uid=900)
        stage.go()
        stage.inbox.renumber(2)
        stage.inbox.add(mail(71))
        report = stage.go()
        assert not report.problems(), told(report)
        assert stage.archived() == set(stage.inbox.uids())
        stage.finish(INBOX=COUNT + 2, Projects=3)


def test_openarchiver_a_message_id_that_another_message_has_loses_no_mail(tmp_path: Path) -> None:
    forged = [b"Message-ID: <forged@example.com>\r\nSubject: %d\r\n\r\ntext %d\r\n" % (n, n) for n in range(4)]
    with Stage(tmp_path / "archive") as stage:
        stage.folder("same").add(*forged[:2])
        stage.go()
        stage.folder("same").add(*forged[2:], b"Message-ID: <forged@example.com>\r\n\r\n", b"Message-ID:\r\n\r\nempty", b"")
        assert not stage.go().problems()
        stage.finish(INBOX=COUNT, Projects=3, same=7)


def test_openarchiver_the_first_mail_of_a_folder_is_not_skipped(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.folder("one").add(mail(80))
        stage.folder("empty")
        stage.go()
        stage.folder("empty").add(mail(81))
        assert not stage.go().problems()
        stage.finish(INBOX=COUNT, Projects=3, one=1, empty=1)


def test_bichon_uidvalidity_is_remembered_so_that_no_run_starts_anew(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.folder("gaps", uidvalidity=4_294_967_295)
        for number in range(6):
            stage.folder("gaps").add(mail(300 + number), uid=1 + 1000 * number**3)
        stage.go()
        calm(stage)
        stage.folder("gaps").expunge(1)
        report = stage.go()
        assert not report.problems()
        assert stage.run.archive.placed("alice@example.com")['["alice@example.com", "gaps"]'] == 6
        calm(stage)


def test_bichon_the_same_mail_is_not_archived_again_by_any_run(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.go()
        files = stage.run.archive.files()
        for number in range(3):
            stage.inbox.renumber(50 + number, first=100 * number + 1)
            stage.inbox.change(100 * number + 1, flags=("\\Seen", "\\Flagged"))
            assert not stage.go().problems()
            assert stage.run.archive.files() == files
        stage.finish()


def test_bichon_a_fetch_that_failed_corrupts_nothing(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID FETCH", script.cut(700), where=lambda command: command.bodies)
        for _ in range(3):
            stage.go()
        stage.finish()


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\nContent-Type: \r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\n====\xff",
        b"From: =?utf-9?Q?=FF?= <\x00@\xff>\r\nDate: never\r\nTo: ,,,;;<<>>\r\n\r\n",
        b"Content-Type: message/rfc822\r\n\r\n" * 200,
        b": no name\r\n no start\r\n\t\r\n\r\n",
    ],
    ids=["multipart", "base64", "headers", "nested", "folded"],
)
def test_bichon_a_mail_that_cannot_be_parsed_blocks_no_folder(tmp_path: Path, body: bytes) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.folder("odd").add(mail(1), body, mail(2))
        assert not stage.go().problems()
        stage.finish(INBOX=COUNT, Projects=3, odd=3)


def test_bichon_what_disappears_from_the_server_stays_in_the_archive(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.go()
        before = stage.run.archive.tree()
        stage.inbox.expunge(*ALL)
        del stage.server.state.mailboxes["alice@example.com"][b"Projects"]
        assert not stage.go().problems()
        assert stage.run.archive.tree() == before
        assert len(stage.archive.placements) == len(before)


def test_bichon_a_sync_that_hangs_ends_by_its_time_out(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID FETCH", script.cut(500, script.HANG), where=lambda command: command.bodies, times=2)
        report = stage.go(timeout=0.3)
        assert of(report, "Projects").accounts.seen == 3
        stage.finish()


def test_mail_archiver_dates_that_lie_hide_no_mail(tmp_path: Path) -> None:
    """It goes by the date of the last mail: what comes later with an older date, or none, is missed."""
    with Stage(tmp_path / "archive") as stage:
        stage.go()
        for number, year in enumerate((1970, 1999, 2038, 2106, 9999)):
            stage.inbox.add(mail(500 + number), date=DATE.replace(year=year))
        assert not stage.go().problems()
        stage.finish(INBOX=COUNT + 5, Projects=3)


def test_mail_archiver_a_first_import_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        refuse = script.before(lambda _command: stage.server.break_connections())
        stage.script.on("UID FETCH", refuse, folder="Projects")
        stage.go()
        assert stage.archived() == ALL
        stage.script.clear()
        seen = len(stage.server.log)
        assert not stage.go().problems()
        fetched = [entry.folder for entry in stage.server.log[seen:] if entry.verb == "UID FETCH"]
        assert set(fetched) == {b"Projects"}
        stage.finish()


def test_piler_sequence_numbers_that_shift_give_no_wrong_mail(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.note_served()
        shift = script.before(lambda _command: stage.inbox.expunge(1))
        stage.script.on("UID FETCH", shift, folder="INBOX", times=1)
        assert not stage.go().problems()
        sources = [one for one in stage.archive.sources if one[:3] == ("mail1", "alice@example.com", "INBOX")]
        right = {one.uid: hashlib.sha256(one.body[:]).hexdigest() for one in stage.inbox.messages}
        assert {source[4]: source[5] for source in sources if source[4] != 1} == right
        verbs = {entry.verb for entry in stage.server.log}
        assert not verbs & {"FETCH", "STORE", "SEARCH", "EXPUNGE", "UID STORE", "UID EXPUNGE", "SELECT", "CLOSE"}


def test_offlineimap_a_changed_uidvalidity_is_neither_skipped_nor_archived_twice(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.go()
        stage.inbox.renumber(77)
        stage.inbox.add(mail(600))
        report = stage.go()
        assert not report.problems(), told(report)
        assert of(report).accounts.seen == COUNT + 1
        stage.finish(INBOX=COUNT + 1, Projects=3)


def test_mbsync_an_unfounded_change_of_uidvalidity_and_back_is_survived(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.go()
        before = stage.run.archive.tree()
        for uidvalidity in (9, 1, 9):
            stage.inbox.uidvalidity = uidvalidity
            assert not stage.go().problems()
        assert stage.run.archive.tree() == before
        stage.finish()


def test_getmail_nothing_is_marked_as_read(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        before = stage.server.state.snapshot()
        stage.go()
        assert stage.server.state.snapshot() == before


def test_mailspring_a_modseq_that_lies_hides_no_mail(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.server.capabilities += ("CONDSTORE", "QRESYNC")
        stage.go()
        stage.inbox.add(mail(700))
        stage.inbox.modseq = 1
        assert not stage.go().problems()
        stage.inbox.expunge(1)
        stage.inbox.modseq = 0
        assert not stage.go().problems()
        assert stage.archived() == set(stage.inbox.uids())
        stage.finish(INBOX=COUNT + 1, Projects=3)


def test_imap_backup_a_large_mailbox_with_one_slow_message_is_not_given_up(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("UID FETCH", script.delay(0.3), uid=5, where=lambda command: command.bodies)
        report = stage.go(timeout=2)
        assert not report.problems(), told(report)
        stage.finish()


def test_lswith_capabilities_that_are_announced_and_refused_are_done_without(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.script.on("LIST", script.bad("RETURN? never heard of it"), where=lambda command: "RETURN" in command.text)
        report = stage.go()
        assert not report.problems(), told(report)
        stage.finish()


def test_proton_a_server_without_any_extension_is_archived(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.server.capabilities = ("IMAP4rev1",)
        assert not stage.go().problems()
        stage.finish()


def test_a_quota_that_ends_the_connection_after_some_bytes_does_not_start_the_folder_anew(tmp_path: Path) -> None:
    """As Gmail and its like do: each connection gives so much, then BYE. Run by run the mailbox is completed."""
    with Stage(tmp_path / "archive") as stage:
        stage.inbox.add(*(mail(number) for number in range(800, 840)))
        limit = script.cut(2500, b"* BYE quota exceeded\r\n")
        stage.script.on("UID FETCH", limit, folder="INBOX", where=lambda command: len(command.uids) > 8)
        report = stage.go()
        got = stage.archived()
        assert len(got) >= 8
        for _ in range(6):
            report = stage.go()
        assert not report.problems() or "quota exceeded" in told(report)
        assert got <= stage.archived()
        stage.finish(INBOX=COUNT + 40, Projects=3)


def test_a_mailbox_that_is_refused_for_one_user_is_named(tmp_path: Path) -> None:
    with Stage(tmp_path / "archive") as stage:
        stage.server.passwords["alice@example.com"] = "not-a-secret-changed-pw"
        named(stage.go(), "LOGIN failed", "")
        stage.server.passwords.clear()
        stage.finish()
