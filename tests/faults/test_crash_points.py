# SPDX-License-Identifier: GPL-3.0-or-later
"""The dense run is killed at every call that changes the disk, the catalog or the server; a plain re-run completes the archive.

The calls are counted by calls.c in the run's processes, and for comparison by strace around a run without it. A call at which the
run is killed does not happen any more, so point N is the state after N-1 calls. Where call N-1 changes nothing that outlives the
process (a statement to the catalog, whose writes are calls of their own, or a sync) or asks the server for something that changes
no mailbox, point N leaves the same as point N-1 (the run is the same call by call, which is a test as well): it is killed there
too, and completed at point N-1.
"""

from __future__ import annotations

import typing as t
from collections import Counter

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from tests.faults.calls import Action, Record
from tests.faults.crash_bench import KILLED, Bench
from tests.faults.power_check import CHANGING

ARCHIVING = {State.ARCHIVED, State.COPY, State.LEFT}


def by_name(run: list[Record]) -> Counter[str]:
    return Counter(record.name for record in run)


def test_the_run_is_dense(run: list[Record], undisturbed: dict[str, t.Any]) -> None:
    deletes = any(row[4] == State.DELETED for row in undisturbed["messages"])
    names = by_name(run)
    least = {"write": 35, "openat": 35, "link": 35, "mkdir": 20, "syncfs": 3, "fdatasync": 10, "pwrite64": 50, "rename": 1}
    assert {name: count for name, count in least.items() if names[name] < count} == {}
    assert sum(record.path.startswith("socket:") for record in run) > 40
    assert len(undisturbed["messages"]) == 40
    assert {row[4] for row in undisturbed["messages"]} == ({State.DELETED, State.LEFT} if deletes else ARCHIVING)
    assert len(undisturbed["receipts"]) == (39 if deletes else 0)
    assert any("staging" in record.path and record.name == "link" for record in run)


def test_two_runs_are_the_same_call_by_call(place: Bench, run: list[Record]) -> None:
    place.fresh()
    again = [record for record in place.recorded() if record.number]
    assert [record.name for record in again] == [record.name for record in run]


def test_strace_counts_the_same_calls(place: Bench, run: list[Record]) -> None:
    place.fresh()
    counted, statements = place.straced()
    counted["statement"] = statements
    assert counted == by_name(run)


@pytest.fixture(scope="module")
def asking(place: Bench) -> set[int]:
    """The calls that send a server what changes no mailbox."""
    place.fresh()
    said, found = "", set()
    for record in place.recorded():
        if record.number == 0:
            said = record.path
        elif record.path.startswith("socket:") and not CHANGING.match(said):
            found.add(record.number)
    return found


def changes_nothing(record: Record) -> bool:
    """Whether a killed process leaves the same behind with this call and without it."""
    return record.name in ("statement", "fsync", "fdatasync", "syncfs") or record.result < 0


def test_of_what_is_sent_most_changes_nothing(run: list[Record], asking: set[int]) -> None:
    sends = [record for record in run if record.path.startswith("socket:")]
    assert asking <= {record.number for record in sends}
    assert 3 <= len(sends) - len(asking) <= 30


@pytest.mark.timeout(1200)
@pytest.mark.fault("crash")
def test_killed_at_every_call_a_plain_run_completes_the_archive(
    place: Bench, run: list[Record], asking: set[int], undisturbed: dict[str, t.Any], fault_points: t.Callable[[int], None]
) -> None:
    wrong = []
    before: Record | None = None
    mailboxes = place.full
    for record in run:
        place.fresh()
        answer = place.run(target=record.number, action=Action.KILL)
        assert (answer.status, answer.count) == (KILLED, record.number)
        before, last = record, before
        mailboxes, then = place.server.state.snapshot(), mailboxes
        if last is not None and (changes_nothing(last) or (last.number in asking and mailboxes == then)):
            continue  # the same is left behind as at the point before, where the archive was completed
        try:
            assert place.complete() == undisturbed
        except AssertionError as error:
            wrong.append((record.number, record.name, record.path, str(error)[:2000]))
    assert not wrong, f"{len(wrong)} of {len(run)}: {wrong[:3]}"
    fault_points(len(run))
