# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a server sends, the processes of a run stay small: a message of any size, and answers without an end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.faults.raw_run import ALICE, BOB

BOUND = 150 * 1024  # KiB
REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.fault("hostile")


def measured(module: str, *arguments: str | Path) -> dict[str, t.Any]:
    """What the program says of its run."""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "collections")])
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return t.cast("dict[str, t.Any]", json.loads(done.stdout))


def test_a_message_of_300_mb_stays_out_of_memory(tmp_path: Path) -> None:
    result = measured("tests.faults.memory_run", tmp_path / "archive")
    assert result["placed"] == 2
    assert {"stored", "placed", "committed"} <= result["peaks"].keys()
    assert max(result["peaks"].values()) < BOUND


# verb -> what is said half a million times
FLOODS = {
    "LIST": '* LIST () "/" "f"',
    "STATUS": "* OK [ALERT] the disk of the server is nearly full, please delete what you do not need",
    "EXAMINE": "* OK [ALERT] the disk of the server is nearly full, please delete what you do not need",
    "UID SEARCH": "* SEARCH 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30",
    "UID FETCH": "* 4 FETCH (UID 400 FLAGS (\\Seen) RFC822.SIZE 12345)",
}
# of five messages in the folder of the flood and five in another
PLACED = {"LIST": 0, "STATUS": 0, "UID FETCH": 9}


@pytest.mark.parametrize("verb", FLOODS)
def test_a_flood_of_untagged_answers_is_ended_in_bounded_memory(tmp_path: Path, verb: str) -> None:
    result = measured("tests.faults.flood_run", tmp_path / "archive", verb, FLOODS[verb], "500000")
    assert max(result["peaks"].values()) < BOUND
    assert result["placed"] == {ALICE: PLACED.get(verb, 5), BOB: 1}
    assert result["where"] == [f"mail1 {ALICE}" + (" INBOX" if PLACED.get(verb, 5) else "")]
    assert "but not what it was asked for" in result["told"]
