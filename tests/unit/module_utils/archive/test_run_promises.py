# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders of events that broke a promise of the engine once."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import ledger, store_objects, store_sync
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserStep, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, StoreError
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail, multidrop

ALICE, BOB, CAROL, JOURNAL = "alice@example.com", "bob@example.com", "carol@example.com", "archive@example.com"
WHOLE = {"name": "whole", "method": "single_mailbox", "mailbox": JOURNAL, "target_user": "auditor"}
TRACE = "Received: from gw by mail1 for <alice@example.com>; Sat, 1 Jan 2022 00:00:00 +0000\r\n"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path / "archive", FakeServers(tmp_path / "log"))
    made.user(ALICE)
    made.profiles = [MULTIPLE]
    made.passwords = {"journal": f"not-a-secret-{JOURNAL}", "whole": f"not-a-secret-{JOURNAL}"}
    return made


def damage(archive: Archive) -> None:
    for path in archive.root.glob("objects/*/*"):
        path.chmod(0o640)
        path.write_bytes(b"rotten")


def test_an_address_that_is_not_utf8_stops_no_message(archive: Archive) -> None:
    archive.profiles = [multidrop()]
    body = mail(1, to="B@b").replace(b"B@b", b"J\xfcrgen@example.org")
    archive.servers.folder("mail1", JOURNAL).add(body, mail(2))
    report = archive.run()
    assert (report.accounts().left, report.accounts().new) == (1, 1)
    (address,) = (one for one in report.profiles[0].unknown if one.endswith("rgen@example.org"))
    assert address.encode("utf-8")


def test_a_hostile_address_does_not_fill_the_catalog(archive: Archive) -> None:
    archive.profiles = [multidrop()]
    archive.servers.folder("mail1", JOURNAL).add(mail(1, to="x" * 500_000 + "@example.org"))
    archive.run()
    ((length,),) = archive.rows("SELECT max(length(reason)) FROM source_messages")
    assert length < 1000


def test_a_damaged_object_does_not_stop_a_copy_from_being_archived(archive: Archive) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(1))
    archive.run()
    damage(archive)
    archive.servers.folder("mail1", ALICE).add(mail(1, top=TRACE), mail(2))
    report = archive.run()
    assert report.accounts().new == 2
    assert report.damaged


def test_a_damaged_object_is_fetched_again_when_another_profile_needs_it(archive: Archive) -> None:
    archive.servers.folder("mail1", JOURNAL).add(mail(1), mail(2))
    archive.profiles = [WHOLE]
    archive.run()
    damage(archive)
    archive.profiles = [WHOLE, multidrop()]
    report = archive.run()
    assert not report.problems()
    assert sum(archive.placed(ALICE).values()) == 2
    with Store.open(str(archive.root)) as store:
        assert all(store.read(bytes.fromhex(name)) for name in archive.files())


def test_what_left_the_mailbox_is_not_filed_for_whoever_has_the_address_now(archive: Archive) -> None:
    folder = archive.servers.folder("mail1", ALICE).add(mail(1), mail(2))
    archive.run()
    folder.expunge(1)
    with Catalog.open(archive.catalog_file) as catalog:
        (old,) = catalog.users()
        values = UserValues(name=ALICE, origin="inventory", server="mail1")
        new = UserValues(name="successor", origin="inventory", addresses=(ALICE,), server="mail1")
        catalog.apply_users([UserStep(old.id, values, delete=True), UserStep(None, new)])
    archive.run()
    assert sum(archive.placed("successor").values()) == 1


@pytest.mark.parametrize("unknown", ["leave", "catchall"])
def test_a_late_user_gets_what_another_profile_has_archived(archive: Archive, unknown: str) -> None:
    archive.servers.folder("mail1", JOURNAL).add(mail(1, to=BOB), mail(2))
    archive.profiles = [WHOLE, multidrop(unknown_addresses=unknown)]
    archive.run()
    archive.user(BOB)
    archive.run()
    assert sum(archive.placed(BOB).values()) == 1
    assert sum(archive.placed(ALICE).values()) == 1
    assert not archive.run().changed


def test_a_lost_catalog_is_not_replaced_by_an_empty_one(archive: Archive) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(1))
    archive.run()
    for path in archive.root.glob("catalog.sqlite3*"):
        path.unlink()
    with pytest.raises(ArchiveToolError, match="catalog"):
        archive.run()
    assert not Path(archive.catalog_file).exists()


