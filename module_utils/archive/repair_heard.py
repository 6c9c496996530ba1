# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which messages an archive has heard at all: a repair takes others for what a turned bit made, so it must not ask too little.

A catalog that is older than the archive has not heard of what came since, which may be the last copy there is.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_log, layout, snapshot
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.errors import CatalogError, StoreError

_DIGEST = re.compile(rb'"digest":"([0-9a-f]{64})"')


def refuse_older(root: str) -> None:
    """Raise StoreError when the catalog is older than the archive. One that cannot be read is for the verification to tell."""
    try:
        with Catalog.of(root, readonly=True) as catalog:
            position, restored = catalog.evidence_position(), catalog.get_meta(snapshot.META)
    except CatalogError:
        return
    evidence_log.refuse_older(root, position)
    evidence_log.refuse_behind(root, position)
    if restored:
        remedy = "Bring it forward with archive_rebuild (what: orphans, orphans: adopt) and run archive_run once; then repair"
        raise StoreError(f"{root}/{layout.CATALOG_FILE}", "it was restored from a snapshot, and no run went well since", remedy)


def unheard(root: str, catalog: Catalog, digests: t.Collection[bytes]) -> set[bytes]:
    """Those of ``digests`` of which neither the catalog nor the ledger speaks. Scans both: seldom asked. Raises StoreError."""
    left = set(digests) - catalog.known_digests(digests) if digests else set()
    if left:
        for line in itertools.chain(_lines(root), (entry.encode() for _number, entry in catalog.evidence_waiting())):
            left.difference_update(bytes.fromhex(found.decode()) for found in _DIGEST.findall(line))
    return left


def _lines(root: str) -> t.Iterator[bytes]:
    """All that the file of the ledger has, committed or not, whole or damaged: who is only cautious believes every line."""
    path = Path(root, evidence_log.ENTRIES)
    try:
        with path.open("rb") as lines:
            yield from lines
    except (FileNotFoundError, NotADirectoryError):
        return  # before the first run there is none
    except OSError as error:
        raise os_failure(error, str(path)) from error
