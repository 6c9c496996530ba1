# SPDX-License-Identifier: GPL-3.0-or-later
"""What an export has to do: the messages that are selected, compared with what is at its dest. It only reads."""

from __future__ import annotations

import os
import stat
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_manifest, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_export import (
    AMEND,
    PAGE,
    WRITE,
    ExportCatalog,
    Item,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_dest import check_room
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_known import Standing
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_report import Report, Touched
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import MAILDIR, MBOX, Wish


class Plan:
    """``amend``: directories and mboxes whose rights are to be set; messages of a file each have that noted in the catalog.

    ``wrong``: whether a file or directory has other rights than it should.
    """

    def __init__(
        self, wish: Wish, catalog: ExportCatalog, standing: Standing, report: Report, wrong: t.Callable[[os.stat_result], bool]
    ) -> None:
        self.amend: list[str] = []
        self._wish = wish
        self._catalog = catalog
        self._standing = standing
        self._report = report
        self._wrong = wrong

    def make(self, folders: t.Iterable[tuple[User, UserFolder]], *, sources: bool, made: bool) -> None:
        """Select the messages of these folders, see what is there, and whether there is room for the rest.

        ``made``: whether dest itself is of the export too.
        """
        keys = [(folder.id, self._standing.key(user.tree, user.name, folder.parts)) for user, folder in folders]
        wish, report = self._wish, self._report
        report.lost = self._catalog.choose(keys, wish.since, wish.before, sources=sources)
        self._compare()
        bases = self._add_up()
        ours = (*export_manifest.OURS, "") if made else export_manifest.OURS
        self.amend = list(dict.fromkeys([*self.amend, *filter(self._is_wrong, ours)]))
        report.amended += len(self.amend)
        report.changed = bool(report.new or report.amended or not self._standing.complete)
        if report.new:
            own_files = wish.format != MBOX
            needed = self._catalog.needed(files=own_files) + bases
            check_room(wish.dest, needed, report.new if own_files else len(report.touched))

    def _compare(self) -> None:
        changes: list[tuple[int, int]] = []
        for item in self._catalog.items():
            if todo := self._todo(item):
                self._report.amended += todo == AMEND
                changes.append((todo, item.id))
            if len(changes) >= PAGE:
                self._catalog.set_todo(changes)
                changes = []
        self._catalog.set_todo(changes)

    def _todo(self, item: Item) -> int:
        if item.file is None:
            return WRITE
        if self._wish.format == MBOX:
            return 0  # all of an mbox that the manifest has was looked at
        try:
            facts = Path(self._wish.dest, item.file).lstat()
        except FileNotFoundError:
            return WRITE
        if not stat.S_ISREG(facts.st_mode) or facts.st_size != item.written:
            return WRITE
        return AMEND if self._wrong(facts) else 0

    def _add_up(self) -> int:
        """Count, and return the bytes of mboxes that are copied so that they can be added to."""
        report, bases = self._report, 0
        for key, share in self._catalog.shares().items():
            place = self._standing.places[key]
            report.messages, report.bytes = report.messages + share.messages, report.bytes + share.bytes
            report.new, report.new_bytes = report.new + share.new, report.new_bytes + share.new_bytes
            if share.new:
                report.touched.append(Touched(place.path, share.messages - share.new, share.messages))
                bases += self._standing.bases.get(key, 0)
            self.amend += self._wrong_paths(place.path)
        return bases

    def _wrong_paths(self, path: str) -> list[str]:
        """The directories of a folder, and its mbox, that have other rights than they should."""
        names = path.split("/")
        paths = ["/".join(names[:count]) for count in range(1, len(names) + 1)]
        paths += [f"{path}.mbox"] if self._wish.format == MBOX else []
        paths += [f"{path}/{part}" for part in layout.MAILDIR_PARTS] if self._wish.format == MAILDIR else []
        return [path for path in paths if self._is_wrong(path)]

    def _is_wrong(self, file: str) -> bool:
        path = Path(self._wish.dest, file)
        return path.exists() and self._wrong(path.stat())
