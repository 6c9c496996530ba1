# SPDX-License-Identifier: GPL-3.0-or-later
"""States of the disk after a power loss, made from what the calls of a run did.

The model. A sync makes durable what came before it and nothing else: fsync and fdatasync of a file its data and its size (fsync
its times as well), fsync of a directory the entries in it, syncfs everything. Of the rest, any part may be missing and any other
part there, whatever came first: data of a file may be absent (size 0), end early or lack a piece in the middle, an entry may be
missing while the file has its data, and later changes may be there while earlier ones are not. Only one entry is never half
made, and a rename never loses the file: the old name goes when the new one is there, at once in the same directory, or later in
another one.

This is what POSIX promises, not what a file system does. ext4 keeps the order of entries (they are lost from some point on, never
in the middle), XFS too, and fsync of a new file brings its entry with it on both. What survives here survives there: every state
that those file systems leave is among these, or is one of these with more of it there.

SQLite's memory of its WAL (-shm) is written by memory mapping and is made anew after a crash; it is not part of a state.
"""

from __future__ import annotations

import itertools
import os
import random
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from tests.faults.calls import Record

SECTOR = 512
DATA, ENTRY, SYNC, MARK = "data", "entry", "sync", "mark"
O_TRUNC = os.O_TRUNC
O_TMPFILE = os.O_TMPFILE


@dataclass
class Change:
    """One thing that a call did. ``node`` is a file's or a directory's number here, None where an entry goes.

    ``place`` is the directory of an entry, ``path`` the whole of it; of a mark, its text. ``needs`` is the change without which
    this one is never there; ``bound``: nor is that one without this one. ``durable`` is the position of the sync that makes it
    so, or infinity. A sync of ``node`` None is of all.
    """

    at: int
    kind: str
    path: str = ""
    place: str = ""
    node: int | None = None
    offset: int = 0
    data: bytes = b""
    what: str = ""
    needs: Change | None = None
    bound: bool = False
    durable: float = float("inf")
    times: bool = False


@dataclass
class Node:
    """A file or a directory."""

    is_directory: bool
    mode: int


@dataclass
class History:
    """All changes of a run below ``root``, in order."""

    root: str
    changes: list[Change] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    _by_inode: dict[int, int] = field(default_factory=dict)
    _by_path: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, root: str, records: t.Iterable[Record]) -> History:
        history = cls(root)
        for record in records:
            if record.number == 0:
                history._add(MARK, path=record.path)
            elif record.result >= 0 and record.path.startswith(root):
                getattr(history, f"_on_{record.name}")(record)
        history._find_syncs()
        return history

    def _add(self, kind: str, **values: t.Any) -> Change:
        change = Change(len(self.changes), kind, **values)
        self.changes.append(change)
        return change

    def _entry(self, path: str, node: int | None, what: str, needs: Change | None = None) -> Change:
        if node is None:
            self._by_path.pop(path, None)
        else:
            self._by_path[path] = node
        return self._add(ENTRY, path=path, place=path.rpartition("/")[0], node=node, what=what, needs=needs)

    def _new(self, inode: int, *, is_directory: bool, mode: int) -> int:
        self.nodes.append(Node(is_directory, mode))
        self._by_inode[inode] = len(self.nodes) - 1
        return len(self.nodes) - 1

    # What each call does

    def _on_openat(self, record: Record) -> None:
        if record.made:
            node = self._new(record.inode, is_directory=False, mode=record.offset & ~0o027)
            if record.flags & O_TMPFILE != O_TMPFILE:
                self._entry(record.path, node, "create")
        elif record.flags & O_TRUNC:
            self._add(DATA, path=record.path, node=self._by_inode[record.inode], what="truncate")

    def _on_write(self, record: Record) -> None:
        values = {"path": record.path, "offset": record.offset, "data": record.data, "what": "write"}
        self._add(DATA, node=self._by_inode[record.inode], **values)

    _on_pwrite64 = _on_write

    def _on_ftruncate(self, record: Record) -> None:
        self._add(DATA, path=record.path, node=self._by_inode[record.inode], offset=record.offset, what="truncate")

    def _on_utimensat(self, record: Record) -> None:
        node = self._by_inode[record.inode]
        self._add(DATA, path=record.path, node=node, offset=record.offset, what="time", times=True)

    def _on_mkdir(self, record: Record) -> None:
        node = self._new(record.inode, is_directory=True, mode=record.flags & ~0o027)
        self._entry(record.path, node, "mkdir")

    def _on_link(self, record: Record) -> None:
        self._entry(record.second, self._by_path[record.path], "link")

    def _on_rename(self, record: Record) -> None:
        arrived = self._entry(record.second, self._by_path[record.path], "rename")
        away = self._entry(record.path, None, "rename away", needs=arrived)
        away.bound = away.place == arrived.place

    def _on_unlink(self, record: Record) -> None:
        self._entry(record.path, None, "unlink")

    _on_rmdir = _on_unlink

    def _on_fsync(self, record: Record) -> None:
        node = self._by_inode.get(record.inode)
        self._add(SYNC, path=record.path, node=-1 if node is None else node, times=True, what="fsync")

    def _on_fdatasync(self, record: Record) -> None:
        self._add(SYNC, path=record.path, node=self._by_inode[record.inode], what="fdatasync")

    def _on_syncfs(self, _record: Record) -> None:
        self._add(SYNC, node=None, times=True, what="syncfs")

    def _on_statement(self, _record: Record) -> None:
        """It did what its calls did."""

    # Rights and owners are not what is lost.
    _on_fchown = _on_fchmod = _on_chmod = _on_chown = _on_statement

    def _find_syncs(self) -> None:
        """Tell every change which sync makes it durable."""
        waiting: list[Change] = []
        for change in self.changes:
            if change.kind in (DATA, ENTRY):
                waiting.append(change)
            elif change.kind == SYNC:
                for one in waiting:
                    if covers(change, one):
                        one.durable = change.at
                waiting = [one for one in waiting if one.durable == float("inf")]

    def syncs(self) -> list[Change]:
        return [change for change in self.changes if change.kind == SYNC]

    def open_at(self, at: int) -> list[Change]:
        """What is not durable when everything before position ``at`` was done."""
        return [one for one in self.changes[:at] if one.kind in (DATA, ENTRY) and one.durable >= at and not one.bound]


