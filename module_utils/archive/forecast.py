# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the free room of an archive lasts if it goes on growing as it did. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import DAY
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_table import size_text

WINDOW_DAYS = 30
# Before so many days nobody knows what of it is the first import.
LEAST_DAYS = 14
# What a day brought is told from an import by the days after it, of which there must be so many; who archives once a week has
# days of seven times the mean.
JUDGED_BY_DAYS = 7
IMPORT_TIMES = 10
# Measured on 6,046 messages: the rest of an object's last block, names in directories, rows of the catalog, the ledger.
BESIDE_AN_OBJECT = 3_600


class Grown(t.NamedTuple):
    """What one run added: when it ended (epoch seconds), objects, and their bytes as they are stored."""

    finished: int
    objects: int
    stored_bytes: int


class Room(t.NamedTuple):
    """What may still be taken, the reserve left out; ``inodes`` is None where the file system does not count them."""

    bytes: int
    inodes: int | None


@dataclass(frozen=True)
class Forecast:
    """``days`` is None when nothing can be said, or when nothing grows; ``history_days`` are those that it rests on.

    ``limit``: what ends first, "bytes" or "inodes".
    """

    days: int | None
    limit: str | None
    bytes_per_day: int
    inodes_per_day: float
    room_bytes: int
    room_inodes: int | None
    history_days: int

    @property
    def sentence(self) -> str:
        """For people."""
        if self.history_days < JUDGED_BY_DAYS:
            return f"How long the free {size_text(self.room_bytes)} last cannot be told yet: too little history"
        last = f"the last {self.history_days} days"
        if self.days is None:
            return f"The archive did not grow in {last}; {size_text(self.room_bytes)} are free"
        what = f"{size_text(self.room_bytes)}" if self.limit == "bytes" else f"{self.room_inodes:,} inodes"
        grown = f"{size_text(self.bytes_per_day)} and {self.inodes_per_day:,.1f} messages a day"
        return f"At the growth of {last}, {grown}, the free {what} last {self.days:,} days"

    def warning(self, least_days: int) -> str:
        """What to tell when fewer than ``least_days`` are left; "" otherwise."""
        if self.days is None or self.days >= least_days:
            return ""
        return f"{self.sentence}, fewer than {least_days:,}. Extend the file system or move the archive, see docs/growth.md"

    def as_data(self) -> dict[str, t.Any]:
        """The plain data of the result."""
        return {**asdict(self), "sentence": self.sentence}


def forecast(runs: t.Iterable[Grown], first: int | None, room: Room, now: int) -> Forecast:
    """``runs`` of the last ``WINDOW_DAYS`` days, in any order; ``first``: when the archive got its first messages."""
    days = _quiet(_by_day(runs, now, 0 if first is None else (now - first) // DAY))
    room = Room(max(0, room.bytes), None if room.inodes is None else max(0, room.inodes))
    count = len(days)
    objects = sum(day.objects for day in days)
    size = sum(day.stored_bytes for day in days) + objects * BESIDE_AN_OBJECT
    if not size or count < JUDGED_BY_DAYS:
        return Forecast(None, None, 0, 0.0, *room, count)
    left = {"bytes": room.bytes * count // size}
    if room.inodes is not None and objects:
        left["inodes"] = room.inodes * count // objects
    limit = min(left, key=left.__getitem__)
    return Forecast(left[limit], limit, size // count, round(objects / count, 2), *room, count)


def _by_day(runs: t.Iterable[Grown], now: int, age_days: int) -> list[Grown]:
    """The sums of whole days, the last 24 hours first; nothing for an archive that is too young."""
    count = min(WINDOW_DAYS, age_days) if age_days >= LEAST_DAYS else 0
    days = [Grown(now - DAY * number, 0, 0) for number in range(count)]
    for run in runs:
        number = max(0, now - run.finished) // DAY
        if number < count:
            day = days[number]
            days[number] = day._replace(objects=day.objects + run.objects, stored_bytes=day.stored_bytes + run.stored_bytes)
    return days


def _quiet(days: list[Grown]) -> list[Grown]:
    """The days since the last import: a day that brought many times what the days after it brought on average."""
    objects = size = 0
    for number, day in enumerate(days):
        judged = number >= JUDGED_BY_DAYS
        if judged and (day.objects * number > IMPORT_TIMES * objects or day.stored_bytes * number > IMPORT_TIMES * size):
            return days[:number]
        objects, size = objects + day.objects, size + day.stored_bytes
    return days
