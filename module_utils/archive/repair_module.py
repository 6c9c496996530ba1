# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_repair`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import typing as t
from collections import Counter
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome, layout
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.repair import Repair, Repaired
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_report import LISTED, NAMED
from ansible_collections.mailops.kerio.plugins.module_utils.errors import StoreError

JOB = "archive_repair"

Data = dict[str, t.Any]


def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    root, backups, fails = params["root"], tuple(params["backups"]), params["fail_on_damage"]
    for backup in backups:
        if not Path(backup, layout.FORMAT_FILE).is_file():
            raise StoreError(backup, "it is no copy of an archive", "Name the root of one: the folder with the file format")
    if check_mode:
        require_zstandard()
        return outcome_of(Repair(root, backups, Silent(), write=False).run(), fails)

    def prepare() -> job.Work:
        require_zstandard()
        Store.open(root).close()

        def work(reporter: Reporter) -> Data:
            return outcome_of(Repair(root, backups, reporter, write=True).run(), fails)

        return work

    about = {key: params[key] for key in ("root", "backups", "fail_on_damage")}
    return job_outcome.follow(params, JOB, "Repair is under way", prepare, about)


def outcome_of(repaired: Repaired, fails: bool) -> Data:
    """The result; what could not be repaired fails the module unless it is told not to."""
    left = [finding.as_data() for finding in repaired.left]
    return {
        "changed": bool(repaired.steps),
        "msg": sentence(repaired),
        "failed": bool(left) and fails,
        "diff": {
            "before": "".join(f"{one.kind} {one.subject}\n" for one in repaired.found),
            "after": "".join(f"{one.kind} {one.subject}\n" for one in repaired.left),
            "before_header": "damage",
            "after_header": "damage",
        },
        "data": {
            "found": len(repaired.found),
            "steps": [step.as_data() for step in repaired.steps[:LISTED]],
            "left": len(left),
            "damage": left[:LISTED],
        },
    }


def sentence(repaired: Repaired) -> str:
    """All in one sentence."""
    if not repaired.found:
        return "Nothing to repair"
    done = Counter(step.action for step in repaired.steps)
    steps = ", ".join(f"{count:,} {action}" for action, count in sorted(done.items())) or "nothing"
    text = f"{len(repaired.found):,} damaged; done: {steps}"
    if not repaired.left:
        return f"{text}; all is repaired"
    named = "; ".join(f"{one.subject}: {one.cause}. {one.remedy}" for one in repaired.left[:NAMED])
    more = f"; and {len(repaired.left) - NAMED:,} more" if len(repaired.left) > NAMED else ""
    return f"{text}; {len(repaired.left):,} left: {named}{more}"
