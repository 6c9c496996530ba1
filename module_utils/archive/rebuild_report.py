# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rebuild tells. Pure: no I/O."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

LISTED = 100  # in a result of Ansible; the file in ``reports`` has the others, up to MOST
MOST = 100_000
NAMED = 3
_LOOK = "Find out where it comes from; move it out of the archive"


class Kind(t.NamedTuple):
    """A kind of thing that could not be taken as it is."""

    cause: str
    remedy: str


KINDS = {
    "object_damaged": Kind(
        "{}", "Restore it from a backup of the archive; it was left as it is, and the catalog does not have it"
    ),
    "object_alone": Kind(
        "it is a further file of an object whose first one is damaged, or not there",
        "Restore the first one from a backup, or from this",
    ),
    "object_unknown": Kind("the catalog knows no such object", "Say orphans: adopt to bring it into the catalog"),
    "object_missing": Kind("a placement of it is there, but no such object", "Restore the object from a backup of the archive"),
    "foreign": Kind("it is no part of an archive", _LOOK),
    "placement_unknown": Kind("the catalog knows no such placement", "Say orphans: adopt to bring it into the catalog"),
    "placement_other": Kind(
        "it is not the file of its object, but holds the same bytes", "Run archive_rebuild with what: trees, which links it anew"
    ),
    "placement_wrong": Kind("{}", _LOOK),
    "placement_twice": Kind("its folder has the same message under another name", "Compare both names, and remove one of them"),
    "user_name": Kind("{}", "Run archive_users, and compare who has which tree"),
    "folder_name": Kind("its true name was cut when it was made", "It gets its name back when the next message is filed there"),
    "ledger": Kind("{}", "Run archive_verify; what it finds of the ledger, archive_rebuild mends with what: ledger"),
    "ledger_changed": Kind(
        "{}; it and what follows is not believed",
        "Compare the ledger, which was kept as evidence/entries.<time>.broken, with a backup of the archive",
    ),
    "ledger_more": Kind(
        "it has more entries than the catalog knows of: the catalog is older",
        "Restore the newest catalog, or bring this one forward with what: orphans, orphans: adopt",
    ),
    "checkpoint": Kind(
        "{}", "Begin a new list of ledger_checkpoints with the next run; the old one shows what was archived by then: keep it"
    ),
    "in_way": Kind("it is no directory, and {} needs one there", "Move it out of the archive, and rebuild the trees again"),
    "unfiled": Kind(
        "it was archived from {}, and no user has it",
        "If it is still there, archive_run files it again; else its placement must come from a backup",
    ),
    "kept": Kind("{}", "It was left as it is: it may be the last copy of a message"),
}


class Problem(t.NamedTuple):
    """One thing that the operator must know of. ``subject``: a path relative to the archive root."""

    kind: str
    subject: str
    detail: str = ""

    def as_data(self) -> dict[str, str]:
        """Plain data for a result."""
        kind = KINDS[self.kind]
        return {
            "kind": self.kind,
            "subject": self.subject,
            "cause": kind.cause.format(self.detail),
            "remedy": kind.remedy,
        }


@dataclass
class Report:
    """Figures of a rebuild by name, what was done (``done``: paths and words, for the diff), and what was found on the way.

    ``changed``: whether anything was written, or would be.
    """

    what: str
    figures: Counter[str] = field(default_factory=Counter)
    done: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    before: str = ""
    stopped: bool = False
    seconds: float = 0.0
    changed: bool = False

    @classmethod
    def unread(cls) -> Report:
        """A report for those who look at what another look tells of."""
        return cls("")

    def tell(self, *problems: Problem) -> None:
        """Take what was found; all of it is counted, the first MOST are named."""
        self.counts.update(problem.kind for problem in problems)
        self.problems += problems[: max(0, MOST - len(self.problems))]

    def did(self, line: str) -> None:
        """Take a line of what was done."""
        if len(self.done) < LISTED:
            self.done.append(line)

    def as_data(self) -> dict[str, t.Any]:
        """Plain data, without the problems."""
        figures = {name: count for name, count in self.figures.items() if count}
        return {"what": self.what, **figures, "stopped": self.stopped, "seconds": round(self.seconds, 1)}

    def listed(self) -> list[dict[str, str]]:
        """The problems as plain data."""
        return [problem.as_data() for problem in self.problems]

    def figures_text(self) -> str:
        """The figures as words."""
        return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in self.figures.items() if count) or "nothing"

    def warning(self) -> str:
        """What was found, in one sentence; "" when nothing was."""
        if not self.counts:
            return ""
        first = [f"{each['subject']}: {each['cause']}. {each['remedy']}" for each in self.listed()[:NAMED]]
        counted = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.counts.items()))
        return f"Found {counted}: {'; '.join(first)}"
