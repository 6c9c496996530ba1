# SPDX-License-Identifier: GPL-3.0-or-later
"""A mailbox with folders to read: first all of them are examined, then they are fetched."""

from __future__ import annotations

import typing as t
from collections import Counter, deque
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import progress
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import SourceFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_folder import FolderPass
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_moves import Moves
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import STOPPED
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_tools import Tools
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Examined
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder


@dataclass(eq=False)
class Job:
    """A mailbox with folders to read. ``folders`` were not opened yet, ``passes`` are under way.

    Until all folders were examined nothing is fetched, so that what vanished is known before a message is taken for new.
    ``gone``: folders that the server does not have any more.
    """

    mailbox: Mailbox
    folders: deque[Folder]
    gone: t.Sequence[SourceFolder] = ()
    passes: list[FolderPass] = field(default_factory=list)
    examining: int = 0
    moves: Moves | None = None
    messages: int = 0
    bytes: int = 0
    open_failures: int = 0
    deaths: Counter[str] = field(default_factory=Counter)
    watch: progress.Stopwatch = field(default_factory=progress.Stopwatch)

    @property
    def chunk(self) -> FolderPass | None:
        """A folder of which a part waits for a worker."""
        return next((one for one in self.passes if one.chunks), None)

    @property
    def begun(self) -> bool:
        """Whether ``begin`` was called."""
        return self.moves is not None

    @property
    def examined(self) -> bool:
        """Whether no folder is left to be examined."""
        return not self.folders and not self.examining

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.begun and self.examined and not self.passes

    @property
    def workable(self) -> bool:
        """Whether there is something to give to a worker."""
        return bool(self.chunk or self.folders)

    @property
    def helpable(self) -> bool:
        """Whether a second connection would find something to do."""
        return self.chunk is not None or len(self.folders) > 1

    def met(self, folder: Folder, examined: Examined, tools: Tools) -> None:
        """A folder was examined."""
        self.examining -= 1
        one = FolderPass(self.mailbox, folder, tools)
        one.meet(examined)
        self.passes.append(one)

    def unread(self, folder: Folder, message: str, tools: Tools) -> None:
        """A folder could not be examined, and will not be in this run."""
        one = FolderPass(self.mailbox, folder, tools)
        one.fail(message)
        self.mailbox.report.folders.append(one.report)

    def begin(self, tools: Tools) -> list[FolderPass]:
        """Write down what vanished, and see what is to be fetched; return all passes."""
        for source in self.gone:
            tools.catalog.lose_folder(source.id, tools.committer.run_id)
        tools.committer.commit()
        self.moves = Moves(self.mailbox, tools, list(self.passes), self.gone)
        for one in self.passes:
            if tools.stopping:
                one.fail(STOPPED)
            elif not one.report.error:
                one.begin()
        return list(self.passes)

    def release(self) -> list[FolderPass]:
        """Decide for the next commit what moved, as far as that is known; return the passes that waited for it."""
        return self.moves.release() if self.moves else []

    def abandon(self) -> None:
        """What is left when a stop was asked for stays for the next run."""
        self.folders.clear()
        for one in self.passes:
            one.fail(STOPPED)
            one.prove()
            self.mailbox.report.folders.append(one.report)
        self.passes.clear()


def gone_folders(mailbox: Mailbox, tools: Tools) -> list[SourceFolder]:
    """The folders that are known and that the server's list does not have any more, however the rules select.

    A list with a line that cannot be read, or without INBOX, which every mailbox has, is not believed.
    """
    names = {folder.name for folder in mailbox.listed}
    if not all(folder.raw for folder in mailbox.listed) or "INBOX" not in {name.upper() for name in names}:
        return []
    known = tools.catalog.mailbox_folders(mailbox.server.name, mailbox.name, mailbox.route)
    return [source for name, source in known.items() if name not in names and not source.gone]
