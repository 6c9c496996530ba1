# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog's archive users."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, users_rights
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_evidence import EvidenceTables
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserStep, UserValues

_USER = "id, name, tree, full_name, server, kerio_id, origin, authentication, privileges, enabled, groups, deleted, kerio_login"
_NOTED = 50  # changes in one entry of the ledger
_UPDATE = (
    "UPDATE users SET name = ?, full_name = ?, server = ?, kerio_id = ?, origin = ?, authentication = ?, privileges = ?,"
    " enabled = ?, groups = ?, kerio_login = ?, changed = ?, deleted = NULL WHERE id = ?"
)
_ADDRESSES = "SELECT user_id, address FROM user_addresses {} ORDER BY user_id, position"
_READS = "SELECT reader_id, name FROM grants JOIN users ON id = owner_id {} ORDER BY name"


class UserTables(EvidenceTables):
    """Users, their addresses, and whose archives they may read."""

    def users(self, *, deleted: bool = False) -> list[User]:
        """All archive users by name (``deleted``: leavers too)."""
        return self._users("" if deleted else "WHERE deleted IS NULL", ())

    def user(self, user_id: int) -> User | None:
        """The user of that id, a leaver too."""
        return next(iter(self._users("WHERE id = ?", (user_id,))), None)

    def user_by_name(self, name: str) -> User | None:
        """The user of that name, leavers excluded."""
        return next(iter(self._users("WHERE name = ? AND deleted IS NULL", (name,))), None)

    def addresses(self) -> dict[str, int]:
        """Every address (lower case) -> user id; for filing."""
        return dict(self.rows("SELECT address, user_id FROM user_addresses"))

    def ensure_user(self, name: str, *, origin: str) -> User:
        """Get or create a user without addresses (a declared target, ``@catchall``); a leaver comes back without any right."""
        user = self.user_by_name(name)
        if user is None:
            with self.transaction():
                known = next(iter(self._users("WHERE name = ?", (name,))), None)
                if known is None or known.deleted is not None:
                    self._apply([_target(name, origin, known)], "")
            user = self.user_by_name(name)
        if user is None:
            raise AssertionError(name)
        return user

    def apply_users(self, steps: t.Sequence[UserStep], owner: str = "") -> None:
        """Write a plan of users in one transaction; names and addresses may be swapped between users in it.

        ``reads`` names users as they are called after it. ``owner``: who had it done, for the ledger.
        """
        with self.transaction():
            self._apply(steps, owner)

    def _apply(self, steps: t.Sequence[UserStep], owner: str) -> None:
        now = int(time.time())
        before = self._names()
        for step in steps:
            self._clear(step.user_id)
        user_ids = [self._write(step, now) for step in steps]
        after = self._names()
        owners = {name: user_id for user_id, (name, _values) in after.items()}
        users_rights.refuse_unknown({step.values.name: step.reads for step in steps}, owners)
        rows = [(user_id, owners[name]) for user_id, step in zip(user_ids, steps, strict=True) for name in step.reads]
        self._db.executemany("INSERT OR IGNORE INTO grants(reader_id, owner_id) VALUES (?, ?)", rows)
        changes = []
        for user_id, step in zip(user_ids, steps, strict=True):
            was, tree = before.get(user_id), after[user_id][1]
            archives = [after[owners[name]][1] for name in step.reads]
            changes.append(_change(step, was[0] if was else None, tree, archives))
        for first in range(0, len(changes), _NOTED):
            self.note("users", by=owner, changes=changes[first : first + _NOTED])

    def _names(self) -> dict[int, tuple[str, str]]:
        """The name and the tree of every user, leavers too."""
        return {user_id: (name, tree) for user_id, name, tree in self._db.execute("SELECT id, name, tree FROM users")}

    def _clear(self, user_id: int | None) -> None:
        """Free what another user of the same plan may get."""
        self._db.execute("DELETE FROM user_addresses WHERE user_id = ?", (user_id,))
        self._db.execute("DELETE FROM grants WHERE reader_id = ?", (user_id,))
        self._db.execute("UPDATE users SET name = char(1) || id, kerio_id = '' WHERE id = ?", (user_id,))

    def _write(self, step: UserStep, now: int) -> int:
        user_id = step.user_id if step.user_id is not None else self._insert(step.values)
        self._update(user_id, step.values, now)
        if step.delete:
            self._db.execute("UPDATE users SET deleted = ? WHERE id = ?", (step.deleted or now, user_id))
        else:
            rows = [(address.lower(), user_id, position) for position, address in enumerate(step.values.addresses)]
            self._db.executemany("INSERT INTO user_addresses(address, user_id, position) VALUES (?, ?, ?)", rows)
        return user_id

    def _insert(self, values: UserValues) -> int:
        now = int(time.time())
        statement = "INSERT INTO users(name, tree, origin, created, changed) VALUES (?, ?, ?, ?, ?)"
        tree = layout.escape(values.name)
        # Somebody who was renamed keeps the tree of this name; the newcomer's gets a mark that no escaped name can have.
        if self._db.execute("SELECT 1 FROM users WHERE tree = ?", (tree,)).fetchone():
            serial = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM users").fetchone()[0]
            tree = f"{tree}{layout.SHORTENED}{serial}"
        return int(self._db.execute(statement, (values.name, tree, values.origin, now, now)).lastrowid or 0)

    def _update(self, user_id: int, values: UserValues, now: int) -> None:
        row = (
            values.name,
            values.full_name,
            values.server,
            values.kerio_id,
            values.origin,
            values.authentication,
            json.dumps(values.privileges),
            int(values.enabled),
            json.dumps(values.groups),
            values.kerio_login,
            now,
            user_id,
        )
        self._db.execute(_UPDATE, row)

    def _users(self, where: str, values: t.Sequence[t.Any]) -> list[User]:
        # Of two users who swap names meanwhile, nobody may seem to read the wrong one.
        return self.together(lambda: self._read_users(where, values))

    def _read_users(self, where: str, values: t.Sequence[t.Any]) -> list[User]:
        rows = self.rows(f"SELECT {_USER} FROM users {where} ORDER BY name", values)
        alone = int(rows[0][0]) if len(rows) == 1 else None
        addresses = self._texts(_ADDRESSES.format("" if alone is None else f"WHERE user_id = {alone}"))
        reads = self._texts(_READS.format("" if alone is None else f"WHERE reader_id = {alone}"))
        return [
            User(
                id=row[0],
                name=row[1],
                tree=row[2],
                full_name=row[3],
                server=row[4],
                kerio_id=row[5],
                origin=row[6],
                authentication=row[7],
                privileges=tuple(json.loads(row[8])),
                enabled=bool(row[9]),
                addresses=tuple(addresses.get(row[0], ())),
                groups=tuple(json.loads(row[10])),
                deleted=row[11],
                kerio_login=row[12],
                reads=tuple(reads.get(row[0], ())),
            )
            for row in rows
        ]

    def _texts(self, query: str) -> dict[int, list[str]]:
        """The texts that a query gives of each user, in its order."""
        found: dict[int, list[str]] = {}
        for user_id, text in self.rows(query):
            found.setdefault(user_id, []).append(text)
        return found


def _target(name: str, origin: str, leaver: User | None) -> UserStep:
    """Of a leaver stays who it was, so that nobody else can be taken for that person."""
    if leaver is None:
        return UserStep(None, UserValues(name, origin))
    values = UserValues(name, origin, full_name=leaver.full_name, server=leaver.server, kerio_id=leaver.kerio_id)
    return UserStep(leaver.id, values)


def _change(step: UserStep, was: str | None, tree: str, archives: list[str]) -> dict[str, t.Any]:
    """A step as the ledger tells it: what is new, what was before, and the trees of those whose archives the user may read."""
    action = "created" if was is None else "left" if step.delete else "changed"
    before = {} if was is None else {"was": was}
    told = dataclasses.replace(step.values, reads=step.reads)
    return {"action": action, **before, "tree": tree, **vars(told), "archives": archives}
