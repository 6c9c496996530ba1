# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_run`` in its mode compare to its outcome."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome
from ansible_collections.mailops.kerio.plugins.module_utils.archive.compare_folder import Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import option_of, whole
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_compare import Compare
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.imap.client import refuse_without_library

# Its own job, so that it may go on beside a run.
JOB = "archive_compare"
MOST_SAMPLE = 1_000_000

Data = dict[str, t.Any]


def wish_of(params: Data, *, keep: bool) -> Wish:
    """What the parameters ask for; raises ``InputError``."""
    return Wish(option_of(params, "compare_sample", whole(0, MOST_SAMPLE)), params["compare_sizes"], keep)


def declare(params: Data, options: Options, check_mode: bool, about: Data, secrets: t.Sequence[str]) -> Data:
    """Compare, as a job unless this is check mode. ``about`` identifies the job to those who ask for the same."""
    wish = wish_of(params, keep=not check_mode)
    fails = params["fail_on_errors"]
    if check_mode:
        require_zstandard()
        return _compare(options, wish, fails, Silent())

    def prepare() -> job.Work:
        require_zstandard()
        refuse_without_library()
        Store.open(options.root).close()
        return functools.partial(_compare, options, wish, fails)

    asked = {**about, **{key: params[key] for key in ("compare_sample", "compare_sizes")}}
    return job_outcome.follow(params, JOB, "The comparison is under way", prepare, asked, secrets)


def _compare(options: Options, wish: Wish, fails: bool, reporter: Reporter) -> Data:
    compare = Compare(options, reporter, wish)
    report = compare.go()
    comparison = compare.comparison
    if wish.keep:
        comparison.keep(options.root)
    return {
        "changed": False,
        "msg": comparison.sentence(),
        "warnings": report.warnings,
        "failed": bool(report.problems()) and fails,
        "data": {"run": comparison.run(), "compare": comparison.as_data(), "table": comparison.table()},
    }
