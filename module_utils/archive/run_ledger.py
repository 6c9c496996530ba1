# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is told about the ledger, and what it says there of itself. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport

ORIGIN = "kerio-archive"
_FIGURES = ("seen", "new", "known", "copies", "excluded", "left", "failed", "quarantined")


@dataclass(frozen=True)
class Ledger:
    """``origin``: what a new ledger is called; ``key``: PEM to sign its checkpoints with, "" for none.

    ``elsewhere``: checkpoints that are kept where nobody on the archive host can change them.
    ``owner``: who has the run done; ``declared``: event -> what the operator declares, without secrets.
    """

    origin: str = ORIGIN
    key: str = field(default="", repr=False)
    owner: str = ""
    declared: t.Mapping[str, t.Any] = field(default_factory=dict)
    elsewhere: t.Sequence[str] = ()

    def ended(self, report: RunReport) -> dict[str, t.Any]:
        """What the entry of a run says."""
        accounts = report.accounts().as_data()
        figures = {name: accounts[name] for name in _FIGURES if name in accounts}
        problems = [problem.as_data() for problem in report.problems()]
        more = {"deleted": report.deleted, "objects": report.objects, "placements": report.placements}
        return {"by": self.owner, **figures, **more, "errors": len(problems), "first_errors": problems[:10]}

    def failed(self, error: Exception) -> dict[str, t.Any]:
        """What the entry of a run says that had to end."""
        return {"by": self.owner, "message": str(error)}
