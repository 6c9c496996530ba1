# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing messages to the directory of an export: a file each, or all of a folder in one mbox."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import export_mbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_export import PAGE, Item, ManifestLine
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_dest import JOURNAL, PART, Destination, Whole
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_manifest import (
    STAGING,
    Manifest,
    Place,
    known_of,
    leads_out,
    line_of,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_names import Parts, eml_name, maildir_name
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import EML, MAILDIR, MBOX, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import MAILDIR_PARTS
from ansible_collections.mailops.kerio.plugins.module_utils.archive.proof_files import pieces_of, sha256_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import write_all
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

# After so many bytes or messages, what there is of an mbox is made durable, so that an export that is cut short goes on there.
CHECKPOINT_BYTES = 256 << 20
CHECKPOINT_MESSAGES = 20_000
_BUFFER = 1 << 20

Pieces = t.Iterable[bytes]


def file_of(wish: Wish, path: str, item: Item) -> str:
    """The file of a message, relative to dest; ``path`` is that of its folder."""
    if wish.format == MBOX:
        return f"{path}.mbox"
    full = bool(item.twin)
    if wish.format == EML:
        return f"{path}/{eml_name(item.date, item.digest, full=full)}"
    return f"{path}/cur/{maildir_name(item.date, item.digest, item.size, item.flags, wish.separator, full=full)}"


def folder_of(wish: Wish, file: str) -> str:
    """The path of the folder that a file belongs to."""
    if wish.format == MBOX:
        return file.removesuffix(".mbox")
    return file.rsplit("/", 2 if wish.format == MAILDIR else 1)[0]


class Writer(t.Protocol):
    """Writes messages of a folder one after the other, then of the next."""

    def write(self, place: Place, item: Item, pieces: Pieces) -> bool:
        """Write one; False when the very file was there. Raises what ``pieces`` raises, and then the message is not there."""

    def finish(self) -> None:
        """All have been written."""


@dataclass
class FileWriter:
    """One file for each message."""

    wish: Wish
    dest: Destination
    _folder: str = ""

    def write(self, place: Place, item: Item, pieces: Pieces) -> bool:
        """See ``Writer``."""
        file = item.file or file_of(self.wish, place.path, item)
        if self.wish.format == MAILDIR and place.path != self._folder:
            self._folder = place.path
            for part in MAILDIR_PARTS:
                self.dest.directory(f"{place.path}/{part}")
        if item.file is None and not self.dest.is_new(file) and self._is_there(file, item):
            self.dest.amend([file])
            self.dest.note(line_of(place, item, file, item.size, {}))
            return False
        descriptor, temporary = self.dest.temporary()
        try:
            size = 0
            for piece in pieces:
                write_all(descriptor, piece)
                size += len(piece)
            self.dest.seal(descriptor, item.date)
        except StoreError:
            Path(self.dest.dest, temporary).unlink()
            raise
        finally:
            os.close(descriptor)
        lines = [] if item.file else [line_of(place, item, file, size, {})]
        self.dest.add(Whole(temporary, file, lines), size)
        return True

    def _is_there(self, file: str, item: Item) -> bool:
        """Whether an export that was cut short has written it, and not its line any more."""
        path = Path(self.dest.dest, file)
        try:
            return path.stat().st_size == item.size and sha256_of(pieces_of(path)) == item.digest.hex()
        except FileNotFoundError:
            return False

    def finish(self) -> None:
        """See ``Writer``."""


class Resumed(t.NamedTuple):
    """What an export that was cut short has of an mbox: up to ``end`` it is durable, and so far its journal speaks of that."""

    place: Place
    end: int
    journal_end: int


@dataclass
class MboxWriter:
    """One mbox for each folder. ``bases``: by key, the size of the mbox that is there and is added to. ``written``: all files."""

    wish: Wish
    dest: Destination
    bases: t.Mapping[int, int]
    resumed: dict[int, Resumed]
    written: set[str] = field(default_factory=set)
    _key: int = -1
    _fresh: list[bytes] = field(default_factory=list)

    def write(self, place: Place, item: Item, pieces: Pieces) -> bool:
        """See ``Writer``."""
        if item.key != self._key:
            self._end()
            self._begin(item.key, place)
        start = self._file.tell()
        quoter = export_mbox.Quoter()
        size = 0
        try:
            self._file.write(export_mbox.from_line(item.date))
            offset = self._file.tell()
            for piece in pieces:
                size += len(piece)
                self._file.write(quoter.update(piece))
        except StoreError:
            self._file.seek(start)
            self._file.truncate()
            raise
        self._file.write(quoter.finish() + export_mbox.trailer(quoter.last))
        span = {"offset": offset, "length": quoter.length}
        self._fresh.append(line_of(place, item, self._name, size, span))
        if self._file.tell() - self._durable >= CHECKPOINT_BYTES or len(self._fresh) >= CHECKPOINT_MESSAGES:
            self._checkpoint()
        return True

    def finish(self) -> None:
        """See ``Writer``."""
        self._end()
        for key, one in list(self.resumed.items()):
            self._begin(key, one.place)
            self._end()

    def _begin(self, key: int, place: Place) -> None:
        self._key, self._place, self._name = key, place, f"{place.path}.mbox"
        stem = hashlib.sha256(self._name.encode()).hexdigest()[:32]
        self._part, self._journal = (self.dest.staging / f"{stem}{ending}" for ending in (PART, JOURNAL))
        one = self.resumed.pop(key, None)
        self._journaled = one is not None
        if one is None:
            self._part.unlink(missing_ok=True)
            self._journal.unlink(missing_ok=True)
            if self.bases.get(key):
                shutil.copyfile(Path(self.dest.dest, self._name), self._part)
        else:
            os.truncate(self._journal, one.journal_end)
        self._durable = self.bases.get(key, 0) if one is None else one.end
        self._file = self._part.open("r+b" if self._part.exists() else "wb", buffering=_BUFFER)
        self._file.truncate(self._durable)
        self._file.seek(self._durable)

    def _checkpoint(self) -> None:
        """Make what there is durable, and note it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        with self._journal.open("ab") as journal:
            journal.writelines(self._due())
            journal.flush()
            os.fsync(journal.fileno())
        self._journaled = True
        self._durable = self._file.tell()

    def _due(self) -> list[bytes]:
        """What the journal lacks; a new one begins with the folder."""
        lines, self._fresh = self._fresh, []
        if lines and not self._journaled:
            head = {"key": [self._place.tree, self._place.user, self._place.parts], "base": self.bases.get(self._key, 0)}
            lines.insert(0, json.dumps({**head, "file": self._name}).encode("ascii") + b"\n")
        return lines

    def _end(self) -> None:
        if self._key < 0:
            return
        size = self._file.tell() - self.bases.get(self._key, 0)
        self._file.flush()
        self.dest.seal(self._file.fileno())
        self._file.close()
        lines = self._due()
        self._key = -1
        if lines or self._journaled:
            self.written.add(self._name)
            self.dest.add(Whole(f"{STAGING}/{self._part.name}", self._name, lines, self._journal), size)
        else:
            self._part.unlink()  # of what was to be written nothing was whole


def end_of(path: Path, end: int) -> int:
    """Where the next message begins in an mbox, when the last one ends at ``end``; 0 when the file is not so long."""
    try:
        with path.open("rb") as file:
            file.seek(end - 1)
            last = file.read(1)
            return end + len(export_mbox.trailer(last)) if file.seek(0, os.SEEK_END) > end else 0
    except FileNotFoundError:
        return 0


class Journal(t.NamedTuple):
    """What stands in the journal of an mbox that was not finished: its folder, the size of the mbox before; ``head``: bytes."""

    path: Path
    place: Place
    base: int
    head: int

    @property
    def part(self) -> Path:
        """The unfinished mbox."""
        return self.path.with_suffix(PART)

    def lines(self) -> t.Iterator[bytes]:
        """Those of messages that are whole."""
        with self.path.open("rb") as lines:
            next(lines)
            yield from (line for line in lines if line.endswith(b"\n"))


def journals(dest: str) -> t.Iterator[Journal]:
    """All that an export left that was cut short."""
    for path in sorted(Path(dest, STAGING).glob(f"*{JOURNAL}")):
        with path.open("rb") as lines, contextlib.suppress(ValueError, KeyError, TypeError):
            first = next(lines, b"")
            head = json.loads(first)
            tree, user, parts = head["key"]
            if leads_out(head["file"]):
                continue
            place = Place(user, tree, tuple(parts), head["file"].removesuffix(".mbox"))
            yield Journal(path, place, int(head["base"]), len(first))


def resume(
    journal: Journal, key_of: t.Callable[[str, str, Parts, str], int], know: t.Callable[[t.Sequence[ManifestLine]], object]
) -> Resumed | None:
    """What can be gone on with; ``know`` is told of it. None when there is nothing."""
    size = journal.part.stat().st_size if journal.part.exists() else 0
    journal_end = journal.head
    known: list[ManifestLine] = []
    end = 0
    for line in journal.lines():
        one = known_of(line, None, key_of)
        if one is None or one.end is None or one.end >= size:
            break
        known.append(one)
        end, journal_end = one.end, journal_end + len(line)
        if len(known) >= PAGE:
            know(known)
            known = []
    know(known)
    return Resumed(journal.place, end_of(journal.part, end), journal_end) if end else None


def adopt(dest: str) -> None:
    """Tell the manifest of the mboxes that got their names just before an export was cut short, and forget other journals."""
    done = [journal for journal in journals(dest) if not journal.part.exists()]
    if named := [journal for journal in done if _is_named(dest, journal)]:
        with Manifest(dest).open() as manifest:
            for journal in named:
                manifest.writelines(journal.lines())
            manifest.flush()
            os.fsync(manifest.fileno())
    for journal in done:
        journal.path.unlink()


def _is_named(dest: str, journal: Journal) -> bool:
    """Whether the mbox that the journal tells of is there under its name."""
    last = b""
    for line in journal.lines():
        last = line
    one = known_of(last, None, lambda *_: 0)
    if one is None or not one.end:
        return False
    path = Path(dest, f"{journal.place.path}.mbox")
    return path.exists() and end_of(path, one.end) == path.stat().st_size
