# SPDX-License-Identifier: GPL-3.0-or-later
"""One folder of a server against its rows in the catalog and their objects: every UID gets its class."""

from __future__ import annotations

import random
import stat
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import catalog_compare, compare_classes, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import SourceFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_classes import (
    DIFFERENT,
    KEPT,
    LOST,
    MISSING,
    NEW,
    NO_FILE,
    OTHER_UIDVALIDITY,
    Place,
    Row,
    Tally,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import OTHER_SIZE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker import Imap
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder

# Messages of another size of which the bytes are compared, in each folder; a server that always tells another size has many.
MOST_SUSPECTS = 100
RESTORED = "UIDNEXT went back from {0} to {1}, so UIDs may stand for other messages now: compare sizes, or archive again"


@dataclass(frozen=True)
class Wish:
    """What is compared beside UIDs: the bytes of ``sample`` messages of each mailbox, drawn at random; the size of every message.

    ``keep``: whether the result is written down in the archive.
    """

    sample: int = 0
    sizes: bool = False
    keep: bool = True


@dataclass
class Objects:
    """The objects of an archive, as far as it can be told without reading them: a file that is there and not empty.

    ``lost``: what was declared lost, and why; a damaged file may be left of it.
    """

    root: str
    lost: t.Mapping[bytes, str]

    def lack(self, digest: bytes) -> Place | None:
        """See ``compare_classes.Shelf``. Raises StoreError when the file system does not say."""
        if digest in self.lost:
            return Place(LOST, self.lost[digest])
        path = Path(self.root, layout.object_path(digest))
        try:
            facts = path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return Place(MISSING, NO_FILE)
        except OSError as error:
            raise os_failure(error, str(path)) from error
        return None if stat.S_ISREG(facts.st_mode) and facts.st_size else Place(MISSING, NO_FILE)


@dataclass(frozen=True)
class Drawn:
    """An archived message whose bytes are to be compared. ``suspect``: because the server tells another size."""

    folder: Folder
    uidvalidity: int
    uid: int
    digest: bytes
    kind: str
    suspect: bool = False


class Lots:
    """Draws a number of messages out of any number, each with the same chance."""

    def __init__(self, number: int, before: Lots | None = None) -> None:
        """``before``: what was drawn so far, which stays as it is."""
        self._number = number
        self._offered: int = before._offered if before else 0
        self.drawn: list[Drawn] = list(before.drawn) if before else []

    def offer(self, make: t.Callable[[], Drawn]) -> None:
        """Take a message, or not."""
        self._offered += 1
        if len(self.drawn) < self._number:
            self.drawn.append(make())
        elif self._number:
            position = random.randrange(self._offered)  # noqa: S311 - a sample, no secret
            if position < self._number:
                self.drawn[position] = make()


@dataclass
class Compared:
    """One folder. ``known``: the UIDVALIDITY under which the catalog has it, 0 when it has none. ``listed``: the server has it.

    ``sized``, ``read``, ``bytes``: messages whose size, and whose bytes, were compared. ``untold``: archived messages of which
    the server told no size.
    """

    name: str
    listed: bool = True
    uidvalidity: int = 0
    known: int = 0
    on_server: int = 0
    here: Tally = field(default_factory=Tally)
    away: Tally = field(default_factory=Tally)
    sized: int = 0
    untold: int = 0
    read: int = 0
    bytes: int = 0
    suspects: list[Drawn] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether every UID that the server lists is in one class."""
        return self.on_server == sum(self.here.counts.values())


@dataclass
class FolderLook:
    """Compares folders of one mailbox, which is open on ``connection``. ``lots`` has drawn from all folders so far."""

    imap: Imap
    connection: t.Any
    catalog: Database
    objects: Objects
    wish: Wish
    lots: Lots

    def compare(self, folder: Folder, source: SourceFolder | None) -> Compared:
        """Raises ImapError when the server refuses, NetworkError and ProtocolError when the connection is lost.

        The rows are read after the UIDs: whatever the server listed, and the archive has, has its row by then.
        """
        status = self.imap.examine(self.connection, folder)
        uids = self.imap.search_uids(self.connection)
        found = Compared(folder.name, uidvalidity=status.uidvalidity, on_server=len(uids))
        self._lots = Lots(self.wish.sample, self.lots)
        self._folder = folder
        if source is not None:
            found.known = source.uidvalidity
            if found.known == found.uidvalidity and 0 < status.uidnext < source.uidnext:
                found.notes.append(RESTORED.format(source.uidnext, status.uidnext))
        self._merge(found, uids, source)
        if source is not None:
            self._earlier(found, source)
        if found.here.unsettled or found.away.unsettled:
            self._second_look(found)
        self.lots = self._lots
        return found

    def gone(self, source: SourceFolder) -> Compared:
        """A folder that the server does not have any more."""
        found = Compared(source.name, listed=False, known=source.uidvalidity)
        self._earlier(found, source)
        return found

    def _merge(self, found: Compared, uids: t.Sequence[int], source: SourceFolder | None) -> None:
        """Go through UIDs and rows, both ascending, side by side."""
        other = source is not None and found.known not in (0, found.uidvalidity)
        reason = f"the catalog knows the folder under UIDVALIDITY {found.known}" if other else ""
        unknown = Place(OTHER_UIDVALIDITY if other else NEW, reason)
        position, end = 0, len(uids)
        for page in catalog_compare.pages(self.catalog, source.id, found.uidvalidity) if source else ():
            kept: list[tuple[Row, str]] = []
            for row in page:
                while position < end and uids[position] < row.uid:
                    found.here.add(found.uidvalidity, uids[position], unknown)
                    position += 1
                if position < end and uids[position] == row.uid:
                    position += 1
                    self._here(found, row, kept)
                else:
                    found.away.add(row.uidvalidity, row.uid, compare_classes.away(row, self.objects, earlier=False))
            if kept and self.wish.sizes:
                self._sizes(found, kept)
        for uid in uids[position:]:
            found.here.add(found.uidvalidity, uid, unknown)

    def _here(self, found: Compared, row: Row, kept: list[tuple[Row, str]]) -> None:
        place = compare_classes.here(row, self.objects)
        found.here.add(row.uidvalidity, row.uid, place)
        if place.kind in KEPT:
            kept.append((row, place.kind))
            self._lots.offer(lambda: self._drawn(row, place.kind))

    def _drawn(self, row: Row, kind: str, *, suspect: bool = False) -> Drawn:
        return Drawn(self._folder, row.uidvalidity, row.uid, row.digest or b"", kind, suspect)

    def _sizes(self, found: Compared, rows: t.Sequence[tuple[Row, str]]) -> None:
        """RFC822.SIZE is the size of the bytes, or of the bytes with every line end as CRLF."""
        told = self.imap.sizes(self.connection, [row.uid for row, _kind in rows])
        found.sized += len(told)
        found.untold += len(rows) - len(told)
        for row, kind in rows:
            if row.uid not in told or told[row.uid] in (row.size, row.vsize):
                continue
            if len(found.suspects) < MOST_SUSPECTS:
                found.suspects.append(self._drawn(row, kind, suspect=True))
            else:
                found.here.move(kind, row.uidvalidity, row.uid, Place(DIFFERENT, OTHER_SIZE))

    def _earlier(self, found: Compared, source: SourceFolder) -> None:
        for validity in catalog_compare.uidvalidities(self.catalog, source.id):
            if not found.listed or validity != found.uidvalidity:
                for page in catalog_compare.pages(self.catalog, source.id, validity):
                    for row in page:
                        place = compare_classes.away(row, self.objects, earlier=found.listed)
                        found.away.add(validity, row.uid, place)

    def _second_look(self, found: Compared) -> None:
        """A run may go on: what it deleted since the first look is no message that came back, what it archived did not go."""
        there = frozenset(self.imap.search_uids(self.connection))
        found.on_server -= found.here.settle(found.uidvalidity, there.__contains__)
        found.away.settle(found.uidvalidity, lambda uid: uid not in there)
