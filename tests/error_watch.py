# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads every error that the code makes while a test runs, as an operator would, and fails the test when it says too little.

It also checks the list of tests that provoke an error (tests/unit/errors/provoked.txt): once all cases of a test on it have run,
each place that the test is listed for has made its error.
"""

from __future__ import annotations

import re
import sys
import typing as t
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from tests.unit.errors.rules import SHOWN, faults

PROVOKED = Path(__file__).with_name("unit") / "errors" / "provoked.txt"
OUTSIDE = "elsewhere: "
DEEPEST = 6  # frames from the error up to the last function that can have made it
_TREE = re.compile(r".*/(module_utils|library|action_plugins|plugins/modules|plugins/action)/(.+\.py)$")
_FOLDERS = {"plugins/modules": "library", "plugins/action": "action_plugins"}

Place = tuple[str, str]


def listed() -> dict[str, str]:
    """The test that provokes each place, by the place's key."""
    lines = PROVOKED.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" | ") for line in lines if line and not line.startswith("#"))


def place_of(key: str) -> Place:
    """File and function of a key; functions of one file and name are not told apart."""
    path, function = key.split()[:2]
    return path, function


def _place(code: t.Any) -> Place | None:
    found = _TREE.match(code.co_filename)
    if found is None or "/tests/" in code.co_filename:
        return None
    return f"{_FOLDERS.get(found[1], found[1])}/{found[2]}", code.co_qualname.replace(".<locals>", "")


class Watch:
    """What errors were made in the test that runs, and by which places in those before."""

    def __init__(self) -> None:
        self._faults: list[str] = []
        self._made: dict[str, set[Place]] = defaultdict(set)
        self._due: dict[str, set[Place]] = defaultdict(set)
        self._cases: Counter[str] = Counter()
        self._test = ""
        for key, test in listed().items():
            if not test.startswith(OUTSIDE):
                self._due[test].add(place_of(key))

    def note(self, error: ArchiveToolError) -> None:
        """Called with each error that is made."""
        frame: t.Any = sys._getframe(2)
        first = _place(frame.f_code)
        if first is None:
            return
        # What a server repeats of a login is taken out further up; tests/secrets_sweep.py looks at what comes out in the end.
        found = [fault for fault in faults(error.subject, error.cause, error.remedy) if fault != SHOWN]
        self._faults += [f"{first[0]}, {first[1]}: {fault}: {error}" for fault in found]
        if self._test in self._due:
            for _ in range(DEEPEST):
                place = _place(frame.f_code) if frame else None
                if place is None:
                    break
                self._made[self._test].add(place)
                frame = frame.f_back

    @pytest.hookimpl(trylast=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self._cases[item.nodeid.split("[")[0]] += 1

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> t.Generator[None]:
        """Fail the test whose errors an operator could not use, or that does not provoke what it is listed for."""
        self._test = item.nodeid.split("[")[0]
        self._faults.clear()
        yield
        by_chance = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        # Words that chance has put together are not ours.
        if self._faults and not by_chance:
            pytest.fail("\n".join(self._faults), pytrace=False)
        if by_chance and self._test in self._due:
            pytest.fail(f"{PROVOKED.name} names this test, whose examples chance draws: name one that makes the error each time")
        self._cases[self._test] -= 1
        missing = self._due[self._test] - self._made[self._test] if self._test in self._due else set()
        if not self._cases[self._test] and missing:
            pytest.fail(f"{PROVOKED.name} says that this test makes the errors of {sorted(missing)}", pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    watch = Watch()
    config.pluginmanager.register(watch, "error-watch")
    made = ArchiveToolError.__init__

    def watched(error: ArchiveToolError, subject: str, cause: str, remedy: str, **details: t.Any) -> None:
        made(error, subject, cause, remedy, **details)
        watch.note(error)

    ArchiveToolError.__init__ = watched  # type: ignore[method-assign]  # every error is made by it
