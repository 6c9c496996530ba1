# SPDX-License-Identifier: GPL-3.0-or-later
"""What did not work in a run, and what it stopped: once, however many profiles it concerns. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.words import counted


@dataclass(frozen=True)
class Problem:
    """Something that did not work; the next run tries it again. ``profile`` names one or more of them."""

    profile: str
    where: str
    message: str

    def as_data(self) -> dict[str, str]:
        """The plain data of the result."""
        return {"profile": self.profile, "where": self.where, "message": self.message}


@dataclass(frozen=True)
class Trouble:
    """What concerns a whole server, or else no single mailbox. ``unread``: the mailboxes of the profile that it blocked."""

    profile: str
    where: str
    message: str
    unread: frozenset[str] = field(default_factory=frozenset)


def told_once(troubles: t.Iterable[Trouble]) -> list[Problem]:
    """Return a problem for each thing that is said of a place, where it was said first, with the mailboxes that it stopped."""
    same: dict[tuple[str, str], list[Trouble]] = {}
    for trouble in troubles:
        same.setdefault((trouble.where, trouble.message), []).append(trouble)
    return [
        Problem(", ".join(dict.fromkeys(one.profile for one in some)), where, message + _stopped(some))
        for (where, message), some in same.items()
    ]


def _stopped(troubles: t.Sequence[Trouble]) -> str:
    unread = frozenset[str]().union(*(trouble.unread for trouble in troubles))
    profiles = len({trouble.profile for trouble in troubles if trouble.unread})
    of = f" of {profiles:,} profiles" if profiles > 1 else ""
    return f" ({counted(len(unread), 'mailbox')}{of} not read)" if unread else ""
