# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive holds, read from its catalog."""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import growth, info_people, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filing import unknown_addresses
from ansible_collections.mailops.kerio.plugins.module_utils.archive.forecast import Forecast
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import OPEN, State
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_quarantine import Acknowledged
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import LISTED_ADDRESSES, LISTED_USERS
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_mailboxes import StuckMessage

LISTED_MESSAGES = 200


def declare(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """What the module was asked for; the fields of ``runner.Outcome``."""
    data, found = read(params["root"], params["runs"], params["reserve"] << 20)
    warning = found.warning(params["forecast_days"])
    return {"changed": False, "msg": sentence(data), "warnings": [warning] if warning else [], "data": data}


def read(root: str, runs: int, reserve: int) -> tuple[dict[str, t.Any], Forecast]:
    """Totals, open states, unknown addresses, mailboxes, the last ``runs`` runs, and how long the room lasts.

    Raises StoreError when there is no archive.
    """
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
        found = growth.read(root, catalog, reserve)
        data = {
            "totals": catalog.totals_data(),
            "states": {state.name.lower(): states[state] for state in sorted(OPEN)},
            "receipts": catalog.count_receipts(),
            "unknown_addresses": [
                {"address": address, "messages": count} for address, count in unknown.most_common(LISTED_ADDRESSES)
            ],
            "unknown_addresses_count": len(unknown),
            "failed_messages": [_stuck(one) for one in catalog.stuck_messages(LISTED_MESSAGES)],
            "mailboxes": [one.as_data() for one in catalog.mailbox_passes()],
            **_unmatched(catalog),
            "forecast": found.as_data(),
            "runs": [dataclasses.asdict(run) for run in catalog.last_runs(runs)],
        }
        return data, found


def _stuck(message: StuckMessage) -> dict[str, t.Any]:
    key = Acknowledged(message.server, message.mailbox, message.folder, message.uidvalidity, message.uid)
    quarantined = message.state is State.QUARANTINED
    return {**message._asdict(), "state": message.state.name.lower(), "acknowledge": str(key) if quarantined else ""}


def _unmatched(catalog: Catalog) -> dict[str, t.Any]:
    users, passes = catalog.users(), catalog.mailbox_passes()
    lacking = info_people.users_without_mailbox(users, passes)
    lost = info_people.mailboxes_without_user(users, passes, catalog.source_mailboxes())
    return {
        "users_without_mailbox": lacking[:LISTED_USERS],
        "users_without_mailbox_count": len(lacking),
        "mailboxes_without_user": lost[:LISTED_USERS],
        "mailboxes_without_user_count": len(lost),
    }


def sentence(data: dict[str, t.Any]) -> str:
    """The archive in one sentence."""
    totals, states = data["totals"], data["states"]
    waiting = ", ".join(f"{count:,} {state}" for state, count in states.items() if count)
    text = f"{totals['objects']:,} messages in {totals['placements']:,} places of {totals['users']:,} users"
    return f"{text}; not archived: {waiting}" if waiting else text