def covers(sync: Change, change: Change) -> bool:
    if sync.node is None:
        return True
    if change.kind == ENTRY:
        return sync.path == change.place
    return sync.node == change.node and (sync.times or not change.times)


@dataclass
class Disk:
    """What is there after a power loss. ``key`` tells two different ones apart."""

    entries: dict[str, int]
    pieces: dict[int, list[tuple[Change, bool]]]
    history: History

    def key(self) -> tuple[t.Any, ...]:
        reachable = set(self.entries.values())
        pieces = tuple(
            (node, tuple((one.at, cut) for one, cut in self.pieces[node])) for node in sorted(reachable & set(self.pieces))
        )
        return tuple(sorted(self.entries.items())), pieces

    def build(self, target: str) -> None:
        """Make it, with ``target`` in the place of the history's root. With texts for paths: it is done thousands of times."""
        folders = {target}
        made: dict[int, str] = {}
        for path in sorted(self.entries, key=lambda path: (path.count("/"), path)):
            node = self.entries[path]
            there = f"{target}{path.removeprefix(self.history.root)}"
            if there.rpartition("/")[0] not in folders:
                continue  # its directory was lost
            if self.history.nodes[node].is_directory:
                os.mkdir(there, self.history.nodes[node].mode)  # noqa: PTH102  texts for paths, see above
                folders.add(there)
            elif node in made:
                os.link(made[node], there)
            else:
                self._write(node, there)
                made[node] = there

    def _write(self, node: int, there: str) -> None:
        content = bytearray()
        seconds = None
        for one, cut in self.pieces.get(node, ()):
            if one.what == "time":
                seconds = one.offset
            elif one.what == "truncate":
                content = content[: one.offset].ljust(one.offset, b"\0")
            else:
                data = one.data[: half(len(one.data))] if cut else one.data
                content.extend(bytes(max(0, one.offset + len(data) - len(content))))
                content[one.offset : one.offset + len(data)] = data
        descriptor = os.open(there, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.history.nodes[node].mode)
        try:
            os.write(descriptor, content)
            if seconds is not None:
                os.utime(descriptor, (seconds, seconds))
        finally:
            os.close(descriptor)


def half(size: int) -> int:
    """Where a write that was torn ends: at a sector, if it has two."""
    return size // 2 // SECTOR * SECTOR or size // 2


