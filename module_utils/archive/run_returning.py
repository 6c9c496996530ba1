# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that a run brings back: a server still has the message, or has it again, and their file is missing or damaged."""

from __future__ import annotations

import functools
from collections import defaultdict

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_repair import Placed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_files import Files
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair_heard import unheard
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store, Written
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError


class Returning:
    """Which objects are on their way back, as the catalog says when the run begins, and where they are placed.

    Those that were declared lost are expected by nobody; what they have in the catalog is looked for once one comes.
    """

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._files = Files(store, functools.cache(lambda digest: bool(unheard(store.root, catalog, [digest]))))
        self._catalog = catalog
        self._digests = catalog.returning()
        self._lost = set(catalog.lost())
        self._placements: dict[bytes, list[Placed]] = defaultdict(list)
        for placed in catalog.placements_of(self._digests):
            self._placements[placed.digest].append(placed)

    def __contains__(self, digest: bytes) -> bool:
        """Whether the object has its row, though a worker made its file."""
        return digest in self._digests

    def found(self, digest: bytes) -> bool:
        """Whether the object was declared lost and is there again, whole; said once."""
        if digest not in self._lost:
            return False
        self._lost.remove(digest)
        if self._catalog.object_rows([digest]):
            self._digests.add(digest)
        self._placements[digest] = self._catalog.placements_of([digest])
        return True

    def came(self, digest: bytes) -> tuple[Written, list[str]]:
        """Have all placements be links to the object, once it is there; return what was written, and what could not be."""
        failed: list[str] = []
        for placed in self._placements.pop(digest, ()):
            try:
                self._files.link(digest, placed.directory, placed.name)
            except (StoreError, OSError):
                failed.append(placed.path)
        return self._files.take_written(), failed
