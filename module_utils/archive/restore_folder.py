# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore of one folder: look what is there, append what is not, and read it back.

``run`` may be called again on another connection when one was lost: it looks before it appends, so that a message whose answer
was lost is not put in twice.
"""

from __future__ import annotations

import random
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import restore_report as kinds
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rehearse_compare import Came
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_find import Finder, Match, Matches
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_form import same_in_form
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_journal import Entry
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import (
    Target,
    Wanted,
    flags_of,
    has_keywords,
    leaves_out,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_report import Failure, FolderReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_tools import Session, Tools
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ImapError, NetworkError, StoreError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.append import Answer, Appender, Outgoing, limit
from ansible_collections.mailops.kerio.plugins.module_utils.imap.connection import Connection
from ansible_collections.mailops.kerio.plugins.module_utils.imap.fetch import Listed, examine, listing, search_uids
from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import Folder
from ansible_collections.mailops.kerio.plugins.module_utils.imap.target import TargetFolders, permanent_flags

# What is appended before it is read back.
BATCH_MESSAGES, BATCH_BYTES = 200, 32 << 20
# A message at which the connection broke is sent alone, so often; a folder is tried so often in a row without any progress.
TRIES = 2
BREAKS = 3
# When so many are refused in a row, they are no bad messages: the server refuses everything.
GIVE_UP = 100
TOO_LARGE_CODES = frozenset({"TOOBIG", "LIMIT"})

ALTERED = "the server took it, and gives it back with another content"
ALTERED_BEFORE = "it is there, but the server changed its content when it was restored before"
MISSING = "the server took it, and does not give it back"


@dataclass
class FolderWork:
    """One target. ``pending`` is what is neither there nor failed; ``accepted`` are those of them that the server took, with
    their UIDVALIDITY and UID where it told them; ``sent`` are those that it may have, because they were sent; ``again`` are
    those that were sent more than once. What has the UID ``uidnext`` or a higher one came since they were last read back;
    ``start`` is UIDVALIDITY and UIDNEXT from before the first one."""

    tools: Tools
    target: Target
    report: FolderReport
    pending: dict[bytes, Wanted] = field(default_factory=dict)
    accepted: dict[bytes, tuple[int, int] | None] = field(default_factory=dict)
    sent: set[bytes] = field(default_factory=set)
    again: dict[bytes, Wanted] = field(default_factory=dict)
    start: tuple[int, int] = (0, 1)
    suspects: list[bytes] = field(default_factory=list)
    tries: Counter[bytes] = field(default_factory=Counter)
    looked: bool = False
    vanished: bool = False
    made_again: bool = False
    uidnext: int = 1
    refused: int = 0
    breaks: int = 0
    lost_in_row: int = 0
    _alone: bytes | None = None
    _left_at_break: int = -1
    _waiting: list[bytes] = field(default_factory=list)

    def load(self) -> None:
        """Find out what is wanted; before anything else."""
        self.pending = self.tools.source.wanted(self.target, self.tools.choice)
        self.report.asked = len(self.pending)

    def run(self, conn: Connection, folders: TargetFolders) -> None:
        """Do it, or go on with it.

        Raises NetworkError and ProtocolError when the connection is lost, ImapError when the folder cannot be used.
        """
        folder = folders.find(self.target.parts)
        if folder is not None:
            self._look(conn, folder)
        if not self.tools.write:
            self._would(folders)
        elif self.pending:
            self.tools.begin()
            session = self._open(conn, folders)
            if folder is None and session.messages:  # it was there all the same: a server without case calls it otherwise
                self._look(conn, session.folder)
            self._fill(session, conn, folders)
        if self.again:
            self._warn_of_surplus(conn, folders)

    def _would(self, folders: TargetFolders) -> None:
        self.report.appended = len(self.pending)
        self.report.bytes = sum(one.size for one in self.pending.values())
        made = self.tools.report.made
        made += [name for name in folders.missing(self.target.parts) if name not in made] if self.pending else []
        self.pending = {}

    # What is there

    def _look(self, conn: Connection, folder: Folder) -> None:
        status = examine(conn, folder)
        if not self.looked:
            self.report.exists, self.report.before, self.looked = True, status.messages, True
        listed = listing(conn, search_uids(conn))
        known = self.tools.known(folder.raw, status.uidvalidity)
        finder = Finder(conn, self.tools.source, self.tools.pace, known)
        matches = finder.find(self.pending, listed)
        self._settle_forms(finder, matches)
        self._settle(matches, folder.raw, status.uidvalidity)
        self._settle_accepted(listed, matches, folder.raw, status.uidvalidity, self.uidnext)
        if matches.unreadable:
            told = f"{self.target.name}: the server does not give {len(matches.unreadable)} messages that may be archived ones"
            self.tools.warn(told)

    def _settle_forms(self, finder: Finder, matches: Matches) -> None:
        """What is there already in another form. What this restore sent stands for itself alone, and is looked for as such."""
        there = [self.pending[digest] for digest, match in matches.found.items() if match.came != Came.OTHER]
        left = [one for digest, one in self.pending.items() if digest not in matches.found]
        there, left = ([one for one in some if one.digest not in self.sent] for some in (there, left))
        for digest, came in same_in_form(finder, left, there).items():
            if came is Came.OTHER:
                self._drop(digest, kinds.ALTERED, ALTERED_BEFORE)
            else:
                del self.pending[digest]
                self.report.there += 1

    def _settle(self, matches: Matches, raw: bytes, uidvalidity: int) -> None:
        """Count what was found: appended if it was sent in this restore, else there already."""
        entries = []
        for digest, match in matches.found.items():
            wanted = self.pending.pop(digest)
            self.accepted.pop(digest, None)
            if match.came == Came.OTHER:
                self._fail(digest, kinds.ALTERED, ALTERED if digest in self.sent else ALTERED_BEFORE)
            elif digest in self.sent:
                self._count_appended(wanted, match)
            else:
                self.report.there += 1
            if match.compared:
                one = match.listed
                entries.append(Entry(one.uid, one.size, one.internaldate, digest, match.came))
        self.tools.remember(raw, uidvalidity, entries)

    def _settle_accepted(self, listed: t.Sequence[Listed], matches: Matches, raw: bytes, uidvalidity: int, uidnext: int) -> None:
        """What the server took and was not found: it is not to be put in once more, or it would be there twice.

        Where the server told no UID, it is the one of its date from ``uidnext`` on.
        """
        used = {match.listed.uid for match in matches.found.values()}
        there = {one.uid: one for one in listed if one.uid not in used}
        entries = []
        for digest in [digest for digest in self.accepted if digest in self.pending]:
            wanted, told = self.pending.pop(digest), self.accepted.pop(digest)
            if told is None:
                new = (one.uid for one in listed if one.uid >= uidnext and one.internaldate == wanted.date)
                one = there.pop(next((uid for uid in new if uid in there), 0), None)
            else:
                one = there.pop(told[1], None) if told[0] == uidvalidity else None
            if one is None or one.uid in matches.unreadable:
                self._fail(digest, kinds.MISSING, MISSING)
                continue
            self._fail(digest, kinds.ALTERED, ALTERED)
            entries.append(Entry(one.uid, one.size, one.internaldate, digest, Came.OTHER))
        self.tools.remember(raw, uidvalidity, entries)

    def _count_appended(self, wanted: Wanted, match: Match) -> None:
        report = self.report
        report.appended += 1
        report.bytes += wanted.size
        report.compared += match.compared
        report.line_ends += match.came == Came.LINE_ENDS
        report.headers_added += match.came == Came.HEADERS
        report.dates_changed += match.listed.internaldate != wanted.date

    # What is not

    def _fill(self, session: Session, conn: Connection, folders: TargetFolders) -> None:
        while self.pending and not self.tools.full and not self.tools.reporter.stop_requested:
            self._append(session, self._batch())
            if self.vanished:
                session = self._make_again(conn, folders)
            else:
                self._read_back(session)
            if self.refused >= GIVE_UP:
                raise ImapError(self.target.name, f"the server refused {GIVE_UP} messages in a row", "See the failures")

    def _open(self, conn: Connection, folders: TargetFolders) -> Session:
        folder = folders.ensure(self.target.parts)
        session = Session(conn, folder, Appender(conn, folder.raw, self.tools.pace))
        if any(has_keywords(one.letters) for one in self.pending.values()):
            session.permanent = permanent_flags(conn, folder)
        status = examine(conn, folder)
        session.uidvalidity, session.messages, self.uidnext = status.uidvalidity, status.messages, max(1, status.uidnext)
        if self.start[0] != status.uidvalidity:
            self.start = (status.uidvalidity, 1 if self.sent else self.uidnext)
        return session

    def _make_again(self, conn: Connection, folders: TargetFolders) -> Session:
        """Somebody removed the folder meanwhile; once is enough."""
        if self.made_again:
            raise ImapError(self.target.name, "the folder vanishes again and again", "See who removes it on the server")
        self.made_again, self.vanished = True, False
        self.accepted.clear()  # gone with the folder, unless a look finds them
        folders.forget()
        session = self._open(conn, folders)
        self._look(conn, session.folder)
        return session

    def _batch(self) -> list[Wanted]:
        """What is sent next. What may have broken the connection goes alone."""
        self._alone = None
        while self.suspects:
            digest = self.suspects.pop(0)
            if digest in self.pending:
                self._alone = digest
                return [self.pending[digest]]
        batch: list[Wanted] = []
        size = 0
        for one in self.pending.values():
            if batch and (len(batch) >= BATCH_MESSAGES or size + one.size > BATCH_BYTES):
                break
            batch.append(one)
            size += one.size
        return batch

    def _append(self, session: Session, batch: t.Iterable[Wanted]) -> None:
        appender, taken = session.appender, len(session.appender.answers)
        most = limit(session.conn)
        try:
            for one in batch:
                self._put(session, one, most)
                taken = self._take(appender.answers, taken)
                if self.tools.full or self.vanished:
                    break
            appender.finish()
        finally:
            self._take(appender.answers, taken)
            self._waiting = appender.waiting

    def _put(self, session: Session, one: Wanted, most: int | None) -> None:
        try:
            content = self.tools.source.content(one.digest)
        except StoreError as error:
            self._drop(one.digest, kinds.DAMAGED, error.cause)
            return
        if most is not None and content.size > most:
            self._drop(one.digest, kinds.TOO_LARGE, f"the server takes no more than {most:,} bytes (APPENDLIMIT)")
            return
        flags = flags_of(one.letters, session.permanent)
        self.report.flags_left_out += leaves_out(one.letters, flags) and one.digest not in self.sent
        if one.digest in self.sent:
            self.again[one.digest] = one
        self.sent.add(one.digest)
        try:
            session.appender.put(Outgoing(one.digest, content.size, content.pieces, one.date, flags))
        except StoreError as error:
            self._drop(one.digest, kinds.DAMAGED, error.cause)
            cause = f"the connection was given up, because {error.subject} changed while it was sent"
            raise NetworkError(session.conn.name, cause, error.remedy) from None

    def _take(self, answers: t.Sequence[Answer], taken: int) -> int:
        for answer in answers[taken:]:
            if answer.result.ok:
                self.accepted[answer.key] = answer.uid
                self.refused = self.lost_in_row = 0
            else:
                self._refused(answer)
        return len(answers)

    def _refused(self, answer: Answer) -> None:
        words = f"{answer.result.status} {answer.result.text}"
        self.sent.discard(answer.key)
        if answer.code == "TRYCREATE":
            self.vanished = True
            return
        if answer.code == "OVERQUOTA" or "quota" in words.lower():
            self.tools.full = words
            self._drop(answer.key, kinds.OVERQUOTA, f"the mailbox is full: {words}")
            return
        self.refused += 1
        kind = kinds.TOO_LARGE if answer.code in TOO_LARGE_CODES else kinds.REFUSED
        self._drop(answer.key, kind, f"the server refused it: {words}")

    def _read_back(self, session: Session) -> None:
        """Compare what the server took with what it gives; UIDs that it told save a search."""
        if not self.accepted:
            return
        told = {digest: uid[1] for digest, uid in self.accepted.items() if uid is not None and uid[0] == session.uidvalidity}
        all_told = len(told) == len(self.accepted)
        session.conn.reader.run([b"NOOP"])
        uids = list(told.values()) if all_told else search_uids(session.conn, "UID", f"{self.uidnext}:*")
        listed = listing(session.conn, uids)
        matches = self._by_size(told, {one.uid: one for one in listed}) if all_told and self.tools.percent < 100 else Matches()
        taken = {match.listed.uid for match in matches.found.values()}
        wanted = {digest: self.pending[digest] for digest in self.accepted if digest not in matches.found}
        finder = Finder(session.conn, self.tools.source, self.tools.pace)
        compared = finder.find(wanted, [one for one in listed if one.uid not in taken])
        for one in (matches, compared):
            self._settle(one, session.folder.raw, session.uidvalidity)
        self._settle_accepted(listed, compared, session.folder.raw, session.uidvalidity, self.uidnext)
        self.uidnext = max([self.uidnext, *(uid + 1 for uid in uids)])
        self._progress()

    def _by_size(self, told: t.Mapping[bytes, int], listed: t.Mapping[int, Listed]) -> Matches:
        """Those that are not drawn, if their size is right."""
        draw = random.SystemRandom()
        found = {}
        for digest, uid in told.items():
            one, wanted = listed.get(uid), self.pending[digest]
            if one is not None and one.size in (wanted.size, wanted.vsize) and draw.random() * 100 >= self.tools.percent:
                found[digest] = Match(one, Came.SAME, compared=False)
        return Matches(found)

    def _progress(self) -> None:
        done = self.report.asked - len(self.pending)
        size = self.tools.report.total("bytes") / 1_000_000
        self.tools.reporter.progress(f"{self.target.name} {done:,}/{self.report.asked:,} messages, {size:,.0f} MB put in")

    # What goes wrong

    def lost(self) -> bool:
        """After the connection was lost: count it, and return whether to go on on another one."""
        waiting = [digest for digest in self._waiting if digest in self.pending]
        self._waiting = []
        if self._alone in waiting:
            digest = self._alone
            self.tries[digest] += 1
            if self.tries[digest] >= TRIES:
                self._drop(digest, kinds.LOST, "the connection breaks whenever it is sent")
                self.lost_in_row += 1
        self.suspects = list(dict.fromkeys([*waiting, *self.suspects]))
        moved = len(self.pending) != self._left_at_break or bool(waiting)
        self._left_at_break = len(self.pending)
        self.breaks = 0 if moved else self.breaks + 1
        return self.breaks < BREAKS

    @property
    def unsure(self) -> bool:
        """Whether something was sent whose answer did not come; the server may still be about to put it into the folder."""
        return bool(self._waiting)

    def _warn_of_surplus(self, conn: Connection, folders: TargetFolders) -> None:
        """What was sent again may have come twice: the first one after the look for it."""
        folder = folders.find(self.target.parts)
        if folder is None:
            return
        first = self.start[1] if examine(conn, folder).uidvalidity == self.start[0] else 1
        listed = listing(conn, search_uids(conn, "UID", f"{first}:*"))
        copies = Finder(conn, self.tools.source, self.tools.pace).copies(self.again, listed)
        surplus = copies.total() - len(copies)
        if surplus:
            cause = "it took messages behind the end of the connection on which they were sent, and they were sent again"
            self.tools.warn(f"{self.target.name}: surplus copies on the server: {surplus:,}; {cause}. Remove them by hand")

    def give_up(self, kind: str, cause: str) -> None:
        """Nothing more can be done for what is pending."""
        taken = len(self.accepted)
        if taken:
            told = f"the server took it, but could not be asked whether it is there: {cause}"
            self.tools.report.fail(self.report, Failure(self.target.name, kinds.LOST, told, messages=taken))
        if len(self.pending) > taken:
            self.tools.report.fail(self.report, Failure(self.target.name, kind, cause, messages=len(self.pending) - taken))
        self.pending, self.accepted = {}, {}

    def _drop(self, digest: bytes, kind: str, cause: str) -> None:
        del self.pending[digest]
        self._fail(digest, kind, cause)

    def _fail(self, digest: bytes, kind: str, cause: str) -> None:
        self.tools.report.fail(self.report, Failure(self.target.name, kind, cause, digest))
