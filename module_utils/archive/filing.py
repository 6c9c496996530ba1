# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets a message, and in which folder. Pure: no I/O."""

from __future__ import annotations

import functools
import hashlib
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing_headers import Addresses, header_block, scan
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import is_filtered
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State

CATCHALL = "@catchall"
CATCHALL_FOLDER = ("Unknown E-mail Addresses",)
LEAVE, DROP_RELAYED = "leave", "drop_relayed"
RELAYED = "relayed: "
CAUGHT = "caught: "
NO_ADDRESS = "(no-address)"
# Of one message; with the length they bound what a hostile header can put into the catalog. No user has a longer address.
LISTED_ADDRESSES = 50
LISTED_CHARACTERS = 320

MAILBOX, MULTIDROP = "mailbox", "multidrop"
ROUTE_OF_USER = "user:"  # a way of filing that files for one user begins so, and goes on with the user's number


class Target(t.NamedTuple):
    """A folder of an archive user. ``parts`` is the true name, outermost first."""

    user_id: int
    parts: tuple[str, ...]


class Decision(t.NamedTuple):
    """What filing says of one message.

    ``state`` is ARCHIVED when there are ``targets``, else LEFT or EXCLUDED. ``reason`` names the unknown addresses of a message
    that no archive user matches, after a prefix that tells why.
    """

    targets: tuple[Target, ...]
    state: State
    reason: str = ""


@dataclass(frozen=True)
class Person:
    """An archive user as filing sees one. ``addresses``: the primary one first; ``groups``: addresses of their groups."""

    id: int
    name: str
    addresses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def primary(self) -> str:
        """The primary address; a user without one is known by the name."""
        return self.addresses[0] if self.addresses else self.name


@dataclass(frozen=True)
class Directory:
    """All archive users by address, in any case; groups stand for their members."""

    people: tuple[Person, ...]
    by_address: dict[str, tuple[Person, ...]] = field(init=False, repr=False)
    domains: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found: dict[str, list[Person]] = {}
        for person in self.people:
            for address in (*person.addresses, *person.groups):
                members = found.setdefault(address.lower(), [])
                if person not in members:
                    members.append(person)
        object.__setattr__(self, "by_address", {address: tuple(people) for address, people in found.items()})
        object.__setattr__(self, "domains", frozenset(address.rpartition("@")[2] for address in found))

    def matches(self, address: str) -> tuple[Person, ...]:
        """Who is reached by an address."""
        return self.by_address.get(address, ())

    def fingerprint(self) -> str:
        """A short hash of who has which address: it changes when filing by addresses may give another answer."""
        lines = sorted(f"{address} {sorted(person.id for person in people)}" for address, people in self.by_address.items())
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True)
class MailboxFiling:
    """Mailbox methods: ``<address>/<folder as on the server>`` in one user's tree."""

    user_id: int
    address: str
    folder: tuple[str, ...]
    needs_header: t.ClassVar[bool] = False
    kind: t.ClassVar[str] = MAILBOX

    def decide(self, _header: bytes, /) -> Decision:
        """Everything goes to the one folder."""
        return self._decision

    @functools.cached_property
    def _decision(self) -> Decision:
        """One object for all messages: with a parcel of a thousand of them it is pickled once."""
        return Decision((Target(self.user_id, (self.address, *self.folder)),), State.ARCHIVED)


@dataclass(frozen=True)
class MultidropFiling:
    """Multidrop: by the addresses in the header.

    ``target_folder`` and ``sent_folder`` may hold ``{u-email}`` (the user's primary address) and ``{h-email}`` (the address that
    was found in the header). ``catchall`` is the id of the user ``@catchall``, None when unknown addresses are not caught.
    """

    directory: Directory
    archive_mailbox: str
    target_folder: str
    sent_folder: str
    unknown: str = LEAVE
    catchall: int | None = None
    needs_header: t.ClassVar[bool] = True
    kind: t.ClassVar[str] = MULTIDROP

    def decide(self, header: bytes, /) -> Decision:
        """File once for every archive user that matches; who is both recipient and sender is filed for as recipient."""
        found = scan(header)
        targets: dict[int, Target] = {}
        for addresses, template in ((self._received_by(found), self.target_folder), (found.senders, self.sent_folder)):
            for address in addresses:
                for person in self.directory.matches(address):
                    if person.id not in targets:
                        targets[person.id] = Target(person.id, expand(template, person.primary, address))
        if targets:
            return Decision(tuple(targets.values()), State.ARCHIVED)
        return self._unmatched(found)

    def _received_by(self, found: Addresses) -> t.Iterator[str]:
        mailbox = self.archive_mailbox.lower()
        return (address for address in (*found.envelope, *found.recipients) if address != mailbox)

    def _unmatched(self, found: Addresses) -> Decision:
        everyone = list(dict.fromkeys([*self._received_by(found), *found.senders]))
        reason = " ".join(map(_listed, everyone[:LISTED_ADDRESSES])) or NO_ADDRESS
        if self.catchall is not None:
            return Decision((Target(self.catchall, CATCHALL_FOLDER),), State.ARCHIVED, CAUGHT + reason)
        if self.unknown == DROP_RELAYED and not any(self.is_local(address) for address in everyone):
            return Decision((), State.EXCLUDED, RELAYED + reason)
        return Decision((), State.LEFT, reason)

    def is_local(self, address: str) -> bool:
        """Mail of the domains that archive users have is not relayed, whoever the unknown user is."""
        domain = address.rpartition("@")[2]
        return domain in self.directory.domains or domain == self.archive_mailbox.lower().rpartition("@")[2]


# How a profile files one message; ``needs_header`` says whether ``decide`` looks at its header.
Filing = MailboxFiling | MultidropFiling


def expand(template: str, u_email: str, h_email: str) -> tuple[str, ...]:
    """The folder that a template names. Slashes in an address do not make folders."""
    return tuple(part.replace("{u-email}", u_email).replace("{h-email}", h_email) for part in template.split("/"))


def _listed(address: str) -> str:
    """An address without blanks, as UTF-8 can hold it: a header may have bytes in it that are no text."""
    return re.sub(r"\s", "_", address)[:LISTED_CHARACTERS].encode("utf-8", "replace").decode()


def unknown_addresses(reason: str) -> list[str]:
    """The addresses in the reason of a message that no archive user matched; none in that of a filter."""
    if is_filtered(reason):
        return []
    return reason.removeprefix(RELAYED).removeprefix(CAUGHT).split()


def reopened(state: State, reason: str, filing: Filing) -> bool:
    """Tell whether today's rules say something else about a message that was left, dropped or caught for its addresses.

    ``reason`` stands for the header here, so nothing has to be fetched to find out; a message whose addresses did not all fit
    into the reason is opened again whenever this is asked.
    """
    if not isinstance(filing, MultidropFiling):
        return state in (State.LEFT, State.EXCLUDED)
    listed = unknown_addresses(reason)
    if len(listed) >= LISTED_ADDRESSES or any(filing.directory.matches(address) for address in listed):
        return True
    dropped = filing.unknown == DROP_RELAYED and not any(filing.is_local(address) for address in listed)
    today = State.ARCHIVED if filing.catchall is not None else State.EXCLUDED if dropped else State.LEFT
    return state is not today and not (state is State.ARCHIVED and today is not State.ARCHIVED)


def header_of(message: bytes | bytearray | memoryview, filing: Filing) -> bytes:
    """The part of a message that ``filing`` looks at."""
    return header_block(message) if filing.needs_header else b""
