# SPDX-License-Identifier: GPL-3.0-or-later
"""What an export has done, or would do. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_table import size_text
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

LISTED = 100
NAMED = 3
REMEDY = "Run archive_repair, then export again"

Data = dict[str, t.Any]


class Touched(t.NamedTuple):
    """A folder: its path below dest, and its messages there before and after."""

    path: str
    before: int
    after: int


@dataclass
class Report:
    """``messages`` and ``bytes`` are selected; ``new`` and ``new_bytes`` were written, or would be. ``amended``: rights that were
    set. ``lost``: messages left out that are declared lost. ``damaged``: how many could not be read; ``damage`` names the first.

    ``manifest``: the SHA-256 of the manifest. ``stopped``: somebody asked for an end before it.
    """

    dest: str
    messages: int = 0
    bytes: int = 0
    new: int = 0
    new_bytes: int = 0
    amended: int = 0
    lost: int = 0
    damaged: int = 0
    damage: list[Data] = field(default_factory=list)
    touched: list[Touched] = field(default_factory=list)
    changed: bool = False
    manifest: str = ""
    stopped: bool = False
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether something that was asked for is not there."""
        return bool(self.damaged) or self.stopped

    def tell_damage(self, user: str, folder: t.Sequence[str], subject: str, cause: str) -> None:
        """Count a message that could not be read."""
        self.damaged += 1
        if len(self.damage) < LISTED:
            self.damage.append({"user": user, "folder": "/".join(folder), "subject": subject, "cause": cause, "remedy": REMEDY})

    def as_data(self) -> Data:
        """The plain data of the result."""
        names = ("messages", "bytes", "new", "new_bytes", "lost", "manifest")
        return {"dest": self.dest, **{name: getattr(self, name) for name in names}, "seconds": round(self.seconds, 3)}

    def sentence(self, *, check_mode: bool = False) -> str:
        """For people."""
        selected = f"{self.messages:,} messages ({size_text(self.bytes)})"
        if self.stopped:
            text = f"stopped before the end; {self.new:,} of {selected} were written. Export again, it goes on"
        elif self.new or self.damaged or not self.messages:
            text = f"{self.new:,} of {selected} {'would be' if check_mode else 'were'} written"
        else:
            text = f"all of {selected} are there"
        parts = [f"{self.dest}: {text}"]
        parts += [f"rights {'would be' if check_mode else 'were'} set: {self.amended:,}"] if self.amended else []
        parts += [f"left out, declared lost: {self.lost:,}"] if self.lost else []
        if self.damaged:
            named = some([f"{one['subject']}: {one['cause']}" for one in self.damage], NAMED, "; ", self.damaged)
            parts.append(f"{self.damaged:,} could not be exported: {named}. {REMEDY}")
        return "; ".join(parts)

    def diff(self) -> Data:
        """The folders that are touched, the first of many."""
        shown = self.touched[:LISTED]
        more = len(self.touched) - len(shown)
        rest = f"and {more:,} more folders\n" if more else ""
        before = "".join(f"{one.path}: {one.before:,} messages\n" for one in shown if one.before)
        after = "".join(f"{one.path}: {one.after:,} messages\n" for one in shown)
        return {"before": before + rest, "after": after + rest, "before_header": self.dest, "after_header": self.dest}
