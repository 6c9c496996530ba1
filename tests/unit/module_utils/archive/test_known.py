# SPDX-License-Identifier: GPL-3.0-or-later
"""What the committer knows of placements without a question for each."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import Batch, PlacementRow, UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.known import Known
from ansible_collections.mailops.kerio.plugins.module_utils.archive.process_memory import rare_collections


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def row(folder: UserFolder, number: int, same: int = 0) -> PlacementRow:
    return PlacementRow(folder.id, digest(number), folder.user_id, 1, 2, 3, "S", key(same or number), "mailbox:mail1/a")


class Place:
    """A catalog with two users; every statement is written down."""

    def __init__(self, path: Path) -> None:
        self.catalog = Catalog.open(str(path))
        users = [self.catalog.ensure_user(name, origin="test") for name in ("ann", "bob")]
        self.ann, self.bob = (self.catalog.user_folder(user.id, ("INBOX",)) for user in users)
        self.other = self.catalog.user_folder(users[0].id, ("Other",))
        self.source = self.catalog.source_folder("mail1", "ann", "INBOX")
        self.run = self.catalog.begin_run({})
        self.statements: list[str] = []
        self.catalog._db.set_trace_callback(self.statements.append)

    def commit(self, *rows: PlacementRow) -> None:
        self.catalog.commit([Batch(self.source.id, 1, self.run, placements=list(rows))])
        self.statements.clear()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "catalog.sqlite3")
    yield made
    made.catalog.close()


def test_thousands_of_messages_cost_a_handful_of_statements(place: Place) -> None:
    place.commit(*(row(place.ann, number) for number in range(1, 2001, 2)))
    known = Known(place.catalog)
    known.ask((place.ann, digest(number), key(number)) for number in range(1, 2001))
    found = [number for number in range(1, 2001) if known.placed(place.ann.id, digest(number))]
    assert found == list(range(1, 2001, 2))
    copies = [known.copies(place.ann.user_id, key(number)) for number in range(1, 2001)]
    assert [bool(some) for some in copies] == [number % 2 == 1 for number in range(1, 2001)]
    assert 0 < len(place.statements) <= 8


def test_answers_are_those_of_each_folder_and_each_user(place: Place) -> None:
    place.commit(row(place.ann, 1), row(place.other, 2, same=1), row(place.bob, 3, same=1))
    for asked in (True, False):
        known = Known(place.catalog)
        if asked:
            known.ask((folder, digest(number), key(1)) for folder in (place.ann, place.other, place.bob) for number in (1, 2, 3))
        folders = {"ann": place.ann, "other": place.other, "bob": place.bob}
        placed = {
            (name, number) for name, folder in folders.items() for number in (1, 2, 3) if known.placed(folder.id, digest(number))
        }
        assert placed == {("ann", 1), ("other", 2), ("bob", 3)}
        assert {one.digest for one in known.copies(place.ann.user_id, key(1))} == {digest(1), digest(2)}
        assert {one.digest for one in known.copies(place.bob.user_id, key(1))} == {digest(3)}
        assert list(known.copies(place.bob.user_id, key(2))) == []


def test_what_waits_counts_beside_what_the_catalog_has(place: Place) -> None:
    place.commit(row(place.other, 2, same=1))
    known = Known(place.catalog)
    known.add(row(place.ann, 1))
    known.ask([(place.ann, digest(1), key(1)), (place.ann, digest(4), key(4))])
    assert known.placed(place.ann.id, digest(1))
    assert not known.placed(place.ann.id, digest(4))
    assert {one.digest for one in known.copies(place.ann.user_id, key(1))} == {digest(1), digest(2)}
    known.ask([(place.ann, digest(1), key(1))])
    assert len(known.copies(place.ann.user_id, key(1))) == 2


def test_after_a_commit_the_catalog_is_asked_again(place: Place) -> None:
    known = Known(place.catalog)
    known.ask([(place.ann, digest(1), key(1))])
    known.add(row(place.ann, 9))
    known.forget()
    place.commit(row(place.ann, 1))
    assert known.placed(place.ann.id, digest(1))
    assert [one.digest for one in known.copies(place.ann.user_id, key(1))] == [digest(1)]
    assert not known.placed(place.ann.id, digest(9))
    assert list(known.copies(place.ann.user_id, key(9))) == []


def test_the_collector_is_as_before_after_a_run_that_failed() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(ZeroDivisionError), rare_collections():
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > frozen
        _ = 1 / 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, frozen)
