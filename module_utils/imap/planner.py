# SPDX-License-Identifier: GPL-3.0-or-later
"""Which UIDs go into the next command of a bulk FETCH; pure."""

from __future__ import annotations

import typing as t
from collections import deque
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.imap import uidset


@dataclass(frozen=True)
class Limits:
    """Bounds of one FETCH (a single message may be larger than ``bytes``), and how many are in flight."""

    messages: int
    bytes: int
    depth: int


class Planner:
    """Cuts UIDs into batches by count and bytes; sizes that are not known are asked for ahead of the batches that need them."""

    def __init__(self, uids: t.Iterable[int], limits: Limits, known_sizes: t.Mapping[int, int] | None) -> None:
        ordered = sorted(set(uids))
        self._limits = limits
        self._sizes: dict[int, int] = {}
        self._asking = False
        self._unsized: deque[list[int]] = deque()
        self._ready: deque[int] = deque()
        if known_sizes is None and limits.messages > 1:  # one message at a time needs no bound
            self._unsized.extend(uidset.split(ordered, 2 * limits.messages))
        else:
            self._ready.extend(ordered)
            self._sizes.update((known_sizes or {}).items())

    def sizes_to_ask(self) -> list[int]:
        """Return the UIDs whose sizes are to be asked for now, none while the last answer is due or enough is known."""
        if self._asking or not self._unsized or len(self._ready) >= 2 * self._limits.messages:
            return []
        self._asking = True
        return self._unsized[0]

    def learn(self, uid: int, size: int) -> None:
        """Take a size that the server told."""
        self._sizes[uid] = size

    def sizes_told(self) -> None:
        """The command for sizes has ended; UIDs that it did not tell go on without."""
        self._asking = False
        self._ready.extend(self._unsized.popleft())

    def next_batch(self) -> list[int]:
        """Return the UIDs of the next FETCH, none when sizes must come first or all is asked for."""
        batch: list[int] = []
        volume = 0
        length = uidset.Growing()
        while self._ready and len(batch) < self._limits.messages and length.octets < uidset.LONGEST_SET:
            size = self._sizes.get(self._ready[0], 0)
            if batch and volume + size > self._limits.bytes:
                break
            uid = self._ready.popleft()
            self._sizes.pop(uid, None)
            length.add(uid)
            volume += size
            batch.append(uid)
        return batch
