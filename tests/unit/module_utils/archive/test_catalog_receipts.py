# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts and the queries of deletion."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import schema
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Batch, MessageRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State

DIGEST = b"\x07" * 32
LONG_AGO = 1_000_000


@pytest.fixture
def catalog(tmp_path: Path) -> t.Iterator[Catalog]:
    with Catalog.open(str(tmp_path / "catalog.sqlite3")) as opened:
        yield opened


def filled(catalog: Catalog, *rows: MessageRow, archived: int = LONG_AGO, uidvalidity: int = 3) -> tuple[int, int]:
    """A folder with these rows; its id and a run."""
    folder = catalog.source_folder("mail1", "alice@example.com", "INBOX").id
    run = catalog.begin_run({})
    catalog.commit([Batch(folder, uidvalidity, run, messages=list(rows))])
    with catalog.transaction():
        catalog._db.execute("UPDATE source_messages SET archived = ? WHERE uidvalidity = ?", (archived, uidvalidity))
    return folder, run


def row(uid: int, state: State = State.ARCHIVED, internaldate: int = 1000) -> MessageRow:
    return MessageRow(uid, state, DIGEST, 10, 10, internaldate)


def candidate(uid: int) -> Candidate:
    return Candidate(uid, DIGEST, 10, 1000, LONG_AGO, State.ARCHIVED)


def test_old_are_messages_that_the_archive_has_under_the_same_uidvalidity(catalog: Catalog) -> None:
    rows = [row(number, state) for number, state in enumerate(State, 1)]
    folder, _ = filled(catalog, *rows)
    filled(catalog, row(77), uidvalidity=4)
    assert [(one.uid, one.state) for one in catalog.old_messages(folder, 3, LONG_AGO)] == [
        (1, State.ARCHIVED),
        (2, State.COPY),
    ]
    assert catalog.count_old(folder, 3, LONG_AGO) == 2


@pytest.mark.parametrize(("before", "found"), [(LONG_AGO, [1]), (LONG_AGO - 1, []), (LONG_AGO + 1, [1])])
def test_old_is_what_was_archived_by_then(catalog: Catalog, before: int, found: list[int]) -> None:
    folder, _ = filled(catalog, row(1))
    assert [one.uid for one in catalog.old_messages(folder, 3, before)] == found


@pytest.mark.parametrize(("date", "found"), [(LONG_AGO, [1]), (LONG_AGO + 1, [])])
def test_old_is_what_was_received_by_then(catalog: Catalog, date: int, found: list[int]) -> None:
    folder, _ = filled(catalog, row(1, internaldate=date))
    assert [one.uid for one in catalog.old_messages(folder, 3, LONG_AGO)] == found


def test_pages_hold_every_message_once(catalog: Catalog) -> None:
    folder, _ = filled(catalog, *(row(uid) for uid in range(1, 26)))
    seen: list[int] = []
    position = (-1, -1)
    while page := catalog.old_messages(folder, 3, LONG_AGO, position, limit=10):
        seen += [one.uid for one in page]
        position = (page[-1].archived, page[-1].uid)
    assert seen == list(range(1, 26))


def test_the_query_goes_by_its_index(catalog: Catalog) -> None:
    folder, _ = filled(catalog, row(1))
    query = "EXPLAIN QUERY PLAN SELECT uid FROM source_messages WHERE folder_id = ? AND archived <= ? AND " + schema.SETTLED_ROWS  # noqa: S608 - a constant
    told = catalog.rows(query, (folder, LONG_AGO))
    assert any("source_messages_kept" in line[3] for line in told)


def test_a_planned_receipt_becomes_one_of_a_deleted_message(catalog: Catalog) -> None:
    folder, run = filled(catalog, row(1), row(2))
    catalog.plan_receipts(folder, 3, run, [(candidate(1), {"proven": 5}), (candidate(2), {"proven": 6})])
    assert catalog.folders_with_plans() == {folder}
    assert [(one.uid, one.deleted) for one in catalog.planned(folder)] == [(1, None), (2, None)]
    catalog.complete_receipts(folder, 3, run, [1], {"gone": 9})
    done, open_one = catalog.receipts(folder)
    assert (done.proof, open_one.deleted) == ({"proven": 5, "gone": 9}, None)
    assert done.deleted is not None
    assert catalog.states(folder, 3) == {1: State.DELETED, 2: State.ARCHIVED}
    assert catalog.count_receipts() == {"deleted": 1, "planned": 1}


def test_a_plan_that_was_not_carried_out_is_forgotten(catalog: Catalog) -> None:
    folder, run = filled(catalog, row(1), row(2))
    catalog.plan_receipts(folder, 3, run, [(candidate(1), {}), (candidate(2), {})])
    catalog.drop_receipts(folder, 3, run, kept=[1], vanished=[2])
    assert catalog.receipts(folder) == []
    assert catalog.states(folder, 3) == {1: State.ARCHIVED, 2: State.VANISHED}


def test_a_completed_receipt_is_not_dropped(catalog: Catalog) -> None:
    folder, run = filled(catalog, row(1))
    catalog.plan_receipts(folder, 3, run, [(candidate(1), {})])
    catalog.complete_receipts(folder, 3, run, [1], {})
    catalog.drop_receipts(folder, 3, run, kept=[1])
    assert len(catalog.receipts(folder)) == 1


def test_a_uid_that_came_back_keeps_its_former_receipt(catalog: Catalog) -> None:
    folder, run = filled(catalog, row(1))
    first = candidate(1)
    proof = {"digest": DIGEST.hex(), "size": 10}
    catalog.plan_receipts(folder, 3, run, [(first, proof)])
    catalog.complete_receipts(folder, 3, run, [1], {"gone": 1})
    (before,) = catalog.receipts(folder)
    other = first._replace(digest=b"\x08" * 32, size=11)
    catalog.plan_receipts(folder, 3, run, [(other, {"digest": "08" * 32, "size": 11})])
    (now,) = catalog.receipts(folder)
    assert (now.digest, now.deleted) == (b"\x08" * 32, None)
    assert now.proof["earlier"]["digest"] == DIGEST.hex()
    catalog.drop_receipts(folder, 3, run, kept=[1])
    (restored,) = catalog.receipts(folder)
    assert (restored.digest, restored.size, restored.deleted, restored.proof) == (DIGEST, 10, before.deleted, before.proof)


def test_a_message_to_be_read_again_is_a_failed_one(catalog: Catalog) -> None:
    folder, run = filled(catalog, row(1))
    catalog.read_again(folder, 3, run, {1: "the object is damaged"})
    (found,) = catalog.open_messages(folder)
    assert (found.state, found.reason, found.attempts, found.digest) == (State.FAILED, "the object is damaged", 1, DIGEST)


def test_a_folder_that_nothing_was_filed_in_is_not_made(catalog: Catalog) -> None:
    user = catalog.ensure_user("alice@example.com", origin="inventory").id
    assert catalog.known_folder(user, ("INBOX",)) is None
    made = catalog.user_folder(user, ("INBOX",))
    assert catalog.known_folder(user, ("INBOX",)) == made
    assert catalog.folder_dir(made.id) == made.dir
