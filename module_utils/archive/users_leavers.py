# SPDX-License-Identifier: GPL-3.0-or-later
"""Who leaves the archive, and what keeps a wrong answer from taking users away. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_directory import OUT_OF_SCOPE, Account, domains_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_match import Match
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import (
    Entry,
    Wish,
    domain_of,
    from_kerio,
    named,
)
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError


@dataclass(frozen=True)
class Leaver:
    """A user whom the directory, or the inventory, has no more; and why."""

    user: User
    why: str


def unmatched(current: t.Iterable[User], matches: t.Iterable[Match]) -> list[User]:
    """The users whom nobody of the plan is; those who wait stay as they are and are not among them."""
    matches = list(matches)
    taken = {match.user.id for match in matches if match.user is not None}
    waiting = {identity for match in matches if match.waits for identity in match.candidate.ids}
    return [user for user in current if user.id not in taken and (user.server, user.kerio_id) not in waiting]


def refuse_incomplete(users: t.Iterable[User], accounts: t.Sequence[Account], wish: Wish) -> None:
    """Raise UserPlanError when the answer lacks a server or a domain that ``users``, whom it does not know, come from."""
    listed = {account.id for account in accounts}
    servers: dict[str, list[str]] = {}
    domains: dict[tuple[str, str], list[str]] = {}
    for user in users:
        if from_kerio(user) and user.server not in wish.gone.servers | wish.away and (user.server, user.kerio_id) not in listed:
            if user.server in wish.read:
                domains.setdefault((user.server, domain_of(user)), []).append(user.name)
            else:
                servers.setdefault(user.server, []).append(user.name)
    for server, names in servers.items():
        raise UserPlanError(
            f"the server {server}",
            f"it is not in directories, and {_from_it(names)}",
            "Add its directory, or name it in unread if it cannot be read, or in elsewhere if another archive host archives it;"
            " if it is gone or has another name, say gone: servers",
            users=names,
        )
    for server, domain in _lost(domains, accounts, wish):
        empty = server not in domains_of(accounts)
        raise UserPlanError(
            server if empty else f"{server}: the domain {domain}",
            f"its directory {'is empty' if empty else 'has no account of this domain'}, and {_from_it(domains[server, domain])}",
            "Check the account that reads the directory, and the directory service; if nobody is left in the domain, name it in"
            " gone: domains",
            users=domains[server, domain],
        )


def _lost(
    domains: t.Mapping[tuple[str, str], list[str]], accounts: t.Sequence[Account], wish: Wish
) -> t.Iterator[tuple[str, str]]:
    """The domains that an answer lacks. One that is there and that a single user has left is none."""
    used = domains_of(accounts)
    there = {
        (str(directory["server"]), str(domain["name"]).lower())
        for directory in wish.directories
        for domain in directory.get("domains") or ()
    }
    for (server, domain), names in domains.items():
        alone = len(names) == 1 and server in used and (server, domain) in there
        if domain and not alone and domain not in wish.gone.domains and domain not in used.get(server, ()):
            yield server, domain


def _from_it(names: list[str]) -> str:
    return f"{len(names):,} archive {'user comes' if len(names) == 1 else 'users come'} from it ({named(names)})"


def elsewhere(users: t.Iterable[User], accounts: t.Iterable[Account], wish: Wish) -> frozenset[int]:
    """Who of the unmatched users stays because another archive host that archives the same server takes them: ids of rows."""
    taken = {account.id for account in accounts if account.elsewhere}
    return frozenset(
        user.id for user in users if (user.server, user.kerio_id) in taken and domain_of(user) not in wish.gone.domains
    )


def leavers(users: t.Iterable[User], accounts: t.Iterable[Account], matches: t.Iterable[Match], wish: Wish) -> list[Leaver]:
    """Who of the unmatched users would leave: users of directories that were read or are gone, never those of the inventory."""
    users, accounts = list(users), list(accounts)
    accounts_by_id = {account.id: account for account in accounts}
    stay = elsewhere(users, accounts, wish)
    persons = {identity: match.values for match in matches for identity in match.candidate.ids}
    found = []
    for user in users:
        if not from_kerio(user) or user.id in stay or (user.server in wish.away and user.server not in wish.gone.servers):
            continue
        identity = (user.server, user.kerio_id)
        if identity in persons:
            why = f"is {persons[identity].name}, whose mailbox is on {persons[identity].server}"
        elif identity in accounts_by_id:
            why = accounts_by_id[identity].why_not or OUT_OF_SCOPE
        elif user.server in wish.gone.servers:
            why = f"the server {user.server} is gone"
        elif domain_of(user) in wish.gone.domains:
            why = f"the domain {domain_of(user)} is gone"
        else:
            why = f"is not in the directory of {user.server} any more"
        found.append(Leaver(user, why))
    return found


def displaced(users: t.Iterable[User], matches: t.Iterable[Match]) -> list[Leaver]:
    """Users whose name somebody else gets (``separate``): they leave, whether or not users are to be deleted."""
    names = {match.values.name.lower(): match.values.name for match in matches if not match.waits}
    return [
        Leaver(user, f"left; somebody else is {names[user.name.lower()]} now")
        for user in users
        if user.deleted is None and user.name.lower() in names
    ]


def dismissed(users: t.Iterable[User], matches: t.Iterable[Match], absent: t.Mapping[str, Entry]) -> list[Leaver]:
    """Users whom the inventory declares to be absent; raises InputError for one whom a directory has."""
    for match in matches:
        if match.values.name.lower() in absent:
            raise InputError(
                f"users: {match.values.name}",
                f"state is absent, and the directory of {match.values.server} has this user",
                "Say not_users to leave the account out, or remove it on the server",
            )
    return [Leaver(user, "is declared to be absent") for user in users if user.deleted is None and user.name.lower() in absent]


def gone_warnings(accounts: t.Sequence[Account], rest: t.Iterable[User], wish: Wish) -> list[str]:
    """One sentence for each server and domain that is declared to be gone, is there, and can be taken out.

    One that has moved to another server cannot, while users of ``rest``, whom nobody of the plan is, come from the first one.
    """
    there = domains_of(accounts)
    needed = {domain_of(user) for user in rest if from_kerio(user) and domain_of(user) not in there.get(user.server, ())}
    domains = wish.gone.domains & {account.domain for account in accounts} - needed
    return [f"gone: {name} is there. Take it out" for name in sorted((wish.gone.servers & wish.read) | domains)]
