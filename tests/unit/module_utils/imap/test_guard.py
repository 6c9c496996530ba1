# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends an answer without an end: too many responses, too many bytes, too long; never an answer that goes forward."""

from __future__ import annotations

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap import guard
from ansible_collections.mailops.kerio.plugins.module_utils.imap.guard import MOST_BYTES, MOST_RESPONSES, PATIENCE, Guard


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(f"{guard.__name__}.time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("count", "size"), [(MOST_RESPONSES, 1), (4, MOST_BYTES // 4)])
def test_one_response_too_many(count: int, size: int) -> None:
    watched = Guard("mail1:143", 60)
    for _ in range(count):
        watched.count(size)
    with pytest.raises(ProtocolError, match=f"mail1:143.*sent {count + 1} answers .* but not what it was asked for"):
        watched.count(1)


def test_too_long(clock: list[float]) -> None:
    watched = Guard("mail1:143", 60)
    clock[0] += 60 * PATIENCE
    watched.count(1)
    clock[0] += 0.1
    with pytest.raises(ProtocolError):
        watched.count(1)


def test_progress_begins_anew(clock: list[float]) -> None:
    watched = Guard("mail1:143", 60)
    for _ in range(3):
        clock[0] += 60 * PATIENCE
        watched.count(MOST_BYTES)
        watched.progress()


def test_without_a_time_out_time_does_not_count(clock: list[float]) -> None:
    watched = Guard("mail1:143", None)
    clock[0] += 1e9
    watched.count(1)
