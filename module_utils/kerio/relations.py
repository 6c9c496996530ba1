# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold between settings of a server, its accounts and the archive side: one table. Pure.

A relation is looked at when what it needs is given. It looks at the outcome: today's settings with those that are declared laid
over them. ``docs/relations.md`` tells operators of each row.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import relations_access as access
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import relations_mailbox as mailbox
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import relations_profiles as profiles
from ansible_collections.mailops.kerio.plugins.module_utils.kerio.relations_state import Found, Problem, State

REFUSE, WARN = "refuse", "warn"


@dataclass(frozen=True)
class Relation:
    """``needs``: what must be given, alternatives joined by ``|``; names as in ``State.given``."""

    id: str
    severity: str
    check: t.Callable[[State], Found]
    needs: tuple[str, ...] = ("archiving",)


@dataclass(frozen=True)
class Finding:
    """A relation that is violated."""

    relation: Relation
    problem: Problem
    accepted: bool = False

    @property
    def refuses(self) -> bool:
        return self.relation.severity == REFUSE and not self.accepted

    @property
    def text(self) -> str:
        return str(ArchiveToolError(*self.problem))

    def as_result(self) -> dict[str, t.Any]:
        return {
            "id": self.relation.id,
            "severity": self.relation.severity,
            "subject": self.problem.subject,
            "text": self.text,
            "accepted": self.accepted,
        }


RELATIONS = (
    Relation("archive-mailbox-exists", REFUSE, mailbox.exists),
    Relation("archive-mailbox-is-nobodys", REFUSE, mailbox.is_nobodys),
    Relation("archive-mailbox-gets-other-mail", WARN, mailbox.gets_other_mail),
    Relation("archive-mailbox-has-a-limit", WARN, mailbox.has_a_limit),
    Relation("archive-mailbox-forwards", WARN, mailbox.forwards),
    Relation("archiving-into-nothing", WARN, mailbox.into_nothing, ("archiving|profiles",)),
    Relation("archive-mailbox-is-not-read", WARN, mailbox.read_by_its_profile, ("archiving", "profiles")),
    Relation("domain-addresses-without-effect", WARN, mailbox.domains_are_idle),
    Relation("compressed-archive-folders", WARN, mailbox.compressed_folders),
    Relation("archiving-loop", WARN, profiles.loop, ("archiving", "other_servers")),
    Relation("master-authentication-any-address", REFUSE, access.master_is_restricted, ("master_authentication",)),
    Relation("group-admits-archive-host", REFUSE, access.master_admits_archive_hosts, ("master_authentication", "archive_hosts")),
    Relation("archive-host-not-excepted", WARN, access.hosts_are_excepted, ("archive_hosts",)),
    Relation("imap-service-off", REFUSE, access.service_runs, ("imap_access",)),
    Relation("imap-service-manual", WARN, access.service_starts, ("imap_access",)),
    Relation("imap-service-admits-archive-host", REFUSE, access.service_admits_archive_hosts, ("imap_access", "archive_hosts")),
    Relation("access-without-encryption", WARN, access.access_is_encrypted, ("imap_access",)),
    Relation("digest-methods", WARN, access.digest_methods, ("security_policy|archive",)),
    Relation("x-envelope-to-off", WARN, profiles.envelope, ("profiles",)),
    Relation("clean-out-shorter-than-interval", WARN, profiles.clean_out, ("interval_hours",)),
    Relation("deletion-would-move", REFUSE, profiles.deletion, ("profiles|deleting_profiles",)),
)
IDS = tuple(relation.id for relation in RELATIONS)


def check(state: State, accept: t.Collection[str]) -> tuple[list[Finding], list[str]]:
    """Return what is violated, in the order of the table, and sentences on what nobody can tell."""
    refuse_unknown(state.server, accept)
    findings: list[Finding] = []
    cannot_tell: list[str] = []
    for relation in RELATIONS:
        if not all(any(name in state.given for name in need.split("|")) for need in relation.needs):
            continue
        for found in relation.check(state):
            if isinstance(found, Problem):
                findings.append(Finding(relation, found, relation.id in accept))
            else:
                cannot_tell.append(f"{relation.id}: {found.text}")
    return findings, cannot_tell


def refuse_unknown(where: str, accept: t.Iterable[str]) -> None:
    """Raise ``InputError`` on ids that no relation has."""
    unknown = sorted(set(accept) - set(IDS))
    if unknown:
        raise InputError(
            f"{where}: accept {', '.join(unknown)}",
            f"no relation is called so; there are {', '.join(sorted(IDS))}",
            "Correct the id, or remove it",
        )
