# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_export`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import job_outcome
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export import export
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_report import Report
from ansible_collections.mailops.kerio.plugins.module_utils.archive.export_wish import Wish, wish_of
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard

JOB = "archive_export"
# What a job is about: whoever asks for the same attaches to it.
ABOUT = (
    "root",
    "dest",
    "users",
    "all_users",
    "folders",
    "exclude_folders",
    "since",
    "before",
    "format",
    "maildir_separator",
    "extend",
    "owner",
    "group",
    "mode",
    "by",
    "reason",
)

Data = dict[str, t.Any]


@job_outcome.as_account
def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    wish = wish_of(params)
    require_zstandard()
    if check_mode:
        return outcome_of(export(wish, Silent(), write=False), check_mode=True)

    def prepare() -> job.Work:
        Store.open(wish.root).close()
        return functools.partial(_export, wish)

    # Where dest will be made, or is.
    place = next(folder for folder in (Path(wish.dest), *Path(wish.dest).parents) if folder.exists())
    about, service = {key: params[key] for key in ABOUT}, job_outcome.service_of(params, writes=[str(place)])
    return job_outcome.follow(params, JOB, "The export is under way", prepare, about, service=service)


def _export(wish: Wish, reporter: Reporter) -> Data:
    return outcome_of(export(wish, reporter))


def outcome_of(report: Report, *, check_mode: bool = False) -> Data:
    """The result. A message that could not be read fails the module, once all others are there."""
    return {
        "changed": report.changed,
        "msg": report.sentence(check_mode=check_mode),
        "failed": report.failed,
        "diff": report.diff() if report.touched else None,
        "warnings": report.warnings,
        "data": {"exported": report.as_data(), "damaged": report.damaged, "damage": report.damage},
    }
