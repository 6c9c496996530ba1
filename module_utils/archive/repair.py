# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair: verify, plan, do, and look again.

An object comes from an intact file of the archive, from a copy of the archive elsewhere, or, at the next run, from its server.
What has no source stays as it is, and is told. Bytes are durable before any row speaks of them, and objects before placements.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import ObjectRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_facts import Survey
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_files import Files
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_heard import refuse_older
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_plan import (
    Asks,
    Facts,
    Step,
    Unreadable,
    plan,
    remaining,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_held import Held
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_trees import Rights
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, StoreError

LOCKED_FOR = "archive_repair"
STOPPED = "stopped before its end"
ASKED_FOR = "its object is damaged or missing: it is read again"


@dataclass
class Repaired:
    """``steps`` were done, or would be; ``undone`` could not be, each with the reason. ``left`` is what is wrong afterwards.

    ``incomplete``: why not all of the archive was looked at; "" when it was. ``useless``: digests that were to be declared lost
    and are not. ``lost``: how many are declared so. ``unreadable``: what may hold messages that were found nowhere.
    """

    found: list[Finding] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    undone: list[tuple[Step, str]] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    incomplete: str = ""
    useless: list[bytes] = field(default_factory=list)
    lost: int = 0
    unreadable: t.Sequence[Unreadable] = ()


@dataclass
class Repair:
    """``run`` does it, once. ``backups``: roots of copies of this archive, the best first. ``write``: or only tell.

    Raises BusyError while the archive is in use, StoreError when its last run did not end cleanly or its catalog is an older one.
    """

    root: str
    backups: t.Sequence[str]
    asks: Asks
    reporter: Reporter
    write: bool = True
    processes: int = 0
    result: Repaired = field(default_factory=Repaired)

    def run(self) -> Repaired:
        """Find what is wrong, repair what can be repaired, and look again."""
        result = self.result
        # The lock is a file that names its holder: whoever only looks must not take it.
        with Store.open(self.root, lock=LOCKED_FOR if self.write else None) as store:
            if store.dirty() is not None:
                cause = "a run goes on, or the last one did not end cleanly"
                raise StoreError(self.root, cause, "Wait, or run archive_run once, which clears up; then repair")
            refuse_older(self.root)
            result.found = result.left = self._verified(None)
            if self.reporter.stop_requested:
                result.incomplete = STOPPED
                return result
            if any(finding.kind == "catalog" for finding in result.found):
                return result  # nothing can be repaired by it
            # Only now: what a catalog was that is opened to be read is forgotten when somebody writes to it.
            with Catalog.of(self.root, readonly=not self.write) as catalog:
                self._repair(store, catalog)
        return result

    def _repair(self, store: Store, catalog: Catalog) -> None:
        result = self.result
        facts = Survey(self.root, catalog, self.backups).facts(result.found)
        result.unreadable = facts.unreadable
        steps = plan(result.found, facts, self.asks)
        if not self.write:
            result.steps, result.left = steps, remaining(result.found, steps)
        elif steps:
            self.reporter.progress(f"{len(result.found):,} damaged; {len(steps):,} steps to do")
            _Work(store, catalog, facts, self.asks, self.reporter, result).run(steps)
            if self.reporter.stop_requested:
                result.incomplete, result.left = STOPPED, remaining(result.found, result.steps)
            else:
                self._look_again()
        declared = {_digest(step) for step in result.steps if step.action == "declare_lost"}
        result.useless = sorted(self.asks.declare_lost - facts.lost - declared)
        result.lost = len(catalog.lost())

    def _look_again(self) -> None:
        """Compare everything, and read what something was found about, or done to."""
        result = self.result
        spoken_of = {one.digest for one in result.found} | {_object(step) for step in result.steps}
        result.left = self._verified(frozenset(digest for digest in spoken_of if digest is not None))

    def _verified(self, only: frozenset[bytes] | None) -> list[Finding]:
        wish = Wish(self.root, processes=self.processes, keep=False, only=only)
        report = Verification(wish, self.reporter).run()
        self.result.incomplete = self.result.incomplete or _incomplete(report)
        return report.findings


def _incomplete(report: Report) -> str:
    if report.stopped:
        return STOPPED
    return "so much is damaged that not all of it was looked at; repair again" if report.cut else ""


@dataclass
class _Work:
    """Does the steps, phase by phase; one that cannot be done does not stop the others."""

    store: Store
    catalog: Catalog
    facts: Facts
    asks: Asks
    reporter: Reporter
    result: Repaired
    failed: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rights = Rights.of(self.store.root)
        self._files = Files(self.store, self.facts.unheard.__contains__, self._adopt)
        self._modes = {one.subject for one in self.result.found if one.kind == "object_mode"}
        # What is done for each step, and then for all of them; that gives back those that hold.
        self._phases: t.Sequence[tuple[t.Mapping[str, t.Callable[[Step], None]], t.Callable[[list[Step]], list[Step]]]] = (
            ({"set_mode": self._set_mode, "make_directory": self._make_directory}, _nothing),
            ({"restore_object": self._restore}, self._note_objects),
            ({"write_row": self._whole}, self._write_rows),
            ({"link_placement": self._link}, _nothing),
            ({"drop_name": self._drop, "clear_staging": self._drop}, _nothing),
            ({"read_again": _ready}, self._read_again),
            ({"declare_lost": _ready}, self._declare),
            ({"set_found": self._whole}, self._found),
        )

    def run(self, steps: t.Sequence[Step]) -> None:
        """All of them, in the order of the phases; every phase is durable before the next one, and before its rows."""
        try:
            for actions, commit in self._phases:
                done = [step for step in steps if step.action in actions and self._did(actions[step.action], step)]
                if done:
                    self._files.sync()
                    done = commit(done)
                    self.reporter.progress(f"{len(self.result.steps) + len(done):,}/{len(steps):,} steps done")
                self.result.steps += done
        finally:
            self._files.sync()

    def _did(self, action: t.Callable[[Step], None], step: Step) -> bool:
        return not self.reporter.stop_requested and self._tried(action, step)

    def _tried(self, action: t.Callable[[Step], None], step: Step) -> bool:
        try:
            action(step)
        except (StoreError, OSError) as error:
            self.result.undone.append((step, _text(error)))
            if step.action == "restore_object":
                self.failed.add(_digest(step))
            return False
        return True

    # Files

    def _set_mode(self, step: Step) -> None:
        self._files.set_mode(step.subject, None if step.subject in self._modes else self._rights.excess)

    def _make_directory(self, step: Step) -> None:
        self._files.make_directory(step.subject)

    def _restore(self, step: Step) -> None:
        """From the source of the plan, or from where it went since."""
        digest = _digest(step)
        foreign = {one.path for one in self.facts.sources[digest] if one.foreign}
        try:
            self._files.restore(digest, step.subject, Path(self.store.root, step.source), copy=step.source in foreign)
        except (StoreError, OSError):
            others = [name for name, _inside in self._files.whole_names(digest, but=step.subject) if name != step.source]
            if not others:
                raise
            self._files.restore(digest, step.subject, Path(self.store.root, others[0]), copy=False)

    def _link(self, step: Step) -> None:
        directory, name = step.subject.rsplit("/cur/", 1)
        placement = layout.parse_placement_name(name)
        if placement is None:
            raise AssertionError(step)
        self._files.link(placement.digest, directory, name)

    def _drop(self, step: Step) -> None:
        if step.source and not Path(self.store.root, step.source).exists():
            raise StoreError(step.source, "it is not there yet", "See why it could not be linked")
        self._files.drop(step.subject, _object(step))

    def _whole(self, step: Step) -> None:
        digest = _digest(step)
        if digest in self.failed or not self._files.whole_names(digest):
            raise StoreError(step.subject, "the object is not whole", "See why it could not be restored")

    # Rows

    def _adopt(self, inside: Held, path: str) -> None:
        """Give an object its row that came to light under another name."""
        if not self.catalog.object_rows([inside.digest]):
            self.catalog.adopt_object(ObjectRow(inside.digest, inside.size, inside.stored_size), f"it lay at {path}")

    def _note_objects(self, done: list[Step]) -> list[Step]:
        for digest in {_digest(step) for step in done}:
            self._files.tidy(digest)
        self._files.sync()
        rows = self._rows(done)
        self.catalog.put_objects([], self._notes(rows))
        return list(rows)

    def _write_rows(self, done: list[Step]) -> list[Step]:
        rows = self._rows(done)
        self.catalog.put_objects(list(rows.values()), self._notes(rows))
        return list(rows)

    def _rows(self, done: list[Step]) -> dict[Step, ObjectRow]:
        """The rows of objects, each read once more after the sync; a step whose object is not whole any more is undone."""
        rows: dict[Step, ObjectRow] = {}

        def read(step: Step) -> None:
            rows[step] = self._row(_digest(step))

        return {step: rows[step] for step in done if self._tried(read, step)}

    def _row(self, digest: bytes) -> ObjectRow:
        names = self._files.whole_names(digest)
        if not names:
            raise StoreError(layout.object_path(digest), "it is not whole any more", "Check the disk, then repair again")
        inside = names[0][1]
        return ObjectRow(digest, inside.size, inside.stored_size)

    def _notes(self, rows: t.Mapping[Step, ObjectRow]) -> list[tuple[str, dict[str, t.Any]]]:
        """What the ledger hears of them."""
        notes = []
        for step, row in rows.items():
            keys = {"by": self.asks.by, "digest": row.digest.hex(), "size": row.size, "done": step.action, "source": step.source}
            notes.append(("repaired", keys))
        return notes

    def _read_again(self, done: list[Step]) -> list[Step]:
        asked = {_digest(step) for step in done}
        for one in self.facts.on_servers:
            if one.digest in asked and not one.waits:
                self.catalog.read_again(one.folder_id, one.uidvalidity, one.run_id, {one.uid: ASKED_FOR})
        return done

    def _declare(self, done: list[Step]) -> list[Step]:
        sizes = {_digest(step): self._size(_digest(step)) for step in done}
        self.catalog.declare_lost(sizes, self.asks.by, self.asks.reason)
        return done

    def _size(self, digest: bytes) -> int:
        """As far as the catalog knows it; 0 when it does not."""
        rows = self.facts.rows.get(digest, ())
        return next((row.size for row in rows), next((one.size for one in self.facts.on_servers if one.digest == digest), 0))

    def _found(self, done: list[Step]) -> list[Step]:
        rows = self._rows(done)
        self.catalog.found_again({row.digest: row.size for row in rows.values()}, self.asks.by)
        return list(rows)


def _nothing(done: list[Step]) -> list[Step]:
    """A phase without rows."""
    return done


def _ready(_step: Step) -> None:
    """A step that is a row alone."""


def _object(step: Step) -> bytes | None:
    return Finding("", step.subject).digest


def _digest(step: Step) -> bytes:
    digest = _object(step)
    if digest is None:
        raise AssertionError(step)
    return digest


def _text(error: ArchiveToolError | OSError) -> str:
    return str(error) if isinstance(error, ArchiveToolError) else f"{error.filename}: {error.strerror}"
