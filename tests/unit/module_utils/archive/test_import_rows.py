# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of two rows about the same message counts when an import brings one, and what becomes of the other."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_plan import says_more
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from tests.unit.module_utils.archive.engine_fake import Archive
from tests.unit.module_utils.archive.import_scene import beside, taken
from tests.unit.module_utils.archive.rebuild_small import small

__all__ = ["small"]
OPEN = (State.EXCLUDED, State.LEFT, State.FAILED, State.QUARANTINED)
# What is here -> what takes its place.
TAKES: dict[State | None, tuple[State, ...]] = {
    None: tuple(State),
    **dict.fromkeys(OPEN, (State.ARCHIVED, State.COPY, State.DELETED)),
    **dict.fromkeys((State.ARCHIVED, State.COPY, State.VANISHED), (State.DELETED,)),
    State.DELETED: (),
}


@pytest.mark.parametrize("there", TAKES)
def test_a_row_takes_the_place_of_one_that_says_less(there: State | None) -> None:
    assert TAKES.keys() == {None, *State}
    assert tuple(comes for comes in State if says_more(comes, there)) == TAKES[there]


def test_when_a_message_was_archived_stays_known_and_begins_anew_for_another_one_under_its_uid(small: Archive) -> None:
    here = beside(small)
    taken(here, small, servers=["mail1"])
    with contextlib.closing(sqlite3.connect(here.catalog_file)) as catalog, catalog:
        catalog.execute("UPDATE source_messages SET state = ?", (State.LEFT,))
        never, before, other = (
            row[0] for row in catalog.execute("SELECT digest FROM source_messages ORDER BY folder_id, uidvalidity, uid")
        )
        catalog.execute("UPDATE source_messages SET digest = NULL, archived = NULL WHERE digest = ?", (never,))
        catalog.execute("UPDATE source_messages SET archived = 7 WHERE digest IN (?, ?)", (before, other))
        catalog.execute("UPDATE source_messages SET digest = ? WHERE digest = ?", (bytes(32), other))
    taken(here, small, servers=["mail1"])
    query = "SELECT digest, state, archived FROM source_messages"
    told = {row[0]: row[1:] for row in small.rows(query)}
    told[before] = (State.ARCHIVED, 7)
    assert {row[0]: row[1:] for row in here.rows(query)} == told
