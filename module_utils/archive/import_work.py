# SPDX-License-Identifier: GPL-3.0-or-later
"""What of another archive is new here: the placements of its users, and the rows of the mailboxes that go along."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import import_plan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_import import ImportCatalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    PlacementRow,
    SourceFolder,
    StoredMessage,
    UserFolder,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import counts_as_copy
from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import same_pieces
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import MAILBOX, MULTIDROP
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_plan import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_report import MailboxFigures, UserFigures
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_sink import STEP_MESSAGES, Counting, Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_source import OtherArchive
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_users import Pair
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import KEPT, State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError


@dataclass
class Work:
    """One pass over what was chosen, into ``sink``. ``run`` does it, once; it ends early when a stop is asked for."""

    other: OtherArchive
    catalog: ImportCatalog
    store: Store
    sink: Counting
    reporter: Reporter
    pairs: t.Sequence[Pair]
    mailboxes: t.Sequence[Mailbox]
    _ids: dict[int, int] = field(default_factory=dict)
    _copies: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))

    def run(self) -> None:
        """Users first, so that rows of messages never speak of placements that are not there."""
        report = self.sink.report
        self.catalog.know_objects()
        for number, pair in enumerate(self.pairs, 1):
            if self.reporter.stop_requested:
                break
            figures = report.users.setdefault(pair.there.name, UserFigures())
            self._user(pair, figures)
            self.reporter.progress(f"{number}/{len(self.pairs)} {pair.there.name} {figures.messages:,} messages")
        self.sink.flush()
        copies = self._only_copies()
        for mailbox in self.mailboxes:
            if self.reporter.stop_requested:
                break
            one = MailboxFigures(mailbox.server, mailbox.name, mailbox.whole)
            report.mailboxes.append(one)
            self._mailbox(mailbox, one, copies)
            self.reporter.progress(f"{mailbox.server}/{mailbox.name} {one.messages:,} rows")
        self.sink.flush()
        report.stopped = self.reporter.stop_requested

    # Placements

    def _user(self, pair: Pair, figures: UserFigures) -> None:
        here = pair.here.id if pair.here else self.sink.ids.get(pair.there.name)
        if here is not None:
            self._ids[pair.there.id] = here
        for folder in self.other.catalog.user_folders(pair.there.id):
            rows = self.other.catalog.folder_placements(folder.id)
            while some := list(itertools.islice(rows, STEP_MESSAGES)):
                if self.reporter.stop_requested:
                    return
                self._placements(pair, here, folder, some, figures)

    def _placements(
        self, pair: Pair, here: int | None, folder: UserFolder, rows: list[PlacementRow], figures: UserFigures
    ) -> None:
        figures.messages += len(rows)
        own = self.catalog.known_folder(here, folder.parts) if here is not None else None
        placed = self.catalog.placed_among(own.id, [row.digest for row in rows]) if own else set()
        new = [row for row in rows if row.digest not in placed]
        copies = self._are_copies(pair, own.id if own else 0, new)
        figures.known += len(rows) - len(new) + len(copies)
        figures.copies += len(copies)
        for digest in copies:
            self._copies[digest] += 1
        where = f"{pair.there.name}, folder {'/'.join(folder.parts)}"
        # The bytes of a copy are kept all the same.
        absent = self.sink.bring([Wanted(row.digest, row.size, _placement(folder, row), where) for row in new], figures)
        good = [row for row in new if row.digest not in absent and row.digest not in copies]
        bad = absent - copies
        figures.new += len(good)
        figures.lost += len(bad & self.sink.lost.keys())
        figures.damaged += len(bad - self.sink.lost.keys())
        if good:
            self.sink.place(here, folder.parts, good)

    def _are_copies(self, pair: Pair, own: int, rows: t.Sequence[PlacementRow]) -> set[bytes]:
        """Of which messages the user has a copy with other trace headers here, where it counts."""
        if pair.here is None or not rows:
            return set()
        found: dict[bytes, list[PlacementRow]] = defaultdict(list)
        for row in self.catalog.copies_among(pair.here.id, sorted({row.copy_key for row in rows})):
            found[row.copy_key].append(row)
        return {row.digest for row in rows if any(self._is_copy(pair, own, row, known) for known in found[row.copy_key])}

    def _is_copy(self, pair: Pair, own: int, row: PlacementRow, known: PlacementRow) -> bool:
        kind = MULTIDROP if row.origin.startswith(MULTIDROP) else MAILBOX
        if not counts_as_copy(kind, own, known) or self._lies_there_too(pair, known):
            return False
        if row.digest == known.digest:
            return True
        try:
            return same_pieces(self.store.read_chunks(known.digest), self.other.pieces(row.digest))
        except StoreError:
            return False  # what cannot be read proves nothing

    def _lies_there_too(self, pair: Pair, known: PlacementRow) -> bool:
        """Whether the other archive has both placements: then it is right that there are two."""
        folder = self.other.catalog.known_folder(pair.there.id, self.catalog.folder_parts(known.folder_id))
        return folder is not None and self.other.catalog.placement(folder.id, known.digest) is not None

    def _only_copies(self) -> set[bytes]:
        """Messages of which no chosen user has more than a copy."""
        if not self._copies:
            return set()
        trees = {pair.there.tree for pair in self.pairs}
        times: dict[bytes, int] = defaultdict(int)
        for placed in self.other.catalog.placements_of(self._copies):
            times[placed.digest] += placed.directory.split("/")[1] in trees
        return {digest for digest, count in self._copies.items() if times[digest] <= count}

    # Rows of messages on servers

    def _mailbox(self, mailbox: Mailbox, one: MailboxFigures, copies: set[bytes]) -> None:
        catalog = self.other.catalog
        only = None if mailbox.whole else catalog.digests_of([pair.there.id for pair in self.pairs], mailbox.labels)
        for source in catalog.mailbox_folders(mailbox.server, mailbox.name).values():
            place = (mailbox.server, mailbox.name, source.name)
            left_out = one.left_out
            for page in catalog.all_messages(source.id, STEP_MESSAGES):
                if self.reporter.stop_requested:
                    return
                self._rows(place, page, only, one, copies)
            self._receipts(place, source, only, one)
            if mailbox.whole and not mailbox.strangers and one.left_out == left_out:
                self._folder(place, source)

    def _rows(
        self,
        place: tuple[str, str, str],
        rows: list[StoredMessage],
        only: set[bytes] | None,
        one: MailboxFigures,
        copies: set[bytes],
    ) -> None:
        wanted = [row for row in rows if only is None or row.digest in only]
        new = self._unknown(self.catalog.known_source(*place), wanted)
        where = "/".join(place)
        objects = [Wanted(row.digest, row.size or 0, "", where) for row in new if row.digest is not None]
        absent = self.sink.bring(objects, one.objects)
        taken = [_without_bytes(row) if row.digest in absent else row for row in new]
        good = [_as_copy(row) if row.digest in copies else row for row in taken if row is not None]
        one.messages += len(wanted)
        one.known += len(wanted) - len(new)
        one.new += len(good)
        one.left_out += len(new) - len(good)
        self.sink.messages(place, good)

    def _unknown(self, here: int, rows: t.Sequence[StoredMessage]) -> list[StoredMessage]:
        """The rows that are to be taken, by what is known here of the same messages."""
        uids: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            uids[row.uidvalidity].append(row.uid)
        states = {validity: self.catalog.states_of(here, validity, some) for validity, some in uids.items()} if here else {}
        return [row for row in rows if import_plan.says_more(row.state, states.get(row.uidvalidity, {}).get(row.uid))]

    def _receipts(self, place: tuple[str, str, str], source: SourceFolder, only: set[bytes] | None, one: MailboxFigures) -> None:
        here = self.catalog.known_source(*place)
        known = self.catalog.receipt_uids(here) if here else set()
        new = [
            receipt
            for receipt in self.other.catalog.receipts(source.id)
            if (receipt.uidvalidity, receipt.uid) not in known and (only is None or receipt.digest in only)
        ]
        one.receipts += len(new)
        self.sink.messages(place, [], new)

    def _folder(self, place: tuple[str, str, str], source: SourceFolder) -> None:
        """Take how far the folder was read, unless this archive has read it itself."""
        here = self.catalog.known_source(*place)
        if source.last_run is None or (here and self.catalog.was_read(here)):
            return
        routes = [(import_plan.route_here(route.name, self._ids), route) for route in self.other.catalog.route_rows(source.id)]
        kept = [
            dataclasses.replace(route, name=name, complete=route.complete and not (name.startswith(MULTIDROP) and self._behind))
            for name, route in routes
            if name
        ]
        self.sink.report.folders += 1
        self.sink.folder(place, self.other.catalog.figures(source.id), kept)

    @functools.cached_property
    def _behind(self) -> bool:
        """Whether anybody stays there, who may have had copies, of which no placement tells."""
        return not {user.id for user in self.other.catalog.users(deleted=True)} <= {pair.there.id for pair in self.pairs}


def _placement(folder: UserFolder, row: PlacementRow) -> str:
    return f"{folder.dir}/cur/{row.file_name}"


def _without_bytes(row: StoredMessage) -> StoredMessage | None:
    """A row of a message whose bytes cannot be had; None when it says that they are there."""
    return None if row.state in KEPT else row._replace(digest=None, archived=None)


def _as_copy(row: StoredMessage) -> StoredMessage:
    return row._replace(state=State.COPY) if row.state is State.ARCHIVED else row
