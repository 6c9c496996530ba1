# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalog as it is after years: one user with many placements. The objects are not there, and nobody asks for them."""

from __future__ import annotations

import random
import shutil
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_rows import (
    Batch,
    MessageRow,
    ObjectRow,
    PlacementRow,
    UserFolder,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.layout import CATALOG_FILE
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import State
from tests.bench.engine import SERVER

FOLDER_MESSAGES = 10_000
SIZE, STORED = 19_000, 13_000
FIRST_DATE = 1_200_000_000
_made: dict[tuple[str, int], Path] = {}


def fill_catalog(root: Path, user: str, rows: int) -> None:
    """Give the new archive at ``root`` a catalog with that many messages of ``user`` in folders of 10,000."""
    known = _made.get((user, rows))
    if known is None:
        with Catalog.open(str(root / CATALOG_FILE)) as catalog:
            _fill(catalog, user, rows)
        known = _made[user, rows] = root.parent / f"catalog-{user}-{rows}"
        shutil.copyfile(root / CATALOG_FILE, known)
    else:
        shutil.copyfile(known, root / CATALOG_FILE)


def _fill(catalog: Catalog, user: str, rows: int) -> None:
    chance = random.Random(rows)
    person = catalog.ensure_user(user, origin="bench")
    run_id = catalog.begin_run({})
    for number in range(0, rows, FOLDER_MESSAGES):
        name = f"Old/{number}"
        target = catalog.user_folder(person.id, (user, name))
        # Of another mailbox: in the one that is read these folders would be missed, and a million rows marked as vanished.
        source = catalog.source_folder(SERVER, f"before.{user}", name)
        batch = Batch(source.id, 1, run_id)
        for row in _rows(chance, target, min(FOLDER_MESSAGES, rows - number)):
            batch.objects.append(ObjectRow(row.digest, SIZE, STORED))
            batch.placements.append(row)
            uid = len(batch.messages) + 1
            batch.messages.append(MessageRow(uid, State.ARCHIVED, row.digest, SIZE, SIZE, row.internaldate, row.flags))
        catalog.commit([batch])
    catalog.end_run(run_id, "ok", {})


def _rows(chance: random.Random, folder: UserFolder, count: int) -> t.Iterator[PlacementRow]:
    for number in range(count):
        digest, key = chance.randbytes(32), chance.randbytes(16)
        yield PlacementRow(folder.id, digest, folder.user_id, FIRST_DATE + number, SIZE, SIZE, "S", key, "mailbox:mail1/bench")
