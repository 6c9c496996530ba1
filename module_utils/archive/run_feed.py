# SPDX-License-Identifier: GPL-3.0-or-later
"""From the survey of a profile to the jobs of its schedule."""

from __future__ import annotations

import time
import typing as t
from collections import defaultdict

from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_job import Job
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_survey import Survey, Surveyed


class Feed:
    """Gives the schedule the jobs of a server once all its mailboxes were looked at.

    So fetching begins while another server is still silent, and survey and fetching never share the connections of one server.
    ``judge`` makes the job of a mailbox, None when there is nothing to do.
    """

    def __init__(self, survey: Survey, judge: t.Callable[[Surveyed], Job | None]) -> None:
        self._survey = survey
        self._judge = judge
        self._held: dict[str, list[Job]] = defaultdict(list)

    @property
    def pending(self) -> bool:
        """Whether jobs may come."""
        return self._survey.pending > 0

    def take(self, seconds: float) -> list[Job]:
        """The jobs of the servers that were looked at completely since the last call, in the order of the profile.

        Waits up to ``seconds`` for the first of them.
        """
        end = time.monotonic() + seconds
        jobs: list[Job] = []
        while self.pending and not jobs:
            found = self._survey.take(max(0.0, end - time.monotonic()))
            if found is None:
                break
            jobs = self._after(found)
        return sorted(jobs, key=lambda job: job.mailbox.position)

    def room(self, connected: int) -> bool:
        """Tell whether a worker may connect beside so many others."""
        spare = self._survey.spare()
        return spare is None or connected < spare

    def _after(self, found: Surveyed) -> list[Job]:
        server = found.mailbox.server.name
        job = self._judge(found)
        if job is not None:
            self._held[server].append(job)
        return [] if self._survey.pending_on(server) else self._held.pop(server, [])
