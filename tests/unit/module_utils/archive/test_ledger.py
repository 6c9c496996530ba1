# SPDX-License-Identifier: GPL-3.0-or-later
"""States of source messages: what is due, when a folder may be skipped, and that the figures add up."""

from __future__ import annotations

import typing as t

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import (
    GONE,
    KEPT,
    OPEN,
    Accounts,
    FolderFigures,
    State,
    Tally,
    account,
    account_skipped,
    account_touched,
    compare,
    may_skip,
    tallies_after,
)

STATES = st.sampled_from(State)
ROWS = st.dictionaries(st.integers(1, 30), STATES)
UIDS = st.lists(st.integers(1, 30), unique=True)
KNOWN = FolderFigures(7, 100, 42, 9)


def test_every_state_is_kept_open_or_gone() -> None:
    assert set(State) == KEPT | OPEN | GONE


def skip(now: FolderFigures = KNOWN, **more: t.Any) -> bool:
    facts: dict[str, t.Any] = {"complete": True, "same_rules": True, "route_filed": True, "due": 0}
    return may_skip(KNOWN, now, **{**facts, **more})


def test_a_folder_is_skipped_only_when_nothing_at_all_changed() -> None:
    assert skip()
    for field in FolderFigures._fields:
        assert not skip(KNOWN._replace(**{field: 1}))
    assert not skip(KNOWN._replace(highestmodseq=None))
    for change in ({"complete": False}, {"same_rules": False}, {"route_filed": False}, {"due": 1}):
        assert not skip(**change)


def test_compare_asks_for_new_failed_reopened_and_returned_messages() -> None:
    rows = {
        1: State.ARCHIVED,
        2: State.COPY,
        3: State.FAILED,
        4: State.LEFT,
        5: State.LEFT,
        6: State.VANISHED,
        7: State.QUARANTINED,
        8: State.ARCHIVED,
        9: State.DELETED,
    }
    found = compare([1_000_000_000, 1, 2, 3, 4, 5, 6, 7], rows, reopened={5})
    assert found.new == [1_000_000_000]
    assert found.again == [3, 5, 6]
    assert found.wanted == [3, 5, 6, 1_000_000_000]
    assert found.known == 4
    assert found.vanished == [8]


@given(UIDS, ROWS, st.sets(st.integers(1, 30)))
def test_compare_gives_every_uid_one_place(uids: list[int], rows: dict[int, State], reopened: set[int]) -> None:
    found = compare(uids, rows, reopened)
    assert len(found.new) + len(found.again) + found.known == len(uids)
    assert set(found.wanted) <= set(uids)
    assert not set(found.vanished) & set(uids)
    assert found.wanted == sorted(set(found.wanted))


@given(UIDS, ROWS, ROWS)
def test_the_figures_add_up_or_the_missing_uids_are_named(
    uids: list[int], before: dict[int, State], after: dict[int, State]
) -> None:
    accounts = account(uids, before, after)
    assert accounts.missing == [uid for uid in uids if uid not in after]
    assert accounts.balanced() is not accounts.missing or not uids
    assert accounts.seen == sum(accounts.as_data().values()) - accounts.seen + len(accounts.missing)


def test_accounts_add_up_figure_by_figure() -> None:
    total = Accounts(**{name: number for number, name in enumerate(Accounts.COUNTS, 1)}, missing=[1])
    total.add(Accounts(**{name: 100 * number for number, name in enumerate(Accounts.COUNTS, 1)}, missing=[2]))
    assert total.as_data() == {name: 101 * number for number, name in enumerate(Accounts.COUNTS, 1)}
    assert total.missing == [1, 2]


def test_account_tells_new_from_known() -> None:
    before = {1: State.ARCHIVED, 2: State.COPY, 3: State.FAILED, 5: State.VANISHED}
    after = {1: State.ARCHIVED, 2: State.COPY, 3: State.ARCHIVED, 4: State.COPY, 5: State.ARCHIVED, 6: State.VANISHED}
    assert account([1, 2, 3, 4, 5, 6], before, after).as_data() == Accounts(6, new=2, copies=1, known=2, gone=1).as_data()


def test_a_skipped_folder_is_known_but_for_its_open_rows() -> None:
    accounts = account_skipped(10, {State.LEFT: 3, State.EXCLUDED: 2})
    assert (accounts.seen, accounts.known, accounts.left, accounts.excluded) == (10, 5, 3, 2)
    assert accounts.balanced()


def tallied(rows: t.Mapping[int, State]) -> dict[State, Tally]:
    return {
        state: Tally(len(uids), sum(uids))
        for state in set(rows.values())
        if (uids := [uid for uid, known in rows.items() if known is state])
    }


@given(ROWS, ROWS, UIDS)
def test_reading_back_what_was_touched_gives_the_same_accounts_as_reading_all(
    before: dict[int, State], written: dict[int, State], on_server: list[int]
) -> None:
    found = compare(on_server, before)
    now = {uid: written.get(uid, State.ARCHIVED) for uid in found.wanted} | dict.fromkeys(found.vanished, State.VANISHED)
    was = {uid: before[uid] for uid in now if uid in before}
    after = {**before, **now}
    assert tallies_after(tallied(before), was, now) == tallied(after)
    accounts = account_touched(len(on_server), tallied(before), was, now, set(found.vanished))
    assert accounts == account(on_server, before, after)


@given(ROWS, st.integers(1, 30), STATES)
def test_a_row_that_is_lost_or_another_changes_the_tallies(before: dict[int, State], uid: int, state: State) -> None:
    for change in ({known: value for known, value in before.items() if known != uid}, {**before, uid: state}):
        assert (tallied(change) == tallies_after(tallied(before), {}, {})) == (change == before)
