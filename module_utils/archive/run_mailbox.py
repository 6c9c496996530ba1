# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mailboxes a profile means, how each is opened, and how its messages are filed."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import (
    CATCHALL,
    ROUTE_OF_USER,
    Directory,
    Filing,
    MailboxFiling,
    MultidropFiling,
    Person,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_agree import FiledFolder, Templates, disagreements
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import (
    MASTER,
    MULTIDROP,
    MULTIPLE,
    Profile,
    Server,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import MailboxReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.worker_protocol import Access
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Access as Protocol
from ansible_collections.mailops.kerio.plugins.module_utils.imap.endpoint import Credentials, Endpoint
from ansible_collections.mailops.kerio.plugins.module_utils.imap.folders import Folder

FILTERED = " filter:"  # in a route; no address has a blank in it
READ_ONLY_USER = -1  # stands for a user that a real run would create


@dataclass(frozen=True)
class Secrets:
    """Passwords, in memory only: master passwords by server, mailbox passwords by profile.

    ``other``: what may be a server's master password instead, while it is being rotated.
    """

    master: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    passwords: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    other: t.Mapping[str, str] = field(default_factory=dict, repr=False)


class People(t.Protocol):
    """The archive users, as the catalog gives them."""

    def users(self) -> list[User]:
        """All of them, leavers excluded."""

    def ensure(self, name: str) -> int:
        """The id of a user who is known by name alone; created when absent."""


@dataclass
class KnownPeople:
    """The archive users as they are; nobody is created."""

    known: list[User]

    def users(self) -> list[User]:
        """All of them, leavers excluded."""
        return self.known

    def ensure(self, name: str) -> int:
        """The id of the user, or one that stands for a user whom the run would create."""
        return next((user.id for user in self.known if user.name == name), READ_ONLY_USER)


@dataclass(eq=False)
class Mailbox:
    """One mailbox of one profile. ``route`` and ``rules`` are what the ledger compares.

    ``names``: what its user is called, lower case; ``user_id``: whose tree it is filed in, 0 for multidrop.
    ``listed``: all folders that the server told of in this run, selected or not.
    """

    profile: Profile
    server: Server
    name: str
    access: Access
    kind: str
    route: str
    rules: str
    filing: t.Callable[[tuple[str, ...]], Filing]
    report: MailboxReport
    position: int = 0
    count: int = 0
    names: frozenset[str] = frozenset()
    user_id: int = 0
    listed: t.Sequence[Folder] = ()

    @property
    def limit(self) -> int:
        """Connections to the server at a time."""
        return min(self.server.connections, self.profile.connections or self.server.connections)


def target_of(route: str) -> str:
    """What a route is without its filter: where it files."""
    return route.partition(FILTERED)[0]


def mailboxes_of(
    profile: Profile, servers: t.Mapping[str, Server], secrets: Secrets, people: People
) -> tuple[list[Mailbox], list[tuple[str, str]]]:
    """The mailboxes of a profile, and what is wrong with single users as (where, message).

    Raises ``InputError`` when the profile cannot be run at all.
    """
    if profile.method == MULTIDROP:
        return _multidrop(profile, servers, secrets, people), []
    if profile.method == MULTIPLE:
        return _multiple(profile, servers, secrets, people)
    server = servers[profile.servers[0]]
    users = people.users()
    target = _find(users, profile.target_user)
    user_id = target.id if target else people.ensure(profile.target_user)
    made = _by_user(profile, server, secrets, profile.mailbox, user_id, profile.target_user)
    owner = _find(users, profile.mailbox)
    if owner and owner.server in ("", server.name):
        made.report.disabled = _disabled(owner)
    return [made], []


def choose(mailboxes: list[Mailbox], only: str) -> list[Mailbox]:
    """All mailboxes, or the one that is asked for: by its login, or by the name or an address of its user, in any case."""
    wanted = only.strip().lower()
    return [mailbox for mailbox in mailboxes if not wanted or wanted == mailbox.name or wanted in mailbox.names]


def number(mailboxes: list[Mailbox]) -> list[Mailbox]:
    """Give each mailbox its place among those of its server."""
    by_server: dict[str, list[Mailbox]] = {}
    for mailbox in mailboxes:
        by_server.setdefault(mailbox.server.name, []).append(mailbox)
    for group in by_server.values():
        for position, mailbox in enumerate(group, 1):
            mailbox.position, mailbox.count = position, len(group)
    return mailboxes


def _find(users: t.Iterable[User], name: str) -> User | None:
    wanted = name.lower()
    return next((user for user in users if user.name.lower() == wanted or wanted in user.addresses), None)


def _disabled(owner: User) -> str:
    return "" if owner.enabled else owner.name


def _multiple(
    profile: Profile, servers: t.Mapping[str, Server], secrets: Secrets, people: People
) -> tuple[list[Mailbox], list[tuple[str, str]]]:
    users = [user for user in people.users() if user.addresses]
    if not users:
        raise InputError(
            f"profile {profile.name}",
            "there are no archive users with an address to file for",
            "Synchronise the users first (users.yml, module archive_users)",
        )
    chosen = [user for user in users if _chosen(profile, user)]
    if not chosen:
        raise InputError(
            f"profile {profile.name}",
            f"its users and servers choose none of the {len(users)} archive users with an address",
            "Correct users or servers of the profile, or synchronise the users (users.yml, module archive_users)",
        )
    permitted = [user for user in chosen if profile.users.permits(user.privileges)]
    if not permitted:
        raise InputError(
            f"profile {profile.name}",
            f"none of the {len(chosen)} archive users that it chooses has the privilege {profile.users.privilege}",
            "Give it to them (users.yml, module archive_users), or take with_privilege out of the users of the profile",
        )
    found: list[Mailbox] = []
    wrong: list[tuple[str, str]] = []
    for user in permitted:
        home = user.server or (profile.servers[0] if len(profile.servers) == 1 else "")
        if home:
            one = _by_user(profile, servers[home], secrets, user.addresses[0], user.id, user.name)
            one.names = frozenset({user.name.lower(), *user.addresses})
            one.report.disabled = _disabled(user)
            found.append(one)
        else:
            wrong.append((user.name, "the archive user has no server, and the profile names several; set the user's server"))
    return found, wrong


def _chosen(profile: Profile, user: User) -> bool:
    """Whether a profile chooses a user with an address, whatever the user's privileges."""
    return profile.users.chooses(user.name, user.addresses) and (not user.server or user.server in profile.servers)


def without_privilege(profile: Profile, users: t.Iterable[User]) -> list[str]:
    """The users whom a profile leaves out because they have not the privilege that it asks for."""
    if not profile.users.privilege:
        return []
    chosen = (user for user in users if user.addresses and _chosen(profile, user))
    return [user.name for user in chosen if not profile.users.permits(user.privileges)]


def profile_warnings(profile: Profile, users: t.Sequence[User]) -> list[str]:
    """What is odd about a profile beside these users, and does not keep it from being run."""
    return [warning for check in (archive_mailbox_warning, strangers_warning) if (warning := check(profile, users))]


def filed_by(mailbox: Mailbox) -> list[FiledFolder]:
    """The folders for received and for sent mail that a mailbox profile makes, as far as the server told of them."""
    roles = [folder for folder in mailbox.listed if folder.role in ("inbox", "sent")]
    targets = [(folder.role or "", mailbox.filing(folder.parts).decide(b"").targets) for folder in roles if mailbox.user_id]
    return [FiledFolder(mailbox.profile.name, mailbox.user_id, role, target.parts) for role, (target,) in targets]


def folder_warnings(profile: Profile, users: t.Sequence[User], filed: t.Sequence[FiledFolder]) -> list[str]:
    """What the guide gives notice of: multidrop files under other names than the mailbox profiles of this run."""
    if profile.method != MULTIDROP or not filed:
        return []
    people = [Person(user.id, user.name, user.addresses) for user in users if user.addresses]
    return disagreements(Templates(profile.name, profile.target_folder, profile.sent_folder), people, filed)


def strangers_warning(profile: Profile, users: t.Iterable[User]) -> str | None:
    """A warning when a profile names users whom nobody is called."""
    known = {name.lower() for user in users for name in (user.name, *user.addresses)}
    strangers = sorted(profile.users.names - known)
    if not strangers:
        return None
    return f"profile {profile.name}, key users: no archive user has the name or address {', '.join(strangers)}"


def _by_user(profile: Profile, server: Server, secrets: Secrets, address: str, user_id: int, user: str) -> Mailbox:
    address = address.lower()

    def filing(parts: tuple[str, ...]) -> Filing:
        return MailboxFiling(user_id, address, parts)

    route = f"{ROUTE_OF_USER}{user_id}/{address}" + (f"{FILTERED}{profile.filter.fingerprint()}" if profile.filter else "")
    made = _mailbox(profile, server, secrets, address, MailboxFiling.kind, route, profile.rules_hash(), filing, user)
    made.user_id = user_id
    return made


def _multidrop(profile: Profile, servers: t.Mapping[str, Server], secrets: Secrets, people: People) -> list[Mailbox]:
    users = [user for user in people.users() if user.name != CATCHALL]
    directory = Directory(tuple(Person(user.id, user.name, user.addresses, user.groups) for user in users))
    if not directory.by_address and profile.unknown_addresses != "catchall":
        raise InputError(
            f"profile {profile.name}",
            "there are no archive users with an address to file for",
            "Synchronise the users first (users.yml, module archive_users)",
        )
    catchall = people.ensure(CATCHALL) if profile.unknown_addresses == "catchall" else None
    filing = MultidropFiling(
        directory, profile.mailbox, profile.target_folder, profile.sent_folder, profile.unknown_addresses, catchall
    )
    rules = f"{profile.rules_hash()}:{directory.fingerprint()}"
    route = f"multidrop:{profile.rules_hash()}"
    return [
        _mailbox(profile, servers[name], secrets, profile.mailbox, filing.kind, route, rules, lambda _parts: filing, "")
        for name in profile.servers
    ]


def _mailbox(
    profile: Profile,
    server: Server,
    secrets: Secrets,
    name: str,
    kind: str,
    route: str,
    rules: str,
    filing: t.Callable[[tuple[str, ...]], Filing],
    user: str,
) -> Mailbox:
    name = name.lower()  # Kerio takes logins in any case, the ledger must not
    report = MailboxReport(server.name, name, user)
    return Mailbox(profile, server, name, _access(profile, server, secrets, name), kind, route, rules, filing, report)


def _access(profile: Profile, server: Server, secrets: Secrets, name: str) -> Access:
    master = profile.credentials == MASTER
    password = secrets.master.get(server.name) if master else secrets.passwords.get(profile.name)
    if not password and master and len(profile.servers) > 1:
        password = ""  # the others are read; on this one nothing is tried (run_masters.untried)
    elif not password:
        what, remedy = (
            (f"server {server.name} has no master password", "Give master_password with the server")
            if master
            else (f"there is no password for mailbox {name}", f"Give it in passwords under {profile.name}")
        )
        raise InputError(f"profile {profile.name}", what, remedy)
    return Access(endpoint_of(server), Credentials(name, password, master))


def endpoint_of(server: Server) -> Endpoint:
    """The IMAP service of a declared server."""
    return Endpoint(server.host, server.port, Protocol(server.access), server.ca_file, server.validate_certs, server.timeout)


def archive_mailbox_warning(profile: Profile, users: t.Iterable[User]) -> str | None:
    """A warning when the archive mailbox's address belongs to an archive user, who would then get everything."""
    owner = _find(users, profile.mailbox) if profile.method == MULTIDROP else None
    if owner is None:
        return None
    return (
        f"profile {profile.name}: {profile.mailbox} is the archive mailbox and also an address of archive user {owner.name};"
        " leave that user out of the archive users"
    )
