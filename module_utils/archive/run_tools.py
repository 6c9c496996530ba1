# SPDX-License-Identifier: GPL-3.0-or-later
"""What the phases of a run share."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive import progress
from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.committer import Committer
from ansible_collections.mailops.kerio.plugins.module_utils.archive.ledger import Reconcile
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_pool import WorkerPool
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Gate
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError


@dataclass
class Tools:
    """What the phases of a run share. ``killed``: a worker that would not stop has to be killed, with what it was writing."""

    store: Store
    catalog: Catalog
    committer: Committer
    pool: WorkerPool
    gate: Gate
    reporter: progress.Reporter
    server_errors: dict[str, ArchiveToolError] = field(default_factory=dict)
    reconcile: Reconcile = field(default_factory=Reconcile)
    killed: bool = False

    @property
    def stopping(self) -> bool:
        """Whether the run is to end soon."""
        return self.reporter.stop_requested

    @property
    def incomplete(self) -> str:
        """Why files of this run may lie in the archive that no commit speaks of; "" when none can."""
        if self.pool.deaths:
            count = f"{self.pool.deaths} archiving processes" if self.pool.deaths > 1 else "an archiving process"
            return f"{count} died during the run, see the log of the job; the next run removes what they may have left"
        if self.killed:
            return (
                "a process that waited for a server was ended on the request to stop; the next run removes what it may have left"
            )
        return ""
