# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``archive_run`` to its outcome, which is the fields of ``runner.Outcome``."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils import job
from ansible_collections.mailops.kerio.plugins.module_utils.archive import (
    compare_module,
    evidence_options,
    growth,
    job_outcome,
    run_estimate,
    run_stop,
    run_table,
    run_test,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile import parse_profiles, parse_servers
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_keys import option_of, whole
from ansible_collections.mailops.kerio.plugins.module_utils.archive.profile_secrets import (
    master_passwords,
    secrets_in,
    without_secrets,
)
from ansible_collections.mailops.kerio.plugins.module_utils.archive.progress import Reporter, Silent
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run import Options, Run
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_check import Preview
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_mailbox import Secrets
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_quarantine import parse_acknowledged
from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store_codec import require_zstandard
from ansible_collections.mailops.kerio.plugins.module_utils.errors import BusyError
from ansible_collections.mailops.kerio.plugins.module_utils.imap.client import refuse_without_library

JOB = "archive_run"

# The least and the most that the options for a whole run may be.
LIMITS = {
    "connections": whole(0, 10_000),
    "processes": whole(0, 1000),
    "reserve": whole(0, 1 << 30),
    "quarantine_after": whole(1, 1_000_000),
    "reconcile_days": whole(0, 36_500),
}

Data = dict[str, t.Any]


def secrets_of(params: Data) -> list[str]:
    """Every password in the module's parameters."""
    passwords = [str(secret) for secret in (params["passwords"] or {}).values() if secret]
    return [*secrets_in(params["servers"]), *passwords, *evidence_options.secrets_of(params)]


def options_of(params: Data) -> Options:
    """What the parameters ask for; raises ``InputError``."""
    for key, check in LIMITS.items():
        option_of(params, key, check)
    servers = parse_servers(params["servers"])
    masters, others = master_passwords(params["servers"])
    passwords = {name: str(password) for name, password in (params["passwords"] or {}).items()}
    declared = {"profiles": params["profiles"], "acknowledged": params["acknowledged"]}
    options = Options(
        params["root"],
        servers,
        parse_profiles(params["profiles"], servers),
        Secrets(masters, passwords, others),
        tuple(params["only"] or ()),
        params["mailbox"] or "",
        params["processes"],
        params["reserve"] << 20,
        params["connections"],
        quarantine_after=params["quarantine_after"],
        acknowledged=parse_acknowledged(params["acknowledged"]),
        reconcile_days=params["reconcile_days"],
        ledger=evidence_options.ledger_of(params, params["job_owner"] or "", declared),
    )
    options.chosen()
    return options


@job_outcome.as_account
def declare(params: Data, check_mode: bool) -> Data:
    """Do what the module was asked for and return its outcome."""
    return MODES[params["mode"]](params, options_of(params), check_mode)


def _archive(params: Data, options: Options, check_mode: bool) -> Data:
    if check_mode:
        return outcome_of(Preview(options, Silent()).go(), params["fail_on_errors"], check_mode=True)
    return _follow(params, options)


def _test(params: Data, options: Options, _check_mode: bool) -> Data:
    test = run_test.Test(options, Silent())
    report = test.go()
    return {
        "changed": False,
        "msg": run_test.sentence(report, test.found),
        "warnings": report.warnings,
        "failed": bool(report.problems()) and params["fail_on_errors"],
        "data": run_test.as_data(report, test.found),
    }


def _estimate(params: Data, options: Options, _check_mode: bool) -> Data:
    require_zstandard()
    estimate = run_estimate.Estimate(options, Silent())
    report = estimate.go()
    return {
        "changed": False,
        "msg": run_estimate.sentence(estimate),
        "warnings": report.warnings,
        "failed": bool(report.problems()) and params["fail_on_errors"],
        "data": run_estimate.as_data(estimate),
    }


def _compare(params: Data, options: Options, check_mode: bool) -> Data:
    return compare_module.declare(params, options, check_mode, _about(params), secrets_of(params))


def _stop(params: Data, _options: Options, check_mode: bool) -> Data:
    return run_stop.stop(job_outcome.state_dir(params), JOB, check_mode)


# What the module can be asked for. Each gets the parameters, what they mean, and whether this is check mode.
MODES: dict[str, t.Callable[[Data, Options, bool], Data]] = {
    "archive": _archive,
    "test": _test,
    "estimate": _estimate,
    "stop": _stop,
    "compare": _compare,
}


def _follow(params: Data, options: Options) -> Data:
    def prepare() -> job.Work:
        require_zstandard()
        refuse_without_library()
        Store.open(options.root).close()
        return functools.partial(_run, options, params["fail_on_errors"], params["forecast_days"])

    return job_outcome.follow(params, JOB, "Archiving is under way", prepare, _about(params), secrets_of(params))


def _run(options: Options, fails: bool, forecast_days: int, reporter: Reporter) -> Data:
    try:
        outcome = outcome_of(Run(options, reporter).go(), fails)
        names = {profile.name for profile in options.profiles}
        told = growth.told(outcome, options.root, options.reserve, forecast_days, names)
        told["data"]["run"]["unverified"] = options.unverified()
        return told
    except BusyError as error:
        return job_outcome.in_use(error)


def _about(params: Data) -> Data:
    """What identifies a run to those who ask for the same one; without secrets."""
    keys = ("root", "profiles", "only", "mailbox", "fail_on_errors", "acknowledged")
    return {"servers": without_secrets(params["servers"], "refused"), **{key: params[key] for key in keys}}


def outcome_of(report: RunReport, fail_on_errors: bool, *, check_mode: bool = False) -> Data:
    """The result of a run, or of a preview. A run with problems has archived everything else and fails at its end."""
    run = report.as_data()
    profiles = run.pop("profiles")
    failed = bool(report.problems()) and fail_on_errors
    if check_mode:
        run["check"] = True
    return {
        "changed": report.changed,
        "msg": report.sentence(check_mode=check_mode),
        "warnings": report.warnings,
        "failed": failed,
        "data": {
            "profiles": profiles,
            "run": {**run, "profiles": profiles} if failed else run,
            "table": run_table.of_run(profiles),
            "checkpoint": report.checkpoint,
        },
    }
