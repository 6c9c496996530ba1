# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion over several mailboxes and servers: one that must not go on stops nobody else."""

from __future__ import annotations

import contextlib
import sqlite3
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from tests.faults import imap_script as script
from tests.faults.consistency import consistent, told
from tests.faults.deletion_scene import DAY, DAYS
from tests.faults.imap_server import ImapServer
from tests.faults.imap_state import TRASH
from tests.faults.raw_run import ALICE, BOB, RawRun, folders
from tests.unit.module_utils.archive.engine_fake import mail

pytestmark = pytest.mark.fault("deletion")

CAROL = "carol@example.com"
COUNT = 3


@pytest.fixture
def servers() -> t.Iterator[dict[str, ImapServer]]:
    """Alice and Bob on mail1, Carol on mail2; three messages each."""
    found = {"mail1": ImapServer(), "mail2": ImapServer()}
    for server, user in (("mail1", ALICE), ("mail1", BOB), ("mail2", CAROL)):
        found[server].state.folder(user).add(*(mail(number, to=user) for number in range(COUNT)))
        found[server].state.folder(user, TRASH, attributes="\\Trash")
    with found["mail1"], found["mail2"]:
        yield found


class Site:
    """An archive of both servers that is old enough."""

    def __init__(self, root: Path, servers: dict[str, ImapServer]) -> None:
        self.servers = servers
        self.root = root
        self.run = RawRun(root, servers, delete={"after_days": DAYS})
        report = self.run.go()
        assert not report.problems(), told(report)
        with contextlib.closing(sqlite3.connect(root / "catalog.sqlite3")) as database, database:
            database.execute("UPDATE source_messages SET archived = archived - ?", ((DAYS + 1) * DAY,))

    def go(self) -> RunReport:
        report = self.run.go(settle=0.0)
        consistent(self.root)
        return report

    def left(self) -> list[int]:
        """Messages in the inboxes of Alice, Bob and Carol."""
        one, two = self.servers["mail1"].state, self.servers["mail2"].state
        return [len(one.folder(ALICE).messages), len(one.folder(BOB).messages), len(two.folder(CAROL).messages)]


def test_all_mailboxes_of_all_servers_are_done(tmp_path: Path, servers: dict[str, ImapServer]) -> None:
    site = Site(tmp_path / "a", servers)
    report = site.go()
    assert not report.problems(), told(report)
    assert (report.deleted, site.left()) == (9, [0, 0, 0])


def test_a_server_that_moves_keeps_its_other_mailboxes_and_no_other_server(
    tmp_path: Path, servers: dict[str, ImapServer]
) -> None:
    site = Site(tmp_path / "a", servers)
    servers["mail1"].deletion = "move-at-expunge"
    report = site.go()
    assert report.deleted == COUNT
    assert sum(site.left()[:2]) == 2 * COUNT - 1
    assert site.left()[2] == 0
    assert deletion.SERVER_STOPPED in report.spared()
    assert sum("permanent_delete" in problem.message for problem in report.problems()) == 1


def test_no_other_mailbox_of_a_server_is_touched_before_the_first_message_is_proven_gone(
    tmp_path: Path, servers: dict[str, ImapServer]
) -> None:
    site = Site(tmp_path / "a", servers)
    commands = len(servers["mail1"].log)
    assert site.go().deleted == 9
    marks = [entry for entry in servers["mail1"].log[commands:] if entry.verb == "UID STORE"]
    assert [len(entry.uids) for entry in marks] == [1, COUNT - 1, COUNT]


def test_without_uidplus_the_server_is_told_about_once(tmp_path: Path, servers: dict[str, ImapServer]) -> None:
    site = Site(tmp_path / "a", servers)
    servers["mail1"].without("UIDPLUS")
    report = site.go()
    assert (report.deleted, site.left()) == (COUNT, [COUNT, COUNT, 0])
    assert sum("UIDPLUS" in problem.message for problem in report.problems()) == 1
    assert report.spared() == {deletion.NO_UIDPLUS: COUNT}


def test_a_mailbox_with_a_problem_keeps_no_other_mailbox(tmp_path: Path, servers: dict[str, ImapServer]) -> None:
    site = Site(tmp_path / "a", servers)
    servers["mail1"].state.folder(ALICE).add(mail(99))
    servers["mail1"].script.on("UID FETCH", script.no("cannot read it"), uid=COUNT + 1, where=lambda command: command.bodies)
    report = site.go()
    assert (report.deleted, site.left()) == (2 * COUNT, [COUNT + 1, 0, 0])
    assert folders(report)[f"{ALICE} INBOX"].spared == {deletion.PROBLEMS: COUNT}


def test_a_connection_that_breaks_while_one_mailbox_is_deleted_keeps_no_other(
    tmp_path: Path, servers: dict[str, ImapServer]
) -> None:
    site = Site(tmp_path / "a", servers)
    servers["mail1"].script.on("UID EXPUNGE", script.close, where=lambda command: command.session.user == ALICE)
    report = site.go()
    assert report.deleted == 2 * COUNT
    assert site.left()[1:] == [0, 0]
    servers["mail1"].script.clear()
    assert not site.go().problems()
    assert site.left() == [0, 0, 0]
