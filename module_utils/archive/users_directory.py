# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts that the directories of the servers list. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import DIRECTORY, Entry, Scope, Wish, lowered
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

OUT_OF_SCOPE = "is not in the scope any more"
_NEEDED = ("id", "login", "address")
Id = tuple[str, str]  # a server, and the id that it gives to an account


@dataclass(frozen=True)
class Account:
    """An account of one server. ``home``: what the directory says where its mailbox is; ``why_not``: why no user comes of it;
    ``elsewhere``: whether another archive host takes it then."""

    values: UserValues
    domain: str
    home: str
    why_not: str
    elsewhere: bool = False

    @property
    def server(self) -> str:
        return self.values.server

    @property
    def id(self) -> Id:
        return self.values.server, self.values.kerio_id

    @property
    def names(self) -> set[str]:
        """What it is called by: the login, alone and with the domain, and the default address. An alias may be anybody's."""
        return _names(self.values)


def accounts_of(wish: Wish) -> list[Account]:
    """All accounts of all servers; raises InputError where a directory is none."""
    found: list[Account] = []
    read: set[str] = set()
    for index, directory in enumerate(wish.directories):
        server = directory.get("server")
        subject, remedy = f"directories[{index}]", "Pass what kerio_directory_info returned as directory, once for each server"
        if not isinstance(server, str) or not isinstance(directory.get("users"), (list, tuple)):
            raise InputError(subject, "it is no directory of a server: server or users is missing", remedy)
        if server in read:
            raise InputError(subject, f"it is a second directory of {server}", remedy)
        read.add(server)
        found += [_account(server, entry, wish) for entry in directory["users"]]
    return found


def _account(server: str, entry: Entry, wish: Wish) -> Account:
    missing = [key for key in _NEEDED if not entry.get(key)]
    if missing:
        subject = f"{server}: user {entry.get('login') or entry.get('id') or '?'}"
        raise InputError(subject, f"the directory gives no {', '.join(missing)}", "Read the directory with kerio_directory_info")
    domain = str(entry.get("domain") or str(entry["address"]).rpartition("@")[2]).lower()
    login = str(entry["login"]).lower()
    values = UserValues(
        name=str(entry["login" if wish.user_name == "login" else "address"]).lower(),
        origin=DIRECTORY,
        full_name=str(entry.get("full_name") or ""),
        server=server,
        kerio_id=str(entry["id"]),
        authentication=str(entry.get("authentication") or ""),
        enabled=bool(entry.get("enabled", True)),
        addresses=lowered([entry["address"], *(entry.get("addresses") or ())]),
        groups=tuple(sorted(str(group) for group in entry.get("groups") or ())),
        kerio_login=f"{login}@{domain}",
    )
    why_not = _why_not(entry, _names(values), wish)
    elsewhere = why_not == OUT_OF_SCOPE and wish.elsewhere.takes(server, entry)
    return Account(values, domain, str(entry.get("home_server") or ""), why_not, elsewhere)


def _names(values: UserValues) -> set[str]:
    return {values.kerio_login, values.kerio_login.rpartition("@")[0], values.addresses[0]}


def _why_not(entry: Entry, names: set[str], wish: Wish) -> str:
    if wish.not_users & names:
        return "is in not_users"
    return "" if wish.scope.takes(entry) else OUT_OF_SCOPE


def scope_warnings(wish: Wish) -> list[str]:
    """One sentence for each name of the scope that takes nobody: with ``delete``, a typing error costs archive users."""
    entries = [entry for directory in wish.directories for entry in directory["users"]]
    alone = [(f"in the domain {name}", Scope(domains=frozenset({name}))) for name in sorted(wish.scope.domains)]
    alone += [(f"in the group {name}", Scope(groups=frozenset({name}))) for name in sorted(wish.scope.groups)]
    alone += [(f"called {name}", Scope(users=frozenset({name}))) for name in sorted(wish.scope.users)]
    return [
        f"scope: no user of the directories is {what}. Correct the name, or take it out"
        for what, scope in alone
        if entries and not wish.unread and not any(map(scope.takes, entries))
    ]


def excluded_warnings(accounts: t.Sequence[Account], wish: Wish) -> list[str]:
    """One sentence for each entry of ``not_users`` that leaves nobody out. An archive mailbox may be on a server elsewhere."""
    if not accounts or wish.unread:
        return []
    owners = {address: account.values.name for account in accounts for address in account.values.addresses}
    domains = {account.domain for account in accounts} | {""}
    found = []
    for name in sorted(wish.not_users - {name for account in accounts for name in account.names}):
        if name in owners:
            cause = f"{name} is a further address of {owners[name]}, whom that does not leave out"
            found.append(f"not_users: {cause}. Name the login or the default address, or take it out")
        elif name.partition("@")[2] in domains:
            found.append(f"not_users: no account of the directories is called {name}. Correct the name, or take it out")
    return found


def described(values: UserValues) -> str:
    """A user in an error: who, and where from."""
    return f"{values.name} ({values.server} id {values.kerio_id})" if values.kerio_id else f"{values.name} (inventory)"


def domains_of(accounts: t.Iterable[Account]) -> dict[str, set[str]]:
    """The domains of each server that at least one account is in."""
    found: dict[str, set[str]] = {}
    for account in accounts:
        found.setdefault(account.server, set()).add(account.domain)
    return found
