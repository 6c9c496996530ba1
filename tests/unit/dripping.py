# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that sends piece by piece, and a clock by which each of them takes long; no test waits for it."""

from __future__ import annotations

import time
import types
import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils import patience

LIMIT = 10.0  # seconds; that a test takes less is all that matters
DROP = 4.0  # seconds that a wait takes by the clock of the client
MANY = 2000  # bytes, for more waits than the time has, however many of them come together
PAUSE = 0.001  # seconds, so that not all bytes come at once


class Drip:
    """Sends pieces; ``sent`` tells how many until the client had enough. The clock runs from the first of them on.

    It is the clock of the modules ``by`` as well.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pieces: t.Sequence[bytes], *by: types.ModuleType) -> None:
        self.pieces = pieces
        self.sent = 0
        self._now = 0.0
        self._step = 0.0
        for module in (patience, *by):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        self._now += self._step
        return self._now

    def send(self, send: t.Callable[[bytes], t.Any]) -> None:
        self._step = DROP
        for piece in self.pieces:
            send(piece)
            self.sent += 1
            time.sleep(PAUSE)

    def was_cut(self) -> bool:
        """Whether the client left before the end, and not before the clock ran."""
        return 0 < self.sent < len(self.pieces)


def drops(data: bytes) -> list[bytes]:
    """Each byte alone."""
    return [bytes([byte]) for byte in data]
