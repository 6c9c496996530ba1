# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive grew by, and what of its file system is free: the facts of a forecast."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, forecast, run_passes
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import DAY
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError

Data = dict[str, t.Any]

ARGUMENTS: Data = {"forecast_days": {"type": "int", "default": 30}}  # fragment ``forecast``


def read(root: str, catalog: Catalog, reserve: int) -> forecast.Forecast:
    """The forecast of an archive, of which ``reserve`` bytes must stay free; raises StoreError and CatalogError."""
    now = int(time.time())
    try:
        free = filesystem.space(root)
    except OSError as error:
        raise filesystem.os_failure(error, root) from error
    kept = filesystem.MINIMUM_INODES if reserve else 0
    room = forecast.Room(free.bytes - reserve, None if free.inodes is None else free.inodes - kept)
    runs = [forecast.Grown(*row) for row in catalog.grown_since(now - forecast.WINDOW_DAYS * DAY)]
    return forecast.forecast(runs, catalog.first_grown(), room, now)


def told(outcome: Data, root: str, reserve: int, least_days: int, profiles: t.Collection[str] = ()) -> Data:
    """The outcome of a run with the forecast in it: as data, as the last line for people, as a warning when it is due.

    Its ``run`` gets the figures for monitoring, of the mailboxes of all declared ``profiles``.
    """
    try:
        with Catalog.of(root, readonly=True) as catalog:
            found = read(root, catalog, reserve)
            run = run_passes.told(outcome["data"]["run"], outcome["data"]["profiles"], catalog, profiles)
    except ArchiveToolError as error:  # the run is done, and what it did is to be told
        return {**outcome, "warnings": [*outcome["warnings"], str(error)]}
    warning = found.warning(least_days)
    run["figures"]["forecast"] = found.as_data()
    more = {"forecast": found.as_data(), "table": [*outcome["data"]["table"], found.sentence], "run": run}
    data = {**outcome["data"], **more}
    return {**outcome, "warnings": [*outcome["warnings"], *([warning] if warning else [])], "data": data}
