# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run reports: per profile, mailbox and folder; and the one sentence at its end. Pure: no I/O."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import run_stuck
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import Accounts
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_problems import (
    Problem,
    Trouble,
    told_once,
)
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import printable
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted, some

NAMED_PROBLEMS = 3
NAMED_REASONS = 3
# What a folder says that was not read to its end because the run, or the window of its profile, came to an end.
STOPPED = "the run was stopped before this folder was done"
LISTED_NOTES = 20
LISTED_ADDRESSES = 200
LISTED_USERS = 200
LISTED_WITHHELD = 20


def _verb(count: int, check_mode: bool) -> str:
    return "would be" if check_mode else "was" if count == 1 else "were"


@dataclass
class FolderReport:
    """One selected folder. ``opened`` is False when its STATUS proved that nothing changed; ``bytes`` were fetched.

    ``deleted`` messages went from the server; ``spared`` counts by reason those that were old enough and stayed.
    """

    name: str
    accounts: Accounts = field(default_factory=Accounts)
    opened: bool = False
    bytes: int = 0
    seconds: float = 0.0
    refiled: int = 0
    deleted: int = 0
    spared: dict[str, int] = field(default_factory=dict)
    error: str = ""
    notes: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)

    def as_data(self) -> dict[str, t.Any]:
        """The plain data of the result."""
        data: dict[str, t.Any] = {"name": self.name, **self.accounts.as_data(), "opened": self.opened, "refiled": self.refiled}
        data.update(bytes=self.bytes, seconds=round(self.seconds, 3), deleted=self.deleted)
        if self.spared:
            data["spared"] = self.spared
        if self.error:
            data["error"] = self.error
        if self.notes:
            data["notes"] = self.notes[:LISTED_NOTES]
        return data


@dataclass
class MailboxReport:
    """One mailbox. ``blocked``: it was not tried, because its server had refused or was out of reach.

    ``selected``: the names of the folders that the run is to account for, None before the server was asked.
    ``disabled``: whose mailbox it is, if that user is disabled; ``withheld``: the server does not open it therefore. Then
    ``error`` says so, which keeps its messages from being deleted, and it is a warning instead of a problem.
    ``on_server`` messages and the sum of UIDNEXT in the selected folders before they were read; ``unknown`` addresses.
    """

    server: str
    mailbox: str
    user: str = ""
    folders: list[FolderReport] = field(default_factory=list)
    excluded_folders: dict[str, str] = field(default_factory=dict)
    error: str = ""
    blocked: bool = False
    seconds: float = 0.0
    selected: frozenset[str] | None = None
    disabled: str = ""
    withheld: bool = False
    on_server: int | None = None
    uidnext: int | None = None
    unknown: int = 0

    @property
    def finished(self) -> bool:
        """Whether every selected folder was gone through, or the mailbox could not be read."""
        done = {folder.name for folder in self.folders if folder.error != STOPPED}
        return bool(self.error) or (self.selected is not None and self.selected <= done)

    def accounts(self) -> Accounts:
        """The sum over its folders."""
        total = Accounts()
        for folder in self.folders:
            total.add(folder.accounts)
        return total

    @property
    def bytes(self) -> int:
        """Bytes fetched."""
        return sum(folder.bytes for folder in self.folders)

    @property
    def deleted(self) -> int:
        """Messages that went from the server."""
        return sum(folder.deleted for folder in self.folders)

    def spared(self) -> Counter[str]:
        """Messages that were old enough to be deleted and stayed, by reason."""
        return joined(folder.spared for folder in self.folders)

    @property
    def where(self) -> str:
        """How it is named in messages."""
        return f"{self.server} {self.mailbox}"

    def problems(self, profile: str) -> list[Problem]:
        """Everything that did not work in this mailbox."""
        where = self.where
        found = [Problem(profile, where, self.error)] if self.error and not (self.blocked or self.withheld) else []
        for folder in self.folders:
            place = run_stuck.place(where, folder.name)
            if folder.error and folder.error != STOPPED:
                found.append(Problem(profile, place, printable(folder.error)))
            if folder.accounts.failed:
                found.append(Problem(profile, place, run_stuck.failed(folder.accounts.failed)))
            found += [Problem(profile, place, text) for text in folder.quarantined]
        return found

    def as_data(self) -> dict[str, t.Any]:
        """The plain data of the result."""
        data: dict[str, t.Any] = {"server": self.server, "mailbox": self.mailbox, "user": self.user, **self.accounts().as_data()}
        data.update(bytes=self.bytes, seconds=round(self.seconds, 3), error=self.error, blocked=self.blocked)
        data["withheld"] = self.withheld
        data.update(deleted=self.deleted, spared=dict(self.spared()))
        data["folders"] = [folder.as_data() for folder in self.folders]
        data["excluded_folders"] = self.excluded_folders
        return data


