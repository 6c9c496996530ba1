# SPDX-License-Identifier: GPL-3.0-or-later
"""The dense run that the suites disturb."""

from __future__ import annotations

import typing as t

import pytest

from tests.faults.calls import Record
from tests.faults.crash_bench import Bench, bench


@pytest.fixture(scope="module")
def place() -> t.Iterator[Bench]:
    with bench() as made:
        yield made


@pytest.fixture(scope="module")
def run(place: Bench) -> list[Record]:
    """The calls of an undisturbed run."""
    place.fresh()
    return [record for record in place.recorded() if record.number]


@pytest.fixture(scope="module")
def undisturbed(place: Bench) -> dict[str, t.Any]:
    place.fresh()
    place.complete()
    return place.complete()
