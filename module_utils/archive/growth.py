# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive grew by, and what of its file system is free: the facts of a forecast."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.archive import filesystem, forecast, run_passes
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError

if t.TYPE_CHECKING:
    from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog_base import Database

Data = dict[str, t.Any]

# Every run that stored anything says so in its summary, one that failed as well.
_GROWN = (
    "SELECT finished, json_extract(summary, '$.objects'), json_extract(summary, '$.stored_bytes') FROM runs"
    " WHERE finished >= ? AND json_extract(summary, '$.stored_bytes') > 0"
)
_FIRST = "SELECT min(finished) FROM runs WHERE json_extract(summary, '$.stored_bytes') > 0"


def read(root: str, catalog: Database, reserve: int) -> forecast.Forecast:
    """The forecast of an archive, of which ``reserve`` bytes must stay free; raises StoreError and CatalogError."""
    now = int(time.time())
    try:
        free = filesystem.space(root)
    except OSError as error:
        raise filesystem.os_failure(error, root) from error
    kept = filesystem.MINIMUM_INODES if reserve else 0
    room = forecast.Room(free.bytes - reserve, None if free.inodes is None else free.inodes - kept)
    runs = [forecast.Grown(*row) for row in catalog.rows(_GROWN, (now - forecast.WINDOW_DAYS * forecast.DAY,))]
    return forecast.forecast(runs, catalog.row(_FIRST)[0], room, now)


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