def joined(counts: t.Iterable[t.Mapping[str, int]]) -> Counter[str]:
    """The sum of many counts, most of which are empty: a run may have a hundred thousand folders."""
    total: Counter[str] = Counter()
    for each in counts:
        if each:
            total.update(each)
    return total


@dataclass
class ProfileReport:
    """One profile. ``errors`` concern a whole server or the profile itself: (where, message).

    ``outside``: why it was not run; ``closed``: when its window closed while it ran. ``left_out``: users who have not the
    privilege that it asks for.
    """

    name: str
    method: str
    mailboxes: list[MailboxReport] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    outside: str = ""
    closed: str = ""
    left_out: list[str] = field(default_factory=list)

    @property
    def unfinished(self) -> int:
        """How many mailboxes are left for the next run because of a stop, or of the window."""
        return sum(1 for mailbox in self.mailboxes if not mailbox.finished)

    @property
    def withheld(self) -> list[MailboxReport]:
        """The mailboxes of disabled users that their server does not open."""
        return [mailbox for mailbox in self.mailboxes if mailbox.withheld]

    def window_text(self) -> str:
        """What is to be said of the profile's window, "" when nothing."""
        if self.outside:
            return f"profile {self.name}: {self.outside}"
        if self.closed and self.unfinished:
            left = f"{counted(self.unfinished, 'mailbox')} left for the next run"
            return f"profile {self.name}: its window closed at {self.closed}, {left}"
        return ""

    def left_out_text(self) -> str:
        """What is to be said of users without the privilege, "" when there are none."""
        count = len(self.left_out)
        have = "user has" if count == 1 else "users have"
        return f"profile {self.name}: {count:,} {have} no privilege to archive" if count else ""

    def accounts(self) -> Accounts:
        """The sum over its mailboxes."""
        total = Accounts()
        for mailbox in self.mailboxes:
            total.add(mailbox.accounts())
        return total

    @property
    def deleted(self) -> int:
        """Messages that went from servers."""
        return sum(mailbox.deleted for mailbox in self.mailboxes)

    def spared(self) -> Counter[str]:
        """Messages that were old enough to be deleted and stayed, by reason."""
        return joined(mailbox.spared() for mailbox in self.mailboxes)

    def troubles(self) -> list[Trouble]:
        """What concerns more than one mailbox, with those that it stopped."""
        blocked = {(mailbox.server, mailbox.mailbox) for mailbox in self.mailboxes if mailbox.blocked}
        return [
            Trouble(self.name, where, message, frozenset(name for server, name in blocked if server == where))
            for where, message in self.errors
        ]

    def own_problems(self) -> list[Problem]:
        """What did not work in single mailboxes."""
        return [problem for mailbox in self.mailboxes for problem in mailbox.problems(self.name)]

    def problems(self) -> list[Problem]:
        """Everything that did not work, the server's troubles once."""
        return told_once(self.troubles()) + self.own_problems()

    def as_data(self, *, mailboxes: bool = True) -> dict[str, t.Any]:
        """The plain data of the result, with or without that of each mailbox."""
        data: dict[str, t.Any] = {"name": self.name, "method": self.method, **self.accounts().as_data()}
        data.update(bytes=sum(mailbox.bytes for mailbox in self.mailboxes), seconds=round(self.seconds, 3))
        data.update(deleted=self.deleted, spared=dict(self.spared()))
        data["errors"] = [problem.as_data() for problem in self.problems()]
        named = self.unknown.most_common(LISTED_ADDRESSES)
        data["unknown_addresses"] = [{"address": address, "messages": count} for address, count in named]
        data["unknown_address_count"] = len(self.unknown)
        data.update(outside_window=self.outside, window_closed=self.closed)
        data.update(left_out=self.left_out[:LISTED_USERS], left_out_count=len(self.left_out), withheld=len(self.withheld))
        if mailboxes:
            data["mailboxes"] = [mailbox.as_data() for mailbox in self.mailboxes]
        return data


