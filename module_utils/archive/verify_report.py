# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification tells."""

from __future__ import annotations

import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_objects import Looked
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

# In a result of Ansible; the file in ``reports`` has all of them.
LISTED = 100
NAMED = 3
_FIGURES = ("objects", "placements", "folders", "read", "bytes", "directories", "oldest", "lost", "entries", "stopped", "cut")


@dataclass
class Report:
    """Figures of a verification. ``bytes`` are those of the messages that were read.

    ``directories``: of how many of the 256 directories all objects were read; ``oldest``: since when (epoch seconds) every object
    was read at least once, None while some never were. ``looked``: directories that were compared. ``stopped``: it ended early
    because it was asked to; ``cut``: because so much is damaged. ``lost``: how many
    messages are declared lost, which is no damage any more.
    """

    objects: int = 0
    placements: int = 0
    folders: int = 0
    read: int = 0
    bytes: int = 0
    directories: int = 0
    oldest: int | None = None
    looked: int = 0
    seconds: float = 0.0
    stopped: bool = False
    cut: bool = False
    lost: int = 0
    entries: int = 0  # of the ledger
    findings: list[Finding] = field(default_factory=list)

    def count(self, looked: Looked) -> None:
        """Take the figures of a directory."""
        self.looked += 1
        self.objects += looked.objects
        self.read += looked.read
        self.bytes += looked.bytes

    def as_data(self) -> dict[str, t.Any]:
        """Plain data, without the findings."""
        return {**{name: getattr(self, name) for name in _FIGURES}, "seconds": round(self.seconds, 1)}

    def damage(self) -> list[dict[str, str]]:
        """The findings as plain data."""
        return [finding.as_data() for finding in self.findings]

    def sentence(self) -> str:
        """All in one sentence."""
        looked = f"{self.objects:,} objects and {self.placements:,} placements compared, {self.read:,} messages read"
        stopped = "; stopped before the end" if self.stopped else "; given up, so much is damaged" if self.cut else ""
        lost = f"; declared lost: {self.lost:,}" if self.lost else ""
        stopped = f"{lost}{stopped}"
        if not self.findings:
            return f"{looked}; no damage{stopped}"
        return f"{len(self.findings):,} damaged ({looked}){stopped}: {named(self.findings)}"

    def table(self) -> list[str]:
        """Lines for a terminal."""
        since = time.strftime("%Y-%m-%d", time.gmtime(self.oldest)) if self.oldest else "never"
        lines = [
            f"objects {self.objects:,}, placements {self.placements:,} in {self.folders:,} folders",
            f"read now {self.read:,} messages, {self.bytes / 1_000_000:,.0f} MB; all were read since: {since}",
        ]
        lines += [f"ledger {self.entries:,} entries"] if self.entries else []
        lines += [f"declared lost: {self.lost:,}"] if self.lost else []
        kinds = Counter(finding.kind for finding in self.findings)
        return lines + [f"{count:,} {kind}" for kind, count in sorted(kinds.items())]


def named(findings: t.Sequence[Finding]) -> str:
    """The first findings with their remedies, and how many more there are."""
    return some([f"{one.subject}: {one.cause}. {one.remedy}" for one in findings[:NAMED]], NAMED, "; ", len(findings))
