# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an import puts what it takes: into figures alone, or into the archive as well, durable before any row speaks of it."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_import import ImportCatalog, Route, Taking
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_receipts import StoredReceipt
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    ObjectRow,
    PlacementRow,
    StoredMessage,
    UserStep,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence import Evidence
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_report import Problem, Report, UserFigures
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_source import Head, OtherArchive, UnreadableError
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_ledger import Ledger
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, CatalogError

STEP_MESSAGES = 500
UNSIGNED = "What was taken is here; no checkpoint was signed"
STEP_BYTES = 32 << 20  # of messages, in one transaction


class Wanted(t.NamedTuple):
    """A message that is to be here. ``placed``: its placement in the other archive, "" for none; ``where``: for a problem."""

    digest: bytes
    size: int
    placed: str
    where: str


class Counting:
    """Counts what would be taken, and writes nothing. What is not there is told, what is damaged is not seen."""

    def __init__(self, other: OtherArchive, catalog: ImportCatalog, report: Report) -> None:
        self.other = other
        self.catalog = catalog
        self.report = report
        self.lost = other.catalog.lost()
        self.ids: dict[str, int] = {}  # who was made: by name

    def users(self, made: t.Sequence[UserStep], left: t.Sequence[UserStep]) -> None:
        """Make users, and say which of them left."""

    def bring(self, wanted: t.Sequence[Wanted], figures: UserFigures) -> set[bytes]:
        """Have the objects of messages here; return those that cannot be had."""
        missing = self.catalog.without(one.digest for one in wanted)
        absent: set[bytes] = set()
        for one in {one.digest: one for one in wanted}.values():
            if one.digest not in missing:
                figures.objects_known += 1
                if not self._kept(one):
                    absent.add(one.digest)
            elif self._object(one):
                figures.objects_copied += 1
            else:
                absent.add(one.digest)
        self.catalog.count_with(missing - absent)
        return absent

    def _object(self, one: Wanted) -> bool:
        there = self.other.has(one.digest, one.placed)
        return there or self._tell(one, str(Path(self.other.root, layout.object_path(one.digest))), "the object is not there")

    def _kept(self, _one: Wanted) -> bool:
        """Whether the object that the catalog here knows is there."""
        return True

    def _tell(self, one: Wanted, path: str, cause: str) -> bool:
        if one.digest not in self.lost:
            self.report.tell(Problem(one.where, path, cause))
        return False

    def place(self, user_id: int | None, parts: tuple[str, ...], rows: t.Sequence[PlacementRow]) -> None:
        """File messages in a folder of a user."""

    def messages(
        self, place: tuple[str, str, str], rows: t.Sequence[StoredMessage], receipts: t.Sequence[StoredReceipt] = ()
    ) -> None:
        """Take what became of messages on a server: (server, mailbox, folder)."""

    def folder(self, place: tuple[str, str, str], figures: tuple[t.Any, ...], routes: list[Route]) -> None:
        """Take it that a folder was read as far as the other archive has read it."""

    def flush(self) -> None:
        """Have all of it for good."""


@dataclass(frozen=True)
class Into:
    """What the archive that takes is written with. ``ledger`` signs, and says who has it done."""

    store: Store
    ledger: Ledger
    checkpoint: t.Callable[[str], None]


