# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run remembers of each mailbox for monitoring: last success, what came, how busy the server says that it is."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import growth, run_passes
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_mailboxes import MailboxPass
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_module import outcome_of
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import FolderStatus, StatusFailed
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

ALICE, BOB, JOURNAL = "alice@example.com", "bob@example.com", "archive@example.com"
ALL = MULTIPLE["name"]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[list[int]]:
    """The time at which runs end; tests change it."""
    now = [1000]
    monkeypatch.setattr(run_passes, "clock", lambda: now[0])
    yield now


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    servers = FakeServers(tmp_path / "imap.log")
    made = Archive(tmp_path / "archive", servers)
    for number, name in enumerate((ALICE, BOB)):
        made.user(name)
        servers.folder("mail1", name).add(mail(number, name))
    made.profiles = [MULTIPLE]
    return made


def passes(archive: Archive) -> dict[tuple[str, str], MailboxPass]:
    with Catalog.open(archive.catalog_file, readonly=True) as catalog:
        return {(one.profile, one.mailbox): one for one in catalog.mailbox_passes()}


def test_what_came_is_added_up_and_the_figures_are_the_last_ones(archive: Archive, clock: list[int]) -> None:
    archive.run()
    first = passes(archive)[ALL, ALICE]
    assert (first.tried, first.succeeded, first.archived) == (1000, 1000, 1)
    assert (first.figures["on_server"], first.figures["uidnext"]) == (1, 2)
    archive.servers.folder("mail1", ALICE).add(mail(7, ALICE), mail(8, ALICE))
    clock[0] = 2000
    archive.run()
    second, idle = passes(archive)[ALL, ALICE], passes(archive)[ALL, BOB]
    assert (second.tried, second.succeeded, second.archived) == (2000, 2000, 3)
    assert (second.figures["on_server"], second.figures["uidnext"]) == (3, 4)
    assert second.bytes > first.bytes
    assert (idle.succeeded, idle.archived, idle.figures["uidnext"]) == (2000, 1, 2)


def test_a_mailbox_that_cannot_be_read_keeps_its_last_success_and_figures(archive: Archive, clock: list[int]) -> None:
    archive.run()
    before = passes(archive)[ALL, BOB]
    archive.servers.hosts["mail1"].pop(BOB)
    clock[0] = 2000
    archive.run()
    after = passes(archive)
    assert after[ALL, BOB] == before._replace(tried=2000)
    assert after[ALL, ALICE].succeeded == 2000


def test_a_mailbox_that_never_could_be_read_has_no_success(archive: Archive) -> None:
    archive.servers.down.add("mail1")
    archive.run()
    one = passes(archive)[ALL, ALICE]
    assert (one.tried, one.succeeded, one.archived, one.figures) == (1000, None, 0, {})


def test_a_folder_that_cannot_be_opened_is_no_success_and_a_message_that_cannot_be_read_is_none_either(archive: Archive) -> None:
    folder = archive.servers.folder("mail1", ALICE)
    folder.bad.add(1)
    archive.servers.folder("mail1", BOB).refuse = "NO not now"
    archive.run()
    found = passes(archive)
    assert (found[ALL, ALICE].succeeded, found[ALL, ALICE].figures["failed"]) == (1000, 1)
    assert found[ALL, BOB].succeeded is None


def test_who_left_is_forgotten_by_a_whole_run_and_by_no_other(archive: Archive) -> None:
    archive.run()
    archive.profiles = [{**MULTIPLE, "users": {"only": [ALICE]}}]
    archive.run(mailbox=ALICE)
    assert set(passes(archive)) == {(ALL, ALICE), (ALL, BOB)}
    archive.run()
    assert set(passes(archive)) == {(ALL, ALICE)}


def test_the_archive_mailbox_tells_its_size_what_is_left_and_for_how_many_addresses(archive: Archive) -> None:
    archive.passwords = {"journal": f"not-a-secret-{JOURNAL}"}
    archive.profiles = [multidrop()]
    texts = [mail(1, to=ALICE), mail(2, to="x@example.com"), mail(3, to="x@example.com, y@example.com"), mail(4, to=BOB)]
    archive.servers.folder("mail1", JOURNAL).add(*texts)
    archive.run()
    figures = passes(archive)["journal", JOURNAL].figures
    assert (figures["left"], figures["unknown_addresses"], figures["on_server"]) == (2, 3, 4)  # x, y and the sender
    assert figures["on_server_bytes"] == sum(map(len, texts))


def test_a_run_that_had_to_end_tells_of_the_profiles_before(archive: Archive) -> None:
    def full(name: str) -> None:
        if name == "ending":
            raise StoreError("disk", "it is full", "Make room")

    archive.run()
    with pytest.raises(StoreError):
        archive.run(full)
    assert passes(archive)[ALL, ALICE].archived == 1


def test_the_result_has_the_figures_of_declared_profiles(archive: Archive) -> None:
    report = archive.run()
    outcome = outcome_of(report, fail_on_errors=True)
    run = growth.told(outcome, str(archive.root), 0, 30, {ALL})["data"]["run"]
    assert run["figures"]["totals"]["objects"] == 2
    assert run["figures"]["left_out"] == {ALL: 0}
    assert run["figures"]["forecast"]["room_bytes"] > 0
    told = {
        one["mailbox"]: (one["profile"], one["server"], one["succeeded"], one["uidnext"]) for one in run["figures"]["mailboxes"]
    }
    assert told == {ALICE: (ALL, "mail1", 1000, 2), BOB: (ALL, "mail1", 1000, 2)}
    assert growth.told(outcome, str(archive.root), 0, 30, {"another"})["data"]["run"]["figures"]["mailboxes"] == []


def test_a_folder_without_status_leaves_how_busy_it_is_unknown(archive: Archive) -> None:
    report = archive.run().profiles[0].mailboxes[0]
    report.on_server = report.uidnext = None
    run_passes.note_statuses(report, [FolderStatus(1, 5, 4), StatusFailed("NO")])
    assert (report.on_server, report.uidnext) == (None, None)
    run_passes.note_statuses(report, [FolderStatus(1, 5, 4), FolderStatus(1, 7, 2)])
    assert (report.on_server, report.uidnext) == (6, 12)
