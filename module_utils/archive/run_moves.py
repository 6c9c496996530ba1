# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that moved on the server to another folder of their mailbox: they stay where they are filed, or follow.

A message has moved when the user has it from the same mailbox in another folder, and that folder does not hold it any more. This
can be told only of folders that this run looked at, and only when what they hold is known, so such a message waits until then.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_passes import Sighting
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow, SourceFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import MAILBOX
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import SETTLED, State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import FOLLOW
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_folder import FolderPass
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_refile import read_stored
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_tools import Tools
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Item, Parcel
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

STAYS = "moved from {}, stays there"
FOLLOWS = "moved from {}"


@dataclass
class Place:
    """A folder of the mailbox and what this run knows of it. ``uidvalidity`` is 0 for one that is gone from the server."""

    source: SourceFolder
    uidvalidity: int
    under_way: FolderPass | None = None

    @property
    def may_have_lost(self) -> bool:
        """Whether a message that was once filed from here may be gone: not while its first import goes on."""
        return self.source.uidvalidity != 0 or not self.uidvalidity or bool(self.under_way and self.under_way.vanished)

    @property
    def ready(self) -> bool:
        """Whether all that it holds is in the catalog."""
        return self.under_way is None or not (self.under_way.chunks or self.under_way.out)

    @property
    def certain(self) -> bool:
        """Whether a message that the catalog does not have under today's UIDs is not there."""
        one = self.under_way
        return one is None or not one.report.error or self.source.uidvalidity == self.uidvalidity


@dataclass
class Moves:
    """The moves within one mailbox. ``passes``: its folders that are read in this run, ``gone``: those that are there no more."""

    mailbox: Mailbox
    tools: Tools
    passes: t.Sequence[FolderPass]
    gone: t.Sequence[SourceFolder] = ()
    _places: dict[tuple[str, ...], Place] = field(init=False, default_factory=dict)
    _at: dict[int, Place | None] = field(init=False, default_factory=dict)
    _claimed: set[tuple[int, bytes]] = field(init=False, default_factory=set)
    _keys: dict[bytes, bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.mailbox.kind != MAILBOX:
            return
        known = self.tools.catalog.mailbox_folders(self.mailbox.server.name, self.mailbox.name, self.mailbox.route)
        passes = {one.folder.name: one for one in self.passes}
        skipped = {report.name for report in self.mailbox.report.folders if not report.opened and not report.error}
        for folder in self.mailbox.listed:
            one, source = passes.get(folder.name), known.get(folder.name)
            if one is not None and one.counted:
                self._put(folder.parts, Place(one.source, one.origin.uidvalidity, one))
            elif folder.name in skipped and source is not None:
                self._put(folder.parts, Place(source, source.uidvalidity))
        names = {folder.name for folder in self.mailbox.listed}
        separators = {folder.separator for folder in self.mailbox.listed if folder.separator}
        for source in known.values():
            if source.name not in names and (source.gone or source in self.gone):
                for separator in separators or {"/"}:
                    self._put(tuple(source.name.split(separator)), Place(source, 0))
        for one in self.passes:
            one.suspect = self.suspect

    def _put(self, parts: tuple[str, ...], place: Place) -> None:
        (target,) = self.mailbox.filing(parts).decide(b"").targets
        self._places[target.parts] = place

    def _place(self, user_folder: int) -> Place | None:
        if user_folder not in self._at:
            self._at[user_folder] = self._places.get(self.tools.catalog.folder_parts(user_folder))
        return self._at[user_folder]

    def suspect(self, row: PlacementRow) -> bool:
        """Whether a message with this placement may have moved away from where it was filed."""
        place = self._place(row.folder_id)
        return place is not None and place.may_have_lost

    def release(self) -> list[FolderPass]:
        """Decide what can be decided now, for the next commit; return the passes that waited for it."""
        released: list[FolderPass] = []
        for one in self.passes:
            ready = [item for item in one.held if all(place.ready for place in self._candidates(one, item).values())]
            if ready:
                one.held = [item for item in one.held if item not in ready]
                self._decide(one, ready)
                released.append(one)
        return released

    def _candidates(self, one: FolderPass, item: Item) -> dict[PlacementRow, Place]:
        """Where else the user has the message from this mailbox, as far as the folder can be seen."""
        rows = self.tools.committer.elsewhere(one.origin, item)
        return {row: place for row in rows if (place := self._place(row.folder_id)) is not None}

    def _decide(self, one: FolderPass, items: list[Item]) -> None:
        seen = self._sightings(items)
        for item in items:
            candidates = self._candidates(one, item)
            left = [
                row
                for row, place in candidates.items()
                if self._has_left(place, seen[row.digest]) and self._is_free(row, place, seen) and not self._is_needed(row, place)
            ]
            if not left:
                self.tools.committer.take(one.origin, Parcel(items=[item]))
                continue
            old, place = left[0], candidates[left[0]]
            self._claimed.add((old.folder_id, old.digest))
            deleted = any(sight.folder_id == place.source.id and sight.state is State.DELETED for sight in seen[old.digest])
            if self.mailbox.profile.moves == FOLLOW and not deleted:
                self.tools.committer.move(one.origin, item, old, FOLLOWS.format(place.source.name))
            else:
                self.tools.committer.keep(one.origin, item, STAYS.format(place.source.name))

    def _sightings(self, items: t.Iterable[Item]) -> dict[bytes, list[Sighting]]:
        """Where the mailbox has, or had, these messages."""
        folders = {place.source.id for place in self._places.values()}
        digests = {item.stored.digest for item in items if item.stored is not None}
        found: dict[bytes, list[Sighting]] = defaultdict(list)
        for sight in self.tools.catalog.sightings(folders, digests):
            found[sight.digest].append(sight)
        return found

    def _has_left(self, place: Place, sights: t.Iterable[Sighting]) -> bool:
        return place.certain and not any(sight.folder_id == place.source.id and _is_here(sight, place) for sight in sights)

    def _is_needed(self, row: PlacementRow, place: Place) -> bool:
        """Whether the folder holds a copy with other trace headers, which is not filed because of this placement."""
        copies = self.tools.catalog.unfiled(place.source.id, place.uidvalidity)
        return any(self._key(digest) == row.copy_key for digest in copies if digest != row.digest)

    def _key(self, digest: bytes) -> bytes:
        """The copy key of a stored message; one that cannot be read is nobody's copy."""
        if digest not in self._keys:
            try:
                self._keys[digest] = read_stored(self.tools.store, digest)[1]
            except StoreError:
                self._keys[digest] = b""
        return self._keys[digest]

    def _is_free(self, row: PlacementRow, place: Place, seen: t.Mapping[bytes, t.Sequence[Sighting]]) -> bool:
        """Whether no other message that moved counts on this placement: who copies a moved message has two."""
        if (row.folder_id, row.digest) in self._claimed:
            return False
        places = {other.source.id: other for other in self._places.values()}
        reason = STAYS.format(place.source.name)
        return not any(sight.reason == reason and _is_here(sight, places[sight.folder_id]) for sight in seen[row.digest])


def _is_here(sight: Sighting, place: Place) -> bool:
    return sight.uidvalidity == place.uidvalidity and sight.state in SETTLED
