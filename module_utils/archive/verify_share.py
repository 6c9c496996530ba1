# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects a verification reads, so that all are read within some days. Pure: no I/O.

The objects lie in 256 directories by the first byte of their digest, so a directory is a fair share of them.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import DIRECTORIES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import DAY


@dataclass(frozen=True)
class Reading:
    """When the directories were last read in full, in seconds since the epoch; ``began``: the first verification, ``last``: the
    one before this. 0 is never."""

    began: int = 0
    last: int = 0
    read: t.Mapping[int, int] = field(default_factory=dict)

    def as_data(self) -> dict[str, t.Any]:
        """Plain data for a file."""
        return {"began": self.began, "last": self.last, "read": {f"{number:02x}": at for number, at in sorted(self.read.items())}}

    @classmethod
    def from_data(cls, data: t.Any) -> Reading:
        """What a file says; whatever cannot be read counts as never."""
        try:
            told = {int(name, 16): int(at) for name, at in data["read"].items()}
            read = {number: at for number, at in told.items() if 0 <= number < DIRECTORIES}
            return cls(int(data["began"]), int(data["last"]), read)
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()

    def after(self, directories: t.Iterable[int], now: int) -> Reading:
        """What is known once these directories were read."""
        return Reading(self.began or now, now, {**self.read, **dict.fromkeys(directories, now)})

    def oldest(self) -> int | None:
        """When the directory was read that waits for the longest time; None while one was never read."""
        return min(self.read.values()) if len(self.read) == DIRECTORIES else None


def due(reading: Reading, now: int, days: int) -> list[int]:
    """The directories to read now so that each is read within ``days`` days, if verifications go on as often as now.

    The share grows with the time since the last one; a clock that went backwards makes everything due.
    """
    ages = {number: now - reading.read.get(number, reading.began or now) for number in range(DIRECTORIES)}
    if min(ages.values()) < 0:
        return list(range(DIRECTORIES))
    elapsed = now - reading.last if reading.last else DAY
    share = min(DIRECTORIES, max(1, math.ceil(DIRECTORIES * elapsed / (days * DAY))))
    # Those that were never read come first: they are as old as the first verification, and nobody vouches for them.
    order = sorted(range(DIRECTORIES), key=lambda number: (number in reading.read, -ages[number], number))
    overdue = sum(age + elapsed > days * DAY for age in ages.values())
    return sorted(order[: max(share, overdue)])