def test_a_folder_too_deep_for_the_file_system_stops_no_other(archive: Archive) -> None:
    archive.servers.folder("mail1", ALICE, "/".join(["n" * 190] * 25)).add(mail(1))
    archive.servers.folder("mail1", ALICE).add(mail(2))
    report = archive.run()
    (problem,) = report.problems()
    assert "too long" in problem.message
    assert sum(archive.placed(ALICE).values()) == 1


def test_a_stop_of_the_whole_service_kills_no_worker(archive: Archive, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def stop(name: str) -> None:
        if name == "stored" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGTERM)

    archive.servers.folder("mail1", ALICE).add(*map(mail, range(5)))
    report = archive.run(stop)
    assert report.accounts().new == 5
    assert not report.warnings
    assert mark.exists()


def test_a_reader_that_began_before_a_run_sees_what_it_writes(archive: Archive) -> None:
    archive.servers.folder("mail1", ALICE).add(*map(mail, range(200)))
    with Catalog.open(archive.catalog_file, readonly=True) as reader:
        assert reader.totals().placements == 0
        with Catalog.open(archive.catalog_file) as writer:
            writer.set_meta("review", "while it is open")
            assert reader.get_meta("review") == "while it is open"
        archive.run()
        assert reader.totals().placements == 200
        assert len(reader.last_runs(9)) == 1


@pytest.mark.parametrize(
    ("kernel", "trusted"), [("4.18.0-553.el8", False), ("5.7.19", False), ("5.8.0", True), ("6.1.0-13-amd64", True)]
)
def test_syncfs_is_believed_where_it_tells_of_errors(kernel: str, trusted: bool) -> None:
    assert store_sync.reports_errors(kernel) is trusted


def test_a_folder_whose_uidnext_is_not_told_is_opened() -> None:
    known = ledger.FolderFigures(1, 0, 3, None)
    assert not ledger.may_skip(known, known, complete=True, same_rules=True, route_filed=True, due=0)


@pytest.mark.parametrize("after_crash", [False, True])
def test_a_preview_leaves_no_trace_in_the_archive(archive: Archive, after_crash: bool) -> None:
    archive.servers.folder("mail1", ALICE).add(mail(1))
    archive.run()
    archive.servers.folder("mail1", ALICE).add(mail(2))
    if after_crash:
        child = os.fork()
        if child == 0:
            archive.run(lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == "committed" else None, processes=1)
        os.waitpid(child, 0)
        archive.servers.folder("mail1", ALICE).add(mail(3))
        assert Path(archive.catalog_file + "-wal").exists()

    def trace() -> dict[str, tuple[int, bytes]]:
        files = (path for path in archive.root.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before, names = trace(), sorted(archive.root.rglob("*"))
    report = Preview(archive.options(), Silent(), archive.servers.imap()).go()
    assert report.accounts().new == 1
    assert (trace(), sorted(archive.root.rglob("*"))) == (before, names)


def test_a_name_that_another_worker_is_still_writing_to_is_not_trusted(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    body = os.urandom(100_000)
    real = store_objects.write_all
    late: list[store_objects.Stored] = []
    with Store.open(str(archive.root)) as first, Store.open(str(archive.root)) as second:

        def interrupted(descriptor: int, data: t.Any) -> None:
            monkeypatch.setattr(store_objects, "write_all", real)
            real(descriptor, data[:1000])
            late.append(second.put(body, 1))
            assert second.read(late[0].digest) == body
            real(descriptor, data[1000:])

        monkeypatch.setattr(store_objects, "write_all", interrupted)
        stored = first.put(body, 1)
        assert first.read(stored.digest) == body
        assert (stored.created, late[0].created) == (True, False)
        assert first.damaged == second.damaged == []


def test_a_worker_without_room_leaves_the_object_of_another_alone(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    body = os.urandom(100_000)
    real = store_objects.write_all
    with Store.open(str(archive.root)) as first, Store.open(str(archive.root)) as second:

        def interrupted(descriptor: int, data: t.Any) -> None:
            monkeypatch.setattr(store_objects, "write_all", real)
            real(descriptor, data[:1000])
            second.put(body, 1)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(store_objects, "write_all", interrupted)
        with pytest.raises(StoreError):
            first.put(body, 1)
        assert second.read(hashlib.sha256(body).digest()) == body
