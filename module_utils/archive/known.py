# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the messages that are being filed: by the catalog, and by what waits for its next commit.

The catalog is asked once for all messages of a parcel, because a question for each costs more than to file it. What it said is
forgotten at the commit, so that nothing is remembered while others may write it.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import PlacementRow, UserFolder


class Known:
    """Placements by folder and digest, and by user and copy key."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._placed: set[tuple[int, bytes]] = set()
        self._by_copy_key: dict[tuple[int, bytes], list[PlacementRow]] = defaultdict(list)
        self._asked_digests: set[tuple[int, bytes]] = set()
        self._asked_keys: set[tuple[int, bytes]] = set()

    def ask(self, wanted: t.Iterable[tuple[UserFolder, bytes, bytes]]) -> None:
        """Find out what will be asked below about messages, given by folder, digest and copy key."""
        digests: dict[int, set[bytes]] = defaultdict(set)
        keys: dict[int, set[bytes]] = defaultdict(set)
        for folder, digest, copy_key in wanted:
            digests[folder.id].add(digest)
            keys[folder.user_id].add(copy_key)
        for folder_id, some in digests.items():
            self._ask_placed(folder_id, some)
        for user_id, some in keys.items():
            self._ask_copies(user_id, some)

    def placed(self, folder_id: int, digest: bytes) -> bool:
        """Whether the folder has that object."""
        if (folder_id, digest) not in self._asked_digests:
            self._ask_placed(folder_id, (digest,))
        return (folder_id, digest) in self._placed

    def copies(self, user_id: int, copy_key: bytes) -> t.Sequence[PlacementRow]:
        """Placements anywhere in the user's tree that may be the same message; prove with ``Store.same_message``."""
        if (user_id, copy_key) not in self._asked_keys:
            self._ask_copies(user_id, (copy_key,))
        return self._by_copy_key.get((user_id, copy_key), ())

    def add(self, row: PlacementRow) -> None:
        """Count with a placement that the next commit brings."""
        self._placed.add((row.folder_id, row.digest))
        self._by_copy_key[row.user_id, row.copy_key].append(row)

    def forget(self) -> None:
        """Ask the catalog again from now on."""
        for known in (self._placed, self._by_copy_key, self._asked_digests, self._asked_keys):
            known.clear()

    def _ask_placed(self, folder_id: int, digests: t.Iterable[bytes]) -> None:
        new = [digest for digest in digests if (folder_id, digest) not in self._asked_digests]
        self._asked_digests.update((folder_id, digest) for digest in new)
        self._placed.update((folder_id, digest) for digest in self._catalog.placed_among(folder_id, new))

    def _ask_copies(self, user_id: int, copy_keys: t.Iterable[bytes]) -> None:
        new = [key for key in copy_keys if (user_id, key) not in self._asked_keys]
        self._asked_keys.update((user_id, key) for key in new)
        for row in self._catalog.copies_among(user_id, new):
            self._by_copy_key[user_id, row.copy_key].append(row)
