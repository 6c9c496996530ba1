# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kerio host for the faults of the guarded edit: the module from its options to its outcome, detached job and all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_module
from ansible_collections.mailops.kerio.plugins.modules.kerio_mailserver_cfg import ARGUMENTS, ONE_OF
from tests.lab.service import wait_until
from tests.unit.module_utils.kerio.fake_kerio import CFG, FakeKerio

Data = dict[str, t.Any]

SAVED = CFG.replace(b"<!-- kept -->", b"<!-- saved -->")
EDITED = SAVED.replace(b">1<", b">0<")


def params(fake: FakeKerio, **options: t.Any) -> Data:
    """Return the options of the module, defaults included, with short waits; ``ready_timeout`` is that of ``ready``."""
    given: Data = {
        "path": str(fake.cfg),
        "service": {
            "script": str(fake.script),
            "process": str(fake.folder / "mailserver"),
            "pid_file": str(fake.folder / "kms.pid"),
            "watchdog": str(fake.folder / "watchdog"),
        },
        "ready": {"api_port": fake.api_port, "imap_port": fake.imap_port, "timeout": options.pop("ready_timeout", 10)},
        "settle": 0.2,
        "stop_timeout": 10,
        "state_dir": str(fake.folder / "state"),
        **({} if "variables" in options else {"permanent_delete": True}),
        **options,
    }
    checked = ArgumentSpecValidator(ARGUMENTS, required_one_of=ONE_OF).validate(given)
    assert checked.error_messages == []
    return checked.validated_parameters


def run(fake: FakeKerio, owner: str, **options: t.Any) -> Data:
    """Run the module until its job has ended, as the action plugin does; return its outcome, ``error`` included.

    The end is confirmed as heard only when it was told.
    """
    asked = params(fake, **{"job_owner": owner, "job_wait": 30, "job_seen": 2**31 - 1, **options})
    try:
        while True:
            outcome = cfg_module.declare(asked, False, "Linux")
            if outcome["data"].get("job", {}).get("state") != job.RUNNING:
                break
    except ArchiveToolError as error:
        outcome = {"changed": False, "error": error.as_result(), "msg": str(error), "warnings": [], "data": {}}
    told = [report["id"] for report in outcome["data"].get("previous", [])]
    told += [outcome["data"].get("job", {}).get("id"), outcome.get("error", {}).get("job_id")]
    with contextlib.suppress(ArchiveToolError):
        cfg_module.declare({**asked, "job_heard": [one for one in told if one]}, False, "Linux")
    return outcome


def check(fake: FakeKerio) -> Data:
    """Return what check mode says."""
    return cfg_module.declare(params(fake), True, "Linux")


def seen(fake: FakeKerio) -> Data:
    """Return what holds on the host now, as plain data."""
    processes = fake.service().processes()
    return {
        "file": fake.cfg.read_bytes().decode("utf-8"),
        "read": fake.read_at_start().decode("utf-8"),
        "inode": fake.cfg.stat().st_ino,
        "pid": processes[0].pid if processes else None,
        "missing": fake.service().ready.missing(),
        "ours": sorted(path.name for path in fake.cfg.resolve().parent.iterdir() if "kerio-archive" in path.name),
        "calls": fake.calls(),
    }


def wait_until_gone(pid: int, identity: str | None) -> None:
    assert identity is None or wait_until(lambda: job.process_start(pid) != identity, 20)


def shell(text: str, folder: Path) -> None:
    subprocess.run(["/bin/sh", "-ec", text], cwd=folder, check=True, env={"PATH": os.environ["PATH"]})