def disk(history: History, at: int, lost: t.Container[int], torn: t.Container[int] = ()) -> Disk:
    """The disk when the power goes at position ``at`` and the changes at the positions ``lost`` did not reach it."""
    entries: dict[str, int] = {}
    pieces: dict[int, list[tuple[Change, bool]]] = defaultdict(list)
    for one in history.changes[:at]:
        if one.kind not in (DATA, ENTRY) or one.at in lost or (one.needs is not None and one.needs.at in lost):
            continue
        if one.kind == DATA:
            pieces[t.cast("int", one.node)].append((one, one.at in torn))
        elif one.node is None:
            entries.pop(one.path, None)
        elif not one.path.endswith("-shm"):
            entries[one.path] = one.node
    return Disk(entries, pieces, history)


class Loss(t.NamedTuple):
    """A way to lose: the power goes at position ``at``, ``lost`` did not reach the disk, ``torn`` did by half."""

    at: int
    how: str
    lost: frozenset[int]
    torn: frozenset[int] = frozenset()


def losses(history: History, catalog: str, *, singles: bool, seed: int = 4) -> t.Iterator[Loss]:
    """Ways to lose, just before and just after each sync and at the end. ``catalog``: the path of its files.

    ``singles``: each single thing as well.
    """
    chance = random.Random(seed)
    instants = [(sync.at, True) for sync in history.syncs()] + [(after(history, sync.at), False) for sync in history.syncs()]
    for at, before in [*sorted(instants), (len(history.changes), True)]:
        waiting = history.open_at(at)
        yield from whole(at, waiting, catalog)
        if singles and before:
            yield from single(at, waiting, catalog)
        for _ in range(3):
            yield Loss(at, "a random part", positions(one for one in waiting if chance.random() < 0.5))


def after(history: History, at: int) -> int:
    """Just after the sync at ``at``: whoever waited for it heard of its end."""
    return next((one.at for one in history.changes[at + 1 :] if one.kind != MARK), len(history.changes))


def positions(changes: t.Iterable[Change]) -> frozenset[int]:
    return frozenset(one.at for one in changes)


def whole(at: int, waiting: list[Change], catalog: str) -> t.Iterator[Loss]:
    """Everything of one kind is missing."""
    data = positions(one for one in waiting if one.kind == DATA)
    entries = positions(one for one in waiting if one.kind == ENTRY)
    of_catalog = positions(one for one in waiting if one.path.startswith(catalog))
    yield Loss(at, "nothing lost", frozenset())
    yield Loss(at, "everything", data | entries)
    yield Loss(at, "all data", data)
    yield Loss(at, "half of each write", frozenset(), data)
    yield Loss(at, "all entries", entries)
    yield Loss(at, "all but the catalog", (data | entries) - of_catalog)
    yield Loss(at, "all but the catalog's and all entries", data - of_catalog)
    yield Loss(at, "the catalog", of_catalog)
    of_root = positions(one for one in waiting if one.kind == ENTRY and one.place == catalog.rpartition("/")[0])
    yield Loss(at, "all entries but the root's own", entries - of_root)
    yield Loss(at, "all new entries", positions(one for one in waiting if one.kind == ENTRY and one.node is not None))
    yield Loss(at, "all new entries but the catalog's", entries - of_catalog)
    ordered = sorted(data | entries)
    for share in (1, 2, 3):
        cut = len(ordered) * share // 4
        yield Loss(at, f"the last {4 - share} quarters", frozenset(ordered[cut:]))
        yield Loss(at, f"the first {4 - share} quarters", frozenset(ordered[: len(ordered) - cut]))


def single(at: int, waiting: list[Change], catalog: str) -> t.Iterator[Loss]:
    """One thing is missing, or one thing alone is there: an entry, or the data of a file; of the catalog's, each page."""
    everything = positions(waiting)
    for unit in units(waiting, catalog):
        yield Loss(at, "one thing", unit)
        yield Loss(at, "all but one thing", everything - unit)
        yield Loss(at, "half of one thing", frozenset(), unit)


def units(waiting: list[Change], catalog: str) -> t.Iterator[frozenset[int]]:
    """What is lost as one; of many directories that are made in a row, the first and the last stand for all."""
    for _kind, group in itertools.groupby(
        waiting, key=lambda one: (one.kind, one.what, one.node if one.kind == DATA else one.place)
    ):
        found = list(group)
        if found[0].kind == DATA and not found[0].path.startswith(catalog):
            yield positions(found)
        elif found[0].what == "mkdir" and len(found) > 8:
            yield from (positions([found[0]]), positions([found[-1]]))
        else:
            yield from (positions([one]) for one in found)
