# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile and a server are, once their inventory data has been checked. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.filters import MessageFilter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.users_rights import holds

SINGLE, MULTIPLE, MULTIDROP = "single_mailbox", "multiple_mailboxes", "multidrop"
METHODS = (SINGLE, MULTIPLE, MULTIDROP)
ACCESS_PORTS = {"IMAP": 143, "IMAP-TLS": 143, "IMAP-SSL": 993}
MASTER, PASSWORD = "master", "password"
USER_MODES = ("all_with_address", "except", "only")
PLACEHOLDERS = ("{u-email}", "{h-email}")
DEFAULT_FOLDER_RULES = ("junk", "trash", "drafts", "outbox", "public", "groupware", "archive", "shared")
STAY, FOLLOW = "stay", "follow"
OLDEST_FIRST, NEWEST_FIRST = "oldest_first", "newest_first"


@dataclass(frozen=True)
class Server:
    """How a Kerio server is reached over IMAP. ``timeout`` in seconds; ``connections`` at a time, at most.

    ``bandwidth``: bytes per second that all connections together may fetch, 0 for no limit.
    ``refused``: what the server said to its master password before the run, which is not to be tried again; "" if nothing.
    """

    name: str
    host: str
    port: int
    access: str = "IMAP-SSL"
    ca_file: str | None = None
    validate_certs: bool = True
    timeout: float = 60.0
    connections: int = 8
    refused: str = ""
    bandwidth: int = 0

    @property
    def encrypted(self) -> bool:
        """Whether the access is over TLS."""
        return self.access != "IMAP"


@dataclass(frozen=True)
class UserSelection:
    """Which archive users a profile is for; ``names`` are user names or addresses, lower case.

    ``privilege``: what they must hold besides; "" for nothing.
    """

    mode: str = "all_with_address"
    names: frozenset[str] = frozenset()
    privilege: str = ""

    def chooses(self, name: str, addresses: t.Iterable[str]) -> bool:
        """Tell whether the user of that name and these addresses is selected."""
        listed = not self.names.isdisjoint({name.lower(), *(address.lower() for address in addresses)})
        return self.mode == "all_with_address" or listed == (self.mode == "only")

    def permits(self, privileges: t.Collection[str]) -> bool:
        """Tell whether a user of these privileges has the one that is asked for."""
        return not self.privilege or holds(privileges, self.privilege)


@dataclass(frozen=True)
class FolderRules:
    """Folder patterns; ``defaults`` are the names of the default exclusions that apply."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    defaults: tuple[str, ...] = DEFAULT_FOLDER_RULES


@dataclass(frozen=True)
class DeleteRules:
    """When archived messages are deleted on the server: ``after_days`` after the later of INTERNALDATE and archiving.

    ``dedicated``: the mailbox is for archiving alone, so that a server without UIDPLUS may be told EXPUNGE.
    """

    after_days: int
    dedicated: bool = False


@dataclass(frozen=True)
class Window:
    """The time of day, local to the archive host, in which a profile runs: minutes since midnight. It may span midnight."""

    opens: int
    closes: int


@dataclass(frozen=True)
class Profile:
    """One declared archiving job.

    ``moves``: what happens in the archive to a message that moved to another folder of its mailbox on the server.
    """

    name: str
    method: str
    servers: tuple[str, ...]
    users: UserSelection = field(default_factory=UserSelection)
    mailbox: str = ""
    target_user: str = ""
    credentials: str = PASSWORD
    folders: FolderRules = field(default_factory=FolderRules)
    unknown_addresses: str = "leave"
    target_folder: str = "{u-email}/INBOX"
    sent_folder: str = "{u-email}/Sent Items"
    connections: int = 0
    filter: MessageFilter = field(default_factory=MessageFilter)
    delete: DeleteRules | None = None
    moves: str = STAY
    order: str = OLDEST_FIRST
    window: Window | None = None

    def rules_hash(self) -> str:
        """A short hash of everything that decides which messages are filed where.

        Folder patterns choose whole folders, and connections, order, windows and deletion change nothing, so they are left out.
        """
        rules: list[str] = []
        if self.method == MULTIDROP:
            rules = [self.mailbox.lower(), self.target_folder, self.sent_folder, self.unknown_addresses]
        if self.filter:
            rules.append(self.filter.fingerprint())
        return hashlib.sha256(json.dumps(rules).encode("utf-8", "surrogatepass")).hexdigest()[:16]
