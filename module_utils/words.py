# SPDX-License-Identifier: GPL-3.0-or-later
"""What sentences of all parts have in common: counts with their nouns, and lists that do not grow without an end. Pure."""

from __future__ import annotations

import typing as t


def counted(count: int, noun: str) -> str:
    """Return ``1 account``, ``1,204 accounts``, ``2 mailboxes``."""
    ending = "" if count == 1 else "es" if noun.endswith("x") else "s"
    return f"{count:,} {noun}{ending}"


def some(texts: t.Sequence[str], most: int, between: str = ", ", count: int = 0) -> str:
    """Return the first texts and how many more there are: ``a, b and 12 more``. ``count``: of all, when ``texts`` has not all."""
    left = (count or len(texts)) - most
    more = f"{' ' if between == ', ' else between}and {left:,} more" if left > 0 else ""
    return between.join(texts[:most]) + more
