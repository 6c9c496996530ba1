# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_verify`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_note, job_outcome
from ansible_collections.mailops.kerio.plugins.module_utils.archive.evidence_checkpoint import completed
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import option_of, size, whole
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify import Verification, Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_ledger import KnownElsewhere
from ansible_collections.mailops.kerio.plugins.module_utils.archive.verify_report import LISTED, Report
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

JOB = "archive_verify"
LEAST_RATE, MOST_RATE = 64 * 1024, 1 << 40
# The least and the most that the options may be.
LIMITS = {"within_days": whole(0, 36_500), "sample": whole(0, 1_000_000_000), "processes": whole(0, 1000)}

Data = dict[str, t.Any]


def wish_of(params: Data, *, keep: bool = True) -> Wish:
    """What the parameters ask for; raises ``InputError``."""
    for key, check in LIMITS.items():
        option_of(params, key, check)
    if params["within_days"] and params["sample"]:
        raise InputError("sample", "within_days is given as well", "Give one of both")
    rate = 0 if params["rate"] is None else option_of(params, "rate", size(LEAST_RATE, MOST_RATE), " (per second)")
    known = KnownElsewhere(tuple(map(completed, params["ledger_checkpoints"])), tuple(params["ledger_verifier_keys"]))
    for key in known.keys:
        evidence_note.parse_verifier_key(key)
    return Wish(params["root"], params["within_days"], params["sample"], rate, params["processes"], keep, known=known)


@job_outcome.as_account
def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    wish = wish_of(params, keep=not check_mode)
    fails = params["fail_on_damage"]
    if check_mode:
        require_zstandard()
        return _verify(wish, fails, Silent())

    def prepare() -> job.Work:
        require_zstandard()
        Store.open(wish.root).close()
        return functools.partial(_verify, wish, fails)

    keys = ("root", "within_days", "sample", "rate", "fail_on_damage", "ledger_checkpoints", "ledger_verifier_keys")
    return job_outcome.follow(params, JOB, "Verification is under way", prepare, {key: params[key] for key in keys})


def _verify(wish: Wish, fails: bool, reporter: Reporter) -> Data:
    return outcome_of(Verification(wish, reporter).run(), fails)


def outcome_of(report: Report, fails: bool) -> Data:
    """The result. Nothing is ever changed; damage fails the module unless it is told not to."""
    return {
        "changed": False,
        "msg": report.sentence(),
        "failed": bool(report.findings) and fails,
        "data": {
            "verified": report.as_data(),
            "damaged": len(report.findings),
            "damage": report.damage()[:LISTED],
            "table": report.table(),
        },
    }
