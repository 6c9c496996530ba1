# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run remembers of folders: quarantine, full comparisons, folders that are gone, the order of messages, clean stops."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.mailops.kerio.plugins.module_utils.archive import ledger, run_folder, run_refile, worker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_quarantine import Acknowledged, parse_acknowledged
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, NetworkError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail

ALICE = "alice@example.com"
KNOWN = Acknowledged("mail1", ALICE, "INBOX", 1, 2)
FOR_BOB = {"name": "bob", "method": "single_mailbox", "mailbox": ALICE, "target_user": "Bob", "credentials": "master"}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "archive", FakeServers(tmp_path / "log"))
    made.user(ALICE)
    made.profiles = [MULTIPLE]
    return made


def states(archive: Archive) -> dict[int, int]:
    return dict(archive.rows("SELECT uid, state FROM source_messages"))


# Quarantine


def quarantined(archive: Archive) -> RunReport:
    archive.servers.folder("mail1", ALICE, bad={2}).add(mail(1), mail(2))
    for _ in range(2):
        archive.run(quarantine_after=3)
    return archive.run(quarantine_after=3)


def test_a_message_that_fails_again_and_again_is_quarantined_and_named(archive: Archive) -> None:
    report = quarantined(archive)
    assert states(archive) == {1: 1, 2: 6}
    (problem,) = report.problems()
    assert problem.where == f"mail1 {ALICE} INBOX"
    assert "UIDVALIDITY 1, UID 2 could not be archived in 3 attempts: NO internal error." in problem.message
    assert f'{{server: "mail1", mailbox: "{ALICE}", folder: "INBOX", uidvalidity: 1, uid: 2}}' in problem.message


def test_a_quarantined_message_blocks_no_skipping_and_is_still_told(archive: Archive) -> None:
    quarantined(archive)
    archive.servers.log.unlink()
    report = archive.run(quarantine_after=3)
    assert not archive.servers.commands("EXAMINE")
    assert report.accounts().quarantined == 1
    assert len(report.problems()) == 1


def test_an_acknowledged_message_is_counted_and_no_problem(archive: Archive) -> None:
    quarantined(archive)
    report = archive.run(quarantine_after=3, acknowledged=[KNOWN])
    assert report.accounts().quarantined == 1
    assert (report.outcome, report.warnings) == ("ok", [])


def test_an_acknowledgement_that_matches_nothing_is_told(archive: Archive) -> None:
    quarantined(archive)
    others = [KNOWN._replace(uid=1), KNOWN._replace(uid=9), KNOWN._replace(folder="Gone")]
    report = archive.run(quarantine_after=3, acknowledged=[KNOWN, *others])
    assert len(report.warnings) == 3
    assert all("remove the entry" in warning for warning in report.warnings)


@pytest.mark.parametrize("how", [{"reconcile_days": 0}, {"mailbox": ALICE}])
def test_a_quarantined_message_that_can_be_read_again_is_archived(archive: Archive, how: dict[str, t.Any]) -> None:
    quarantined(archive)
    archive.run(quarantine_after=3, **how)
    assert archive.rows("SELECT attempts FROM source_messages WHERE state = 6") == [(4,)]
    archive.servers.folder("mail1", ALICE).bad.clear()
    report = archive.run(quarantine_after=3, acknowledged=[KNOWN], **how)
    assert report.accounts().new == 1
    assert states(archive) == {1: 1, 2: 1}
    assert "remove the entry" in report.warnings[0]


def test_entries_are_checked_and_may_be_pasted_back() -> None:
    assert parse_acknowledged([yaml.safe_load(str(KNOWN))]) == (KNOWN,)
    for wrong in ({"server": "mail1"}, {**KNOWN._asdict(), "uid": "many"}, {**KNOWN._asdict(), "more": 1}):
        with pytest.raises(InputError, match="entry 1"):
            parse_acknowledged([wrong])


# Full comparisons


def test_each_folder_comes_due_once_in_the_days_and_not_all_at_once() -> None:
    begin = 1_700_000_000
    keys = [f"mail1/user{number}@example.com/INBOX" for number in range(700)]
    due = {
        day: [key for key in keys if ledger.Reconcile(7, begin + day * ledger.DAY).due(key, begin + (day - 1) * ledger.DAY)]
        for day in range(1, 8)
    }
    assert sorted(key for some in due.values() for key in some) == sorted(keys)
    assert all(60 < len(some) < 140 for some in due.values())
    assert not any(ledger.Reconcile(7, begin + 10).due(key, begin + 10) for key in keys)
    assert ledger.Reconcile(0, begin).due(keys[0], begin)


