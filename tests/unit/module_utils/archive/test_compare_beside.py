# SPDX-License-Identifier: GPL-3.0-or-later
"""The mode compare beside a run, against servers and folders that refuse, in pages, and what its report leaves out."""

from __future__ import annotations

import dataclasses
import json
import threading
import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import catalog_compare, compare_report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_classes import (
    ARCHIVED,
    EXCLUDED,
    Place,
    Reason,
    Tally,
    shortened,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_folder import Compared, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_report import FolderResult
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_compare import Compare
from ansible_collections.mailops.kerio.plugins.module_utils.errors import NetworkError, StoreError
from tests.unit.module_utils.archive.compare_scene import ALICE, BOB, away, compared, counts, folder, object_of, reasons, told
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeFolder, FakeServers, mail

CAROL = "carol@example.com"


@pytest.fixture
def archive(tmp_path: Path, servers: FakeServers) -> Archive:
    """Two users on two servers, archived."""
    made = Archive(tmp_path / "archive", servers)
    made.hosts = ["mail1", "mail2"]
    made.user(ALICE)
    made.user(CAROL)
    made.user(BOB, server="mail2")
    made.profiles = [MULTIPLE]
    servers.folder("mail1", ALICE).add(*map(mail, range(1, 8)))
    servers.folder("mail1", ALICE, "Old").add(mail(9))
    servers.folder("mail1", CAROL).add(mail(10))
    servers.folder("mail2", BOB).add(mail(11))
    made.run()
    return made


@pytest.fixture
def inbox(servers: FakeServers) -> FakeFolder:
    return servers.folder("mail1", ALICE)


def test_what_a_run_archives_and_deletes_meanwhile_is_neither_gone_nor_back(
    archive: Archive, servers: FakeServers, inbox: FakeFolder
) -> None:
    inbox.bad = {8}
    inbox.add(mail(8))
    archive.run()
    before = inbox.uids()
    search, late = servers.search, threading.Lock()

    def searched(conn: t.Any, *criteria: t.Any) -> list[int]:
        found = search(conn, *criteria)
        if conn.name == f"mail1 {ALICE}" and conn.selected is inbox and late.acquire(blocking=False):
            inbox.add(mail(20))
            inbox.expunge(2)
            inbox.expunge(8)
            archive.run()
        return found

    assert before == [1, 2, 3, 4, 5, 6, 7, 8]
    made = compared(archive, None, dataclasses.replace(servers.imap(), search_uids=searched), changes=True)
    found = folder(made)
    assert counts(found) == {"archived": 6}
    # The one that failed and went was never archived; the one that came is no message that went.
    assert away(found) == {}
    assert made.report.problems() == []


def test_a_server_that_refuses_the_master_password_is_asked_once_and_the_other_is_compared(
    archive: Archive, servers: FakeServers
) -> None:
    servers.refuses_master = {"mail1"}
    before = len(servers.commands("WRONG"))
    made = compared(archive)
    assert len(servers.commands("WRONG")) - before == 1
    assert [problem.where for problem in made.report.problems()] == ["mail1"]
    assert counts(told(made)) == {"archived": 1}
    assert [line.split()[-2:] for line in made.comparison.table()[1:3]] == [["not", "read"]] * 2


def test_a_folder_that_is_refused_fails_and_the_rest_is_compared(archive: Archive, inbox: FakeFolder) -> None:
    inbox.refuse = "NO permission denied"
    made = compared(archive)
    assert [problem.where for problem in made.report.problems()] == [f"mail1 {ALICE} INBOX"]
    assert "permission denied" in folder(made)["error"]
    assert counts(folder(made, name="Old")) == {"archived": 1}


@pytest.mark.parametrize(("times", "problems"), [(1, 0), (2, 1)])
def test_a_folder_at_which_the_connection_breaks_is_tried_twice(
    archive: Archive, servers: FakeServers, inbox: FakeFolder, times: int, problems: int
) -> None:
    tries: Counter[str] = Counter()

    def searched(conn: t.Any, *criteria: t.Any) -> list[int]:
        if conn.selected is inbox:
            tries["INBOX"] += 1
            if tries["INBOX"] <= times:
                raise NetworkError("mail1", "connection reset", "Try again")
        tries["Old"] += conn.selected is servers.folder("mail1", ALICE, "Old")
        return servers.search(conn, *criteria)

    made = compared(archive, None, dataclasses.replace(servers.imap(), search_uids=searched))
    assert len(made.report.problems()) == problems
    assert tries == {"INBOX": 2, "Old": 1}
    assert counts(folder(made, name="Old")) == {"archived": 1}


def test_no_more_connections_at_a_time_than_are_allowed(archive: Archive, servers: FakeServers) -> None:
    for number in range(6):
        archive.user(f"user{number}@example.com")
        servers.folder("mail1", f"user{number}@example.com")
    most, now, lock = [0], [0], threading.Lock()
    real = servers.open

    def opened(*args: t.Any) -> t.Any:
        connection = real(*args)
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])

        def close() -> None:
            with lock:
                now[0] -= 1

        connection.close = close
        return connection

    compared(archive, None, dataclasses.replace(servers.imap(), open=opened), connections=2)
    assert (most[0] <= 2, now[0]) == (True, 0)


