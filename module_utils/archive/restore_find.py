# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the wanted messages a folder on the server has already: by size, date and bytes, never by a Message-ID.

Servers change mail that is put into them: line ends become CRLF (Dovecot), some add header fields. Such a message is the same one
all the same, or every restore would put it in again. One of which the text alone is left (Dovecot and NUL, or CR CR LF) is there,
but altered. One that is marked as deleted is as good as gone, and does not count.
"""

from __future__ import annotations

import contextlib
import hashlib
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.rehearse_compare import Came, compare
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_journal import Entry
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_prints import Prints, prints_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_source import Source
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Failed, Fetched, Listed, StreamedBody, fetch
from ansible_collections.mailops.kerio.plugins.module_utils.imap.messages import bytes_of
from ansible_collections.mailops.kerio.plugins.module_utils.imap.pace import Pace

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection

_DELETED = "\\deleted"


@dataclass(frozen=True)
class Match:
    """A message of the server that is a wanted one. ``compared``: its bytes were fetched for it now."""

    listed: Listed
    came: str
    compared: bool = True


@dataclass
class Matches:
    """``found``: digest -> match. ``unreadable``: UIDs that the server lists and does not give."""

    found: dict[bytes, Match] = field(default_factory=dict)
    unreadable: list[int] = field(default_factory=list)


@dataclass
class Finder:
    """Looks through one open folder. ``known``: the journal's entries of it."""

    conn: Connection
    source: Source
    pace: Pace | None = None
    known: t.Mapping[int, Entry] = field(default_factory=dict)
    _prints: dict[bytes, Prints | None] = field(default_factory=dict)

    def find(self, wanted: t.Mapping[bytes, Wanted], listed: t.Iterable[Listed]) -> Matches:
        """Compare what is ``listed`` with what is ``wanted``, fetching no more of it than may be the same."""
        there = {one.uid: one for one in listed if _DELETED not in {flag.lower() for flag in one.flags}}
        search = _Search(self, wanted, there, Matches())
        # What was altered may have been archived as it is now, and is that message then.
        search.by_journal(altered=False)
        for alike in (_size_and_date, _size, _date):
            search.by_bytes(alike)
        search.by_journal(altered=True)
        search.altered()
        return search.matches

    def copies(self, wanted: t.Mapping[bytes, Wanted], listed: t.Iterable[Listed]) -> Counter[bytes]:
        """How often each of the wanted messages is there."""
        counted: Counter[bytes] = Counter()
        left = list(listed)
        while found := self.find(wanted, left).found:
            counted.update(found.keys())
            taken = {match.listed.uid for match in found.values()}
            left = [one for one in left if one.uid not in taken]
        return counted

    def prints(self, digest: bytes) -> Prints | None:
        """The prints of an archived message; None when it is damaged, which is told when it is to be sent."""
        if digest not in self._prints:
            try:
                self._prints[digest] = self.source.prints(digest)
            except StoreError:
                self._prints[digest] = None
        return self._prints[digest]

    def fetched(self, some: t.Sequence[Listed]) -> t.Iterator[Fetched | Failed]:
        """The messages themselves; those that went meanwhile are left out."""
        sizes = {one.uid: one.size for one in some}
        for item in fetch(self.conn, sorted(sizes), known_sizes=sizes, pace=self.pace):
            if isinstance(item, Fetched | Failed):
                yield item


Alike = t.Callable[[Wanted], set[tuple[int | None, int | None]]]


def _size_and_date(one: Wanted) -> set[tuple[int | None, int | None]]:
    return {(one.size, one.date), (one.vsize, one.date)}


def _size(one: Wanted) -> set[tuple[int | None, int | None]]:
    return {(one.size, None), (one.vsize, None)}


def _date(one: Wanted) -> set[tuple[int | None, int | None]]:
    return {(None, one.date)}


def _keys(one: Listed) -> tuple[tuple[int | None, int | None], ...]:
    return (one.size, one.internaldate), (one.size, None), (None, one.internaldate)


