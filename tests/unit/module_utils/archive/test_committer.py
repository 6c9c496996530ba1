# SPDX-License-Identifier: GPL-3.0-or-later
"""The single writer: order of sync and commit, one sync for everything that waits, copies proven by their bytes."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import MessageRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import Committer, Origin
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence import Evidence
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Decision, Target
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Item, Parcel
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from tests.unit.module_utils.archive.engine_fake import mail

TRACE = "Received: from gw by mail1; Sat, 1 Jan 2022 00:00:00 +0000\r\n"


class Bench:
    """A committer with its store and catalog, and the names of the checkpoints that it passed."""

    def __init__(self, root: Path) -> None:
        self.store = Store.create(str(root))
        self.catalog = Catalog.open(str(root / "catalog.sqlite3"))
        self.user = self.catalog.ensure_user("alice", origin="profile").id
        self.passed: list[str] = []
        self.evidence = Evidence(self.store, self.catalog)
        self.committer = Committer(self.store, self.catalog, self.evidence, 1, self.passed.append)

    def origin(self, kind: str = "mailbox", folder: str = "INBOX") -> Origin:
        source = self.catalog.source_folder("mail1", "alice", folder)
        return Origin(source.id, 1, kind, "mail1/alice", f"user:{self.user}")

    def parcel(self, *messages: bytes, folder: str = "INBOX", first: int = 1) -> Parcel:
        parcel = Parcel()
        decision = Decision((Target(self.user, ("alice", folder)),), State.ARCHIVED)
        for uid, message in enumerate(messages, first):
            parcel.items.append(Item(uid, len(message), 1_700_000_000, "S", self.store.put(message, 1_700_000_000), decision))
        parcel.written = self.store.take_written()
        return parcel

    def states(self, origin: Origin) -> dict[int, State]:
        return self.catalog.states(origin.folder_id, 1)

    def tree(self) -> list[str]:
        return sorted(str(path.relative_to(self.store.root)) for path in Path(self.store.root).glob("mail/**/cur/*"))

    def close(self) -> None:
        self.evidence.close()
        self.catalog.close()
        self.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "archive")
    yield made
    made.close()


def test_nothing_reaches_the_catalog_when_the_sync_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = bench.origin()
    bench.committer.take(origin, bench.parcel(mail(1)))

    def refuse(_written: t.Any) -> None:
        raise StoreError("disk", "Input/output error", "Check the disk")

    monkeypatch.setattr(bench.store, "sync", refuse)
    with pytest.raises(StoreError):
        bench.committer.commit()
    assert bench.states(origin) == {}
    assert bench.catalog.totals().placements == 0


def test_all_that_waits_shares_one_sync_and_one_transaction(bench: Bench) -> None:
    bench.committer.take(bench.origin(), bench.parcel(mail(1)))
    bench.committer.take(bench.origin(folder="Two"), bench.parcel(mail(2), folder="Two"))
    bench.committer.record(bench.origin(), [MessageRow(9, State.VANISHED)])
    bench.committer.commit()
    assert bench.passed == ["placed", "synced", "committed"]
    bench.committer.commit()
    assert bench.passed == ["placed", "synced", "committed"]


def test_rows_without_files_need_no_sync(bench: Bench) -> None:
    bench.committer.record(bench.origin(), [MessageRow(9, State.VANISHED)])
    bench.committer.commit()
    assert bench.passed == ["committed"]


def test_duplicates_in_what_waits_are_seen_before_anything_is_committed(bench: Bench) -> None:
    origin = bench.origin()
    bench.committer.take(origin, bench.parcel(mail(1)))
    bench.committer.take(origin, bench.parcel(mail(1), mail(1, top=TRACE), first=2))
    bench.committer.commit()
    assert bench.states(origin) == {1: State.ARCHIVED, 2: State.ARCHIVED, 3: State.COPY}
    assert len(bench.tree()) == 1
    assert bench.committer.totals.placements == 1
    assert bench.committer.totals.objects == 2


@pytest.mark.parametrize(
    ("first", "second", "same_folder", "state"),
    [
        ("mailbox", "mailbox", True, State.COPY),
        ("mailbox", "mailbox", False, State.ARCHIVED),
        ("mailbox", "multidrop", False, State.COPY),
        ("multidrop", "mailbox", False, State.COPY),
        ("multidrop", "multidrop", False, State.COPY),
    ],
)
def test_where_a_copy_counts(bench: Bench, first: str, second: str, same_folder: bool, state: State) -> None:
    bench.committer.take(bench.origin(first), bench.parcel(mail(1)))
    bench.committer.commit()
    other = bench.origin(second, "Other")
    bench.committer.take(other, bench.parcel(mail(1, top=TRACE), folder="INBOX" if same_folder else "Projects"))
    bench.committer.commit()
    assert bench.states(other) == {1: state}


def test_an_equal_key_is_no_proof(bench: Bench) -> None:
    origin = bench.origin()
    one, two = bench.parcel(mail(1)), bench.parcel(mail(2), first=2)
    stored, key = two.items[0].stored, one.items[0].stored
    assert stored and key
    two.items[0] = two.items[0]._replace(stored=stored._replace(copy_key=key.copy_key))
    bench.committer.take(origin, one)
    bench.committer.take(origin, two)
    bench.committer.commit()
    assert bench.states(origin) == {1: State.ARCHIVED, 2: State.ARCHIVED}
    assert len(bench.tree()) == 2


def test_failures_count_their_attempts_and_gone_messages_have_a_row(bench: Bench) -> None:
    origin = bench.origin()
    for _ in range(3):
        bench.committer.take(origin, Parcel(failed=[(5, "NO " + "x" * 1000)], gone=[6]))
        bench.committer.commit()
    (row,) = bench.catalog.open_messages(origin.folder_id)
    assert (row.state, row.attempts) == (State.FAILED, 3)
    assert len(row.reason) == 500
    assert bench.states(origin)[6] is State.VANISHED
