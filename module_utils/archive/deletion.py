# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof before a delete: which archived messages may go from the server, and why one is spared. Pure: no I/O.

Every clause stands for itself, and what cannot be told counts against deleting.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import Filing
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import header_block
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import (
    Facts,
    MessageFilter,
    header_reason,
    lasting_reason,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import DAY, State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import DeleteRules

# Why messages that are old enough stay on the server. A whole folder or mailbox:
PROBLEMS = "the mailbox had problems in this run"
INCOMPLETE = "the folder was not compared completely under its UIDVALIDITY"
NOT_FILED = "profile {name} has not filed the folder completely"
NOT_RUN = "profile {name} cannot be evaluated, so what it would file is not known"
TWO_NAMES = "profile {name} reads the same mailbox as {mailbox}; give it the same name in both"
NO_UIDPLUS = "the server has no UIDPLUS, and the profile does not say that the mailbox is dedicated"
SERVER_STOPPED = "deletion on this server was stopped in this run"
CLOSED = "the window of its profile has closed"
# One message:
NOT_LISTED = "the server does not list it, or not completely"
FLAGGED = "flagged"
MARKED = "marked as deleted by somebody else"
OTHER_SIZE = "the server tells another size than was archived"
OTHER_DATE = "the server tells another date than was archived"
NO_DATE = "the server tells no date, so its age is not known"
NOT_WANTED = "today's rules file it for nobody"
KEPT_BACK = "profile {name} does not archive it today, but may later"
NOT_CHOSEN = "no profile that deletes archives it"
NOT_PLACED = "it is not filed where today's rules want it"
LINK_DAMAGED = "its file in the user's folder is missing or damaged"
OBJECT_DAMAGED = "its object is missing or damaged"
OTHERS_MARKED = "somebody else marked messages of the folder as deleted, and the server has no UIDPLUS"
NOT_EXPUNGED = "the server did not expunge it"

# What the server removes with one command at most, and what one round of proof and receipts covers.
BATCH = 1000


class Candidate(t.NamedTuple):
    """An archived source message that is old enough. ``size`` counts the bytes that came; times are epoch seconds."""

    uid: int
    digest: bytes
    size: int
    internaldate: int
    archived: int
    state: State


class OnServer(t.Protocol):
    """What the server says of a message now (``imap.messages.Listed``)."""

    @property
    def size(self) -> int: ...
    @property
    def internaldate(self) -> int: ...
    @property
    def flags(self) -> tuple[str, ...]: ...


def has_flag(listed: OnServer, flag: str) -> bool:
    """Whether the message has the flag, in any case."""
    return flag in (one.lower() for one in listed.flags)


# What the server's own words must be for a message to go: whether the clause holds, and the reason when it does not.
SERVER_CLAUSES: tuple[tuple[t.Callable[[Candidate, OnServer], bool], str], ...] = (
    (lambda _message, now: not has_flag(now, "\\flagged"), FLAGGED),
    (lambda _message, now: not has_flag(now, "\\deleted"), MARKED),
    (lambda message, now: now.size == message.size, OTHER_SIZE),
    (lambda message, now: now.internaldate == message.internaldate, OTHER_DATE),
    (lambda _message, now: now.internaldate != 0, NO_DATE),
)


def judge_server(message: Candidate, now: OnServer | None) -> str:
    """Why the server's words spare the message; "" when they do not."""
    if now is None:
        return NOT_LISTED
    return next((reason for holds, reason in SERVER_CLAUSES if not holds(message, now)), "")


def facts(message: Candidate, flags: tuple[str, ...]) -> Facts:
    """What a profile's filter looks at, the header aside."""
    return Facts(message.size, message.internaldate, flags)


def never_passes(rule: MessageFilter, message: Candidate, flags: tuple[str, ...], head: bytes, now: int) -> bool:
    """Whether a profile's filter keeps the message out for good; ``head`` begins with the whole header."""
    if lasting_reason(rule, facts(message, flags), now):
        return True
    return rule.by_header and bool(header_reason(rule, header_block(head)))


def cutoff(now: int, rules: DeleteRules) -> int:
    """The instant at which a message must have been both received (INTERNALDATE) and archived at the latest."""
    return now - rules.after_days * DAY


def strictest(rules: t.Sequence[DeleteRules]) -> DeleteRules:
    """What holds where several profiles delete in one folder: the longest wait, and dedicated only if all say so."""
    return DeleteRules(max(one.after_days for one in rules), all(one.dedicated for one in rules))


@dataclass(frozen=True)
class Wanted:
    """What one declared profile does with the messages of a folder: where it files them, whether it deletes them."""

    profile: str
    filing: Filing
    filter: MessageFilter = field(default_factory=MessageFilter)
    deletes: bool = False


class Link(t.NamedTuple):
    """The file of a placement: of which object, in which directory (relative to the root), under which name."""

    digest: bytes
    directory: str
    name: str


class Placed(t.NamedTuple):
    """A file in a user's folder that was proven to hold the message, or (``copy``) the same one with other trace headers."""

    path: str
    how: str
    copy: str = ""


@dataclass(frozen=True)
class Receipt:
    """The proof that a message may be deleted, as it is written before; ``reread`` is how its object was read from the disk."""

    candidate: Candidate
    flags: tuple[str, ...]
    placements: tuple[Placed, ...]
    reread: str
    proven: int

    def as_proof(self, after_days: int, watched: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Plain data that a person can read. ``watched``: where the message must not reappear."""
        one = self.candidate
        return {
            "digest": one.digest.hex(),
            "size": one.size,
            "internaldate": one.internaldate,
            "archived": one.archived,
            "after_days": after_days,
            "flags": list(self.flags),
            "placements": [
                {"path": placed.path, "proof": placed.how, **({"copy": placed.copy} if placed.copy else {})}
                for placed in self.placements
            ],
            "reread": self.reread,
            "proven": self.proven,
            "watched": dict(watched),
        }
