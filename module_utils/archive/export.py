# SPDX-License-Identifier: GPL-3.0-or-later
"""An export: messages out of an archive into files that other programs read, with a manifest.

It may go on beside a run: what it selects is the catalog of one instant. It only adds to its dest; what is there and right stays.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_manifest, export_own, export_wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_export import AMEND, ExportCatalog, Item
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_dest import Destination
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_known import Standing, refuse_other
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_plan import Plan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import MAILDIR, MBOX, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_write import FileWriter, MboxWriter, Writer, adopt
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import MEGABYTE, Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, BusyError, StoreError

# A message up to this size is read at once, a larger one piece by piece.
WHOLE_BYTES = 8 << 20
_TOLD_EVERY = 200

Data = dict[str, t.Any]
Folders = list[tuple[User, UserFolder]]


def export(wish: Wish, reporter: Reporter, *, write: bool = True) -> Report:
    """Do it; only tell unless ``write``. Raises InputError, StoreError, CatalogError, BusyError."""
    began = time.monotonic()
    report = Report(wish.dest)
    try:
        with Store.open(wish.root) as store, ExportCatalog.of(wish.root, readonly=not write) as catalog:
            export_own.place_of(wish.dest)
            about = export_manifest.about(wish.dest)
            users = export_wish.people(wish, catalog.users(deleted=True))
            folders = _folders(wish, users, catalog, report)
            selection = wish.selection(users)
            refuse_other(wish, about, selection)
            made = bool((about or {}).get("made"))
            if not made and (warning := export_own.shut_out(wish.dest, wish.rights)):
                report.warnings.append(warning)
            theirs = export_own.has_theirs(wish.dest)
            # Nothing is taken back from others when there is nothing to write.
            if theirs or not write:
                _look(wish, about, folders, report)
            if write and (report.changed or not theirs):
                catalog.prepare()
                report = Report(wish.dest, warnings=report.warnings)
                with Destination(wish.dest, wish.rights, report.warnings, made) as dest:
                    if export_manifest.about(wish.dest) != about:
                        raise BusyError(wish.dest, "another export wrote to it just now", "Run this again")
                    _Work(wish, reporter, report, store, catalog, dest, _About(wish, about, selection)).run(folders)
    except OSError as error:
        raise os_failure(error, error.filename or wish.dest) from error
    report.seconds = time.monotonic() - began
    return report


def _look(wish: Wish, about: Data | None, folders: Folders, report: Report) -> None:
    """Plan, without touching dest."""
    told = about or {}
    rights = wish.rights.wrong if told.get("rights", True) else _never
    with ExportCatalog.of(wish.root, readonly=True) as catalog:
        catalog.prepare()
        standing = Standing(wish, catalog, about)
        standing.load()
        Plan(wish, catalog, standing, report, rights).make(folders, sources=False, made=bool(told.get("made")))


def _never(_facts: os.stat_result) -> bool:
    return False


def _folders(wish: Wish, users: t.Iterable[User], catalog: ExportCatalog, report: Report) -> Folders:
    """The folders that are selected; a pattern that selects none is told."""
    found = [(user, folder) for user in users for folder in catalog.user_folders(user.id)]
    for pattern in export_wish.useless((*wish.folders, *wish.exclude), [folder for _user, folder in found]):
        report.warnings.append(f"No folder of these users matches {pattern!r}: a pattern is for the whole name")
    chosen = {folder.id for folder in export_wish.folders_of(wish, [folder for _user, folder in found])}
    return [(user, folder) for user, folder in found if folder.id in chosen]


class _About:
    """What dest says of itself: the form, and all selections that were exported to it."""

    def __init__(self, wish: Wish, about: Data | None, selection: Data) -> None:
        self.before = about
        self.selection = selection
        selections = (about or {}).get("selections") or []
        new = [] if selection in selections else [selection]
        self._content = {"export": export_manifest.VERSION, **wish.kind(), "selections": [*selections, *new]}

    def write(self, dest: Destination, **more: t.Any) -> Data:
        """Write it, and return it."""
        content = {**self._content, "rights": dest.keeps_rights, "made": dest.ours, **more}
        dest.replace(export_manifest.ABOUT, lambda path: export_manifest.write_about(path, content))
        return content


class _Work:
    """What ``export`` does when it writes."""

    def __init__(
        self,
        wish: Wish,
        reporter: Reporter,
        report: Report,
        store: Store,
        catalog: ExportCatalog,
        dest: Destination,
        about: _About,
    ) -> None:
        self._wish = wish
        self._reporter = reporter
        self._report = report
        self._store = store
        self._catalog = catalog
        self._dest = dest
        self._about = about
        self._began = False
        self._added = False
        self._failed: dict[str, int] = {}

    def run(self, folders: Folders) -> None:
        """Plan, and do it."""
        dest, report = self._dest, self._report
        dest.probe(self._wish.separator if self._wish.format == MAILDIR else ".")
        # On record before anything else is there, or dest would hold something foreign after a crash.
        made = bool((self._about.before or {}).get("made"))
        about = self._about.before if self._about.before and made == dest.ours else self._about.write(dest, complete=False)
        adopt(self._wish.dest)
        self._standing = Standing(self._wish, self._catalog, about)
        self._standing.load()
        plan = Plan(self._wish, self._catalog, self._standing, report, dest.was_wrong)
        try:
            plan.make(folders, sources=True, made=made)
        except StoreError:
            # Too little room: what is told to do about it may be another selection, or form.
            if self._about.before is None:
                Path(dest.dest, export_manifest.ABOUT).unlink()
            raise
        if report.changed:
            dest.touched = True
            try:
                self._do(plan)
            except (ArchiveToolError, OSError):
                with contextlib.suppress(ArchiveToolError):
                    self._tell("failed")
                raise
        report.touched = [one._replace(after=one.after - self._failed.get(one.path, 0)) for one in report.touched]
        report.changed = bool(self._added or report.amended or not self._standing.complete)
        if not report.stopped:
            dest.clear()

    def _do(self, plan: Plan) -> None:
        dest, report, standing = self._dest, self._report, self._standing
        planned, report.new, report.new_bytes = (report.new, report.new_bytes), 0, 0
        if not standing.right:
            dest.replace(export_manifest.MANIFEST, lambda path: dest.manifest.keep(self._catalog.lines(), path))
        for file in standing.stale:
            report.warnings.append(f"{file} is not as it was written; it stays, as {dest.set_aside(file)}")
        changed = self._write(planned)
        dest.amend(plan.amend)
        dest.finish()
        if self._began or not standing.complete:
            self._conclude(changed)
        self._tell("incomplete" if report.failed else "done")

    def _write(self, planned: tuple[int, int]) -> set[str]:
        """Write all messages; return the mboxes that are others now."""
        report = self._report
        mboxes = MboxWriter(self._wish, self._dest, self._standing.bases, self._standing.resumed)
        writer: Writer = mboxes if self._wish.format == MBOX else FileWriter(self._wish, self._dest)
        for number, item in enumerate(self._catalog.work()):
            if number % _TOLD_EVERY == 0:
                done = f"{report.new:,}/{planned[0]:,} messages, {report.new_bytes / MEGABYTE:,.0f} MB"
                self._reporter.progress(f"{done}, {self._standing.places[item.key].user}")
                report.stopped = self._reporter.stop_requested
                if report.stopped:
                    break
            if item.todo == AMEND:
                self._dest.amend([item.file or ""])
            else:
                self._message(writer, item, planned)
        writer.finish()
        report.manifest = ""
        return mboxes.written

    def _message(self, writer: Writer, item: Item, planned: tuple[int, int]) -> None:
        report, place = self._report, self._standing.places[item.key]
        try:
            small = item.size <= WHOLE_BYTES
            pieces = [self._store.read(item.digest)] if small else self._store.read_chunks(item.digest)
            self._begin(planned)
            if writer.write(place, item, pieces):
                report.new, report.new_bytes = report.new + 1, report.new_bytes + item.size
            self._added = True
        except StoreError as error:
            self._failed[place.path] = self._failed.get(place.path, 0) + 1
            report.tell_damage(place.user, place.parts, error.subject, error.cause)

    def _begin(self, planned: tuple[int, int]) -> None:
        """Before the first byte of a message leaves the archive: say so."""
        if not self._began:
            self._began = True
            self._about.write(self._dest, complete=False)
            self._note("begun", *planned)

    def _conclude(self, changed: set[str]) -> None:
        """Write the sums, and that all of it is there."""
        dest = self._dest
        known = {file: digest for file, digest in export_manifest.sums_known(dest.dest).items() if file not in changed}
        report = self._report
        report.manifest, sums = dest.replace(
            export_manifest.SUMS, lambda path: export_manifest.sums(dest.manifest, dest.dest, known, path)
        )
        self._about.write(dest, complete=not report.stopped, manifest=report.manifest, sums=sums, damaged=report.damaged)

    def _tell(self, outcome: str) -> None:
        # What ends an export that was cut short says so, although all messages were there.
        if self._began or (self._about.before or {}).get("complete") is False:
            self._note(outcome, self._report.new, self._report.new_bytes)

    def _note(self, outcome: str, messages: int, size: int) -> None:
        wish = self._wish
        keys: Data = {
            "by": wish.by,
            "outcome": outcome,
            "to": wish.dest,
            "format": wish.format,
            "selection": self._about.selection,
        }
        more = {"reason": wish.reason, "manifest": self._report.manifest, "damaged": self._report.damaged}
        self._catalog.told(**keys, messages=messages, bytes=size, **{name: value for name, value in more.items() if value})
