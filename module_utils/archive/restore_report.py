# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of the messages of a restore. Every one that was asked for is appended, was there already, or failed."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_table import size_text

LISTED = 100
NAMED = 3

Data = dict[str, t.Any]

# Why a message failed.
DAMAGED, TOO_LARGE, OVERQUOTA, REFUSED = "damaged", "too_large", "overquota", "refused"
LOST, ALTERED, MISSING, FOLDER, NOT_TRIED = "connection_lost", "altered", "missing", "folder", "not_tried"


@dataclass(frozen=True)
class Failure:
    """One message that is not there, or ``messages`` of a folder for one cause (``digest`` is None then)."""

    folder: str
    kind: str
    cause: str
    digest: bytes | None = None
    messages: int = 1

    def as_data(self) -> Data:
        """For the result."""
        named = "" if self.digest is None else layout.object_path(self.digest)
        return {"folder": self.folder, "object": named, "messages": self.messages, "kind": self.kind, "cause": self.cause}


@dataclass
class FolderReport:
    """Counts of one target folder. ``bytes`` are those of the appended messages.

    ``compared``: how many of the appended ones were fetched back byte for byte; the rest by their size. ``dates_changed``: the
    server gives them another INTERNALDATE. ``flags_left_out``: messages with a keyword that the folder does not take.
    """

    name: str
    archived: list[str]
    asked: int = 0
    there: int = 0
    appended: int = 0
    failed: int = 0
    bytes: int = 0
    compared: int = 0
    line_ends: int = 0
    headers_added: int = 0
    dates_changed: int = 0
    flags_left_out: int = 0
    before: int = 0
    exists: bool = False

    def as_data(self) -> Data:
        """For the result."""
        keys = ("asked", "appended", "there", "failed")
        return {"folder": self.name, "archived": self.archived, **{key: getattr(self, key) for key in keys}}


_SUMS = ("asked", "appended", "there", "failed", "bytes", "compared", "line_ends", "headers_added", "dates_changed")


@dataclass
class Report:
    """The whole restore. ``would``: it was check mode, ``appended`` is what would be."""

    server: str
    mailbox: str
    would: bool = False
    folders: list[FolderReport] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    stopped: bool = False

    @property
    def to(self) -> str:
        """Where to, for people."""
        return f"{self.server} {self.mailbox}"

    def fail(self, folder: FolderReport, failure: Failure) -> None:
        """Count messages that are not there."""
        folder.failed += failure.messages
        self.kinds[failure.kind] += failure.messages
        if len(self.failures) < LISTED:
            self.failures.append(failure)

    def total(self, key: str) -> int:
        """The sum over all folders."""
        return sum(getattr(folder, key) for folder in self.folders)

    def as_data(self) -> Data:
        """The plain data of the result."""
        sums = {key: self.total(key) for key in (*_SUMS, "flags_left_out")}
        return {
            "restored": {**sums, "folders_made": self.made, "kinds": dict(self.kinds), "seconds": round(self.seconds, 3)},
            "folders": [folder.as_data() for folder in self.folders],
            "failures": [failure.as_data() for failure in self.failures],
        }

    def diff(self) -> Data:
        """The touched folders with the number of their messages, before and after."""
        touched = [folder for folder in self.folders if folder.appended]
        before = {folder.name: f"{folder.before:,} messages" for folder in touched if folder.exists}
        after = {folder.name: f"{folder.before + folder.appended:,} messages" for folder in touched}
        return {"before": before, "after": after, "before_header": self.to, "after_header": self.to}

    def sentence(self) -> str:
        """All in one sentence."""
        counts = {key: self.total(key) for key in ("asked", "appended", "there", "failed")}
        verb = "would be put into" if self.would else "put into"
        text = f"{counts['appended']:,} of {counts['asked']:,} messages ({size_text(self.total('bytes'))}) {verb} {self.to}"
        text += f"; {counts['there']:,} there already" if counts["there"] else ""
        for key, words in (("line_ends", "with other line ends"), ("headers_added", "with more header fields")):
            changed = self.total(key)
            text += f"; {changed:,} came back {words}" if changed else ""
        if counts["failed"]:
            named = "; ".join(f"{one.folder}: {one.cause}".rstrip(".") for one in self.failures[:NAMED])
            more = "; and more" if len(self.failures) > NAMED else ""
            text += f"; {counts['failed']:,} failed: {named}{more}"
        return text + ("; stopped before its end" if self.stopped else "")