def test_rows_come_in_pages(archive: Archive, inbox: FakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_compare, "PAGE", 2)
    inbox.expunge(3)
    inbox.expunge(7)
    inbox.messages[12] = mail(30)
    object_of(archive, 4).unlink()
    found = folder(compared(archive))
    assert (counts(found), away(found)) == ({"archived": 4, "missing": 1, "new": 1}, {"gone": 2})
    assert found["not_on_server"]["reasons"][0]["uids"] == "3,7"
    assert reasons(found) == [("missing", "its object is not in the archive", "4"), ("new", "", "12")]


def test_without_an_archive_nothing_is_asked(archive: Archive, servers: FakeServers, tmp_path: Path) -> None:
    archive.root = tmp_path / "none"
    before = len(servers.commands("LOGIN"))
    with pytest.raises(StoreError):
        Compare(archive.options(), Silent(), Wish(), servers.imap())
    assert len(servers.commands("LOGIN")) == before


class Stopping(Silent):
    stop_requested = True


def test_a_stop_is_told(archive: Archive, servers: FakeServers) -> None:
    made = Compare(archive.options(), Stopping(), Wish(), servers.imap())
    made.go()
    assert made.comparison.run()["stopped"] is True
    assert made.comparison.sentence().endswith("; stopped before the end")


# The report


def test_figures_that_do_not_add_up_are_a_problem() -> None:
    found = Compared("INBOX", on_server=2)
    found.here.add(1, 1, Place(ARCHIVED))
    assert "the server lists 2 UIDs, but 1 were accounted for" in FolderResult.of(found, "").problem()


def test_the_result_is_cut_and_the_file_is_whole(archive: Archive, inbox: FakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox.messages.update((uid, mail(uid)) for uid in range(11, 31, 2))
    archive.servers.folder("mail1", ALICE, "Old").add(mail(40))
    monkeypatch.setattr(compare_report, "LISTED_CHARACTERS", 10)
    monkeypatch.setattr(compare_report, "LISTED_FOLDERS", 1)
    made = compared(archive)
    (mailbox,) = [one for one in made.comparison.as_data()["profiles"][0]["mailboxes"] if one["mailbox"] == ALICE]
    assert [(one["name"], one["reasons"][0]["uids"]) for one in mailbox["folders"]] == [("INBOX", "11,13,15,...")]
    assert mailbox["folders_left_out"] == 1
    made.comparison.keep(str(archive.root))
    kept = json.loads((archive.root / "reports" / "compare.json").read_text("utf-8"))
    (mailbox,) = [one for one in kept["compare"]["profiles"][0]["mailboxes"] if one["mailbox"] == ALICE]
    assert [one["reasons"][0]["uids"] for one in mailbox["folders"]] == ["11,13,15,17,19,21,23,25,27,29", "2"]
    assert kept["run"]["errors"] == []


def test_the_table_has_a_line_for_each_mailbox_and_columns_for_what_there_is(archive: Archive, inbox: FakeFolder) -> None:
    inbox.add(mail(30))
    object_of(archive, 1, CAROL).unlink()
    table = [line.split() for line in compared(archive).comparison.table()]
    assert table == [
        ["server", "mailbox", "on", "server", "archived", "copy", "new", "missing", "archive", "alone"],
        ["mail1", CAROL, "1", "0", "0", "0", "1", "0", "wrong"],
        ["mail1", ALICE, "9", "8", "0", "1", "0", "0"],
        ["mail2", BOB, "1", "1", "0", "0", "0", "0"],
        ["all", "11", "9", "0", "1", "1", "0"],
    ]


@pytest.mark.parametrize(
    ("uids", "most", "text"),
    [
        ("1:5,9", 0, "1:5,9"),
        ("1:5,9", 5, "1:5,9"),
        ("1:5,9", 4, "1:5,..."),
        ("1:5,9", 3, "1:5,..."),
        ("100:200", 3, "100:200,..."),
        ("1:5,9", 9, "1:5,9"),
    ],
)
def test_long_sets_are_cut_between_ranges(uids: str, most: int, text: str) -> None:
    assert shortened(uids, most) == text


def test_uids_are_told_by_class_reason_and_uidvalidity() -> None:
    tally = Tally()
    for uid in (1, 2, 5):
        tally.add(7, uid, Place(EXCLUDED, "a rule"))
    tally.add(8, 3, Place(EXCLUDED, "a rule"))
    tally.add(8, 4, Place(ARCHIVED))
    assert tally.reasons() == [Reason(EXCLUDED, "a rule", 7, 3, "1:2,5"), Reason(EXCLUDED, "a rule", 8, 1, "3")]
    assert tally.counts == {EXCLUDED: 4, ARCHIVED: 1}
