# SPDX-License-Identifier: GPL-3.0-or-later
"""The time that an answer has: a clock of the test's own, and a server that sends so many bytes every so many seconds."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import patience
from ansible_collections.mailops.kerio.plugins.module_utils.patience import LEAST_RATE, Patience

LIMIT = 60.0
MIB = 1024 * 1024


class Slow:
    """A socket with a time-out, and the clock by which it waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.timeout: float | None = LIMIT
        monkeypatch.setattr(f"{patience.__name__}.time.monotonic", lambda: self.now)

    def settimeout(self, seconds: float | None) -> None:
        self.timeout = seconds

    def after(self, seconds: float, size: int) -> int:
        """Receive so many bytes after so many seconds."""
        if self.timeout is not None and seconds > self.timeout:
            self.now += self.timeout
            raise TimeoutError("timed out")
        self.now += seconds
        return size


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(monkeypatch)


def drip(waiting: Patience, slow: Slow, every: float) -> None:
    for _ in range(1000):
        waiting.spend(slow, lambda: slow.after(every, 1))


@pytest.mark.parametrize("every", [0.5, 5, 7, 59])
def test_drops_do_not_add_to_the_time(slow: Slow, every: float) -> None:
    waiting, began = Patience(LIMIT), slow.now
    with pytest.raises(TimeoutError):
        drip(waiting, slow, every)
    assert waiting.came == LIMIT // every
    assert slow.now - began == pytest.approx(LIMIT, abs=1)
    assert slow.timeout == LIMIT


def test_a_large_message_on_a_slow_line_is_not_cut(slow: Slow) -> None:
    waiting, came = Patience(LIMIT), 0
    while came < 100 * MIB:
        came += waiting.spend(slow, lambda: slow.after(3, 4 * LEAST_RATE))
    assert slow.now > 20 * 3600


def test_what_came_fast_saves_nothing_up_and_a_stop_between_is_forgiven(slow: Slow) -> None:
    waiting = Patience(LIMIT)
    for _ in range(10):
        waiting.spend(slow, lambda: slow.after(50, MIB))
    with pytest.raises(TimeoutError):
        drip(waiting, slow, 7)
    assert waiting.came == 10 * MIB + LIMIT // 7


def test_what_we_do_between_costs_the_server_nothing(slow: Slow) -> None:
    waiting = Patience(LIMIT)
    for _ in range(100):
        waiting.spend(slow, lambda: slow.after(0.5, 1))
        slow.now += 1000


def test_the_next_answer_has_all_of_the_time(slow: Slow) -> None:
    waiting = Patience(LIMIT)
    for _ in range(10):
        waiting.spend(slow, lambda: slow.after(59, 1))
        waiting.renew()
        assert waiting.came == 0


def test_without_a_limit_it_waits_for_ever(slow: Slow) -> None:
    waiting, slow.timeout = Patience(None), None
    assert [waiting.spend(slow, lambda: slow.after(1e6, 1)) for _ in range(3)] == [1, 1, 1]
