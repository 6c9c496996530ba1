# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_rebuild`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome, rebuild
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import option_of, whole
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild import Wish
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_orphans import ADOPT, REMOVE, REPORT
from ansible_collections.mailops.kerio.plugins.module_utils.archive.rebuild_report import LISTED, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, InputError

JOB = "archive_rebuild"
MOST_PROCESSES = 1000

Data = dict[str, t.Any]
# What each option belongs to: (option, what, orphans or "" for any).
_BELONGS = (("replace", "catalog", ""), ("remove_last_copies", "orphans", REMOVE))
_SENTENCES = {
    ("catalog", ""): ("the catalog was made anew: {}", "the catalog would be made anew: {}"),
    ("trees", ""): ("the trees were completed: {}", "the trees would be completed: {}"),
    ("ledger", ""): ("the ledger was made whole: {}", "the ledger would be made whole: {}"),
    ("orphans", REPORT): ("the catalog does not know: {}", "the catalog does not know: {}"),
    ("orphans", ADOPT): ("the catalog was brought forward: {}", "the catalog would be brought forward: {}"),
    ("orphans", REMOVE): ("removed {}", "would remove {}"),
}


def wish_of(params: Data, check_mode: bool) -> Wish:
    """What the parameters ask for; raises ``InputError``."""
    option_of(params, "processes", whole(0, MOST_PROCESSES))
    for option, what, orphans in _BELONGS:
        if params[option] and (params["what"] != what or (orphans and params["orphans"] != orphans)):
            told = f"what: {what}" + (f" and orphans: {orphans}" if orphans else "")
            raise InputError(option, f"it means nothing without {told}", "Leave it out, or say what it belongs to")
    if params["orphans"] != REPORT and params["what"] != "orphans":
        raise InputError("orphans", "it means nothing without what: orphans", "Leave it out, or say what: orphans")
    keys = ("root", "what", "replace", "orphans", "remove_last_copies", "processes")
    return Wish(**{key: params[key] for key in keys}, check_mode=check_mode, owner=params["job_owner"] or "")


@job_outcome.as_account
def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    wish = wish_of(params, check_mode)
    if check_mode:
        require_zstandard()
        return outcome_of(wish, rebuild.rebuild(wish, Silent()))

    def prepare() -> job.Work:
        require_zstandard()
        Store.open(wish.root).close()
        return functools.partial(_rebuild, wish)

    keys = ("root", "what", "replace", "orphans", "remove_last_copies")
    return job_outcome.follow(params, JOB, "The rebuild is under way", prepare, {key: params[key] for key in keys})


def _rebuild(wish: Wish, reporter: Reporter) -> Data:
    try:
        return outcome_of(wish, rebuild.rebuild(wish, reporter))
    except BusyError as error:
        return job_outcome.in_use(error)


def outcome_of(wish: Wish, report: Report) -> Data:
    """The result. What was found on the way is a warning: the rebuild has done everything else."""
    warning = report.warning()
    return {
        "changed": report.changed,
        "msg": sentence(wish, report),
        "warnings": [warning] if warning else [],
        "diff": _diff(wish, report) if report.changed else None,
        "data": {
            "rebuilt": report.as_data(),
            "problems": report.listed()[:LISTED],
            "problem_counts": dict(sorted(report.counts.items())),
        },
    }


def sentence(wish: Wish, report: Report) -> str:
    """All in one sentence."""
    done, would = _SENTENCES[wish.what, wish.orphans if wish.what == "orphans" else ""]
    if report.stopped:
        was_done = done.format(report.figures_text()) if report.changed else "nothing was changed"
        return f"{wish.root}: stopped before the end; {was_done}"
    if not report.changed and (wish.what != "orphans" or wish.orphans != REPORT):
        return f"{wish.root}: nothing is missing"
    return f"{wish.root}: {(would if wish.check_mode else done).format(report.figures_text())}"


def _diff(wish: Wish, report: Report) -> Data:
    """What is touched, the first of many."""
    rest = sum(report.figures[name] for name in ("placements", "links", "objects_removed", "placements_removed")) - len(
        report.done
    )
    lines = [*report.done, *([f"... and {rest:,} more"] if rest > 0 else [])]
    return {
        "before": f"{report.before}\n",
        "after": "\n".join([report.figures_text(), *lines]) + "\n",
        "before_header": f"{wish.root} ({wish.what})",
        "after_header": f"{wish.root} ({wish.what})",
    }