@dataclass
class _Search:
    """``other``: what was fetched and is no wanted message byte for byte."""

    finder: Finder
    wanted: t.Mapping[bytes, Wanted]
    there: dict[int, Listed]
    matches: Matches
    other: dict[int, Prints] = field(default_factory=dict)

    def by_journal(self, *, altered: bool) -> None:
        """Believe the journal of a message that the server has as the entry says."""
        for uid, one in list(self.there.items()):
            entry = self.finder.known.get(uid)
            if entry is None or (entry.came == Came.OTHER) is not altered:
                continue
            if (entry.size, entry.date) == (one.size, one.internaldate) and self._open(entry.digest):
                self._found(entry.digest, uid, entry.came, compared=False)

    def by_bytes(self, alike: Alike) -> None:
        """Fetch and compare what is like a wanted message that is not found yet."""
        left = [one for one in self.wanted.values() if self._open(one.digest)]
        asked = {key for one in left for key in alike(one)}
        some = [one for one in self.there.values() if one.uid not in self.other and not asked.isdisjoint(_keys(one))]
        for item in self.finder.fetched(some) if some else ():
            if isinstance(item, Failed):
                self.matches.unreadable.append(item.uid)
                del self.there[item.uid]
            else:
                self._look_at(item)
        self._by_prints([one for one in left if self._open(one.digest)], alike)

    def _look_at(self, item: Fetched) -> None:
        with contextlib.ExitStack() as life:
            if isinstance(item.body, StreamedBody):
                life.callback(item.body.sink.close)
            total = hashlib.sha256()
            for piece in _pieces(item):
                total.update(piece)
            if self._open(total.digest()):
                self._found(total.digest(), item.uid, Came.SAME)
            else:
                self.other[item.uid] = prints_of(_pieces(item))

    def _by_prints(self, left: t.Sequence[Wanted], alike: Alike) -> None:
        """The same message with other line ends, or with more header fields; the archive is read for what may be that."""
        touched = {key for uid in self.other for key in _keys(self.there[uid])}
        by_lines, by_body = defaultdict(list), defaultdict(list)
        for one in left:
            for key in alike(one) & touched:
                prints = self.finder.prints(one.digest)
                if prints is not None:
                    by_lines[key, prints.lines].append(one.digest)
                    by_body[key, prints.body].append(one.digest)
        for uid, prints in list(self.other.items()):
            keys = _keys(self.there[uid])
            same = [digest for key in keys for digest in by_lines.get((key, prints.lines), ()) if self._open(digest)]
            if same:
                self._found(same[0], uid, Came.LINE_ENDS)
            elif alike is _date:
                longer = [digest for key in keys for digest in by_body.get((key, prints.body), ()) if self._open(digest)]
                self._with_more_fields(longer, uid)

    def _with_more_fields(self, digests: t.Sequence[bytes], uid: int) -> None:
        found = None
        for item in self.finder.fetched([self.there[uid]] if digests else []):
            if isinstance(item, Fetched):
                came = bytes_of(item)
                found = next((digest for digest in digests if self._has_fields_of(digest, came)), None)
        if found is not None:
            self._found(found, uid, Came.HEADERS)

    def _has_fields_of(self, digest: bytes, came: bytes) -> bool:
        try:
            return compare(b"".join(self.finder.source.content(digest).pieces), came) is Came.HEADERS
        except StoreError:
            return False

    def altered(self) -> None:
        """After all that is better: what has the size or the date of a wanted message, and the text that a server may leave."""
        by_text = defaultdict(list)
        touched = {key for uid in self.other for key in _keys(self.there[uid])}
        for one in self.wanted.values():
            alike = (_size(one) | _date(one)) & touched if self._open(one.digest) else ()
            prints = self.finder.prints(one.digest) if alike else None
            if prints is not None:
                for key in alike:
                    by_text[key, prints.text].append(one.digest)
        for uid, prints in list(self.other.items()):
            same = (digest for key in _keys(self.there[uid]) for digest in by_text.get((key, prints.text), ()))
            digest = next(filter(self._open, same), None)
            if digest is not None:
                self._found(digest, uid, Came.OTHER)

    def _open(self, digest: bytes) -> bool:
        return digest in self.wanted and digest not in self.matches.found

    def _found(self, digest: bytes, uid: int, came: str, *, compared: bool = True) -> None:
        """One message of the server stands for one that is wanted."""
        self.matches.found[digest] = Match(self.there.pop(uid), came, compared)
        self.other.pop(uid, None)


def _pieces(item: Fetched) -> t.Iterator[bytes]:
    if isinstance(item.body, StreamedBody):
        yield from item.body.chunks()
    else:
        yield bytes(item.body)
