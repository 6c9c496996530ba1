# SPDX-License-Identifier: GPL-3.0-or-later
"""At a sample of the crash points calls fail: a full disk, a read-only one, a disk that errs, a lost connection, a restart.

The run goes on or ends with one sentence that names object, cause and remedy, and a plain run completes the archive.
"""

from __future__ import annotations

import errno
import random
import re
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from tests.faults.calls import Action, Record
from tests.faults.crash_bench import Answer, Bench
from tests.faults.imap_script import Command

POINTS = 40
SEED = 2024


@dataclass(frozen=True)
class Fault:
    """``kinds``: the calls that may fail with ``code``; ``words`` are in the sentence; ``goes_on``: there may be none."""

    action: Action
    code: int
    kinds: str
    words: str
    goes_on: bool = False


SYNCS = "fsync fdatasync syncfs"
NO_ROOM = "No space left on device|database or disk is full|disk I/O error|Make room"
GROWING = "write pwrite64 openat mkdir link ftruncate"
FAULTS = {
    "no room": Fault(Action.FAIL_ON, errno.ENOSPC, GROWING, NO_ROOM),
    "read-only": Fault(
        Action.FAIL_ON,
        errno.EROFS,
        f"{GROWING} unlink rename utimensat fchmod fchown",
        "Read-only file system|disk I/O error|unable to open database file|readonly database",
    ),
    "a sync fails": Fault(Action.FAIL_ONCE, errno.EIO, SYNCS, "Input/output error|disk I/O error"),
    "every sync fails": Fault(Action.FAIL_ON, errno.EIO, SYNCS, "Input/output error|disk I/O error"),
    "connection lost": Fault(Action.HANG_UP, 0, "imap", "connection broke|closed the connection|handshake failed", goes_on=True),
}
SENTENCE = re.compile(r"(Store|Catalog|Network|Protocol|Job)\w*Error: [^\n]+: [^\n]+\. [A-Z][^\n]+\.")


def sample(run: list[Record], kinds: str) -> list[int]:
    """Spread points at which such a call is still to come."""
    chosen = set(kinds.split())
    possible = [
        one.number for one in run if ("imap" if one.path.startswith("socket:") else one.name) in chosen and not heedless(one)
    ]
    step = max(1, len(possible) // POINTS)
    chance = random.Random(SEED)
    return [chance.choice(possible[first : first + step]) for first in range(0, len(possible), step)][:POINTS]


def same(state: dict[str, t.Any], undisturbed: dict[str, t.Any], fault: Fault) -> bool:
    return without_ways(state) == without_ways(undisturbed) if fault.action is Action.HANG_UP else state == undisturbed


def without_ways(state: dict[str, t.Any]) -> dict[str, t.Any]:
    """What must be the same also when a mailbox could not be read at first: then the archive mailbox's copy of a message
    is filed in its owner's folder, and the mailbox's own is the copy that is not.
    """
    messages = [(*row[:4], *row[5:]) for row in state["messages"]]
    receipts = state["receipts"]
    return {"messages": messages, "receipts": receipts, **{key: state[key] for key in ("objects", "placed", "folders", "server")}}


def heedless(record: Record) -> bool:
    """SQLite syncs the directory of a new WAL and does not look at the result; all that we sync there goes by fsync."""
    return record.name == "fdatasync" and not record.path.endswith(("-wal", layout.CATALOG_FILE))


def last_commit(run: list[Record]) -> int:
    """The call that makes the last commit durable; what follows only tidies up."""
    statement = max(record.number for record in run if record.name == "statement" and record.path.startswith("COMMIT"))
    return next(record.number for record in run if record.number > statement and record.name == "fdatasync")


def ended_well(answer: Answer, fault: Fault, *, late: bool) -> None:
    """The run's process ended by itself, with one sentence. ``late``: everything was committed, so there need not be one."""
    assert answer.status == 0, answer
    assert answer.failed > 0, answer
    if not answer.told:
        assert fault.goes_on or late, answer
        return
    assert re.search(fault.words, answer.told), answer
    assert "Traceback" not in answer.told
    assert fault.goes_on or SENTENCE.fullmatch(answer.told), answer


@pytest.mark.timeout(600)
@pytest.mark.fault("disk")
@pytest.mark.parametrize("name", FAULTS)
def test_a_call_that_fails_costs_one_sentence_and_another_run(
    place: Bench, run: list[Record], undisturbed: dict[str, t.Any], fault_points: t.Callable[[int], None], name: str
) -> None:
    fault = FAULTS[name]
    points = sample(run, fault.kinds)
    committed = last_commit(run)
    wrong = []
    for number in points:
        place.fresh()
        answer = place.run(target=number, action=fault.action, code=fault.code, kinds=fault.kinds)
        try:
            ended_well(answer, fault, late=number > committed)
            assert same(place.complete(), undisturbed, fault)
        except AssertionError as error:
            wrong.append((number, run[number - 1].name, run[number - 1].path, answer, str(error)[:1500]))
    assert not wrong, f"{len(wrong)} of {len(points)}: {wrong[:3]}"
    fault_points(len(points))


@pytest.mark.timeout(600)
@pytest.mark.fault("server")
def test_a_server_that_restarts_costs_another_run_at_most(
    place: Bench, undisturbed: dict[str, t.Any], fault_points: t.Callable[[int], None]
) -> None:
    place.fresh()
    place.run()
    commands = len(place.server.log)
    for number in range(1, commands + 1):
        place.fresh()
        place.server.script.on("*", restarting(place), nth=number, times=1)
        answer = place.run()
        place.server.script.clear()
        assert answer.status == 0 and "Traceback" not in answer.told, answer
        assert without_ways(place.complete()) == without_ways(undisturbed), number
    fault_points(commands)


def restarting(place: Bench) -> t.Callable[[Command], list[t.Any]]:
    """All connections end, and the next ones are new to the server."""

    def restart(_command: Command) -> list[t.Any]:
        place.server.break_connections()
        return []

    return restart
