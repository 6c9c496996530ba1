# SPDX-License-Identifier: GPL-3.0-or-later
"""How a rebuild keeps what it replaces: beside it, under a name that ends with the time and ``.broken``."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_checkpoint import CHECKPOINT
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Problem, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import Written


def ending(paths: t.Sequence[Path]) -> str:
    """What these names get as their end, so that none of the new ones is there already, nor one that goes on behind it."""
    at = time.time()
    while True:
        end = f".{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(at))}.broken"
        if not any(any(path.parent.glob(f"{path.name}{end}*")) for path in paths):
            return end
        at += 1


def keep(store: Store, names: t.Iterable[str]) -> None:
    """Give files of the ledger a second name, durably; what a rebuild that was cut short has kept is not kept twice."""
    paths = [Path(store.root, name) for name in names]
    try:
        there = [path for path in paths if path.exists() and not _is_kept(path)]
        end = ending(there)
        for path in there:
            os.link(path, f"{path}{end}")
    except OSError as error:
        raise os_failure(error, error.filename or store.root) from error
    store.sync(Written([], {layout.EVIDENCE}))


def _is_kept(path: Path) -> bool:
    return any(kept.samefile(path) for kept in path.parent.glob(f"{path.name}.*.broken"))


def take_checkpoint_away(store: Store) -> None:
    """Keep the newest checkpoint under another name alone, durably."""
    keep(store, [CHECKPOINT])
    path = Path(store.root, CHECKPOINT)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise os_failure(error, str(path)) from error
    store.sync(Written([], {layout.EVIDENCE}))


def tell_of_checkpoints(report: Report, kept: int) -> None:
    """Say that checkpoints of more than the ``kept`` first entries are of another ledger now."""
    told = f"of the entries that checkpoints speak of, the first {kept:,} are left; those of more entries do not fit any more"
    report.tell(Problem("checkpoint", CHECKPOINT, told))
