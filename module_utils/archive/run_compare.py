# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison: every UID of every selected folder against the catalog and the objects. Folders are opened read-only, and
nothing is changed, neither on servers nor in the archive; a run may go on beside it.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import catalog_compare, progress
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import SourceFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_bytes import Bytes
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_folder import (
    Compared,
    Drawn,
    FolderLook,
    Lots,
    Objects,
    Wish,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_report import Comparison, FolderResult, MailboxResult
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Profile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_look import Looker
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import FolderReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Surveyed, look
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, NetworkError, ProtocolError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import share

# A folder at which the connection breaks is tried twice, and the folders behind it once more.
TRIES = 4
BREAKS = 2


@dataclass
class MailboxWork:
    """What is done of a mailbox; it goes on from there when the connection breaks. ``skip``: folders that need no comparison.

    ``to_read``: the messages whose bytes are still to be compared, by folder and UID; None before they were drawn.
    """

    lots: Lots
    skip: frozenset[str]
    watch: progress.Stopwatch = field(default_factory=progress.Stopwatch)
    done: dict[str, Compared] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    breaks: Counter[str] = field(default_factory=Counter)
    to_read: dict[str, dict[int, Drawn]] | None = None
    finished: list[FolderResult] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, name: str) -> t.Iterator[None]:
        """What is done about a folder: a refusal concerns it alone, a break of the connection the second time."""
        try:
            yield
        except ImapError as error:
            self.errors[name] = str(error)
        except (NetworkError, ProtocolError) as error:
            self.breaks[name] += 1
            if self.breaks[name] >= BREAKS:
                self.errors[name] = str(error)
            raise

    def folders(self, folder_look: FolderLook, folders: t.Sequence[Folder], known: t.Mapping[str, SourceFolder]) -> None:
        """Compare those that are not done yet."""
        for folder in folders:
            if folder.name not in self.done and folder.name not in self.errors and folder.name not in self.skip:
                with self.step(folder.name):
                    self.done[folder.name] = folder_look.compare(folder, known.get(folder.name))
                    self.lots = folder_look.lots

    def draw(self) -> dict[str, dict[int, Drawn]]:
        """Which messages are read; decided once."""
        if self.to_read is None:
            self.to_read = defaultdict(dict)
            for one in [*self.lots.drawn, *(one for found in self.done.values() for one in found.suspects)]:
                self.to_read[one.folder.name][one.uid] = one
        return self.to_read

    def read(self, reader: Bytes) -> None:
        """Compare the bytes of what was drawn."""
        for name, drawn in self.draw().items():
            if drawn and name not in self.errors:
                with self.step(name):
                    reader.compare(self.done[name], drawn)

    def results(self) -> list[FolderResult]:
        """The folders, by name; those that could not be read have an error. Their UIDs need no more room from now on."""
        names = sorted(self.done.keys() | self.errors.keys())
        self.finished += [FolderResult.of(self.done.get(name) or Compared(name), self.errors.get(name, "")) for name in names]
        self.done, self.errors = {}, {}
        return self.finished


class Compare(Looker):
    """Compares all chosen profiles. ``comparison`` has the figures; a folder that two profiles read is compared once."""

    tries = TRIES
    needs_users = True

    def __init__(self, options: Options, reporter: progress.Reporter, wish: Wish, imap: Imap | None = None) -> None:
        super().__init__(options, reporter, imap)
        # Before anything is asked: without an archive every message would be missing.
        Store.open(options.root).close()
        self._wish = wish
        self._works: dict[Mailbox, MailboxWork] = {}
        self._compared: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._talking = threading.Lock()
        self.comparison = Comparison(self.report)

    def _begin(self, profile: Profile, mailboxes: t.Sequence[Mailbox]) -> None:
        self._profile_name = profile.name
        before = {mailbox: frozenset(self._compared[mailbox.server.name, mailbox.name]) for mailbox in mailboxes}
        self._works = {mailbox: MailboxWork(Lots(self._wish.sample), skip) for mailbox, skip in before.items()}
        self._reporter.progress(f"[{profile.name}] {len(mailboxes):,} mailboxes to compare")

    def _look(self, imap: Imap, mailbox: Mailbox, connection: t.Any) -> Surveyed:
        work = self._works[mailbox]
        found = look(imap, mailbox, connection)
        # A connection to the catalog is for one thread.
        with Catalog.of(self._options.root, readonly=True) as catalog:
            catalog_compare.need_little(catalog)
            known = catalog.mailbox_folders(mailbox.server.name, mailbox.name, mailbox.route)
            objects = Objects(self._options.root, catalog_compare.declared_lost(catalog))
            folder_look = FolderLook(imap, connection, catalog, objects, self._wish, work.lots)
            work.folders(folder_look, [folder for folder, _status in found.folders], known)
            listed = {folder.name for folder in mailbox.listed}
            for name in known.keys() - listed - work.skip - work.done.keys():
                work.done[name] = folder_look.gone(known[name])
        bandwidth = mailbox.server.bandwidth
        rate = share(bandwidth, mailbox.limit) if bandwidth else 0
        work.read(Bytes(imap, connection, self._options.root, rate))
        self._say(mailbox, work)
        work.results()
        return found

    def _say(self, mailbox: Mailbox, work: MailboxWork) -> None:
        messages, size = (sum(getattr(found, key) for found in work.done.values()) for key in ("on_server", "bytes"))
        place = (mailbox.server.name, mailbox.position, mailbox.count, mailbox.name)
        with self._talking:
            self._reporter.progress(progress.line(*place, messages, size, work.watch.seconds))

    def _looked_at(self, surveyed: t.Sequence[Surveyed]) -> None:
        super()._looked_at(surveyed)
        results = []
        for found in surveyed:
            mailbox, work = found.mailbox, self._works[found.mailbox]
            result = MailboxResult(mailbox.report, work.results())
            results.append(result)
            self._compared[mailbox.server.name, mailbox.name].update(folder.name for folder in result.folders if not folder.error)
            for folder in result.folders:
                mailbox.report.folders.append(FolderReport(folder.name, opened=folder.listed, error=folder.problem()))
        self.comparison.mailboxes[self._profile_name] = results

    def _mailbox(self, found: Surveyed) -> None:
        found.mailbox.report.excluded_folders = found.excluded

    def _finish(self) -> None:
        self.report.stopped = self._reporter.stop_requested
        self.report.warnings += self.comparison.warnings()
