# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a module whose work is a detached job in an archive: start it, follow it, or tell its result."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job, job_attend
from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout

Data = dict[str, t.Any]


def follow(
    params: Data, name: str, going_on: str, prepare: t.Callable[[], job.Work], about: Data, secrets: t.Sequence[str] = ()
) -> Data:
    """The fields of ``runner.Outcome``. ``params`` are the module's, with ``root`` and the options of the fragment ``job``.

    ``going_on``: the sentence while the job is under way. ``about`` identifies it to those who ask for the same; no secrets.
    """
    state_dir = Path(params["root"], layout.JOBS)
    if params["job_heard"]:
        for job_id in params["job_heard"]:
            job.acknowledge(state_dir, name, job_id)
        return {"changed": False, "msg": "The result has arrived"}
    turn = job_attend.attend(
        state_dir,
        name,
        prepare,
        about=about,
        owner=params["job_owner"],
        seconds=params["job_wait"],
        seen=params["job_seen"],
        secrets=secrets,
    )
    if turn.holder is not None:
        msg = f"Nothing done: {name} is under way for {turn.holder}"
        return {"changed": False, "msg": msg, "data": {"holder": turn.holder}}
    if turn.running or turn.status is None:
        return {"changed": False, "msg": going_on, "data": turn.as_data()}
    outcome = turn.status.outcome()
    return {**outcome, "data": {**outcome.get("data", {}), **turn.as_data()}}
