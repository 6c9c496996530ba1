# SPDX-License-Identifier: GPL-3.0-or-later
"""A rebuild: the catalog out of what lies on the disk, the trees out of the catalog, what the catalog does not know, a ledger."""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.filesystem import os_failure
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_catalog import CatalogRebuild
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_evidence import LedgerRebuild
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_links import Links
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_orphans import REPORT, Orphans
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.spread import Spread
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_sync import write_durably

LOCKED_FOR = "archive_rebuild"
REPORT_FILE = f"{layout.REPORTS}/rebuild.json"


@dataclass(frozen=True)
class Wish:
    """What is asked for. ``check_mode``: nothing is written below the root, and no lock is taken. ``owner``: for the ledger."""

    root: str
    what: str
    replace: bool = False
    orphans: str = REPORT
    remove_last_copies: bool = False
    processes: int = 0
    check_mode: bool = False
    owner: str = ""


def rebuild(wish: Wish, reporter: Reporter) -> Report:
    """Do it. Raises BusyError, StoreError and CatalogError."""
    began = time.monotonic()
    report = Report(wish.what)
    # The processes are forked before the lock is taken: they would hold it as well.
    with (
        Spread(LOCKED_FOR, wish.processes) as pool,
        Store.open(wish.root, lock=None if wish.check_mode else LOCKED_FOR) as store,
    ):
        _WORK[wish.what](wish, (store, pool, reporter, report)).run()
        report.seconds = time.monotonic() - began
        if not wish.check_mode:
            _keep(wish.root, report)
    return report


class Work(t.Protocol):
    """What a rebuild does."""

    def run(self) -> None:
        """Do it, once."""


Means = tuple[Store, Spread, Reporter, Report]


def _catalog(wish: Wish, means: Means) -> Work:
    return CatalogRebuild(*means, wish.replace, wish.check_mode, wish.owner)


def _trees(wish: Wish, means: Means) -> Work:
    return Links(*means, wish.check_mode, wish.owner)


def _orphans(wish: Wish, means: Means) -> Work:
    return Orphans(*means, wish.orphans, wish.remove_last_copies, wish.check_mode, wish.owner)


def _ledger(wish: Wish, means: Means) -> Work:
    return LedgerRebuild(*means, wish.check_mode, wish.owner)


_WORK: dict[str, t.Callable[[Wish, Means], Work]] = {
    "catalog": _catalog,
    "trees": _trees,
    "orphans": _orphans,
    "ledger": _ledger,
}


def _keep(root: str, report: Report) -> None:
    """Write down the whole result."""
    path = f"{root}/{REPORT_FILE}"
    content = {"finished": int(time.time()), **report.as_data(), "problems": report.listed()}
    try:
        write_durably(path, json.dumps(content, indent=1).encode() + b"\n")
    except OSError as error:
        raise os_failure(error, path) from error
