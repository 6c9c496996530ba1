# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared about archive users, and the words that the parts of their plan share. Pure: no I/O."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserValues
from ansible_collections.mailops.kerio.plugins.module_utils.words import some

DIRECTORY = "directory"
INVENTORY = "inventory"
PROFILE = "profile"
# How the password of a user of the inventory is checked: against a hash on the archive host, or by a Kerio server.
INTEGRATED, KERIO = "integrated", "kerio"
# Who comes under a known name with another id: somebody else, who takes the archive over or begins a new one, or the same person.
ADOPT, SEPARATE, SAME = "adopt", "separate", "same"
REUSED_RULES = (ADOPT, SEPARATE, SAME)

Entry = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Scope:
    """Who is wanted: members of the domains, of the groups (``name`` or ``name@domain``), and ``users``; all empty: everybody.

    ``users``: default addresses or logins, these alone or with the domain.
    """

    domains: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()

    def takes(self, user: Entry) -> bool:
        """Whether a user of a directory is wanted."""
        if not self.domains and not self.groups and not self.users:
            return True
        domain, login = str(user.get("domain", "")).lower(), str(user.get("login", "")).lower()
        groups = {str(group).lower() for group in user.get("groups") or ()}
        names = {str(user.get("address", "")).lower(), login, f"{login}@{domain}"}
        in_groups = (groups | {f"{group}@{domain}" for group in groups}) & self.groups
        return domain in self.domains or bool(in_groups or names & self.users)


@dataclass(frozen=True)
class Elsewhere:
    """What other archive hosts archive: ``servers`` that this one does not; by ``scopes``, users of servers that it archives too.

    Whoever comes from there, or falls out of the scope of this archive into another one, stays as is.
    """

    servers: frozenset[str] = frozenset()
    scopes: tuple[tuple[frozenset[str], Scope], ...] = ()  # servers, and who of them is taken

    def takes(self, server: str, user: Entry) -> bool:
        """Whether another archive host takes a user of a directory of this one."""
        return any(server in servers and scope.takes(user) for servers, scope in self.scopes)


@dataclass(frozen=True)
class Gone:
    """Domains and servers that archive users come from and that are not there any more, on purpose. Domains in lower case."""

    domains: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wish:
    """What the operator declares about archive users.

    ``rights``: privileges and grants of users, wherever they come from. ``unread``: servers whose directory could not be read;
    their users stay as they are, and so do those of ``elsewhere``. ``home_servers``: a login (``login@domain``), a domain, or
    what a directory calls a home server -> the server, all in lower case but the last. ``reused_names``: a name, or ``@domain``
    for all in it -> one of REUSED_RULES.
    """

    directories: t.Sequence[Entry] = ()
    users: t.Sequence[Entry] = ()
    rights: t.Sequence[Entry] = ()
    scope: Scope = field(default_factory=Scope)
    user_name: str = "address"
    not_users: frozenset[str] = frozenset()
    default_privileges: tuple[str, ...] = ("login", "read")
    delete: bool = False
    delete_limit: int = 20
    delete_limit_share: int = 10
    gone: Gone = field(default_factory=Gone)
    unread: frozenset[str] = frozenset()
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    home_servers: t.Mapping[str, str] = field(default_factory=dict)
    reused_names: t.Mapping[str, str] = field(default_factory=dict)

    @property
    def read(self) -> frozenset[str]:
        """The servers whose directory was read."""
        return frozenset(str(directory["server"]) for directory in self.directories)

    @property
    def away(self) -> frozenset[str]:
        """The servers of which no directory is given, and whose users stay as they are all the same."""
        return self.unread | self.elsewhere.servers

    def reuse(self, values: UserValues) -> str:
        """What is declared for a name that belonged to somebody else, or for its domain; "" for nothing."""
        # A name that is a login has no domain of its own.
        domains = (name.rpartition("@")[2] for name in (values.name, values.kerio_login) if "@" in name)
        keys = (values.name, *(f"@{domain}" for domain in domains))
        return next((self.reused_names[key] for key in keys if key in self.reused_names), "")


def from_kerio(user: User) -> bool:
    """Whether the user is there because a directory has or had him, so that the directory may take him away."""
    return user.deleted is None and of_directory(user)


def of_directory(user: User) -> bool:
    """Whether a directory has or had the user, a leaver too, and his password."""
    return user.origin == DIRECTORY and user.authentication != INTEGRATED


def domain_of(user: User) -> str:
    """The domain of a user of a directory; one of an older catalog has no login, and the default address is the same."""
    return (user.kerio_login or next(iter(user.addresses), "")).rpartition("@")[2]


def values_of(user: User) -> UserValues:
    """What the catalog has about a user, as it would be written."""
    return UserValues(**{name: getattr(user, name) for name in _VALUES})


def lowered(addresses: t.Iterable[t.Any]) -> tuple[str, ...]:
    """Addresses in lower case, each once, in their order."""
    return tuple(dict.fromkeys(str(address).lower() for address in addresses))


def named(names: t.Sequence[str], shown: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    return some(names, shown)


_VALUES = tuple(item.name for item in dataclasses.fields(UserValues))
