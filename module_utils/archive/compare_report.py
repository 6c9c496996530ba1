# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison of the archive with the servers tells: figures that add up, UIDs by reason, a sentence and a table."""

from __future__ import annotations

import json
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, run_table
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_classes import (
    AWAY,
    DAMAGE,
    DELETED,
    DIFFERENT,
    EARLIER,
    GONE,
    HERE,
    KEPT,
    MISSING,
    UNARCHIVED,
    VANISHED,
    Reason,
    shortened,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_folder import Compared
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import MailboxReport, RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import write_durably
from ansible_collections.mailops.kerio.plugins.module_utils.imap.response import printable
from ansible_collections.mailops.kerio.plugins.module_utils.words import counted

REPORT_FILE = f"{layout.REPORTS}/compare.json"
# In a result of Ansible; the file in ``reports`` has all of it.
LISTED_FOLDERS, LISTED_REASONS, LISTED_CHARACTERS, LISTED_NOTES = 200, 20, 400, 20
NAMED_CHARACTERS = 60
UNBALANCED = "the server lists {0:,} UIDs, but {1:,} were accounted for. This is an error of the comparison: please report it"
LACKING = "{0:,} messages that the catalog has as archived have no intact object ({1}). archive_verify names the objects,"
LACKING += " archive_repair restores them"
UNLIKE = "{0:,} messages are not what was archived for them ({1}). Read one on the server: after a restore of the server a UID"
UNLIKE += " may stand for another message"
# In the archive, and the server does not have them any more.
ARCHIVE_ALONE = (DELETED, VANISHED, GONE, EARLIER)

Data = dict[str, t.Any]


@dataclass
class FolderResult:
    """One folder when its comparison is over. ``reasons`` are of UIDs on the server, ``away_reasons`` of others."""

    name: str
    listed: bool
    uidvalidity: int
    known: int
    on_server: int
    here: Counter[str]
    away: Counter[str]
    reasons: list[Reason]
    away_reasons: list[Reason]
    sized: int
    untold: int
    read: int
    bytes: int
    notes: list[str]
    error: str = ""

    @classmethod
    def of(cls, found: Compared, error: str) -> FolderResult:
        """The result; the figures of a folder must add up."""
        if not error and not found.balanced:
            error = UNBALANCED.format(found.on_server, sum(found.here.counts.values()))
        head = (found.name, found.listed, found.uidvalidity, found.known, found.on_server, found.here.counts, found.away.counts)
        reasons = (found.here.reasons(), found.away.reasons())
        return cls(*head, *reasons, found.sized, found.untold, found.read, found.bytes, found.notes, error)

    def problem(self) -> str:
        """Why the folder is no success; "" when every message that is said to be archived is so, as far as it was compared."""
        told = [self.error] if self.error else []
        every = [*self.reasons, *self.away_reasons]
        for kind, text in ((MISSING, LACKING), (DIFFERENT, UNLIKE)):
            some = [reason for reason in every if reason.kind == kind]
            if some:
                named = "; ".join(f"UID {shortened(one.uids, NAMED_CHARACTERS)}: {one.reason}" for one in some)
                told.append(text.format(sum(one.messages for one in some), named))
        return ". ".join(told)

    @property
    def plain(self) -> bool:
        """Whether there is nothing to tell but figures."""
        return not (self.error or self.reasons or self.away_reasons or self.notes)

    def as_data(self, *, whole: bool) -> Data:
        """Plain data; what is long is cut unless it is to be ``whole``."""
        most, reasons, notes = (0, None, None) if whole else (LISTED_CHARACTERS, LISTED_REASONS, LISTED_NOTES)
        data: Data = {"name": self.name, "on_the_server": self.listed, "uidvalidity": self.uidvalidity}
        data.update(known_uidvalidity=self.known, **figures([self]), error=self.error)
        data["reasons"] = [reason.as_data(most) for reason in self.reasons[:reasons]]
        data["not_on_server"]["reasons"] = [reason.as_data(most) for reason in self.away_reasons[:reasons]]
        told = len(data["reasons"]) + len(data["not_on_server"]["reasons"])
        data.update(notes=self.notes[:notes], reasons_left_out=len(self.reasons) + len(self.away_reasons) - told)
        return data


@dataclass
class MailboxResult:
    """One mailbox."""

    report: MailboxReport
    folders: list[FolderResult]

    def as_data(self) -> Data:
        """Plain data, without the folders."""
        report = self.report
        data: Data = {"server": report.server, "mailbox": report.mailbox, "user": report.user, "error": report.error}
        data["withheld"] = report.withheld
        return {**data, **figures(self.folders), "folders_compared": len(self.folders)}


def figures(folders: t.Iterable[FolderResult]) -> Data:
    """The sum over folders: UIDs on the server, by class, and rows that the server does not list any more, by class."""
    here: Counter[str] = Counter()
    away: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    for folder in folders:
        here.update(folder.here)
        away.update(folder.away)
        for key in ("on_server", "sized", "untold", "read", "bytes"):
            sums[key] += getattr(folder, key)
    data: Data = {"on_server": sums["on_server"], **{kind: here[kind] for kind in HERE}}
    data["not_on_server"] = {kind: away[kind] for kind in AWAY}
    names = {"sizes_compared": "sized", "sizes_untold": "untold", "messages_read": "read", "bytes_read": "bytes"}
    return {**data, **{name: sums[key] for name, key in names.items()}}


@dataclass
class Comparison:
    """The figures of all profiles; ``mailboxes``: those that were looked at, by profile."""

    report: RunReport
    mailboxes: dict[str, list[MailboxResult]] = field(default_factory=dict)

    @property
    def every(self) -> list[MailboxResult]:
        """The mailboxes of all profiles."""
        return [mailbox for mailboxes in self.mailboxes.values() for mailbox in mailboxes]

    def totals(self) -> Data:
        """The sum of everything."""
        return figures(folder for mailbox in self.every for folder in mailbox.folders)

    def warnings(self) -> list[str]:
        """What is odd about folders, the first of it."""
        named = ((one.report, folder) for one in self.every for folder in one.folders)
        places = ((printable(f"{report.server} {report.mailbox} {folder.name}"), folder.notes) for report, folder in named)
        notes = [f"{place}: {note}" for place, told in places for note in told]
        more = [f"and {len(notes) - LISTED_NOTES:,} more of the kind, in {REPORT_FILE}"] if len(notes) > LISTED_NOTES else []
        return notes[:LISTED_NOTES] + more

    def sentence(self) -> str:
        """All in one sentence."""
        totals = self.totals()
        kept = sum(totals[kind] for kind in KEPT)
        text = f"{kept:,} of {totals['on_server']:,} messages in {counted(len(self.every), 'mailbox')}"
        text += " on the servers are in the archive"
        lacking = [f"{totals[kind]:,} {kind.replace('_', ' ')}" for kind in HERE if kind not in KEPT and totals[kind]]
        text += f"; not in it: {', '.join(lacking)}" if lacking else ""
        away = totals["not_on_server"]
        alone = sum(away[kind] for kind in ARCHIVE_ALONE)
        text += f"; in the archive alone: {alone:,}" if alone else ""
        text += f"; gone and never archived: {away[UNARCHIVED]:,}" if away[UNARCHIVED] else ""
        text += "; stopped before the end" if self.report.stopped else ""
        return text + self.report.closing_text()

    def table(self) -> list[str]:
        """A line for each mailbox, those with a problem first, and one for all. What is 0 everywhere has no column."""
        totals = self.totals()
        columns = ["on_server", *KEPT, *(kind for kind in HERE if kind not in KEPT and totals[kind])]
        lines = [(mailbox, mailbox.as_data()) for mailbox in self.every]
        lines.sort(key=lambda line: (not _wrong(*line), line[1]["on_server"] == sum(line[1][kind] for kind in KEPT)))
        rows = [[data["server"], data["mailbox"], *_cells(data, columns), _mark(one, data)] for one, data in lines]
        several = len(rows) > 1
        rows += [["all", "", *_cells(totals, columns), ""]] if several else []
        header = ["server", "mailbox", *(column.replace("_", " ") for column in columns), "archive alone", ""]
        return run_table.lines(header, rows, keep_last=several)

    def as_data(self, *, whole: bool = False) -> Data:
        """Plain data: all folders when it is to be ``whole``, else the first of those about which there is something to tell."""
        left = LISTED_FOLDERS
        profiles = []
        for profile in self.report.profiles:
            mailboxes = []
            for one in self.mailboxes.get(profile.name, ()):
                told = [folder for folder in one.folders if whole or not folder.plain]
                shown = told if whole else told[:left]
                left -= len(shown)
                folders = [folder.as_data(whole=whole) for folder in shown]
                excluded = {"excluded_folders": one.report.excluded_folders, "folders_left_out": len(told) - len(shown)}
                mailboxes.append({**one.as_data(), **excluded, "folders": folders})
            every = [folder for one in self.mailboxes.get(profile.name, ()) for folder in one.folders]
            profiles.append({"name": profile.name, "method": profile.method, **figures(every), "mailboxes": mailboxes})
        return {**self.totals(), "profiles": profiles}

    def run(self) -> Data:
        """How it went."""
        run: Data = {"mode": "compare", "errors": [problem.as_data() for problem in self.report.problems()]}
        return {**run, "stopped": self.report.stopped, "seconds": round(self.report.seconds, 3)}

    def keep(self, root: str) -> None:
        """Write all of it down in the archive."""
        path = f"{root}/{REPORT_FILE}"
        content = {"finished": int(time.time()), "run": self.run(), "compare": self.as_data(whole=True)}
        try:
            write_durably(path, json.dumps(content, indent=1).encode() + b"\n")
        except OSError as error:
            raise os_failure(error, path) from error


def _wrong(mailbox: MailboxResult, data: Data) -> bool:
    damaged = any(data[kind] or data["not_on_server"].get(kind, 0) for kind in DAMAGE)
    return damaged or bool(data["error"]) or any(folder.error for folder in mailbox.folders)


def _mark(mailbox: MailboxResult, data: Data) -> str:
    return "not read" if data["error"] else "wrong" if _wrong(mailbox, data) else ""


def _cells(data: Data, columns: t.Iterable[str]) -> list[str]:
    alone = sum(data["not_on_server"][kind] for kind in ARCHIVE_ALONE)
    return [*(f"{data[column]:,}" for column in columns), f"{alone:,}"]
