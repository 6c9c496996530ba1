# SPDX-License-Identifier: GPL-3.0-or-later
"""Bandwidth: how much comes through in virtual time."""

from __future__ import annotations

import random
import socket
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace, share
from ansible_collections.mailops.kerio.plugins.module_utils.imap.wire import Wire

MEGABYTE = 1_000_000


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def received(pace: Pace, time: Time, sizes: t.Iterable[int], network: float = 0.0) -> float:
    """Bytes per second of a connection that gets these pieces, ``network`` seconds each."""
    began, total = time.now, 0
    for size in sizes:
        time.now += network
        pace.took(size)
        total += size
    return total / (time.now - began)


@pytest.mark.parametrize("rate", [10_240, 500_000, 20 * MEGABYTE])
@pytest.mark.parametrize("seed", range(3))
def test_the_rate_is_kept_within_a_tenth(rate: int, seed: int) -> None:
    time, numbers = Time(), random.Random(seed)
    pace = Pace(rate, time.clock, time.sleep)
    sizes = [numbers.randint(1, pace.bite) for _ in range(3000)]
    assert received(pace, time, sizes) == pytest.approx(rate, rel=0.1)
    assert received(pace, time, sizes, network=0.01 * pace.bite / rate) == pytest.approx(rate, rel=0.1)


def test_a_slow_server_earns_no_credit() -> None:
    time = Time()
    pace = Pace(MEGABYTE, time.clock, time.sleep)
    time.now += 3600
    assert received(pace, time, [50_000] * 100) <= 1.1 * MEGABYTE
    assert received(pace, time, [50_000] * 100, network=1.0) == pytest.approx(50_000, rel=0.01)


def test_a_changed_rate_holds_from_then_on() -> None:
    time = Time()
    pace = Pace(8 * MEGABYTE, time.clock, time.sleep)
    assert received(pace, time, [pace.bite] * 200) == pytest.approx(8 * MEGABYTE, rel=0.1)
    pace.rate = 2 * MEGABYTE
    assert received(pace, time, [pace.bite] * 200) == pytest.approx(2 * MEGABYTE, rel=0.1)


def test_no_sleep_is_long() -> None:
    for rate in (10_240, MEGABYTE, 100 * MEGABYTE):
        pace = Pace(rate)
        assert pace.bite / rate <= 0.5


def test_the_connections_of_a_server_share_its_bandwidth() -> None:
    assert [share(20 * MEGABYTE, connections) * connections for connections in (1, 2, 4, 8)] == [20 * MEGABYTE] * 4
    assert share(3, 8) == 1


def test_the_wire_takes_no_more_than_the_pace_allows() -> None:
    time = Time()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours, "server")
        pace = Pace(100_000, time.clock, time.sleep)
        wire.keep_to(pace)
        theirs.sendall(b"x" * 60_000)
        began = time.now
        view = memoryview(bytearray(60_000))
        count = wire.receive_into(view)
        assert count == pace.bite
        while count < 60_000:
            count += wire.receive_into(view[count:])
        assert 60_000 / (time.now - began) == pytest.approx(100_000, rel=0.1)
