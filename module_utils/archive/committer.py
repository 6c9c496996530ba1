# SPDX-License-Identifier: GPL-3.0-or-later
"""The single writer: decides every placement, links it, makes it durable, then commits it to the catalog.

Because one process decides, no race can file a message twice. The order is fixed: objects (the workers) and links first, ONE sync
for everything that waits, then ONE catalog transaction, and only then does anybody hear of it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from enum import Enum

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    Batch,
    Cursor,
    MessageRow,
    ObjectRow,
    PlacementRow,
    Refused,
    StoredMessage,
    UserFolder,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence import Evidence
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import MAILBOX, MULTIDROP, Target
from ansible_collections.mailops.kerio.plugins.module_utils.archive.known import Known
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import object_path
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_returning import Returning
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store, Stored, Written
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Item, Parcel
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

REASON_CHARACTERS = 500
QUARANTINE_AFTER = 5  # failed attempts


Suspect = t.Callable[[PlacementRow], bool]


class Filed(Enum):
    """What became of one target."""

    NEW = "new"
    PRESENT = "present"
    COPY = "copy"


@dataclass(frozen=True)
class Origin:
    """Where messages come from: the key of a source folder, and the kind of method and the route by which they are filed."""

    folder_id: int
    uidvalidity: int
    kind: str
    label: str
    route: str

    @property
    def text(self) -> str:
        """What a placement's ``origin`` says; it begins with the kind, because copies are looked for by it."""
        return f"{self.kind}:{self.label}"


class Message(t.NamedTuple):
    """What the committer needs to know of a stored message to file it."""

    digest: bytes
    size: int
    vsize: int
    copy_key: bytes
    internaldate: int
    flags: str


@dataclass
class Added:
    """What a committer did."""

    placements: int = 0
    objects: int = 0
    stored_bytes: int = 0
    damaged: list[str] = field(default_factory=list)


