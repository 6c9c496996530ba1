# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be restored, and into which folders. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow, User, UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import FLAG_NAMES
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import Server
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.selection import Folder, select_folders
from ansible_collections.mailops.kerio.plugins.module_utils.imap.target import ANY_KEYWORD

AS_ARCHIVED = ""
_KEYWORDS = {letter: name for letter, name in FLAG_NAMES.items() if not name.startswith("\\")}

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """Which messages of the tree, and below which folder (``AS_ARCHIVED``: none). Times are epoch seconds; empty means all."""

    mailboxes: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    since: int | None = None
    before: int | None = None
    digests: frozenset[bytes] = frozenset()
    target_folder: str = AS_ARCHIVED

    def takes(self, row: PlacementRow) -> bool:
        """Whether the message is one of them; one without a date that could be read meets every condition on it."""
        if self.digests and row.digest not in self.digests:
            return False
        too_early = self.since is not None and row.internaldate != 0 and row.internaldate < self.since
        return not too_early and (self.before is None or row.internaldate < self.before)


class Wanted(t.NamedTuple):
    """A message that is to be in a folder. ``vsize``: its size with CRLF at the end of every line."""

    digest: bytes
    size: int
    vsize: int
    date: int
    letters: str


@dataclass
class Target:
    """A folder to restore into, and the archived ones whose mail belongs there: ids, and names for people."""

    parts: Parts
    ids: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people."""
        return "/".join(self.parts)


def flags_of(letters: str, permanent: t.Container[str]) -> tuple[str, ...]:
    r"""The flags of a placement; keywords only if ``permanent`` (lower case) has them, or ``\*``."""
    flags = [name for letter, name in FLAG_NAMES.items() if letter in letters and letter not in _KEYWORDS]
    keywords = [name for letter, name in _KEYWORDS.items() if letter in letters]
    return (*flags, *(name for name in keywords if name.lower() in permanent or ANY_KEYWORD in permanent))


def leaves_out(letters: str, flags: t.Sequence[str]) -> bool:
    """Whether ``flags``, as ``flags_of`` gives them, lack one of the letters; those that stand for no flag do not count."""
    return len(flags) < len(FLAG_NAMES.keys() & set(letters))


def has_keywords(letters: str) -> bool:
    """Whether it depends on the folder what of the flags can be set."""
    return not _KEYWORDS.keys().isdisjoint(letters)


def targets_of(user: User, folders: t.Sequence[UserFolder], choice: Choice) -> tuple[list[Target], list[str]]:
    """The targets by name, and the mailboxes of the tree that nobody chose. InputError when there is nothing to choose from."""
    chosen, left = _mailboxes(user, folders, choice)
    below = [folder for folder in folders if folder.parts and _mailbox(folder.parts) in chosen]
    listed = {folder.parts: _folder(_server_parts(folder.parts)) for folder in below}
    selected = {folder.parts for folder in select_folders(list(listed.values()), choice.include, choice.exclude, ()).selected}
    prefix = tuple(choice.target_folder.split("/")) if choice.target_folder else ()
    targets: dict[Parts, Target] = {}
    for folder in below:
        parts = _server_parts(folder.parts)
        if parts in selected:
            # INBOX is one folder, however it is spelled; below a prefix it is a folder like any other.
            head = "INBOX" if not prefix and parts[0].upper() == "INBOX" else parts[0]
            # What a run archived from below the prefix was restored before, and is at home there.
            at_home = prefix and len(parts) > len(prefix) and parts[: len(prefix)] == prefix
            where = parts if at_home else (*prefix, head, *parts[1:])
            target = targets.setdefault(where, Target(where))
            target.ids.append(folder.id)
            target.names.append("/".join(folder.parts))
    if not targets:
        names = sorted({"/".join(parts) for parts in map(_server_parts, (folder.parts for folder in below))})
        known = ", ".join(names[:20]) or "none"
        raise InputError("folders", "no folder of the archive is chosen", f"Choose some of these: {known}")
    return [targets[parts] for parts in sorted(targets)], left


def _mailbox(parts: Parts) -> str:
    """The address that a folder of the tree belongs to; "" for one that belongs to none, as multidrop may file."""
    return parts[0].lower() if "@" in parts[0] else ""


def _server_parts(parts: Parts) -> Parts:
    """The folder as it was on the server. Multidrop may file into the folder of an address itself, which is that of no other."""
    return parts[1:] or ("INBOX",) if _mailbox(parts) else parts


def _mailboxes(user: User, folders: t.Sequence[UserFolder], choice: Choice) -> tuple[set[str], list[str]]:
    """The mailboxes to take: those that are named, else the user's own, else the only one that there is."""
    there = {_mailbox(folder.parts) for folder in folders if folder.parts}
    addresses = sorted(there - {""})
    if choice.mailboxes:
        asked = {name.lower() for name in choice.mailboxes}
        unknown = sorted(asked - there)
        if unknown:
            remedy = f"Name some of these: {', '.join(addresses) or 'none'}"
            raise InputError("mailboxes", f"the archive of {user.name} has no mail of {', '.join(unknown)}", remedy)
        return asked, []
    own = {user.name.lower(), *(address.lower() for address in user.addresses)} & there
    if not own and len(addresses) > 1:
        cause = f"the archive of {user.name} has mail of several mailboxes, and none is known to be the user's own"
        raise InputError("mailboxes", cause, f"Name some of these: {', '.join(addresses)}")
    taken = (own or there) | {""}
    return taken, sorted(there - taken)


def _folder(parts: Parts) -> Folder:
    return Folder("/".join(parts), b"", frozenset(), "/", parts, selectable=True)


def server_of(user: User, name: str, servers: t.Mapping[str, Server]) -> Server:
    """The server to restore to: the one that is named, else the user's own; the only one if it is not known which that is."""
    known = ", ".join(servers) or "none is declared"
    wanted = name or user.server or (next(iter(servers)) if len(servers) == 1 else "")
    if not wanted:
        raise InputError("server", f"it is not known on which server {user.name} is", f"Name one of these: {known}")
    if wanted not in servers:
        cause = f"there is no server {wanted}" if name else f"{user.name} is on the server {wanted}, which is not declared"
        raise InputError("server", cause, f"Declare it, or name a declared server ({known})")
    return servers[wanted]


def mailbox_of(user: User, name: str) -> str:
    """The login of the mailbox to restore to: the one that is named, else the user's own; one who has left has none."""
    if not name and user.deleted is not None:
        cause = f"the archive user {user.name} has left, and whoever has that name by now would get the mail"
        raise InputError("mailbox", cause, "Name the mailbox to restore to by its login")
    found = name or next(iter(user.addresses), user.name if "@" in user.name else "")
    if not found:
        remedy = "Name the mailbox to restore to by its login"
        raise InputError("mailbox", f"the archive user {user.name} has no address", remedy)
    return found