def test_a_folder_is_compared_after_some_days_and_nothing_but_its_cursor_changes(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(1), mail(2))
    archive.run()
    before, tree, fetched = archive.dump(), archive.tree(), len(archive.servers.commands("FETCH"))
    archive.servers.log.unlink()
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 8 * ledger.DAY)
    report = archive.run()
    assert len(archive.servers.commands("EXAMINE")) == 1
    assert report.accounts().known == 2
    assert not report.changed
    changed = set(before) ^ set(archive.dump())
    assert changed
    assert all("source_folders" in line or "folder_routes" in line for line in changed)
    assert (archive.tree(), archive.servers.commands("FETCH"), fetched) == (tree, [], 2)


def test_what_the_figures_hid_is_found_by_a_full_comparison(archive: Archive) -> None:
    inbox = archive.servers.folder("mail1", ALICE).add(mail(1), mail(2))
    archive.run()
    inbox.messages[3] = inbox.messages.pop(1)  # the figures are as they were
    assert archive.run().accounts().new == 0
    assert archive.run(reconcile_days=0).accounts().new == 1
    assert states(archive) == {1: 8, 2: 1, 3: 1}


# Folders that are gone


def test_the_messages_of_a_folder_that_was_deleted_vanish_once(archive: Archive) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(1))
    archive.servers.folder("mail1", ALICE, "Old").add(mail(2), mail(3))
    archive.run()
    old = archive.servers.hosts["mail1"][ALICE].pop("Old")
    report = archive.run()
    assert (report.outcome, report.changed) == ("ok", False)
    assert sorted(archive.rows("SELECT uid, state, digest IS NULL FROM source_messages")) == [(1, 1, 0), (1, 8, 0), (2, 8, 0)]
    before = archive.dump()
    archive.run()
    assert archive.dump() == before
    assert len(archive.tree()) == 3
    archive.servers.hosts["mail1"][ALICE]["Old"] = old
    assert archive.run().accounts().new == 2
    assert len(archive.tree()) == 3


def test_a_folder_that_rules_exclude_now_has_not_vanished(archive: Archive) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(1))
    archive.servers.folder("mail1", ALICE, "Old").add(mail(2))
    archive.run()
    archive.profiles = [{**MULTIPLE, "folders": {"exclude": ["Old"]}}]
    archive.run()
    assert archive.rows("SELECT state FROM source_messages") == [(1,), (1,)]


def test_a_list_without_inbox_is_not_believed(archive: Archive) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(1))
    archive.servers.folder("mail1", ALICE, "Old").add(mail(2))
    archive.run()
    archive.servers.hosts["mail1"][ALICE].clear()
    archive.servers.folder("mail1", ALICE, "Other")
    archive.run()
    assert archive.rows("SELECT state FROM source_messages") == [(1,), (1,)]


# Order


def test_the_newest_come_first_where_that_is_wanted(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "CHUNK_LEAST", 10)
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(35)))
    archive.profiles = [{**MULTIPLE, "order": "newest_first"}]
    archive.run(processes=1)
    fetched = [int(line.split()[-1]) for line in archive.servers.commands("FETCH")]
    assert fetched == [*range(26, 36), *range(16, 26), *range(6, 16), *range(1, 6)]


# The proof


def test_a_row_that_is_missing_fails_the_proof_although_nobody_touched_it(archive: Archive) -> None:
    inbox = archive.servers.folder("mail1", ALICE).add(*map(mail, range(50)))
    archive.run()
    inbox.add(mail(99))

    def lose(name: str) -> None:
        if name == "placed":
            with Catalog.open(archive.catalog_file) as catalog, catalog.transaction():
                catalog._db.execute("DELETE FROM source_messages WHERE uid = 7")

    report = Run(archive.options(processes=1), Silent(), archive.servers.imap(), lose).go()
    assert "1 messages on the server have no row" in report.problems()[0].message


def test_a_row_that_another_one_replaces_fails_the_proof(archive: Archive) -> None:
    inbox = archive.servers.folder("mail1", ALICE).add(*map(mail, range(50)))
    archive.run()
    inbox.add(mail(99))

    def swap(name: str) -> None:
        if name == "placed":
            with Catalog.open(archive.catalog_file) as catalog, catalog.transaction():
                catalog._db.execute("UPDATE source_messages SET uid = 1000 WHERE uid = 7")

    report = Run(archive.options(processes=1), Silent(), archive.servers.imap(), swap).go()
    assert "1 messages on the server have no row" in report.problems()[0].message


