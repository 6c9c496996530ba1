# SPDX-License-Identifier: GPL-3.0-or-later
"""What the folders of a restore share, and one connection in one of them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_journal import Entry, Journal
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Choice
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_source import Source
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.append import Appender
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace
from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import Folder


@dataclass
class Tools:
    """``percent``: of how many appended messages the bytes are read back.

    ``begin`` is called before the first change on the server. ``full``: what the server said when the mailbox was full.
    """

    source: Source
    journal: Journal
    choice: Choice
    report: Report
    reporter: Reporter
    begin: t.Callable[[], None]
    pace: Pace | None = None
    percent: int = 100
    write: bool = True
    full: str = ""

    def known(self, raw: bytes, uidvalidity: int) -> dict[int, Entry]:
        """What was compared before; without it everything is compared anew, which is not worth the end of this restore."""
        try:
            return self.journal.entries(raw, uidvalidity)
        except StoreError as error:
            self.warn(str(error))
            return {}

    def remember(self, raw: bytes, uidvalidity: int, entries: t.Sequence[Entry]) -> None:
        """Keep what was compared for the next restore; on a full disk that is not worth the end of this one."""
        try:
            if self.write:
                self.journal.add(raw, uidvalidity, entries)
        except StoreError as error:
            self.warn(str(error))

    def warn(self, text: str) -> None:
        """Tell the operator, once."""
        if text not in self.report.warnings:
            self.report.warnings.append(text)


@dataclass
class Session:
    """One connection in the target folder."""

    conn: Connection
    folder: Folder
    appender: Appender
    uidvalidity: int = 0
    messages: int = 0
    permanent: frozenset[str] = frozenset()
