# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts that several servers of a distributed domain list are one person: the one of the home server counts. Pure: no I/O.

How the home server that a directory names relates to the name of a server in the inventory is not known. It is compared with the
name, the host and the short host name of each, and ``home_servers`` says what else it means.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_directory import Account, Id, described
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import Entry, Wish, named
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, UserPlanError


@dataclass(frozen=True)
class Candidate:
    """Somebody who is to be an archive user.

    ``ids``: all accounts that are this person. ``settled``: whether it is known which server has the mailbox, so that the login
    tells the person even where the ids of two servers differ. ``entry``: what the inventory declares of the user.
    """

    values: UserValues
    ids: frozenset[Id] = frozenset()
    settled: bool = False
    entry: Entry | None = None


@dataclass
class Homes:
    """``candidates`` in the order of the directories; ``left_out``: names of who is not wanted; ``waiting``: why -> accounts."""

    candidates: list[Candidate] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    waiting: list[tuple[str, Candidate]] = field(default_factory=list)
    strangers: dict[str, list[str]] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """One sentence for each home server that no server of this run is."""
        return [
            f"home server {home}: no server of this run is called so. The users whose mailbox is there ({named(names)}) are taken"
            " for users of the server that lists them. Say in home_servers which server it is"
            for home, names in sorted(self.strangers.items())
        ]


def settle(accounts: t.Sequence[Account], wish: Wish, current: t.Iterable[User]) -> Homes:
    """Who is wanted, each person once. Raises UserPlanError where it is not told which of two accounts counts."""
    servers = _servers(wish)
    known = {user.kerio_login: user.server for user in current if user.kerio_login}
    # A rename may have reached one server and not yet another: the login that the home server gives counts.
    logins = {account.id: account.values.kerio_login for account in accounts}
    people: dict[str, list[Account]] = {}
    for account in accounts:
        identity = _home(account, wish, servers), account.values.kerio_id
        people.setdefault(logins.get(identity, account.values.kerio_login), []).append(account)
    homes = Homes()
    for login, rows in people.items():
        wanted = [account for account in rows if not account.why_not]
        if not wanted:
            homes.left_out.update(account.values.name for account in rows)
            continue
        told = {account.id: _home(account, wish, servers) for account in rows}
        if len(rows) > 1 and not _same_person(rows, told):
            _refuse_unsettled(wanted)
            homes.candidates += [Candidate(account.values, frozenset({account.id})) for account in wanted]
            homes.left_out.update(account.values.name for account in rows if account.why_not)
        else:
            _take(homes, rows, next((home for home in told.values() if home), ""), wish, known.get(login, ""))
    return homes


def _servers(wish: Wish) -> dict[str, str]:
    """What a home server may be called, in lower case -> the server. A name that fits two servers says nothing."""
    hosts = dict.fromkeys(sorted(wish.away), "")
    hosts |= {str(directory["server"]): str(directory.get("host") or "") for directory in wish.directories}
    names: dict[str, str] = {}
    for of in (_short, _host, _name):
        fitting: dict[str, set[str]] = {}
        for server, host in hosts.items():
            for name in of(server, host):
                fitting.setdefault(name.lower(), set()).add(server)
        names |= {name: servers.pop() if len(servers) == 1 else "" for name, servers in fitting.items()}
    for meaning, server in wish.home_servers.items():
        if server not in hosts:
            remedy = f"Give one of {', '.join(hosts) or 'those in directories'}"
            raise InputError(f"home_servers of {meaning}", f"{server!r} is no server of this run", remedy)
        names[meaning] = server
    return {name: server for name, server in names.items() if name and server}


def _name(server: str, _host: str) -> list[str]:
    return [server]


def _host(_server: str, host: str) -> list[str]:
    return [host]


def _short(server: str, host: str) -> list[str]:
    return [short for name in {server, host} if not (short := name.partition(".")[0]).isdigit()]


def _home(account: Account, wish: Wish, servers: t.Mapping[str, str]) -> str:
    """The server that has the mailbox, what the directory calls it if that is no server of this run, "" if nothing says."""
    declared = wish.home_servers.get(account.values.kerio_login)
    if declared is None and not account.home:
        declared = wish.home_servers.get(account.domain, "")
    return declared if declared is not None else servers.get(account.home.lower(), account.home)


def _same_person(rows: t.Sequence[Account], told: t.Mapping[Id, str]) -> bool:
    """Whether accounts of one login name one home; the home server itself need not name it."""
    homes = {home for home in told.values() if home}
    apart = len({account.server for account in rows}) == len(rows)
    return apart and len(homes) == 1 and all(home or server in homes for (server, _id), home in told.items())


def _refuse_unsettled(wanted: t.Sequence[Account]) -> None:
    servers = {account.server for account in wanted}
    if len(servers) < 2:
        return
    one, other = wanted[:2]
    login = one.values.kerio_login
    raise UserPlanError(
        f"the name {login}",
        f"{described(one.values)} and {described(other.values)} both have it, and no home server tells that they are one person",
        f"Say in home_servers which server has the mailbox of {login} or of the domain; or take the name from one of them",
        users=[one.values.name, other.values.name],
    )


def _take(homes: Homes, rows: t.Sequence[Account], home: str, wish: Wish, before: str) -> None:
    """Take the accounts of one person; ``before``: the server that the archive has for this login."""
    counts = next((account for account in rows if account.server == home), None)
    if counts is None:
        counts = next((account for account in rows if account.server == before), rows[0])
    if counts.why_not:
        homes.left_out.add(counts.values.name)
        return
    settled = home in wish.read | wish.away
    values = dataclasses.replace(counts.values, server=home) if settled else counts.values
    candidate = Candidate(values, frozenset({*(account.id for account in rows), (values.server, values.kerio_id)}), settled)
    if home in wish.unread:
        homes.waiting.append((f"the directory of the home server {home} could not be read", candidate))
        return
    if home in wish.elsewhere.servers:
        homes.waiting.append((f"the mailbox is on {home}, which another archive host archives", candidate))
        return
    if home and not settled:
        homes.strangers.setdefault(home, []).append(values.name)
    homes.candidates.append(candidate)
