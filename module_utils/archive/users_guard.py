# SPDX-License-Identifier: GPL-3.0-or-later
"""How many users may leave within 24 hours, over all and of each server: no wrong answer empties an archive. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_leavers import Leaver
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import Wish, from_kerio, named, of_directory
from ansible_collections.mailops.kerio.plugins.module_utils.errors import UserPlanError

WINDOW = 24 * 3600  # seconds


@dataclass(frozen=True)
class _Part:
    """Users who are there, who of them are to go, and how many went within the window."""

    where: str
    here: int
    going: tuple[str, ...]
    recent: int

    @property
    def total(self) -> int:
        """How many there were when the window began, as far as the catalog tells."""
        return self.here + self.recent

    @property
    def count(self) -> int:
        """How many will have left within the window."""
        return len(self.going) + self.recent

    @property
    def share(self) -> int:
        """The percentage that lets them go; one user always may."""
        return -(-100 * self.count // self.total) if self.count > 1 else 0

    def allowed(self, wish: Wish) -> int:
        """How many may leave within the window: one in any case, unless the number is 0."""
        return min(wish.delete_limit, max(1, self.total * wish.delete_limit_share // 100))


def refuse_too_many(
    going: t.Sequence[Leaver], current: t.Sequence[User], wish: Wish, now: int, elsewhere: t.Container[int] = ()
) -> None:
    """Raise UserPlanError when more would have left within 24 hours than may. ``now``: see plan_users.

    ``elsewhere``: ids of those whom another archive host takes; they do not count.
    """
    counted = [user for user in current if user.id not in elsewhere]
    parts = [part for part in _parts(going, counted, wish, now) if part.going]
    over = next((part for part in parts if part.count > part.allowed(wish)), None)
    if over is None:
        return
    recent = f", {over.recent:,} left in the last 24 hours" if over.recent else ""
    allowed = over.allowed(wish)
    raise UserPlanError(
        "deletion of archive users",
        f"{len(over.going):,} of {over.here:,} {over.where} would be deleted ({named(over.going)}){recent}, and {allowed:,} may"
        f" be within 24 hours (delete_limit {wish.delete_limit:,}, delete_limit_share {wish.delete_limit_share} %)",
        "Check the directories and the scope; if it is right, run once with"
        f" -e archive_users_delete_limit={max(part.count for part in parts)}"
        f" -e archive_users_delete_limit_share={max(1, *(part.share for part in parts))}",
        users=list(over.going),
        count=over.count,
        total=over.total,
        allowed=allowed,
    )


def _parts(going: t.Sequence[Leaver], current: t.Sequence[User], wish: Wish, now: int) -> t.Iterator[_Part]:
    """All of them, then those of each server; one that is declared to be gone loses all of its users."""
    ids = {leaver.user.id for leaver in going}
    here = [user for user in current if (from_kerio(user) and user.server not in wish.elsewhere.servers) or user.id in ids]
    recent = [user for user in current if user.deleted is not None and of_directory(user) and user.deleted > now - WINDOW]
    yield _Part("users of the directories", len(here), tuple(leaver.user.name for leaver in going), len(recent))
    for server in sorted({leaver.user.server for leaver in going} - wish.gone.servers - {""}):
        yield _Part(
            f"users of {server}",
            sum(user.server == server for user in here),
            tuple(leaver.user.name for leaver in going if leaver.user.server == server),
            sum(user.server == server for user in recent),
        )
