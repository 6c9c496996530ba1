# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a UID: the classes into which a comparison of the archive with the servers puts every one. Pure: no I/O.

Each UID that a server lists is in one class, and so is each row of the catalog whose UID the server does not list.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import OPEN, State
from ansible_collections.mailops.kerio.plugins.module_utils.imap import uidset

# On the server, and the object is in the archive.
ARCHIVED, COPY = "archived", "copy"
# On the server, and no bytes are in the archive.
EXCLUDED, LEFT, FAILED, QUARANTINED = "excluded", "left", "failed", "quarantined"
NEW, OTHER_UIDVALIDITY, BACK = "new", "other_uidvalidity", "back"
# The catalog says that it is archived, and it is not so; ``LOST`` was declared so by the operator.
MISSING, DIFFERENT, LOST = "missing", "different", "lost"
# Not on the server any more.
DELETED, NO_RECEIPT, VANISHED, GONE, EARLIER, UNARCHIVED = "deleted", "no_receipt", "vanished", "gone", "earlier", "unarchived"

HERE = (ARCHIVED, COPY, EXCLUDED, LEFT, FAILED, QUARANTINED, NEW, OTHER_UIDVALIDITY, BACK, LOST, MISSING, DIFFERENT)
AWAY = (DELETED, NO_RECEIPT, VANISHED, GONE, EARLIER, UNARCHIVED, LOST, MISSING)
DAMAGE = (MISSING, DIFFERENT)
KEPT = (ARCHIVED, COPY)
# What a run that goes on beside the comparison may have changed since the server was asked.
UNSETTLED = frozenset({BACK, GONE, UNARCHIVED})
# Nobody asks for the UIDs of what is as it should be.
COUNTED = frozenset({ARCHIVED, COPY, DELETED, VANISHED, EARLIER})

NO_DIGEST = "its row names no object"
NO_FILE = "its object is not in the archive"
_KEPT = {State.ARCHIVED: ARCHIVED, State.COPY: COPY}
_OPEN = {State.EXCLUDED: EXCLUDED, State.LEFT: LEFT, State.FAILED: FAILED, State.QUARANTINED: QUARANTINED}
_BACK = {State.DELETED: "a run deleted it, and it is there again", State.VANISHED: "it was gone, and is there again"}


class Row(t.NamedTuple):
    """A source message. ``receipt``: whether it was deleted with a receipt."""

    uidvalidity: int
    uid: int
    state: int
    digest: bytes | None
    size: int | None
    vsize: int | None
    reason: str
    receipt: int


class Place(t.NamedTuple):
    """A class, and why."""

    kind: str
    reason: str = ""


class Shelf(t.Protocol):
    """Where objects are."""

    def lack(self, digest: bytes) -> Place | None:
        """What is to be said of an object that is not there; None when it is."""


def here(row: Row, shelf: Shelf) -> Place:
    """The class of a row whose UID the server lists."""
    state = State(row.state)
    if state in _KEPT:
        return _lack(row, shelf) or Place(_KEPT[state])
    return Place(BACK, _BACK[state]) if state in _BACK else Place(_OPEN[state], row.reason)


def away(row: Row, shelf: Shelf, *, earlier: bool) -> Place:
    """The class of a row whose UID the server does not list. ``earlier``: it is of another UIDVALIDITY than the folder has."""
    state = State(row.state)
    if state in OPEN or (state is State.VANISHED and row.digest is None):
        return Place(UNARCHIVED, row.reason)
    lack = _lack(row, shelf)
    if lack is not None:
        return lack
    if state is State.DELETED:
        return Place(DELETED if row.receipt else NO_RECEIPT)
    return Place(VANISHED if state is State.VANISHED else EARLIER if earlier else GONE)


def _lack(row: Row, shelf: Shelf) -> Place | None:
    return Place(MISSING, NO_DIGEST) if row.digest is None else shelf.lack(row.digest)


@dataclass(frozen=True)
class Reason:
    """The UIDs of one class and reason, as ``uidset.compact`` writes them."""

    kind: str
    reason: str
    uidvalidity: int
    messages: int
    uids: str

    def as_data(self, most: int = 0) -> dict[str, t.Any]:
        """Plain data; ``most``: about how many characters of UIDs (0: all)."""
        data: dict[str, t.Any] = {"class": self.kind, "reason": self.reason, "uidvalidity": self.uidvalidity}
        return {**data, "messages": self.messages, "uids": shortened(self.uids, most)}


def shortened(uids: str, most: int) -> str:
    """The beginning of a set of UIDs, with ``,...`` when there is more."""
    if not most or len(uids) <= most:
        return uids
    return uids[: uids.rfind(",", 0, most) + 1] + "..." if "," in uids[:most] else uids.partition(",")[0] + ",..."


class Tally:
    """UIDs by class; they come in ascending order for each UIDVALIDITY."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._uids: dict[tuple[int, Place], list[int]] = defaultdict(list)

    def add(self, uidvalidity: int, uid: int, place: Place) -> None:
        """Put a UID into its class."""
        self.counts[place.kind] += 1
        if place.kind not in COUNTED:
            self._uids[uidvalidity, place].append(uid)

    def move(self, kind: str, uidvalidity: int, uid: int, place: Place) -> None:
        """Put a UID that is only counted in ``kind`` into another class."""
        self.counts[kind] -= 1
        self.add(uidvalidity, uid, place)

    @property
    def unsettled(self) -> bool:
        """Whether there is something that the server must be asked about once more."""
        return any(self.counts[kind] for kind in UNSETTLED)

    def settle(self, uidvalidity: int, stands: t.Callable[[int], bool]) -> int:
        """Forget those of the unsettled UIDs that do not stand; return how many."""
        forgotten = 0
        for (validity, place), uids in self._uids.items():
            if validity == uidvalidity and place.kind in UNSETTLED:
                kept = [uid for uid in uids if stands(uid)]
                forgotten += len(uids) - len(kept)
                self.counts[place.kind] -= len(uids) - len(kept)
                uids[:] = kept
        return forgotten

    def reasons(self) -> list[Reason]:
        """Every class and reason with its UIDs, damage first."""
        found = sorted(self._uids.items(), key=lambda item: (item[0][1].kind not in DAMAGE, item[0]))
        return [
            Reason(place.kind, place.reason, validity, len(uids), uidset.compact(uids))
            for (validity, place), uids in found
            if uids
        ]
