# SPDX-License-Identifier: GPL-3.0-or-later
"""A server as relations see one, all healthy, and what is found when something of it is changed."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.kerio import relations
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_people import Account, Alias, Domain, Group, People
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import Host

GIVEN = frozenset(
    {
        "archiving",
        "master_authentication",
        "security_policy",
        "archive",
        "archive_hosts",
        "profiles",
        "interval_hours",
        "imap_access",
        "deleting_profiles",
        "other_servers",
    }
)
JOURNAL = {"name": "journal", "method": "multidrop", "mailbox": "archive@example.com"}
MAILBOXES = {"name": "all mailboxes", "method": "multiple_mailboxes", "users": {"all_with_address": True}}


def account(login: str, domain: str = "example.com", **changed: t.Any) -> Account:
    return Account(f"id-{login}", f"{login}@{domain}", login, domain, **{"reversible": True, **changed})


PEOPLE = People(
    domains=(Domain("example.com", ("example.net",), primary=True), Domain("example.org")),
    accounts=(
        account("alice", further=("a.smith@example.com",), groups=frozenset({"staff", "staff@example.com"})),
        account("bob"),
        account("archive"),
    ),
    groups=(
        Group("id-sales", "sales", ("sales@example.com",), ("id-alice", "id-bob")),
        Group("id-empty", "empty", ("empty@example.com",), ()),
        Group("id-staff", "staff", (), ("id-alice",)),
    ),
    aliases=(
        Alias("info@example.com", "alice@example.com"),
        Alias("first@example.com", "info@example.com"),
        Alias("by-id@example.com", "", "id-bob"),
        Alias("team@example.com", "", "id-sales"),
        Alias("round@example.com", "about@example.com"),
        Alias("about@example.com", "round@example.com"),
        Alias("away@example.com", "someone@elsewhere.example"),
        Alias("folder@example.com", "Public Folders/Mail", public_folder=True),
        Alias("any-*@example.com", "bob@example.com"),
    ),
)


@dataclass(frozen=True)
class Case:
    """``relations_state.State`` with everything in it. ``groups``: addresses by IP address group; None: nobody can tell."""

    server: str = "mail1"
    given: frozenset[str] = GIVEN
    archiving: dict[str, t.Any] = field(
        default_factory=lambda: {"enabled": True, "remote_address": "archive@example.com", "local_messages": True}
    )
    domains: dict[str, t.Any] = field(default_factory=dict)
    declared_domains: dict[str, t.Any] = field(default_factory=dict)
    master: dict[str, t.Any] = field(default_factory=lambda: {"enabled": True, "ip_address_group": "Archive hosts"})
    advanced: dict[str, t.Any] = field(default_factory=lambda: {"insert_x_envelope_to": True})
    security: dict[str, t.Any] = field(default_factory=lambda: {"mode": "no_restrictions", "anti_hammering": False})
    services: dict[str, t.Any] = field(
        default_factory=lambda: {
            "IMAP": {"running": True, "start_up": "automatic", "ip_address_group": ""},
            "Secure IMAP": {"running": True, "start_up": "automatic", "ip_address_group": ""},
        }
    )
    people: People = PEOPLE
    archive_hosts: tuple[Host, ...] = (Host("archive1", ("192.0.2.7",)),)
    archive: dict[str, t.Any] = field(
        default_factory=lambda: {
            "profiles": [MAILBOXES, JOURNAL],
            "users_scope": {},
            "users_excluded": [],
            "interval_hours": 24.0,
            "imap_access": "IMAP-SSL",
            "permanent_delete": True,
        }
    )
    groups: dict[str, t.Any] = field(
        default_factory=lambda: {"Archive hosts": ["192.0.2.7"], "Local clients": ["10.0.0.1"], "Names": None}
    )

    def admits(self, group: str, address: str) -> bool | None:
        listed = self.groups[group]
        return None if listed is None else address in listed


def case(**changed: t.Any) -> Case:
    """Return the healthy case with members replaced; dictionaries are laid over those that are there."""
    healthy = Case()
    laid = {name: {**getattr(healthy, name), **value} if isinstance(value, dict) else value for name, value in changed.items()}
    return dataclasses.replace(healthy, **laid)


def sent_to(address: str, **changed: t.Any) -> Case:
    """Return the case with another archive address."""
    archive = {"profiles": [MAILBOXES], **changed.pop("archive", {})}
    return case(archiving={"remote_address": address}, archive=archive, **changed)


def people(*accounts: Account, **changed: t.Any) -> People:
    """Return the people with some accounts replaced or added."""
    known = {entry.id: entry for entry in PEOPLE.accounts} | {entry.id: entry for entry in accounts}
    return dataclasses.replace(PEOPLE, accounts=tuple(known.values()), **changed)


def found(state: Case, accept: t.Collection[str] = ()) -> list[tuple[str, str]]:
    """Return id and text of each finding."""
    findings, _ = relations.check(state, accept)
    return [(finding.relation.id, finding.text) for finding in findings]


def unclear(state: Case) -> list[str]:
    return relations.check(state, ())[1]
