# SPDX-License-Identifier: GPL-3.0-or-later
"""Users who appear after their mail: what was caught is filed although it left the server, what was left and is gone is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

ALICE, CAROL, DORA, JOURNAL = "alice@example.com", "carol@example.com", "dora@example.com", "archive@example.com"


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    made = Archive(tmp_path / "archive", servers)
    made.user(ALICE)
    return made


def journal(archive: Archive, unknown: str) -> None:
    archive.profiles = [multidrop(credentials="master", unknown_addresses=unknown)]


@pytest.mark.parametrize("gone", ["expunged", "renumbered", "before", "no"])
def test_caught_mail_reaches_a_later_user_also_when_the_server_has_it_no_more(
    archive: Archive, servers: FakeServers, gone: str
) -> None:
    inbox = servers.folder("mail1", JOURNAL).add(mail(1, to=CAROL), mail(2, to=f"{CAROL}, {DORA}"), mail(3, to=ALICE))
    journal(archive, "catchall")
    archive.run()
    if gone == "before":
        inbox.expunge(1)
        inbox.expunge(2)
        archive.run()
    archive.user(CAROL)
    fetched = len(servers.commands("FETCH"))
    if gone == "expunged":
        inbox.expunge(1)
        inbox.expunge(2)
    if gone == "renumbered":
        del inbox.messages[1], inbox.messages[2]
        inbox.renumber()
    report = archive.run()
    assert report.problems() == [] and report.warnings == []
    assert archive.placed(CAROL) == {f'["{CAROL}", "INBOX"]': 2}
    assert len(servers.commands("FETCH")) - fetched == (1 if gone == "renumbered" else 0)
    assert report.changed
    again = archive.run()
    assert not again.changed
    archive.user(DORA)
    archive.run()
    assert archive.placed(DORA) == {f'["{DORA}", "INBOX"]': 1}
    assert archive.placed(CAROL) == {f'["{CAROL}", "INBOX"]': 2}


@pytest.mark.parametrize("before", [True, False])
def test_left_mail_that_is_gone_is_told_once(archive: Archive, servers: FakeServers, before: bool) -> None:
    inbox = servers.folder("mail1", JOURNAL).add(*(mail(number, to=CAROL) for number in range(3)), mail(9, to=DORA))
    journal(archive, "leave")
    assert archive.run().accounts().left == 4
    inbox.expunge(1)
    inbox.expunge(2)
    if before:
        assert archive.run().warnings == []
    archive.user(CAROL)
    report = archive.run()
    (warning,) = report.warnings
    assert "are no longer there and cannot be archived: 2 for carol@example.com" in warning
    assert archive.placed(CAROL) == {f'["{CAROL}", "INBOX"]': 1}
    assert archive.run().warnings == []
    inbox.expunge(4)
    archive.user(DORA)
    (warning,) = archive.run().warnings
    assert "1 for dora@example.com" in warning and "carol" not in warning


@pytest.mark.parametrize("first", ["journal", "all mailboxes"])
def test_both_methods_file_a_message_once_in_either_order(archive: Archive, servers: FakeServers, first: str) -> None:
    """The archive mailbox's copy has other trace headers; whichever method comes second keeps its bytes and files nothing."""
    servers.folder("mail1", ALICE).add(mail(1, top="Received: by mail1 for <alice@example.com>\r\n"))
    servers.folder("mail1", JOURNAL).add(mail(1, top=f"X-Envelope-To: <{ALICE}>\r\nReceived: by archive\r\n"))
    archive.profiles = [MULTIPLE, multidrop(credentials="master")]
    second = ({"journal", "all mailboxes"} - {first}).pop()
    assert archive.run(only=[first]).accounts().new == 1
    report = archive.run(only=[second])
    assert (report.accounts().new, report.accounts().copies, report.objects) == (0, 1, 1)
    assert sum(archive.placed(ALICE).values()) == 1
    assert not archive.run().changed
