# SPDX-License-Identifier: GPL-3.0-or-later
"""Which messages of a selected folder a profile archives. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400


@dataclass(frozen=True)
class MessageFilter:
    """Conditions that a message must all meet; a filter without any lets everything pass.

    ``since`` and ``before`` are instants (INTERNALDATE in UTC, seconds since the epoch), ``before`` the first that is too late.
    Ages are in days by INTERNALDATE. Sizes are bytes. ``headers`` and ``not_headers``: name -> texts, one of which the field must
    contain (none of which it may contain), in any case.
    """

    since: int | None = None
    before: int | None = None
    older_than_days: int | None = None
    younger_than_days: int | None = None
    seen: bool | None = None
    flagged: bool | None = None
    larger_than: int | None = None
    smaller_than: int | None = None
    headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    not_headers: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return self != MessageFilter()
