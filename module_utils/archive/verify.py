# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification: every object, placement, row and directory of an archive against the others. It changes nothing but its notes.

It may go on beside a run: what a first look finds is looked at once more with fresh rows, and what was in between of being
written is no damage.
"""

from __future__ import annotations

import json
import random
import re
import time
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, layout, verify_ledger, verify_share
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import ObjectRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import DIRECTORIES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import MEGABYTE, Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.spread import Spread
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import write_durably
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding, confirmed, excused
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_ledger import KnownElsewhere
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_objects import Directory, look
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_share import Reading
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_trees import Rights, Trees, skeleton
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import share

READING_FILE = f"{layout.REPORTS}/verified.json"
REPORT_FILE = f"{layout.REPORTS}/verify.json"
# Rows of so many objects are in memory at a time.
GROUP = 100_000
# With more than so many an archive is lost, or not what it is taken for; memory is for better things than to name them all.
MOST_FINDINGS = 100_000
SETTLE_SECONDS = 1.0
_OBJECT_PATH = re.compile(rf"{layout.OBJECTS}/([0-9a-f]{{2}})(?:/(?:([0-9a-f]{{64}})(?:\.[0-9]+)?\Z)?|\Z)")


@dataclass(frozen=True)
class Wish:
    """What is asked for. The bytes of all objects are read, unless ``days`` asks for a share such that all are read within so
    many days, or ``sample`` for so many objects drawn at random. ``rate``: bytes of files per second, 0 for all that the disk
    gives. ``only``: the bytes of these objects alone. ``known``: what is known elsewhere of the ledger.

    ``keep``: whether the result and what was read are written down in the archive.
    """

    root: str
    days: int = 0
    sample: int = 0
    rate: int = 0
    processes: int = 0
    keep: bool = True
    only: frozenset[bytes] | None = None
    known: KnownElsewhere = field(default_factory=KnownElsewhere)


@dataclass
class Verification:
    """``run`` does it, once. Raises StoreError and CatalogError when the archive cannot be looked at."""

    wish: Wish
    reporter: Reporter
    report: Report = field(default_factory=Report)
    _reading: Reading = field(default_factory=Reading)
    _lost: frozenset[bytes] = frozenset()

    def run(self) -> Report:
        """Look at everything, twice where something is found."""
        began = time.monotonic()
        wish = self.wish
        Store.open(wish.root).close()
        self._rights = Rights.of(wish.root)
        with Spread("archive_verify", wish.processes) as pool, Catalog.of(wish.root, readonly=True) as catalog:
            self._look(catalog, pool, share(wish.rate, pool.processes) if wish.rate else 0)
        self.report.seconds = time.monotonic() - began
        if wish.keep:
            self._keep()
        return self.report

    def _look(self, catalog: Catalog, pool: Spread, rate: int) -> None:
        report = self.report
        before = read_state(self.wish.root)
        now = int(time.time())
        chosen = self._chosen(before, now)
        done: set[int] = set()
        first = self._frame(catalog)
        try:
            self._lost = frozenset(catalog.lost())
            report.lost = len(self._lost)
            first = excused(first, self._lost)
            for looked in pool.each(look, self._directories(catalog, chosen, rate)):
                report.count(looked)
                first += excused(looked.findings, self._lost)
                done.add(looked.number)
                if self._ends(first):
                    break
            if len(done) == DIRECTORIES:
                first += excused(self._trees(catalog), self._lost)
            report.findings = self._second_look(catalog, first) if first else []
        except CatalogError:
            # What can be told of a catalog that cannot be read is told already.
            report.findings = [finding for finding in first if finding.kind == "catalog"]
            if not report.findings:
                raise
        report.directories = len(chosen & done)
        self._reading = before if self.wish.sample else before.after(chosen & done, now)
        report.oldest = self._reading.oldest()

    def _frame(self, catalog: Catalog) -> list[Finding]:
        found = [*skeleton(self.wish.root, self._rights), *_catalog(catalog)]
        if not any(finding.kind == "catalog" for finding in found):
            ledger, self.report.entries = verify_ledger.look_at(self.wish.root, catalog, self.wish.known)
            found += ledger
        return found

    def _ends(self, first: t.Sequence[Finding]) -> bool:
        """Say how far it is; whether there is no sense, or no wish, to go on."""
        report = self.report
        read = f"{report.read:,} read, {report.bytes / MEGABYTE:,.0f} MB"
        self.reporter.progress(f"{report.looked}/{DIRECTORIES} {report.objects:,} objects, {read}")
        report.stopped = self.reporter.stop_requested
        report.cut = len(first) > MOST_FINDINGS
        return report.stopped or report.cut

    def _trees(self, catalog: Catalog) -> list[Finding]:
        folders = catalog.folders()
        trees = Trees(self.wish.root, catalog, self._rights)
        for folder in folders:
            trees.folder(folder)
            if len(trees.findings) > MOST_FINDINGS:
                self.report.cut = True
                break
        else:
            trees.rest(folders)
        self.report.folders, self.report.placements = len(folders), trees.placements
        return trees.findings

    def _chosen(self, before: Reading, now: int) -> set[int]:
        """The directories that are read in full."""
        if self.wish.sample or self.wish.only is not None:
            return set()
        return set(verify_share.due(before, now, self.wish.days)) if self.wish.days else set(range(DIRECTORIES))

    def _directories(
        self, catalog: Catalog, chosen: t.Collection[int], rate: int, among: t.Collection[int] = range(DIRECTORIES)
    ) -> t.Iterator[Directory]:
        """Directories with their rows, read group by group."""
        total = catalog.count_objects()
        likely = self.wish.sample / total if total else 0.0
        drawn = random.Random()  # noqa: S311 - a sample, no secret
        for first, end in catalog.object_groups(GROUP):
            if not any(number in among for number in range(first, end)):
                continue
            for each in self._of(catalog, first, end, rate):
                if each.number in chosen:
                    yield replace(each, read=None)
                elif self.wish.only is not None:
                    yield replace(each, read=self.wish.only)
                else:
                    yield replace(each, read=frozenset(row.digest for row in each.rows if drawn.random() < likely))

    def _of(self, catalog: Catalog, first: int, end: int, rate: int) -> list[Directory]:
        """What the catalog says of the directories from ``first`` to before ``end``; no bytes are read of them."""
        rows: dict[int, list[ObjectRow]] = defaultdict(list)
        placements: dict[int, dict[bytes, int]] = defaultdict(dict)
        archived: dict[int, set[bytes]] = defaultdict(set)
        for row in catalog.objects_in(first, end):
            rows[row.digest[0]].append(row)
        for digest, count in catalog.placements_in(first, end).items():
            placements[digest[0]][digest] = count
        for digest in catalog.archived_in(first, end):
            archived[digest[0]].add(digest)
        return [
            Directory(
                self.wish.root, number, rows[number], placements[number], archived[number], frozenset(), rate, self._rights.owners
            )
            for number in range(first, end)
        ]

    def _second_look(self, catalog: Catalog, first: t.Sequence[Finding]) -> list[Finding]:
        """Look again at what was found, after a moment in which a run may commit what it was writing."""
        unsettled = self._unsettled()
        time.sleep(SETTLE_SECONDS)
        second = self._frame(catalog)
        wanted: dict[int, set[bytes]] = defaultdict(set)
        for finding in first:
            match = _OBJECT_PATH.match(finding.subject)
            if match is not None:
                wanted[int(match[1], 16)].update([bytes.fromhex(match[2])] if match[2] else [])
        for directory in self._directories(catalog, (), 0, wanted):
            if directory.number in wanted:
                digests = frozenset(wanted[directory.number])
                second += look(replace(directory, read=None, only=digests)).findings
        second += self._trees_again(catalog, first)
        return confirmed(first, second, unsettled=unsettled or self._unsettled())

    def _trees_again(self, catalog: Catalog, first: t.Sequence[Finding]) -> list[Finding]:
        trees = Trees(self.wish.root, catalog, self._rights)
        subjects = {finding.subject.rpartition("/")[0] for finding in first if finding.subject.startswith(layout.MAIL)}
        folders = catalog.folders() if subjects else []
        for folder in folders:
            if subjects & {folder.dir, f"{folder.dir}/cur"}:
                trees.folder(folder)
        if subjects:
            trees.rest(folders)
        return trees.findings

    def _unsettled(self) -> bool:
        """Whether a run goes on, or did not end cleanly."""
        with Store.open(self.wish.root) as store:
            return store.dirty() is not None

    def _keep(self) -> None:
        """Write down what was read, and the whole result."""
        content = {"finished": int(time.time()), **self.report.as_data(), "damage": self.report.damage()}
        for name, data in ((READING_FILE, self._reading.as_data()), (REPORT_FILE, content)):
            path = f"{self.wish.root}/{name}"
            try:
                write_durably(path, json.dumps(data, indent=1).encode() + b"\n")
            except OSError as error:
                raise filesystem.os_failure(error, path) from error


def read_state(root: str) -> Reading:
    """When the objects were last read; whatever cannot be read was never."""
    try:
        return Reading.from_data(json.loads(Path(root, READING_FILE).read_bytes()))
    except (OSError, ValueError):
        return Reading()


def _catalog(catalog: Catalog) -> list[Finding]:
    """What is wrong with the catalog in itself. A file that SQLite cannot read at all is a finding as well."""
    name = layout.CATALOG_FILE
    try:
        found = [Finding("catalog", name, line) for line in catalog.integrity()]
        found += [Finding("totals", name, line) for line in catalog.tally_differences()]
        if blank := catalog.blank_messages():
            found.append(Finding("message_blank", name, f"{blank:,} messages are said to be archived, under no digest"))
    except CatalogError as error:
        return [Finding("catalog", name, error.cause)]
    return found