def test_one_new_message_has_few_rows_read_back(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = archive.servers.folder("mail1", ALICE).add(*map(mail, range(200)))
    archive.run()
    inbox.add(mail(999))
    inbox.expunge(3)
    read: list[int] = []
    real = Catalog.states

    def counted(self: Catalog, *key: t.Any) -> t.Any:
        found = real(self, *key)
        read.append(len(found))
        return found

    monkeypatch.setattr(Catalog, "states", counted)
    report = archive.run()
    assert read == [200]
    assert (report.accounts().seen, report.accounts().known, report.accounts().new) == (200, 199, 1)


# Stops


@dataclasses.dataclass
class Stopper(Silent):
    """Asks for a stop once a file is there."""

    mark: Path
    lines: list[str] = dataclasses.field(default_factory=list)

    @property
    def stop_requested(self) -> bool:  # type: ignore[override]  # a property where the base has a constant
        return self.mark.exists()


@pytest.mark.parametrize("where", ["survey", "examine", "fetch", "careful", "refile"])
def test_a_stop_ends_the_run_soon_wherever_it_is(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    mark = tmp_path / "stop"
    monkeypatch.setattr(worker, "LISTEN_SECONDS", 0.0)
    monkeypatch.setattr(run_refile, "REFILE_STEP", 5)
    inbox = archive.servers.folder("mail1", ALICE).add(*map(mail, range(100)))
    imap = archive.servers.imap()
    if where == "careful":
        inbox.breaks = {90}
    if where == "refile":
        archive.run()
        archive.profiles = [FOR_BOB]

    def touching(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def touch(*args: t.Any, **more: t.Any) -> t.Any:
            mark.touch()
            return real(*args, **more)

        return touch

    if where in ("survey", "examine"):
        imap = dataclasses.replace(imap, **{where: touching(getattr(imap, where))})
    stored = [0]

    def checkpoint(name: str) -> None:
        stored[0] += name == "stored"
        limit = {"fetch": 30, "careful": 90}.get(where, 0)
        if (limit and stored[0] == limit) or (where == "refile" and name == "committed"):
            mark.touch()
        if mark.exists() and name == "stored":
            time.sleep(0.05)  # so that the worker has work left when it is told

    report = Run(archive.options(processes=1), Stopper(mark), imap, checkpoint).go()
    assert report.stopped
    assert not (archive.root / "dirty").exists()
    placed = len(archive.tree())
    assert placed < (200 if where == "refile" else 100)
    mark.unlink()
    inbox.breaks = set()
    report = archive.run()
    assert not report.problems()
    assert len(archive.tree()) == (200 if where == "refile" else 100)


def test_a_worker_that_waits_for_a_silent_server_is_ended_at_a_stop(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "stop"
    monkeypatch.setattr("ansible_collections.mailops.kerio.plugins.module_utils.archive.run_schedule.STOP_SECONDS", 0.2)
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(3)))

    def silent(_connection: t.Any, _uids: t.Any, **_more: t.Any) -> t.Iterator[t.Any]:
        mark.touch()
        os.read(os.pipe()[0], 1)
        yield None

    imap = dataclasses.replace(archive.servers.imap(), fetch=silent)
    report = Run(archive.options(), Stopper(mark), imap).go()
    assert report.stopped
    assert "ended on the request to stop" in report.warnings[0]
    assert (archive.root / "dirty").exists()
    mark.unlink()
    assert archive.run().accounts().new == 3


@pytest.mark.parametrize("way", ["login", "look"])
def test_a_stop_does_not_wait_for_a_server_that_is_silent_during_the_survey(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    mark, ended = tmp_path / "stop", threading.Event()
    monkeypatch.setattr("ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey.LEAVE_SECONDS", 0.2)
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(3)))

    def silent(*_args: t.Any) -> t.Any:
        mark.touch()
        ended.wait(60)  # for ever, as far as the test is concerned
        raise NetworkError("mail1", "the server did not answer within 60 seconds", "Try again")

    imap = dataclasses.replace(archive.servers.imap(), **{"open" if way == "login" else "survey": silent})
    report = Run(archive.options(processes=1), Stopper(mark), imap).go()
    looked = Preview(archive.options(), Stopper(mark), imap).go()
    assert not ended.is_set()
    assert report.stopped
    assert not [*report.problems(), *looked.problems()]
    ended.set()
    mark.unlink()
    assert archive.run().accounts().new == 3
