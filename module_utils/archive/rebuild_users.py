# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive users as the ledger tells them. Pure: no I/O."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserValues

_TUPLES = ("privileges", "addresses", "groups", "reads")
_FIELDS = {field.name for field in dataclasses.fields(UserValues)}


@dataclass
class ToldUser:
    """A user as the last entry about them says. ``deleted``: when they left, None for those who did not.

    ``archives``: the trees of those whose archives the user may read. Unlike the names in ``values.reads`` they never change.
    """

    values: UserValues
    tree: str
    deleted: int | None = None
    archives: tuple[str, ...] = ()


class History:
    """Plays the changes of users again. ``trees``: those on the disk; ``known``: users from before the first change, by tree."""

    def __init__(self, trees: t.Iterable[str], known: t.Mapping[str, UserValues] | None = None) -> None:
        self._trees = frozenset(trees)
        self.users = {tree: ToldUser(values, tree) for tree, values in (known or {}).items()}

    def names(self) -> t.Iterator[str]:
        """Every name and address that it has heard of: what the folders of trees are called by."""
        for user in self.users.values():
            yield user.values.name
            yield from user.values.addresses

    def play(self, changes: t.Iterable[t.Mapping[str, t.Any]], at: int) -> None:
        """Play the changes of one entry: all at once, so that two users may swap names."""
        touched = [(change, self._user_of(change)) for change in changes]
        for change, user in touched:
            if user is None:
                tree = self._new_tree(str(change["name"]))
                user = self.users[tree] = ToldUser(_values_of(change), tree)
            user.values = _values_of(change)
            user.deleted = at if change.get("action") == "left" else None
            user.archives = tuple(change.get("archives", ()))

    def _user_of(self, change: t.Mapping[str, t.Any]) -> ToldUser | None:
        if "tree" in change:
            # Somebody from before the ledger began is not known by anything else.
            tree = str(change["tree"])
            return self.users.setdefault(tree, ToldUser(_values_of(change), tree))
        # A leaver who comes back as the target of a profile.
        return next(
            (user for user in self.users.values() if user.values.name == change["name"] and user.deleted is not None), None
        )

    def _new_tree(self, name: str) -> str:
        """The tree that was made for a new user: marked where somebody who is called otherwise by now has that of the name."""
        tree = layout.escape(name)
        if tree not in self.users:
            return tree
        mark = re.compile(rf"{re.escape(tree + layout.SHORTENED)}[0-9]{{1,15}}\Z")
        free = sorted((one for one in self._trees - self.users.keys() if mark.match(one)), key=lambda one: (len(one), one))
        return free[0] if free else f"{tree}{layout.SHORTENED}{len(self.users) + 1}"


def _values_of(change: t.Mapping[str, t.Any]) -> UserValues:
    given = {key: tuple(value) if key in _TUPLES else value for key, value in change.items() if key in _FIELDS}
    return UserValues(**t.cast("dict[str, t.Any]", given))
