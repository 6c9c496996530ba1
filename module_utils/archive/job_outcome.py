# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a module whose work is a detached job in an archive: start it, follow it, or tell its result."""

from __future__ import annotations

import functools
import sys
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job, job_account, job_attend, job_unit
from ansible_collections.mailops.kerio.plugins.module_utils.archive import layout, store_handover
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError
from ansible_collections.mailops.kerio.plugins.module_utils.job_unit import Service

# Suboption of job_service -> property of the unit.
LIMITS = {"memory_max": "MemoryMax", "cpu_weight": "CPUWeight", "io_weight": "IOWeight", "tasks_max": "TasksMax"}

Data = dict[str, t.Any]
Declare = t.Callable[[Data, bool], Data]

# Options of every module whose job works in an archive; the documentation fragments ``job`` and ``service`` explain them.
ARGUMENTS: Data = {
    **job_attend.ARGUMENTS,
    "job_service": {
        "type": "dict",
        "options": {
            "user": {"type": "str"},
            "systemd": {"type": "str", "choices": [job_unit.AUTO, job_unit.ALWAYS, job_unit.NEVER], "default": job_unit.NEVER},
            "state_dir": {"type": "path"},
            "memory_max": {"type": "str"},
            "cpu_weight": {"type": "int"},
            "io_weight": {"type": "int"},
            "tasks_max": {"type": "int"},
        },
    },
}


def as_account(declare: Declare) -> Declare:
    """Have all that a module does in the archive be done as the account that ``job_service`` names, and that must own it."""

    @functools.wraps(declare)
    def declared(params: Data, check_mode: bool) -> Data:
        with job_account.acting(_asked(params).get("user") or ""):
            # In check mode it may be about to be handed over, and its readers can look.
            if not check_mode:
                store_handover.refuse_of_another(params["root"])
            return declare(params, check_mode)

    return declared


def _asked(params: Data) -> Data:
    return params.get("job_service") or {}


def service_of(params: Data, writes: t.Sequence[str] = (), sees: t.Sequence[str] = ()) -> Service:
    """How the jobs of these parameters run. A job writes its state, below ``root``, and below ``writes``; it can see ``sees``,
    its interpreter, and the authorities of its servers."""
    asked = _asked(params)
    limits = {LIMITS[key]: str(asked[key]) for key in LIMITS if asked.get(key)}
    own = (params["root"], *([asked["state_dir"]] if asked.get("state_dir") else []))
    # An import has only the names of servers.
    authorities = [server.get("ca_file") for server in params.get("servers") or () if isinstance(server, dict)]
    seen = (*sees, sys.executable, sys.base_prefix, *filter(None, authorities))
    return Service(asked.get("user") or "", asked.get("systemd") or job_unit.NEVER, limits, (*own, *writes), seen)


def state_dir(params: Data) -> Path:
    """Where the jobs of these parameters have their state."""
    return Path(_asked(params).get("state_dir") or Path(params["root"], layout.JOBS))


def in_use(error: BusyError) -> Data:
    """The fields of ``runner.Outcome`` of a job to which the archive is not free: it ends well, having done nothing."""
    return {"changed": False, "msg": f"Nothing done: {error}", "data": {"holder": error.details.get("holder")}}


def follow(
    params: Data,
    name: str,
    going_on: str,
    prepare: t.Callable[[], job.Work],
    about: Data,
    secrets: t.Sequence[str] = (),
    service: Service | None = None,
) -> Data:
    """The fields of ``runner.Outcome``. ``params`` are the module's, with ``root`` and the options of the fragment ``job``.

    ``going_on``: the sentence while the job is under way. ``about`` identifies it to those who ask for the same; no secrets.
    ``service``: that of the parameters unless given.
    """
    folder = state_dir(params)
    if params["job_heard"]:
        for job_id in params["job_heard"]:
            job.acknowledge(folder, name, job_id)
        return {"changed": False, "msg": "The result has arrived"}
    turn = job_attend.attend(
        folder,
        name,
        prepare,
        about=about,
        owner=params["job_owner"],
        seconds=params["job_wait"],
        seen=params["job_seen"],
        secrets=secrets,
        service=service or service_of(params),
    )
    if turn.holder is not None:
        msg = f"Nothing done: {name} is under way for {turn.holder}"
        return {"changed": False, "msg": msg, "data": {"holder": turn.holder}}
    if turn.running or turn.status is None:
        return {"changed": False, "msg": going_on, "data": turn.as_data()}
    outcome = turn.status.outcome()
    return {**outcome, "data": {**outcome.get("data", {}), **turn.as_data()}}