class Writing(Counting):
    """Takes it. The run is on record, and the archive marked, from the first thing on that is written."""

    def __init__(self, other: OtherArchive, catalog: ImportCatalog, report: Report, head: Head, into: Into) -> None:
        super().__init__(other, catalog, report)
        self._into = into
        self._store = into.store
        self._head = head
        self._evidence: Evidence | None = None
        self._taking = Taking()
        self._bytes = 0
        self._unchecked = 0  # bytes since the free space was last looked at
        self._run_id = 0

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._evidence is not None:
            self._evidence.close()

    def _begun(self) -> Evidence:
        if self._evidence is None:
            evidence = self._evidence = Evidence(self._store, self.catalog)
            self._run_id = self.catalog.begin_run({"import": self.other.root})
            self._store.begin(str(self._run_id), self.catalog.commits())
            if wrong := evidence.begin(self._run_id, self._into.ledger):
                self.report.tell(Problem("the ledger of this archive", f"{self._store.root}/{layout.EVIDENCE}", wrong, UNSIGNED))
            head = {"origin": self._head.origin, "entries": self._head.entries, "root": self._head.root}
            evidence.say("imported", by=self._into.ledger.owner, source=self.other.root, **head, **self.report.choice)
        return self._evidence

    def users(self, made: t.Sequence[UserStep], left: t.Sequence[UserStep]) -> None:
        if made:
            self._begun()
            self.catalog.make_users(made, left, self._into.ledger.owner)
            self.ids = {user.name: user.id for user in self.catalog.users(deleted=True)}

    def _object(self, one: Wanted) -> bool:
        try:
            body = self.other.read(one.digest, one.placed)
            evidence = self._begun()
            stored = body.put(self._store)
        except UnreadableError as error:
            return self._tell(one, error.subject, error.cause)
        self._taking.objects.append(ObjectRow(stored.digest, stored.size, stored.stored_size))
        why = f"imported from {self._head.text}"
        evidence.say("adopted", digest=stored.digest.hex(), size=stored.size, why=why)
        self._grew(stored.size)
        return True

    def _kept(self, one: Wanted) -> bool:
        """One that was lost here comes from the other archive, like any."""
        if self._store.has(one.digest):
            return True
        try:
            body = self.other.read(one.digest, one.placed)
            self._begun()
            body.put(self._store)
        except UnreadableError as error:
            return self._tell(one, error.subject, error.cause)
        self._grew(body.size)
        return True

    def _grew(self, size: int) -> None:
        """Large messages could use up the reserve within one batch."""
        self._bytes += size
        self._unchecked += size
        if self._unchecked >= STEP_BYTES:
            self._unchecked = 0
            self._store.check_space()

    def place(self, user_id: int | None, parts: tuple[str, ...], rows: t.Sequence[PlacementRow]) -> None:
        if user_id is None:
            raise AssertionError(parts)
        self._begun()
        folder = self.catalog.user_folder(user_id, parts)
        for row in rows:
            self._store.place(row.digest, folder.dir, row.file_name)
            self._taking.placements.append(row._replace(folder_id=folder.id, user_id=user_id))
        self._flush_much()

    def messages(
        self, place: tuple[str, str, str], rows: t.Sequence[StoredMessage], receipts: t.Sequence[StoredReceipt] = ()
    ) -> None:
        if not rows and not receipts:
            return
        evidence = self._at(place)
        for row in rows:
            where = {**_named(place), "uidvalidity": row.uidvalidity, "uid": row.uid}
            if row.digest is not None:
                stored = {"digest": row.digest.hex(), "size": row.size or 0, "date": row.internaldate or 0}
                evidence.say("archived", **where, **stored, origin=self._head.origin)
            elif row.state is State.QUARANTINED:
                evidence.say("quarantined", **where, reason=row.reason, origin=self._head.origin)
        for one in receipts:
            if one.deleted is not None:
                where = {**_named(place), "uidvalidity": one.uidvalidity, "uid": one.uid}
                evidence.say("deleted", **where, digest=one.digest.hex(), size=one.size, origin=self._head.origin)
        self._taking.messages += rows
        self._taking.receipts += receipts
        self._flush_much()

    def folder(self, place: tuple[str, str, str], figures: tuple[t.Any, ...], routes: list[Route]) -> None:
        self._at(place)
        self._taking.folder, self._taking.routes = figures, routes
        self.flush()

    def _at(self, place: tuple[str, str, str]) -> Evidence:
        """What follows is of this source folder; a transaction is of one."""
        evidence = self._begun()
        folder_id = self.catalog.source_folder(*place).id
        if folder_id != self._taking.folder_id:
            self.flush()
            self._taking.folder_id = folder_id
        return evidence

    def _flush_much(self) -> None:
        taking = self._taking
        if len(taking.placements) + len(taking.messages) >= STEP_MESSAGES or self._bytes >= STEP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._evidence is None:
            return
        taking, self._taking, self._bytes = self._taking, Taking(folder_id=self._taking.folder_id), 0
        written = Written()
        position = self._evidence.write(written)
        if position is None and not taking:
            return
        self._into.checkpoint("placed")
        self._store.sync(written)
        self._into.checkpoint("synced")
        self.catalog.take(taking, self._run_id, position, self._head.origin)
        self._into.checkpoint("committed")
        self._store.check_space()

    def end(self, outcome: str, told: dict[str, t.Any]) -> None:
        """After the last flush: every object has its row. The run has its end, the ledger its checkpoint."""
        if self._evidence is None:
            return
        self.catalog.end_run(self._run_id, outcome, told, {"by": self._into.ledger.owner, **told})
        self._into.checkpoint("ending")
        self.report.checkpoint = self._evidence.seal()
        self._store.end()

    def failed(self, error: ArchiveToolError) -> None:
        """The archive could not be worked on any more: the next run clears up what is not committed."""
        if self._evidence is None:
            return
        with contextlib.suppress(CatalogError):  # that may be the very error, or another effect of a full disk
            self.catalog.end_run(self._run_id, "failed", {"message": str(error)}, self._into.ledger.failed(error))
        self._evidence.seal_after(error)


def _named(place: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("server", "mailbox", "folder"), place, strict=True))
