# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import has taken, and how it is told. Pure: no I/O."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.words import counted, some

LISTED = 100
NAMED = 3
_REMEDY = "Repair the other archive with archive_repair, or take another copy of it, then import again"
Data = dict[str, t.Any]


class Problem(t.NamedTuple):
    """Something that could not be taken: ``where`` (user and folder, or mailbox and folder), what, why, and what helps."""

    where: str
    subject: str
    cause: str
    remedy: str = _REMEDY

    @property
    def text(self) -> str:
        """One sentence and a remedy."""
        return f"{self.where}: {self.subject}: {self.cause.rstrip('. ')}. {self.remedy.rstrip('. ')}"


@dataclass
class UserFigures:
    """The placements of one user of the other archive: ``messages`` = ``new`` + ``known`` + ``damaged`` + ``lost``.

    ``copies`` of those that are known are there as copies with other trace headers. ``lost`` are those whose bytes were declared
    lost there. Objects of messages in several folders count once.
    """

    messages: int = 0
    new: int = 0
    known: int = 0
    copies: int = 0
    damaged: int = 0
    lost: int = 0
    objects_copied: int = 0
    objects_known: int = 0

    def balanced(self) -> bool:
        """Whether they add up."""
        return self.messages == self.new + self.known + self.damaged + self.lost


@dataclass
class MailboxFigures:
    """The rows of one mailbox that go along: ``messages`` = ``new`` + ``known`` + ``left_out``. ``receipts`` are new ones.

    ``left_out``: those whose object cannot be had; a run reads them again where they are still on the server. ``objects``: of
    messages that no chosen user has in a folder.
    """

    server: str
    mailbox: str
    whole: bool
    messages: int = 0
    new: int = 0
    known: int = 0
    left_out: int = 0
    receipts: int = 0
    objects: UserFigures = field(default_factory=UserFigures)

    def as_data(self) -> Data:
        """Plain data."""
        data = dataclasses.asdict(self)
        return {**data, "objects_copied": data.pop("objects")["objects_copied"]}


@dataclass
class Report:
    """``users``: name -> figures. ``origin``, ``entries`` and ``root`` are of the ledger of the other archive.

    ``folders``: source folders that were taken with how far they were read. ``problems``: the first of them. ``untaken``:
    placements that are not here although nothing stood in their way; there are none.
    """

    source: str
    choice: Data = field(default_factory=dict)
    origin: str = ""
    entries: int = 0
    root: str = ""
    users: dict[str, UserFigures] = field(default_factory=dict)
    users_made: int = 0
    mailboxes: list[MailboxFigures] = field(default_factory=list)
    folders: int = 0
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    warnings: list[str] = field(default_factory=list)
    stopped: bool = False
    untaken: int = 0
    checkpoint: str = ""

    def tell(self, problem: Problem) -> None:
        """Keep a problem; of very many only their number."""
        self.problem_count += 1
        if len(self.problems) < LISTED:
            self.problems.append(problem)

    @property
    def changed(self) -> bool:
        """Whether anything was taken, or would be."""
        messages = any(figures.new or figures.objects_copied for figures in self.users.values())
        rows = any(one.new or one.receipts or one.objects.objects_copied for one in self.mailboxes)
        return bool(messages or rows or self.users_made or self.folders)

    @property
    def failed(self) -> bool:
        """Whether something is not as it was asked for."""
        unbalanced = not all(figures.balanced() for figures in self.users.values())
        return bool(self.problems or self.stopped or self.untaken or unbalanced)

    def totals(self) -> UserFigures:
        """All users together, with the objects of messages that nobody of them has in a folder."""
        names = [one.name for one in dataclasses.fields(UserFigures)]
        total = UserFigures(**{name: sum(getattr(one, name) for one in self.users.values()) for name in names})
        total.objects_copied += sum(one.objects.objects_copied for one in self.mailboxes)
        return total

    def noted(self) -> Data:
        """The figures of the whole, for the ledger and for the row of the run."""
        rows = {f"rows_{key}": sum(getattr(one, key) for one in self.mailboxes) for key in ("new", "known", "left_out")}
        return {"import": self.source, **dataclasses.asdict(self.totals()), **rows, "problems": self.problem_count}

    def as_data(self) -> Data:
        """The plain data of the result."""
        return {
            "imported": {**dataclasses.asdict(self.totals()), "users": len(self.users), "users_made": self.users_made},
            "users": [{"name": name, **dataclasses.asdict(figures)} for name, figures in self.users.items()],
            "mailboxes": [one.as_data() for one in self.mailboxes],
            "ledger": {"origin": self.origin, "entries": self.entries, "root": self.root},
            "problems": [problem._asdict() for problem in self.problems],
            "problem_count": self.problem_count,
            "checkpoint": self.checkpoint,
        }

    def sentence(self, check_mode: bool) -> str:
        """All in one sentence."""
        total = self.totals()
        rows = sum(one.new for one in self.mailboxes)
        verb = "would be taken" if check_mode else "taken"
        parts = [
            f"{counted(total.messages, 'message')} of {counted(len(self.users), 'user')}: {total.new:,} {verb}"
            + f", {total.known:,} here already"
            + (f", {total.damaged:,} cannot be had" if total.damaged else "")
            + (f", {total.lost:,} declared lost" if total.lost else ""),
            f"{counted(total.objects_copied, 'object')} {'to copy' if check_mode else 'copied'}",
            f"{counted(rows, 'row')} of {counted(len(self.mailboxes), 'mailbox')} {verb}",
        ]
        parts += ["stopped before the end; import again"] if self.stopped else []
        parts += [f"{counted(self.untaken, 'message')} not taken although nothing stood in the way"] if self.untaken else []
        if self.problems:
            parts.append(some([one.text for one in self.problems], NAMED, "; ", self.problem_count))
        return f"{self.source}: {'; '.join(parts)}"
