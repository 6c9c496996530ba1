# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of UIDs as commands carry them ("1:400,402"); pure."""

from __future__ import annotations

import typing as t

# Octets of one set. RFC 2683 asks clients for lines of about 1,000, RFC 7162 asks servers for at least 8,192.
LONGEST_SET = 4000


def compact(uids: t.Iterable[int]) -> str:
    """Return ``uids``, in ascending order, as a set; "" for none."""
    ranges: list[list[int]] = []
    for uid in sorted(uids):
        if ranges and uid <= ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in ranges)


def expand(text: str) -> list[int]:
    """Return what ``compact`` was given."""
    uids: list[int] = []
    for part in filter(None, text.split(",")):
        first, _colon, last = part.partition(":")
        uids.extend(range(int(first), int(last or first) + 1))
    return uids


class Growing:
    """Tells how long the set becomes when UIDs are added in ascending order."""

    def __init__(self) -> None:
        self.octets = 0
        self._last = -1
        self._in_range = False

    def add(self, uid: int) -> None:
        width = len(str(uid)) + 1
        if uid != self._last + 1:
            self.octets += width
            self._in_range = False
        elif not self._in_range:
            self.octets += width
            self._in_range = True
        self._last = uid


def split(uids: t.Sequence[int], most: int, longest: int = LONGEST_SET) -> t.Iterator[list[int]]:
    """Cut ``uids`` into pieces of at most ``most``, whose sets have about ``longest`` octets."""
    piece: list[int] = []
    length = Growing()
    for uid in uids:
        if len(piece) >= most or length.octets >= longest:
            yield piece
            piece, length = [], Growing()
        piece.append(uid)
        length.add(uid)
    if piece:
        yield piece
