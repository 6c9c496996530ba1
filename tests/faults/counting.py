# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the fault cases that passed into build/faults.json; a pytest plugin, which sees the results of all xdist workers.

@pytest.mark.fault("hostile")  # one case
@pytest.mark.fault("disk", 12)  # a test that goes through twelve
@pytest.mark.fault("crash")  # as many as are enumerated while it runs: fault_points(2410)
"""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from pathlib import Path

import pytest

KINDS = ("hostile", "crash", "power", "disk", "server", "deletion")
FILE = Path(__file__).parents[2] / "build" / "faults.json"
PROPERTY = "fault_points"


class Count:
    """What was told about the tests of this session. The workers of xdist have one too, and write nothing."""

    def __init__(self) -> None:
        self.tests: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a report, of the test itself or of a set-up that failed."""
        told = [value for name, value in report.user_properties if name == PROPERTY]
        if not told or (report.when != "call" and not report.failed):
            return
        kind, points = t.cast("tuple[str, int]", told[-1])
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.passed:
            self.tests[kind] += 1
            self.points[kind] += points

    def as_data(self) -> dict[str, t.Any]:
        kinds = {kind: {"tests": self.tests[kind], "points": self.points[kind]} for kind in KINDS if self.tests[kind]}
        return {"kinds": kinds, "points": self.points.total(), "failed": sorted(set(self.failed))}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file when this session had fault cases; it tells of the last such session alone."""
        if hasattr(session.config, "workerinput") or not (self.tests or self.failed):
            return
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(self.as_data(), indent=2) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        kinds = self.as_data()["kinds"]
        if kinds:
            told = ", ".join(f"{kind} {numbers['points']:,} in {numbers['tests']:,} tests" for kind, numbers in kinds.items())
            terminalreporter.write_line(f"fault cases: {told}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"fault(kind, points=1): a fault case, counted; kinds: {', '.join(KINDS)}")
    config.pluginmanager.register(Count(), "fault-count")


def pytest_itemcollected(item: pytest.Item) -> None:
    mark = item.get_closest_marker("fault")
    if mark is None:
        return
    kind, points = (*mark.args, 1)[:2]
    if kind not in KINDS:
        raise pytest.UsageError(f"{item.nodeid}: {kind} is no kind of fault; there are {', '.join(KINDS)}")
    item.user_properties.append((PROPERTY, (kind, points)))


@pytest.fixture
def fault_points(request: pytest.FixtureRequest) -> t.Callable[[int], None]:
    """Say how many points the test went through, where they are enumerated while it runs; the last call counts."""
    kind = next(value for name, value in request.node.user_properties if name == PROPERTY)[0]
    return lambda points: request.node.user_properties.append((PROPERTY, (kind, points)))
