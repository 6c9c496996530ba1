# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done about what a verification found. Pure: no I/O."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_repair import Asked, Placed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import ObjectRow
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_findings import Finding

# What each action is for. It mends these kinds where its subject is theirs.
MENDS: dict[str, set[str]] = {
    "set_mode": {"object_mode", "open_to_others"},
    "make_directory": {"format"},
    "clear_staging": {"foreign"},
    "restore_object": {"object_missing", "object_damaged"},
    "write_row": {"object_twice", "object_size", "placement_lost", "message_lost", "ledger_lost"},
    "link_placement": {"placement_missing", "placement_other"},
    "drop_name": {"placement_name", "placement_unknown", "object_linked"},
    "read_again": set(),
    "declare_lost": {"object_missing", "object_damaged", "object_size", "placement_lost", "message_lost", "ledger_lost"},
    "set_found": set(),
}
# Where bytes are missing.
WITHOUT_BYTES = {"object_missing", "object_damaged", "placement_lost", "message_lost", "ledger_lost"}
# Of an object whose bytes may be there all the same.
ROWS = MENDS["write_row"]
# What follows from objects and placements that are not where they must be.
FOLLOWS = {"object_links", "object_size", "placement_missing"}


class Step(t.NamedTuple):
    """One thing to do, or that was done. ``source``: where the bytes of an object come from."""

    action: str
    subject: str
    source: str = ""

    def as_data(self) -> dict[str, str]:
        """Plain data for a result."""
        return self._asdict()


class Source(t.NamedTuple):
    """A whole message in a file; ``path`` is relative to the archive root, or absolute in a backup.

    ``foreign``: the object becomes a copy of it and no link, because the file is somebody else's and stays.
    """

    path: str
    size: int
    stored_size: int
    inode: tuple[int, int]
    foreign: bool = False


class Unreadable(t.NamedTuple):
    """A file, or a directory, of which nobody knows what it holds. ``digest``: what its name promises, if any."""

    digest: bytes | None
    path: str
    cause: str


@dataclass(frozen=True)
class Asks:
    """What the operator asks for beyond what is always done. ``by`` and ``reason`` are for what is declared lost."""

    from_server: bool = False
    declare_lost: frozenset[bytes] = frozenset()
    reason: str = ""
    by: str = ""


