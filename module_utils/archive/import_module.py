# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_import`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import evidence_options, job_outcome
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_plan import Choice
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_report import LISTED, Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.import_source import OtherArchive
from ansible_collections.mailops.kerio.plugins.module_utils.archive.importing import Import, Wish, refuse_same
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import option_of, whole
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError, InputError

JOB = "archive_import"
_MOST_RESERVE = 1 << 30  # MiB

Data = dict[str, t.Any]


def wish_of(params: Data, check_mode: bool) -> Wish:
    """What the parameters ask for; raises ``InputError``."""
    # An empty name is none: users of no server have one, and would all be taken.
    users, domains, servers = (frozenset(map(str.strip, params[key])) - {""} for key in ("users", "domains", "servers"))
    choice = Choice(frozenset(map(str.lower, users)), frozenset(map(str.lower, domains)), servers)
    if choice == Choice():
        remedy = "Name users, domains or servers; a whole archive is moved by backup and restore (docs/backup.md)"
        raise InputError("users, domains, servers", "nobody is chosen", remedy)
    reserve = option_of(params, "reserve", whole(0, _MOST_RESERVE)) << 20
    refuse_same(params["root"], params["source"])
    ledger = evidence_options.ledger_of(params, params["by"] or params["job_owner"] or "")
    return Wish(params["root"], params["source"], choice, reserve, ledger, check_mode)


@job_outcome.as_account
def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    wish = wish_of(params, check_mode)
    require_zstandard()
    if check_mode:
        return outcome_of(wish, Import(wish, Silent()).run())

    def prepare() -> job.Work:
        Store.open(wish.root).close()
        OtherArchive(wish.source).close()
        return functools.partial(_import, wish)

    about = {key: params[key] for key in ("root", "source", "users", "domains", "servers", "by")}
    secrets, service = evidence_options.secrets_of(params), job_outcome.service_of(params, sees=[wish.source])
    return job_outcome.follow(params, JOB, "The import is under way", prepare, about, secrets, service)


def _import(wish: Wish, reporter: Reporter) -> Data:
    try:
        return outcome_of(wish, Import(wish, reporter).run())
    except BusyError as error:
        return job_outcome.in_use(error)


def outcome_of(wish: Wish, report: Report) -> Data:
    """The result. What could not be taken fails the module, once all the rest is here."""
    return {
        "changed": report.changed,
        "msg": f"{wish.root}: {report.sentence(wish.check_mode)}",
        "failed": report.failed,
        "diff": _diff(wish, report) if report.changed else None,
        "warnings": report.warnings[:LISTED],
        "data": report.as_data(),
    }


def _diff(wish: Wish, report: Report) -> Data:
    """How many of their messages the users have here, before and after; the first of many."""
    touched = {name: figures for name, figures in report.users.items() if figures.new}
    shown = dict(list(touched.items())[:LISTED])
    return {
        "before": {name: {"messages": figures.known} for name, figures in shown.items()},
        "after": {name: {"messages": figures.known + figures.new} for name, figures in shown.items()},
        "before_header": wish.root,
        "after_header": wish.root,
    }
