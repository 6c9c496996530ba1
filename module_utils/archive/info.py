# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive holds, read from its catalog."""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import unknown_addresses
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import OPEN, State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import LISTED_ADDRESSES
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError


def read(root: str, runs: int) -> dict[str, t.Any]:
    """Totals, open states, unknown addresses and the last ``runs`` runs; raises StoreError when there is no archive."""
    path = Path(root, layout.CATALOG_FILE)
    if not path.exists():
        raise StoreError(root, "it holds no archive", "Create the archive with archive_store, or mount its disk")
    with Catalog.open(str(path), readonly=True) as catalog:
        states: Counter[State] = Counter()
        unknown: Counter[str] = Counter()
        for row in catalog.left_reasons():
            states[row.state] += row.messages
            if row.state is State.LEFT:
                unknown.update(dict.fromkeys(unknown_addresses(row.reason), row.messages))
        return {
            "totals": {**dataclasses.asdict(catalog.totals()), "users": len(catalog.users())},
            "states": {state.name.lower(): states[state] for state in sorted(OPEN)},
            "receipts": catalog.count_receipts(),
            "unknown_addresses": [
                {"address": address, "messages": count} for address, count in unknown.most_common(LISTED_ADDRESSES)
            ],
            "runs": [dataclasses.asdict(run) for run in catalog.last_runs(runs)],
        }


def sentence(data: dict[str, t.Any]) -> str:
    """The archive in one sentence."""
    totals, states = data["totals"], data["states"]
    waiting = ", ".join(f"{count:,} {state}" for state, count in states.items() if count)
    text = f"{totals['objects']:,} messages in {totals['placements']:,} places of {totals['users']:,} users"
    return f"{text}; not archived: {waiting}" if waiting else text