@dataclass(frozen=True)
class Facts:
    """What lies in the archive and in backups, of the digests that the findings speak of.

    ``wanted``: digest -> paths where the object must be whole and is not. ``sources``: digest -> whole files, the best first.
    ``inodes``: those that the object has. ``names``: path of a placement -> the names that it has, with their inodes. ``lost``:
    what is declared lost. ``kept``: files in staging that hold what is nowhere else. ``twins``: second names of one inode.
    ``taken``: names of directories that something else has. ``unheard``: what files hold under
    digests of which neither the catalog nor the ledger has ever heard. ``unreadable``: what may hold a wanted message that has no
    source.
    """

    wanted: t.Mapping[bytes, t.Sequence[str]] = field(default_factory=dict)
    sources: t.Mapping[bytes, t.Sequence[Source]] = field(default_factory=dict)
    inodes: t.Mapping[bytes, t.AbstractSet[tuple[int, int]]] = field(default_factory=dict)
    rows: t.Mapping[bytes, t.Sequence[ObjectRow]] = field(default_factory=dict)
    placements: t.Sequence[Placed] = ()
    names: t.Mapping[str, t.Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    on_servers: t.Sequence[Asked] = ()
    lost: t.AbstractSet[bytes] = frozenset()
    kept: t.AbstractSet[str] = frozenset()
    twins: t.Sequence[str] = ()
    taken: t.AbstractSet[str] = frozenset()
    unheard: t.AbstractSet[bytes] = frozenset()
    unreadable: t.Sequence[Unreadable] = ()


def wanted_of(findings: t.Iterable[Finding], lost: t.Iterable[bytes]) -> dict[bytes, list[str]]:
    """The objects that have to be whole and may not be: digest -> paths. One digest may have several inodes."""
    wanted: dict[bytes, dict[str, None]] = defaultdict(dict)
    for finding in findings:
        digest = finding.digest
        if finding.kind in WITHOUT_BYTES and digest is not None:
            wanted[digest][finding.subject] = None
    for digest in lost:
        wanted[digest][layout.object_path(digest)] = None
    return {digest: sorted(paths) for digest, paths in sorted(wanted.items())}


def plan(findings: t.Sequence[Finding], facts: Facts, asks: Asks) -> list[Step]:
    """The steps in their order. The catalog in itself is intact."""
    return _Plan(findings, facts, asks).steps()


class _Plan:
    def __init__(self, findings: t.Sequence[Finding], facts: Facts, asks: Asks) -> None:
        self._findings = findings
        self._facts = facts
        self._asks = asks
        self._without = {digest for digest in facts.wanted if not facts.sources.get(digest)}

    def steps(self) -> list[Step]:
        return [
            *self._by_subject("set_mode"),
            *(step for step in self._by_subject("make_directory") if step.subject not in self._facts.taken),
            *self._objects(),
            *self._rows(),
            *self._placements(),
            *(Step("drop_name", path) for path in self._facts.twins),
            *(step for step in self._by_subject("clear_staging") if self._in_staging(step.subject)),
            *self._told(),
        ]

    def _by_subject(self, action: str) -> t.Iterator[Step]:
        subjects = dict.fromkeys(finding.subject for finding in self._findings if finding.kind in MENDS[action])
        return (Step(action, subject) for subject in subjects)

    def _in_staging(self, subject: str) -> bool:
        return layout.is_staged(subject) and subject not in self._facts.kept

    def _objects(self) -> t.Iterator[Step]:
        for digest, paths in self._facts.wanted.items():
            sources = self._facts.sources.get(digest, ())
            whole = {source.path for source in sources}
            for path in paths:
                if sources and path not in whole:
                    yield Step("restore_object", path, sources[0].path)

    def _rows(self) -> t.Iterator[Step]:
        """Rows that are not what the bytes are, where the bytes are there, or will be."""
        asked = {finding.digest for finding in self._findings if finding.kind in ROWS}
        for digest in sorted({*self._facts.wanted, *(one for one in asked if one is not None)} - self._without):
            sources = self._facts.sources.get(digest, ())
            if sources and list(self._facts.rows.get(digest, ())) != [row_of(digest, sources)]:
                yield Step("write_row", layout.object_path(digest))

    def _placements(self) -> t.Iterator[Step]:
        drops: list[Step] = []
        for row in self._facts.placements:
            if row.digest in self._without:
                continue
            here = self._facts.names.get(row.path, {})
            if here.get(row.name) not in self._inodes(row.digest):
                yield Step("link_placement", row.path)
            # A name that differs in the flags alone is the same placement: it goes once the right one is there.
            drops += [Step("drop_name", f"{row.directory}/cur/{name}", row.path) for name in sorted(here) if name != row.name]
        yield from drops

    def _inodes(self, digest: bytes) -> t.AbstractSet[tuple[int, int] | None]:
        """The inodes that the object has in the end."""
        inodes = set(self._facts.inodes.get(digest, ()))
        sources = self._facts.sources.get(digest, ())
        if digest in self._facts.wanted and sources and not sources[0].foreign:
            inodes.add(sources[0].inode)
        return inodes

    def _told(self) -> t.Iterator[Step]:
        facts, asks = self._facts, self._asks
        asked = {one.digest for one in facts.on_servers if one.digest in self._without} if asks.from_server else set()
        for one in facts.on_servers:
            if one.digest in asked and not one.waits:
                yield Step("read_again", layout.object_path(one.digest), f"{one.place} UID {one.uid}")
        hidden = {one.digest for one in facts.unreadable}
        for digest in sorted((asks.declare_lost & self._without) - asked - facts.lost - hidden):
            yield Step("declare_lost", layout.object_path(digest))
        for digest in sorted(facts.lost - self._without):
            yield Step("set_found", layout.object_path(digest))


def row_of(digest: bytes, sources: t.Sequence[Source]) -> ObjectRow:
    """The row of an object once it is restored: that of the file that has its name, or that takes it."""
    own = next((source for source in sources if source.path == layout.object_path(digest)), sources[0])
    return ObjectRow(digest, own.size, own.stored_size)


def remaining(findings: t.Iterable[Finding], steps: t.Iterable[Step]) -> list[Finding]:
    """What is left of ``findings`` once the steps are done: for check mode, which cannot look."""
    mended = {(kind, step.subject) for step in steps for kind in MENDS[step.action]}
    # A row, or a declaration, speaks of all that is found about its object.
    moved = {Finding("", step.subject).digest for step in steps if step.action not in ("set_mode", "read_again")}
    return [
        finding
        for finding in findings
        if (finding.kind, finding.subject) not in mended and not (finding.kind in FOLLOWS and finding.digest in moved)
    ]
