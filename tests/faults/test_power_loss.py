# SPDX-License-Identifier: GPL-3.0-or-later
"""After a power loss at any sync of a run nothing is lost that was committed, and a plain run completes the archive.

Recorded are the making of the archive and the dense run: once with syncfs; twice file by file, killed before and at a commit and
run again, so that the repair is in it. power.py tells which states of the disk are made of that, power_check.py what must be true
in each.
"""

from __future__ import annotations

import ast
import typing as t
from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive import store
from tests.faults import power, power_syncs
from tests.faults.crash_bench import Bench, bench
from tests.faults.power_check import LossError, Recording

ARCHIVE = Path(store.__file__).parent
# The functions that sync, and how often they call os.fsync, syncfs or sync_path. All have a name in power_syncs but three:
# "check" is shown by tests/unit/module_utils/archive/test_store_clock.py, "_write_and_sync" only tries whether a file system can,
# and "__init__" (store_reread.py) writes out what it then has the kernel forget.
SITES = {
    "sync_path": 1,
    "_sync_path": 1,
    "write_durably": 2,
    "create": 2,
    "sync": 1,
    "check": 1,
    "_write_and_sync": 1,
    "__init__": 1,
}


# No part of a run: proofs, backups, repairs, rebuilds, exports, restores and access have tests of their own.
NOT_OF_A_RUN = {
    "access_state.py",
    "export_manifest.py",
    "export_write.py",
    "proof_files.py",
    "rebuild_catalog.py",
    "repair_files.py",
    "report_module.py",
    "restore_journal.py",
    "snapshot.py",
}
# Ways to lose that show a missing sync soon.
FIRST = ("all but the catalog", "all data", "all entries but the root's own", "all new entries", "everything")


@pytest.fixture(scope="module")
def place() -> t.Iterator[Bench]:
    with bench() as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(place: Bench) -> dict[str, t.Any]:
    place.fresh()
    place.complete()
    return place.complete()


def lossy(recording: Recording, losses: t.Iterable[power.Loss]) -> list[str]:
    wrong = []
    for loss in losses:
        try:
            recording.check(loss)
        except LossError as error:
            wrong.append(str(error))
    return wrong


@pytest.mark.timeout(900)
@pytest.mark.fault("power")
@pytest.mark.parametrize("killed", ["", "synced", "committed"])
def test_no_state_after_a_power_loss_loses_anything(
    place: Bench, undisturbed: dict[str, t.Any], fault_points: t.Callable[[int], None], killed: str
) -> None:
    recording = Recording.make(place, undisturbed, pool=bool(killed), killed=killed)
    wrong = lossy(recording, recording.losses(singles=not killed))
    assert not wrong, f"{len(wrong)} of {recording.states}: {wrong[:3]}"
    assert recording.states > 500 and recording.runs > 10
    fault_points(recording.states)


@pytest.mark.timeout(900)
@pytest.mark.fault("power")
@pytest.mark.parametrize("name", power_syncs.NAMES)
def test_without_one_sync_something_is_lost(place: Bench, undisturbed: dict[str, t.Any], name: str) -> None:
    killed = "" if name == power_syncs.SYNCFS else "synced"
    recording = Recording.make(place, undisturbed, pool=bool(killed), killed=killed, without=name)
    order = {how: number for number, how in enumerate(FIRST)}
    losses = sorted(recording.losses(singles=False), key=lambda loss: order.get(loss.how, len(order)))
    found = next((one for loss in losses if (one := lossy(recording, [loss]))), None)
    print(f"without {name}: {found}")  # noqa: T201  seen with -s
    assert found


def test_every_sync_has_a_name() -> None:
    found: Counter[str] = Counter()
    files = {file.name: file for file in ARCHIVE.glob("*.py")}
    assert files.keys() >= NOT_OF_A_RUN
    for file in (file for name, file in files.items() if name not in NOT_OF_A_RUN):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                found[function.name] += sum(map(is_sync, ast.walk(function)))
    assert +found == SITES


def is_sync(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("fsync", "fdatasync", "_syncfs", "sync_path", "sync_file_range")
