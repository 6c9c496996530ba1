# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive's side of the proof: the object, read from the disk again, and every placement that today's rules want."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import deletion, filters, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow, UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import counts_as_copy
from ansible_collections.mailops.kerio.plugins.module_utils.archive.copykey import CopyKeyStream, same_pieces
from ansible_collections.mailops.kerio.plugins.module_utils.archive.deletion import Candidate, Link, Placed, Receipt, Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Target, header_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import HEADER_LIMIT
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_reread import Rereader
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

SAME_FILE, SAME_CONTENT = "the object's own file", "read again, digest equal"


class SparedError(Exception):
    """The message stays on the server; the argument is the reason. ``damage``: what is wrong with the archive, "" if nothing.

    ``link``: a placement whose file has to be made anew from the object.
    """

    def __init__(self, reason: str, damage: str = "", link: Link | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.damage = damage
        self.link = link


class Reread(t.NamedTuple):
    """An object as it was read from the disk."""

    head: bytes
    copy_key: bytes
    method: str


class DeletionProver:
    """Proves messages one after the other. ``catalog`` is open for reading: what it shows is committed."""

    def __init__(self, root: str, catalog: Catalog) -> None:
        self._root = root
        self._catalog = catalog
        self._reader = Rereader(root)
        self._other_reader = Rereader(root)
        self._folders: dict[Target, UserFolder | None] = {}

    @classmethod
    def of(cls, root: str) -> DeletionProver:
        """One for the archive at ``root``."""
        return cls(root, Catalog.of(root, readonly=True))

    def close(self) -> None:
        """Release what it holds."""
        self._reader.close()
        self._other_reader.close()
        self._catalog.close()

    def prove(self, message: Candidate, flags: tuple[str, ...], wanted: t.Sequence[Wanted], now: int) -> Receipt:
        """The receipt of a message that may go; raises ``SparedError``."""
        reread = self._reread(message)
        targets = required(message, flags, reread.head, wanted, now)
        placements = tuple(self._placed(message, reread, target, kind) for target, kind in targets.items())
        return Receipt(message, flags, placements, reread.method, int(time.time()))

    def _reread(self, message: Candidate) -> Reread:
        head, key, size = b"", CopyKeyStream(), 0
        try:
            for piece in self._reader.pieces(layout.object_path(message.digest), message.digest):
                head = head or piece[:HEADER_LIMIT]
                key.update(piece)
                size += len(piece)
        except StoreError as error:
            raise SparedError(deletion.OBJECT_DAMAGED, str(error)) from None
        if size != message.size:
            raise SparedError(deletion.OTHER_SIZE)
        return Reread(head, key.digest(), self._reader.method)

    def _placed(self, message: Candidate, reread: Reread, target: Target, kind: str) -> Placed:
        folder = self._folder(target)
        row = self._catalog.placement(folder.id, message.digest) if folder else None
        if folder and row:
            return self._link(folder.dir, row)
        for other in self._catalog.copies(target.user_id, reread.copy_key):
            if self._is_kept_elsewhere(message, folder, other, kind):
                directory = self._catalog.folder_dir(other.folder_id)
                return self._link(directory, other)._replace(copy=other.digest.hex())
        raise SparedError(deletion.NOT_PLACED)

    def _is_kept_elsewhere(self, message: Candidate, folder: UserFolder | None, other: PlacementRow, kind: str) -> bool:
        """Whether the user has the message by ``other``, as archiving decided when it did not file it once more."""
        # The very bytes in another folder of the user: a message that moved, for which archiving said "copy".
        moved = other.digest == message.digest and message.state is State.COPY
        if not moved and not counts_as_copy(kind, folder.id if folder else 0, other):
            return False
        if other.digest == message.digest:
            return True
        pieces = (
            self._reader.pieces(layout.object_path(message.digest), message.digest),
            self._other_reader.pieces(layout.object_path(other.digest), other.digest),
        )
        try:
            return same_pieces(*pieces)
        except StoreError as error:
            raise SparedError(deletion.OBJECT_DAMAGED, str(error)) from None

    def _folder(self, target: Target) -> UserFolder | None:
        if target not in self._folders:
            self._folders[target] = self._catalog.known_folder(*target)
        return self._folders[target]

    def _link(self, directory: str, row: PlacementRow) -> Placed:
        """The file of a placement: another name of the object's file, or one that holds the same bytes."""
        path = f"{directory}/cur/{row.file_name}"
        try:
            there = Path(self._root, path).stat(follow_symlinks=False)
            whole = Path(self._root, layout.object_path(row.digest)).stat(follow_symlinks=False)
            if (there.st_dev, there.st_ino) == (whole.st_dev, whole.st_ino):
                return Placed(path, SAME_FILE)
            for _piece in self._other_reader.pieces(path, row.digest):
                pass
        except (OSError, StoreError) as error:
            cause = error.cause if isinstance(error, StoreError) else error.strerror
            link = Link(row.digest, directory, row.file_name)
            raise SparedError(deletion.LINK_DAMAGED, f"{self._root}/{path}: {cause}", link) from None
        return Placed(path, SAME_CONTENT)


def required(message: Candidate, flags: tuple[str, ...], head: bytes, wanted: t.Sequence[Wanted], now: int) -> dict[Target, str]:
    """Where today's rules and users want the message, with the kind of method that wants it there; raises ``SparedError``."""
    targets: dict[Target, str] = {}
    chosen = False
    for one in wanted:
        if deletion.never_passes(one.filter, message, flags, head, now):
            continue
        if filters.reason(one.filter, deletion.facts(message, flags), now):
            raise SparedError(deletion.KEPT_BACK.format(name=one.profile))
        decision = one.filing.decide(header_of(head, one.filing))
        if not decision.targets:
            raise SparedError(deletion.NOT_WANTED)
        targets.update(dict.fromkeys(decision.targets, one.filing.kind))
        chosen = chosen or one.deletes
    if not chosen:
        raise SparedError(deletion.NOT_CHOSEN)
    return targets
