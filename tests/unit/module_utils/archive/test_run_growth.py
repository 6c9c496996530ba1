# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker processes begin when there is work for them: one per core at once, more only while the processors are idle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_growth import (
    LOOK_SECONDS,
    MOST_PER_CORE,
    Growth,
    processor_times,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import Hand, WorkerPool
from tests.unit.module_utils.archive.engine_fake import MULTIPLE, Archive, FakeServers, mail


class Machine:
    """Processors of which a part is idle, and a clock that goes on a little with every look."""

    def __init__(self, idle: int) -> None:
        self.idle = idle
        self.now = 1000.0
        self.looks = 0

    def clock(self) -> float:
        self.now += 1.5 * LOOK_SECONDS
        return self.now

    def times(self) -> tuple[int, int]:
        self.looks += 1
        return self.looks * self.idle, self.looks * 100


def asked(growth: Growth, count: int) -> list[bool]:
    return [growth.allows(count) for _ in range(4)]


@pytest.mark.parametrize(("idle", "grows"), [(0, False), (29, False), (60, True), (100, True)])
def test_beyond_the_base_only_idle_processors_let_it_grow(idle: int, grows: bool) -> None:
    machine = Machine(idle)
    growth = Growth(2, 8, machine.times, machine.clock)
    assert asked(growth, 1) == [True] * 4
    assert asked(growth, 2) == [False, *[grows] * 3]  # the first look has nothing to compare with
    assert asked(growth, 8) == [False] * 4


def test_one_look_allows_one_process_and_an_old_look_none() -> None:
    machine = Machine(100)
    growth = Growth(1, 8, machine.times, lambda: machine.now)
    growth.allows(1)
    machine.now += 1.5 * LOOK_SECONDS
    assert [growth.allows(1), growth.allows(2)] == [True, False]
    machine.now += 100 * LOOK_SECONDS
    assert not growth.allows(2)


def test_a_kernel_that_tells_nothing_lets_nothing_grow() -> None:
    machine = Machine(0)
    assert asked(Growth(1, 4, lambda: (0, 0), machine.clock), 1) == [False] * 4
    idle, total = processor_times()
    assert 0 < idle <= total


def test_processes_and_connections_are_upper_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    limits = {(0, 0): (2, 2 * MOST_PER_CORE), (0, 5): (2, 5), (0, 1): (1, 1), (3, 0): (3, 3), (3, 2): (2, 2)}
    found = {given: Growth.of(*given) for given in limits}
    assert {given: (growth.base, growth.most) for given, growth in found.items()} == limits


def test_a_run_without_work_begins_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    grow = WorkerPool.grow

    def counted(pool: WorkerPool) -> Hand:
        hand = grow(pool)
        begun.append(hand.pid)
        return hand

    monkeypatch.setattr(WorkerPool, "grow", counted)
    archive = Archive(tmp_path / "archive", FakeServers(tmp_path / "imap.log"))
    archive.user("alice@example.com")
    archive.servers.folder("mail1", "alice@example.com").add(mail(1))
    archive.profiles = [MULTIPLE]
    assert archive.run().placements == 1
    assert len(begun) == 1
    archive.run()
    assert len(begun) == 1
