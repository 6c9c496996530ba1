# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of every state of the disk after a power loss: what was committed is there, a run completes the archive."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, store_sweep
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from tests.faults import crash_scene, power
from tests.faults.calls import Action
from tests.faults.crash_bench import Bench
from tests.faults.crash_scene import Place, digest_of, placement_path
from tests.faults.imap_script import Command
from tests.faults.imap_state import Mailboxes

CHANGING = re.compile(r"imap \S+ (UID STORE|UID EXPUNGE|UID MOVE|EXPUNGE|STORE|CLOSE)\b")
EPOCH = re.compile(r"\b1\d{9}\b")
PROMISES = {"messages": crash_scene.MESSAGE_ROWS, "objects": crash_scene.OBJECT_ROWS, "receipts": crash_scene.RECEIPT_ROWS}
PROMISES["placements"] = crash_scene.PLACEMENT_ROWS


class LossError(AssertionError):
    """A state in which something is missing; says what."""


@dataclass
class Recording:
    """A run that created its archive, what it did to the disk, and what the server held in between."""

    bench: Bench
    history: power.History
    versions: list[Mailboxes]
    undisturbed: dict[str, t.Any]
    root: Path
    states: int = 0
    runs: int = 0
    _done: set[t.Any] = field(default_factory=set)
    _checked: set[t.Any] = field(default_factory=set)
    _promised: dict[int, dict[str, t.Any]] = field(default_factory=dict)

    @classmethod
    def make(cls, bench: Bench, undisturbed: dict[str, t.Any], *, killed: str = "", **more: t.Any) -> Recording:
        """Record a run that makes its archive; ``more``: see Task. ``killed``: and then is killed, and another run follows it.

        "synced": what is to be committed is durable, and the catalog does not know it. "committed": it knows, but not durably.
        """
        folder = bench.folder / "power"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        root = folder / "archive"
        bench.fresh()
        versions = [bench.server.state.snapshot()]

        def keep(command: Command) -> t.Iterator[t.Any]:
            yield from command.ordinary()
            if CHANGING.match(f"imap x {command.verb}"):
                versions.append(bench.server.state.snapshot())

        bench.server.script.on("*", keep)
        where = {"root": str(root), "watch": str(folder), **more}
        records = bench.recorded(make=True, **where)
        if killed:
            _, second, *_ = (at for at, one in enumerate(records) if one.number == 0 and one.path == killed)
            number = max(one.number for one in records[:second]) + (killed == "synced")
            shutil.rmtree(root)
            bench.fresh()
            del versions[1:]
            records = [*bench.recorded(make=True, target=number, action=Action.KILL, **where), *bench.recorded(**where)]
        bench.server.script.clear()
        history = power.History.of(str(folder), records)
        return cls(bench, history, versions, undisturbed, root)

    def marks(self, at: int, text: str) -> list[int]:
        """Where that mark stands before position ``at``."""
        return [one.at for one in self.history.changes[:at] if one.kind == power.MARK and one.path == text]

    def losses(self, *, singles: bool) -> t.Iterator[power.Loss]:
        return power.losses(self.history, f"{self.root}/{layout.CATALOG_FILE}", singles=singles)

    def check(self, loss: power.Loss) -> None:
        """Build the state and check it; LossError says what is wrong. A state that was there before is not looked at again."""
        disk = power.disk(self.history, loss.at, loss.lost, loss.torn)
        commits = self.marks(loss.at, "committed")
        version = self._version(loss.at)
        made = bool(self.marks(loss.at, "made"))
        key = (disk.key(), len(commits), version, made)
        if key in self._done:
            return
        self._done.add(key)
        self.states += 1
        self._build(disk)
        try:
            if commits:
                self._check_promises(self._promises(commits[-1]))
            if made:
                self._repair()
            else:
                crash_scene.make_archive(self.root)
            self._complete(version)
        except (AssertionError, ArchiveToolError, OSError, sqlite3.Error) as error:
            raise LossError(f"{loss.how} lost at {loss.at} of {len(self.history.changes)}: {error!r}") from error

    def _build(self, disk: power.Disk) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        disk.build(str(self.root.parent))

    def _version(self, at: int) -> int:
        said = sum(one.kind == power.MARK and CHANGING.match(one.path) is not None for one in self.history.changes[:at])
        return min(said, len(self.versions) - 1)

    def _promises(self, at: int) -> dict[str, t.Any]:
        """What a reader of the catalog saw at that moment."""
        if at not in self._promised:
            aside = self.root.with_name("promised")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            power.disk(self.history, at, ()).build(str(aside))
            place = Place(aside / self.root.name)
            self._promised[at] = {name: set(place.rows(statement)) for name, statement in PROMISES.items()}
        return self._promised[at]

    def _check_promises(self, promised: dict[str, t.Any]) -> None:
        place = Place(self.root)
        found = {name: set(place.rows(statement)) for name, statement in PROMISES.items()}
        for name in ("objects", "placements"):
            assert promised[name] <= found[name], f"rows of {name} are gone"
        for name, width in (("messages", 4), ("receipts", 5)):
            there = {row[:width] for row in found[name]}
            assert {row[:width] for row in promised[name]} <= there, f"rows of {name} are gone"
        objects = place.objects()
        for digest, _size in promised["objects"]:
            assert digest in objects, f"object {digest} is gone"
            assert digest_of(objects[digest]) == digest, f"object {digest} is damaged"
        links = place.links()
        for row in promised["placements"]:
            path = placement_path(row)
            assert path in links, f"{path} is gone"
            assert digest_of(links[path]) == row[1], f"{path} is damaged"

    def _repair(self) -> None:
        """What a run does first. Then nothing may be there that the catalog does not know, and everything is whole."""
        with Store.open(str(self.root), lock="test") as store, Catalog.of(str(self.root)) as catalog:
            store_sweep.recover(store, catalog)
        place = Place(self.root)
        known = {digest for digest, _size in place.rows(crash_scene.OBJECT_ROWS)}
        objects, links = place.objects(), place.links()
        assert set(objects) >= known, "objects that the catalog knows are gone"
        assert set(objects) <= known, "the repair left objects that the catalog does not know"
        placed = {placement_path(row) for row in place.rows(crash_scene.PLACEMENT_ROWS)}
        assert set(links) >= placed, "placements that the catalog knows are gone"
        assert set(links) <= placed, "the repair left placements that the catalog does not know"
        assert not list((self.root / layout.STAGING).iterdir()), "the repair left something in staging"

    def _complete(self, version: int) -> None:
        key = (self._substance(), version)
        if key in self._checked:
            return
        self._checked.add(key)
        self.runs += 1
        self.bench.server.state.restore(self.versions[version])
        answer = self.bench.run(root=str(self.root))
        assert (answer.status, answer.told) == (0, ""), answer
        assert crash_scene.state_of(self.root, self.bench.server.state.snapshot()) == self.undisturbed

    def _substance(self) -> str:
        """All that the next run finds, without times."""
        database = sqlite3.connect(self.root / layout.CATALOG_FILE)
        try:
            rows = EPOCH.sub("then", "\n".join(database.iterdump()))
        finally:
            database.close()
        lines = []
        inodes: dict[int, int] = {}
        for folder, _folders, files in sorted(os.walk(str(self.root))):
            lines.append(folder)
            for name in sorted(files):
                if not name.startswith(layout.CATALOG_FILE) and name != layout.LOCK_FILE:
                    found = os.stat(f"{folder}/{name}")  # noqa: PTH116  thousands of times 300 files
                    date = found.st_mtime if found.st_nlink > 1 or layout.OBJECTS in folder else 0
                    lines.append(f"{folder}/{name} {inodes.setdefault(found.st_ino, len(inodes))} {found.st_size} {date}")
        return "\n".join([rows, *lines])
