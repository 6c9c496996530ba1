# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken out of another archive: which users, which mailboxes go along, and whose row counts. Pure: no I/O."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import MAILBOX, MULTIDROP, ROUTE_OF_USER
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import OPEN, SETTLED, State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_wish import domain_of, named
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

Place = tuple[str, str]  # a server, and a mailbox on it
Origins = t.Mapping[str, Counter[int]]  # what filed placements -> how many of which user


@dataclass(frozen=True)
class Choice:
    """Who is to be taken: by name or address, by domain, or all who come from a server. All in lower case but the servers."""

    users: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()

    def takes(self, user: User) -> bool:
        """Whether the user is one of them, a leaver too."""
        by_name = self.users & {user.name.lower(), *user.addresses}
        return bool(by_name) or _domain(user) in self.domains or user.server in self.servers


def _domain(user: User) -> str:
    return domain_of(user) or user.name.rpartition("@")[2].lower()


def chosen(users: t.Sequence[User], places: t.Iterable[Place], choice: Choice) -> list[User]:
    """The users of the other archive who are taken; raises InputError for a name that takes nobody."""
    names = {name for user in users for name in (user.name.lower(), *user.addresses)}
    servers = {user.server for user in users} | {server for server, _mailbox in places}
    for key, wanted, there in (
        ("users", choice.users, names),
        ("domains", choice.domains, {_domain(user) for user in users}),
        ("servers", choice.servers, servers),
    ):
        if unknown := sorted(wanted - there):
            cause = f"nobody in the other archive comes by {named(unknown)}"
            raise InputError(key, cause, "Correct the name, or take it out: archive_info lists the users of an archive")
    return [user for user in users if choice.takes(user)]


@dataclass(frozen=True)
class Mailbox:
    """A mailbox of which messages go along. ``whole``: all of them, else those that the chosen users have in their folders.

    ``strangers``: ids of other users who have messages of it, and how many. Where there are any, nothing is taken for filed: the
    next run looks at the stored messages for the users of this archive.
    """

    server: str
    name: str
    whole: bool
    strangers: Counter[int]

    @property
    def labels(self) -> tuple[str, str]:
        """What placements say that were filed from here."""
        return f"{MAILBOX}:{self.server}/{self.name}", f"{MULTIDROP}:{self.server}/{self.name}"


def mailboxes(places: t.Iterable[Place], origins: Origins, users: t.Collection[User], choice: Choice) -> list[Mailbox]:
    """The mailboxes that go along with ``users``: of the chosen servers, their own, and in part those that they have mail of."""
    ids = {user.id for user in users}
    # A mailbox that a leaver had may be somebody else's by now.
    own = {
        name for user in users if user.deleted is None for name in (user.name.lower(), user.kerio_login, *user.addresses) if name
    }
    found = []
    for server, name in sorted(set(places)):
        mailbox = Mailbox(server, name, server in choice.servers or name in own, Counter())
        for label in mailbox.labels:
            mailbox.strangers.update({user: count for user, count in origins.get(label, {}).items() if user not in ids})
        if mailbox.whole or any(ids & origins.get(label, {}).keys() for label in mailbox.labels):
            found.append(mailbox)
    return found


def says_more(comes: State, there: State | None) -> bool:
    """Whether a row of the other archive takes the place of the one that is there.

    What was deleted, with a receipt, is known for good. What is stored counts more than what nobody has yet. Of a message that is
    not on the server any more the other archive knows nothing new.
    """
    if there is None:
        return True
    if comes is State.DELETED:
        return there is not State.DELETED
    return comes in SETTLED and there in OPEN


def route_here(route: str, ids: t.Mapping[int, int]) -> str:
    """A way of filing as this archive calls it, "" when it files for somebody who is not taken. ``ids``: user there -> here."""
    if not route.startswith(ROUTE_OF_USER):
        return route
    number, slash, rest = route.removeprefix(ROUTE_OF_USER).partition("/")
    here = ids.get(int(number)) if number.isdigit() else None
    return "" if here is None else f"{ROUTE_OF_USER}{here}{slash}{rest}"


def strangers_warning(mailbox: Mailbox, names: t.Mapping[int, str]) -> str:
    """What the operator is told of users who have messages of a mailbox that goes along."""
    who = named(sorted(names[user] for user in mailbox.strangers))
    return (
        f"{mailbox.server}/{mailbox.name}: {mailbox.strangers.total():,} messages of it are filed for {who}, who"
        " are not among those who are taken. They stay in the other archive"
    )
