# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive side of a restore: whose mail, which messages, their bytes. It only reads, and needs no lock."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filing_headers, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import User, UserFolder
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_plan import Choice, Target, Wanted
from ansible_collections.mailops.kerio.plugins.module_utils.archive.restore_prints import Prints, prints_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_objects import checked_pieces, kept
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError, StoreError

# A message up to this size is held in memory; a larger one is read twice.
IN_MEMORY = 4 << 20
_ID = b"message-id"
_BRACKETED = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True)
class Content:
    """The bytes of a message, compared with their digest. ``pieces`` raises StoreError should the file change meanwhile."""

    size: int
    pieces: t.Iterable[bytes]


@dataclass
class Singles:
    """Messages that are asked for alone. ``by_id``: Message-ID -> those that have it. ``targets``: where some of them are."""

    by_id: dict[str, set[bytes]]
    digests: set[bytes] = field(default_factory=set)
    targets: list[Target] = field(default_factory=list)


class Source:
    """An open archive. Context manager."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._catalog = Catalog.of(root, readonly=True)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._catalog.close()

    def user(self, name: str) -> User:
        """The archive user of that name or address, a leaver too; InputError when there is none."""
        wanted = name.lower()
        users = self._catalog.users(deleted=True)
        by_name = [user for user in users if user.name.lower() == wanted]
        found = by_name or [user for user in users if wanted in user.addresses]
        if not found:
            raise InputError("user", f"there is no archive user {name}", "Give the name or an address of an archive user")
        return found[0]

    def folders(self, user: User) -> list[UserFolder]:
        """The folders of the user's tree."""
        return self._catalog.user_folders(user.id)

    def wanted(self, target: Target, choice: Choice) -> dict[bytes, Wanted]:
        """What belongs into a target, by digest, the oldest first; a message that two folders have is wanted once."""
        rows = (row for number in target.ids for row in self._catalog.folder_placements(number) if choice.takes(row))
        found = [Wanted(row.digest, row.size, row.vsize, row.internaldate, row.flags) for row in rows]
        return {one.digest: one for one in sorted(found, key=lambda one: (one.date, one.digest))}

    def singles(self, targets: t.Iterable[Target], choice: Choice, ids: t.Collection[str]) -> Singles:
        """What the choice names by digest, or ``ids`` by Message-ID. For an id it reads the header of every message there."""
        taken = dataclasses.replace(choice, digests=frozenset()) if ids else choice
        asked = {name.strip().strip("<>"): name for name in ids}
        singles = Singles({name: set() for name in ids})
        looked: set[bytes] = set()
        for target in targets:
            there = self.wanted(target, taken).keys()
            for digest in there - looked if ids else ():
                for value in self._message_ids(digest):
                    if value in asked:
                        singles.by_id[asked[value]].add(digest)
            looked |= there
            # What an earlier target has as well was found there.
            if some := there & choice.digests.union(*singles.by_id.values()):
                singles.targets.append(target)
                singles.digests |= some
        return singles

    def _message_ids(self, digest: bytes) -> list[str]:
        try:
            head = filing_headers.header_block(next(iter(self._pieces(digest)), b""))
        except StoreError:
            return []
        return [one for name, value in filing_headers.fields(head) if name == _ID for one in _ids(value)]

    def _pieces(self, digest: bytes) -> t.Iterator[bytes]:
        path = Path(self.root, layout.object_path(digest))
        return checked_pieces(lambda: path.open("rb"), str(path), digest)

    def content(self, digest: bytes) -> Content:
        """The message, read whole and compared with its digest before anybody gets a byte; StoreError when it is damaged."""
        size, held = kept(self._pieces(digest), IN_MEMORY)
        return Content(size, self._pieces(digest) if held is None else held)

    def prints(self, digest: bytes) -> Prints:
        """See ``restore_prints``; StoreError when the object is damaged."""
        return prints_of(self._pieces(digest))

    def note(self, **keys: t.Any) -> None:
        """Have an entry ``restored`` appended to the ledger; one short transaction, beside whatever goes on in the archive."""
        with Catalog.of(self.root) as catalog, catalog.transaction():
            catalog.note("restored", **keys)


def _ids(value: str) -> list[str]:
    """What a Message-ID field names: a comment may stand beside it, and some leave its brackets out."""
    return [one.strip() for one in _BRACKETED.findall(value)] or [value.strip()]