class Committer:
    """Files messages. Work is collected by ``take``, ``refile`` and ``record``, and written by ``commit``."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        evidence: Evidence,
        run_id: int,
        checkpoint: t.Callable[[str], None],
        quarantine_after: int = QUARANTINE_AFTER,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._evidence = evidence
        self.run_id = run_id
        self._quarantine_after = quarantine_after
        self._checkpoint = checkpoint
        self._folders: dict[Target, UserFolder] = {}
        self._batches: list[Batch] = []
        self._written = Written()
        self._wrote_files = False
        self._known = Known(catalog)
        self._orphans: set[bytes] = set()
        self._adopted: set[bytes] = set()
        self._returning = Returning(store, catalog)
        self._found: dict[bytes, int] = {}
        self.totals = Added()

    def take(self, origin: Origin, parcel: Parcel, suspect: Suspect | None = None) -> list[Item]:
        """File the messages of a parcel; nothing is committed yet.

        Return those that are not filed because they may have moved: the user has them from the same mailbox in another folder, in
        a placement that is ``suspect``.
        """
        batch = self._batch(origin)
        batch.filed_by = origin.route
        before = self._catalog.messages(origin.folder_id, origin.uidvalidity, [uid for uid, _reason in parcel.failed])
        self._known.ask(self._wanted(parcel.items))
        held: list[Item] = []
        for item in parcel.items:
            self._come_back(item)
            if suspect is not None and any(map(suspect, self.elsewhere(origin, item))):
                held.append(self._hold(item, batch))
            else:
                batch.messages.append(self._item(origin, item, batch))
        for uid, text in parcel.failed:
            attempts = before[uid].attempts + 1 if uid in before else 1
            state = State.QUARANTINED if attempts >= self._quarantine_after else State.FAILED
            batch.messages.append(MessageRow(uid, state, reason=text[:REASON_CHARACTERS], attempts=attempts))
        again = {uid for uid, row in before.items() if row.state is State.QUARANTINED}
        news = (row for row in batch.messages if row.digest is not None or row.uid not in again)
        self._evidence.messages(origin.folder_id, origin.uidvalidity, news)
        batch.messages += [MessageRow(uid, State.VANISHED) for uid in parcel.gone]
        self._written.update(parcel.written)
        self._wrote_files = self._wrote_files or bool(parcel.items)
        self.totals.damaged += parcel.damaged
        return held

    def elsewhere(self, origin: Origin, item: Item) -> list[PlacementRow]:
        """Where else the user has exactly this message from the same mailbox; nothing when its own folder has it, or a copy."""
        if item.stored is None or origin.kind != MAILBOX:
            return []
        digest, (target,) = item.stored.digest, item.decision.targets
        folder = self._folder(target)
        rows = self._known.copies(folder.user_id, item.stored.copy_key)
        here = [row.digest for row in rows if row.folder_id == folder.id]
        if digest in here or any(self._proven(known, digest) for known in here):
            return []
        return [row for row in rows if row.digest == digest and row.origin == origin.text]

    def _hold(self, item: Item, batch: Batch) -> Item:
        """What is written of a message that waits: its object, if that is new, so that it is not new again later."""
        stored = t.cast("Stored", item.stored)
        if self._is_new(stored):
            batch.objects.append(ObjectRow(stored.digest, stored.size, stored.stored_size))
        return item._replace(stored=stored._replace(created=False))

    def keep(self, origin: Origin, item: Item, reason: str) -> None:
        """Leave a message that moved where it is filed."""
        known = self._catalog.states_of(origin.folder_id, origin.uidvalidity, [item.uid])
        if known.get(item.uid) is not State.ARCHIVED:  # it is filed here for another user
            self._moved(origin, item, State.COPY, reason)

    def move(self, origin: Origin, item: Item, old: PlacementRow, reason: str) -> None:
        """File a message that moved where it is now, and no longer where it was. The old link goes after the commit."""
        (target,) = item.decision.targets
        folder = self._folder(target)
        self._store.place(old.digest, folder.dir, old.file_name)
        self._store.doom(self._catalog.folder_dir(old.folder_id), old.file_name)
        self._wrote_files = True
        row = old._replace(folder_id=folder.id)
        self._known.add(row)
        batch = self._moved(origin, item, State.ARCHIVED, reason)
        batch.placements.append(row)
        batch.removed.append(old)

    def _moved(self, origin: Origin, item: Item, state: State, reason: str) -> Batch:
        batch = self._batch(origin)
        batch.filed_by = origin.route
        row = _row(item, t.cast("Stored", item.stored), state, reason[:REASON_CHARACTERS])
        batch.messages.append(row)
        self._evidence.messages(origin.folder_id, origin.uidvalidity, (row,))
        return batch

    def refile(self, origin: Origin, row: StoredMessage, copy_key: bytes, targets: t.Sequence[Target], reason: str) -> bool:
        """File a message that the archive has already by another route; return whether that made a placement."""
        digest, size, vsize = row.digest, row.size, row.vsize
        if digest is None or size is None or vsize is None:
            return False
        batch = self._batch(origin)
        message = Message(digest, size, vsize, copy_key, row.internaldate or 0, row.flags)
        filed = [self._file(origin, target, message, batch) for target in targets]
        state = row.state if row.state is State.ARCHIVED or Filed.NEW not in filed else State.ARCHIVED
        if (state, reason) != (row.state, row.reason):
            batch.messages.append(
                MessageRow(row.uid, state, digest, size, vsize, row.internaldate, row.flags, reason, row.attempts)
            )
        return Filed.NEW in filed

    def file_again(self, origin: Origin, message: Message, targets: t.Sequence[Target]) -> bool:
        """File a stored message for more users, whatever became of it on the server; return whether that made a placement."""
        batch = self._batch(origin)
        return Filed.NEW in [self._file(origin, target, message, batch) for target in targets]

    def has(self, targets: t.Iterable[Target], digest: bytes) -> bool:
        """Tell whether all targets have the object already."""
        return all(self._known.placed(self._folder(target).id, digest) for target in targets)

    def fits(self, targets: t.Iterable[Target]) -> bool:
        """Tell whether the operating system takes the paths of all targets."""
        return all(self._store.fits(self._folder(target).dir) for target in targets)

    def record(self, origin: Origin, rows: t.Iterable[MessageRow] = (), cursor: Cursor | None = None) -> None:
        """Write rows with the next commit, and with a cursor that the folder is filed completely by the origin's route."""
        batch = self._batch(origin)
        batch.messages.extend(rows)
        batch.cursor = cursor
        batch.routes = (origin.route,) if cursor else ()

    def commit(self) -> None:
        """Make everything that waits durable, then write it in one transaction. Raises StoreError or CatalogError."""
        if not self._batches:
            return
        evidence = self._evidence.write(self._written)
        if self._wrote_files or evidence is not None:
            self._checkpoint("placed")
            self._store.sync(self._written)
            self._checkpoint("synced")
        for refused in self._catalog.commit(self._batches, evidence, self._found, self._evidence.owner):
            self._withdraw(refused)
        self._checkpoint("committed")
        self._unlink([row for batch in self._batches for row in batch.removed])
        for batch in self._batches:
            self.totals.placements += len(batch.placements) - len(batch.removed)
            self.totals.objects += len(batch.objects)
            self.totals.stored_bytes += sum(row.stored_size for row in batch.objects)
        self._batches, self._written, self._wrote_files, self._found = [], Written(), False, {}
        self._known.forget()

    def _batch(self, origin: Origin) -> Batch:
        batch = Batch(origin.folder_id, origin.uidvalidity, self.run_id)
        self._batches.append(batch)
        return batch

    def _item(self, origin: Origin, item: Item, batch: Batch) -> MessageRow:
        state, reason = item.decision.state, item.decision.reason
        stored = item.stored
        if stored is None:
            return MessageRow(item.uid, state, None, item.size, None, item.internaldate, item.flags, reason)
        if self._is_new(stored):
            batch.objects.append(ObjectRow(stored.digest, stored.size, stored.stored_size))
        message = Message(stored.digest, stored.size, stored.vsize, stored.copy_key, item.internaldate, item.flags)
        filed = {self._file(origin, target, message, batch) for target in item.decision.targets}
        if filed == {Filed.COPY}:
            state = State.COPY
        return _row(item, stored, state, reason)

    def _come_back(self, item: Item) -> None:
        """Link what was filed of an object that was missing, damaged or declared lost, wherever that is."""
        if item.stored is None:
            return
        digest = item.stored.digest
        found = self._returning.found(digest)
        if found:
            self._found[digest] = item.stored.size
            if digest not in self._returning:
                self.expect([digest])  # its row was lost too
        if found or digest in self._returning:
            written, failed = self._returning.came(digest)
            self._written.update(written)
            self.totals.damaged += failed

    def expect(self, orphans: t.Iterable[bytes]) -> None:
        """Objects without a row, such as those of a worker that died: whoever brings one of them next brings its row."""
        self._orphans.update(orphans)

    def _is_new(self, stored: Stored) -> bool:
        """Whether the object has no row yet."""
        if stored.digest in self._returning:
            return False
        orphan = stored.digest in self._orphans
        self._orphans.discard(stored.digest)
        if stored.created:
            return stored.digest not in self._adopted
        if orphan:
            self._adopted.add(stored.digest)
        return orphan

    def _file(self, origin: Origin, target: Target, message: Message, batch: Batch) -> Filed:
        folder = self._folder(target)
        if self._known.placed(folder.id, message.digest):
            return Filed.PRESENT
        if self._is_copy(origin.kind, folder, message):
            return Filed.COPY
        row = PlacementRow(
            folder.id,
            message.digest,
            folder.user_id,
            message.internaldate,
            message.size,
            message.vsize,
            message.flags,
            message.copy_key,
            origin.text,
        )
        self._store.place(row.digest, folder.dir, row.file_name)
        self._wrote_files = True
        batch.placements.append(row)
        self._known.add(row)
        return Filed.NEW

    def _wanted(self, items: t.Iterable[Item]) -> t.Iterator[tuple[UserFolder, bytes, bytes]]:
        for item in items:
            if item.stored is not None:
                for target in item.decision.targets:
                    yield self._folder(target), item.stored.digest, item.stored.copy_key

    def _folder(self, target: Target) -> UserFolder:
        folder = self._folders.get(target)
        if folder is None:
            folder = self._folders[target] = self._catalog.user_folder(target.user_id, target.parts)
        return folder

    def _is_copy(self, kind: str, folder: UserFolder, message: Message) -> bool:
        """Tell whether the user has this message where it counts, perhaps with other trace headers.

        The key finds candidates; only the bytes prove.
        """
        seen: set[bytes] = set()
        for row in self._known.copies(folder.user_id, message.copy_key):
            if not counts_as_copy(kind, folder.id, row) or row.digest in seen:
                continue
            if row.digest == message.digest or self._proven(row.digest, message.digest):
                return True
            seen.add(row.digest)
        return False

    def _proven(self, known: bytes, digest: bytes) -> bool:
        """Whether both are the same message; an object that cannot be read proves nothing, and must not stop the run."""
        try:
            return self._store.same_message(known, digest)
        except StoreError:
            self.totals.damaged.append(object_path(known))
            return False

    def _unlink(self, moved: t.Sequence[PlacementRow]) -> None:
        """Remove the old links of what moved, for good before the run may end well."""
        for row in moved:
            self._store.unplace(self._catalog.folder_dir(row.folder_id), row.file_name)
        if moved:
            self._store.sync()
            self._checkpoint("unlinked")

    def _withdraw(self, refused: Refused) -> None:
        """Take back the link of a placement that the catalog has under another name."""
        row, existing = refused
        if row.file_name != existing.file_name:
            folder = next(folder for folder in self._folders.values() if folder.id == row.folder_id)
            self._store.unplace(folder.dir, row.file_name)


def counts_as_copy(kind: str, folder_id: int, row: PlacementRow) -> bool:
    """Whether a placement of the same message counts for one that ``kind`` would file in the folder.

    In the same folder it always counts. Elsewhere it counts between the two ways in which one message reaches an archive: a
    multidrop message that the user has anywhere, and a mailbox message that multidrop filed. Two folders of one mailbox that hold
    the same message keep it both.
    """
    return row.folder_id == folder_id or kind == MULTIDROP or row.origin.startswith(MULTIDROP)


def _row(item: Item, stored: Stored, state: State, reason: str) -> MessageRow:
    return MessageRow(item.uid, state, stored.digest, stored.size, stored.vsize, item.internaldate, item.flags, reason)