@dataclass
class RunReport:
    """A whole run."""

    profiles: list[ProfileReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    placements: int = 0
    objects: int = 0
    stored_bytes: int = 0
    damaged: list[str] = field(default_factory=list)
    swept: dict[str, t.Any] | None = None
    stopped: bool = False
    not_begun: int = 0  # profiles
    seconds: float = 0.0
    checkpoint: str = ""  # the ledger's newest
    ledger_problem: str = ""

    def accounts(self) -> Accounts:
        """The sum over all profiles."""
        total = Accounts()
        for profile in self.profiles:
            total.add(profile.accounts())
        return total

    def problems(self) -> list[Problem]:
        """Everything that did not work; what several profiles meet stands first, and once."""
        found = told_once(trouble for profile in self.profiles for trouble in profile.troubles())
        found += [problem for profile in self.profiles for problem in profile.own_problems()]
        return found + ([Problem("", "ledger", self.ledger_problem)] if self.ledger_problem else [])

    @property
    def withheld(self) -> dict[str, str]:
        """What is told of each mailbox of a disabled user that its server does not open, once for all profiles."""
        return {mailbox.where: mailbox.error for profile in self.profiles for mailbox in profile.withheld}

    def withheld_text(self) -> str:
        """The part of a sentence on them, "" when there are none."""
        count = len(self.withheld)
        return f"; {counted(count, 'mailbox')} of disabled users could not be read" if count else ""

    def withheld_warnings(self) -> list[str]:
        """A warning for each of them, and one for those beyond the first."""
        told = [f"{where}: {words}" for where, words in self.withheld.items()]
        left = len(told) - LISTED_WITHHELD
        text = f"and {counted(left, 'mailbox')} more of disabled users; the result has them with withheld: true"
        more = [text] if left > 0 else []
        return told[:LISTED_WITHHELD] + more

    def miss(self, mailbox: str) -> None:
        """Make it a problem that the one mailbox that was asked for is in none of the profiles."""
        if mailbox and self.profiles and not self.problems() and not any(profile.mailboxes for profile in self.profiles):
            reason = "no profile of this run reads it. Give the address of an archive user, or the mailbox that a profile names."
            if any(profile.left_out for profile in self.profiles):
                reason += " A user who has no privilege to archive is left out."
            self.profiles[0].errors.append((f"mailbox {mailbox}", reason))

    @property
    def deleted(self) -> int:
        """Messages that went from servers."""
        return sum(profile.deleted for profile in self.profiles)

    def spared(self) -> Counter[str]:
        """Messages that were old enough to be deleted and stayed, by reason."""
        return joined(profile.spared() for profile in self.profiles)

    @property
    def changed(self) -> bool:
        """Whether anything was archived, filed anew or deleted."""
        accounts = self.accounts()
        return bool(accounts.new or accounts.copies or self.placements or self.deleted)

    @property
    def eventful(self) -> bool:
        """Whether there is anything to be remembered of it."""
        return bool(self.changed or self.stopped or self.damaged or self.problems())

    @property
    def outcome(self) -> str:
        """One word: "ok", "problems" or "stopped"."""
        return "stopped" if self.stopped else "problems" if self.problems() else "ok"

    def sentence(self, *, check_mode: bool = False) -> str:
        """What happened, in check mode would, in one sentence that counts and names."""
        accounts = self.accounts()
        mailboxes = sum(len(profile.mailboxes) for profile in self.profiles)
        archived = "would be archived" if check_mode else "archived"
        text = f"{counted(accounts.new, 'new message')} {archived} from {counted(mailboxes, 'mailbox')}"
        text += f", {accounts.known:,} {_verb(accounts.known, check_mode=False)} known"
        for name in ("copies", "left", "excluded", "failed", "quarantined"):
            count = getattr(accounts, name)
            text += f", {count:,} {'copy' if (name, count) == ('copies', 1) else name}" if count else ""
        if self.placements and not accounts.new:
            text += f", {self.placements:,} filed from the archive"
        text += self._deletion_text(check_mode)
        if self.stopped:
            text += "; stopped on request before the end" + self._left_text()
        texts = [text for profile in self.profiles for text in (profile.window_text(), profile.left_out_text())]
        text += "".join(f"; {told}" for told in texts if told)
        return text + self.closing_text()

    def _left_text(self) -> str:
        """What a stop leaves for the next run."""
        mailboxes = sum(profile.unfinished for profile in self.profiles)
        left = [counted(mailboxes, "mailbox")] if mailboxes else []
        left += [counted(self.not_begun, "profile")] if self.not_begun else []
        return f", {' and '.join(left)} left for the next run" if left else ""

    def _deletion_text(self, check_mode: bool) -> str:
        """The part of a sentence on deletion, "" when nothing was old enough."""
        spared = self.spared()
        if not self.deleted and not spared:
            return ""
        reasons = [f"{count:,}: {reason}" for reason, count in spared.most_common(NAMED_REASONS)]
        reasons += ["and others"] if len(spared) > NAMED_REASONS else []
        count = spared.total()
        old = f"{count:,} that {'is' if count == 1 else 'are'} old enough {_verb(count, check_mode)} spared"
        kept = f" and {old} ({', '.join(reasons)})" if spared else ""
        return f", {self.deleted:,} {_verb(self.deleted, check_mode)} deleted on the server{kept}"

    def closing_text(self) -> str:
        """The end of a sentence: what could not be read, and what did not work."""
        return self.withheld_text() + self.problem_text()

    def problem_text(self) -> str:
        """How many problems there are, and the first of them by name."""
        problems = self.problems()
        if not problems:
            return ""
        named = some([f"{problem.where}: {problem.message}" for problem in problems], NAMED_PROBLEMS, "; ")
        return f"; {counted(len(problems), 'problem')}: {named}"

    def as_data(self, *, mailboxes: bool = True) -> dict[str, t.Any]:
        """The plain data of the result, with or without that of each mailbox."""
        data: dict[str, t.Any] = {**self.accounts().as_data(), "outcome": self.outcome, "seconds": round(self.seconds, 3)}
        data.update(
            bytes=sum(mailbox.bytes for profile in self.profiles for mailbox in profile.mailboxes),
            placements=self.placements,
            objects=self.objects,
            stored_bytes=self.stored_bytes,
            deleted=self.deleted,
            spared=dict(self.spared()),
            withheld=len(self.withheld),
            damaged_objects=self.damaged,
            errors=[problem.as_data() for problem in self.problems()],
            profiles=[profile.as_data(mailboxes=mailboxes) for profile in self.profiles],
        )
        if self.swept is not None:
            data["swept"] = self.swept
        return data
