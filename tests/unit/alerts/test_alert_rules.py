# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/alerts.rules.yml: nothing fires while all is well, and each alarm fires alone in the case that it is for. By promtool."""

from __future__ import annotations

import re
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from standalone.kerio_enforce import metrics

ROOT = Path(__file__).parents[3]
RULES = ROOT / "docs" / "alerts.rules.yml"
GROUPS = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
ALERTS = {rule["alert"]: rule["expr"] for group in GROUPS for rule in group["rules"]}

STEP, DAYS = 3600, 4  # seconds between samples, and between looks of the rules
SAMPLES = DAYS * 86_400 // STEP
NOW = f"0+{STEP}x{SAMPLES}"  # a time that is always now
STOPPED = f"0+{STEP}x{SAMPLES // 4} {86_400}x{SAMPLES * 3 // 4}"  # one that stands still after the first day


def still(value: float) -> str:
    return f"{value}x{SAMPLES}"


def grows(by: float, start: float = 1000) -> str:
    return f"{start}+{by}x{SAMPLES}"


SCHEDULE = 'schedule="hourly-site",playbook="site"'
SERVER, HOST, PROFILE = 'server="mail1"', 'archive_host="archive1"', 'archive_host="archive1",profile="all"'
ALICE = f'{PROFILE},{SERVER},mailbox="alice@example.com"'
JOURNAL = f'{HOST},profile="journal",{SERVER},mailbox="archive@example.com"'
BUSY = {
    "last_run_timestamp_seconds": NOW,
    "last_success_timestamp_seconds": NOW,
    "archived_messages_total": grows(1),
    "server_messages": grows(1),
    "server_uidnext": grows(1),
    "excluded_messages": still(3),
    "left_messages": still(2),
    "failed_messages": still(0),
    "quarantined_messages": still(1),
}
WELL = {
    "textfile_timestamp_seconds{}": NOW,
    f"schedule_last_success_timestamp_seconds{{{SCHEDULE}}}": NOW,
    f"schedule_max_age_seconds{{{SCHEDULE}}}": still(14_400),
    f"schedule_last_run_success{{{SCHEDULE}}}": still(1),
    "checkout_fetched_timestamp_seconds{}": NOW,
    "checkout_signature_required{}": still(1),
    "checkout_signature_verified{}": still(1),
    "checkout_environment_outdated{}": still(0),
    **{f'problem{{problem="{kind}"}}': still(0) for kind in metrics.KINDS},
    f"server_last_success_timestamp_seconds{{{SERVER}}}": NOW,
    f"server_drift_checked_timestamp_seconds{{{SERVER}}}": NOW,
    **{f"server_drift_{key}{{{SERVER}}}": still(0) for key in ("settings", "relations", "unknown")},
    f"host_last_success_timestamp_seconds{{{HOST}}}": NOW,
    f"host_last_archived_timestamp_seconds{{{HOST}}}": NOW,
    f"host_damaged_objects{{{HOST}}}": still(0),
    f"host_free_bytes{{{HOST}}}": still(1e12),
    f"host_free_inodes{{{HOST}}}": still(1e7),
    f"host_forecast_seconds{{{HOST}}}": still(400 * 86_400),
    f"profile_last_success_timestamp_seconds{{{PROFILE}}}": NOW,
    **{f"mailbox_{name}{{{ALICE}}}": value for name, value in BUSY.items()},
    **{f"mailbox_{name}{{{JOURNAL}}}": value for name, value in BUSY.items()},
    f"mailbox_unknown_addresses{{{JOURNAL}}}": still(4),
    f"mailbox_server_bytes{{{JOURNAL}}}": still(1e9),
}
GONE = ""  # the series is not there


class Case(t.NamedTuple):
    """What fires when these series are otherwise; ``at``: hours after the beginning."""

    fires: set[str]
    changed: dict[str, str]
    at: int = DAYS * 24 - 1


def mailbox(name: str, value: str, labels: str = ALICE) -> dict[str, str]:
    return {f"mailbox_{name}{{{labels}}}": value}


BUSY_ALONE = "KerioArchiveBusyMailboxNotArchived"
SECOND = ALICE.replace('"all"', '"second"')
CASES = {
    "all is well": Case(set(), {}),
    "nothing is there": Case({"KerioArchiveMetricsAbsent"}, dict.fromkeys(WELL, GONE)),
    "no schedule runs": Case({"KerioArchiveMetricsStale"}, {"textfile_timestamp_seconds{}": STOPPED}, 40),
    "a schedule fails for long": Case(
        {"KerioArchiveScheduleNoSuccess", "KerioArchiveScheduleFails"},
        {
            f"schedule_last_success_timestamp_seconds{{{SCHEDULE}}}": STOPPED,
            f"schedule_last_run_success{{{SCHEDULE}}}": f"1x{SAMPLES // 4} 0x{SAMPLES}",
        },
    ),
    "a schedule never ran": Case(
        {"KerioArchiveScheduleNoSuccess"}, {f"schedule_last_success_timestamp_seconds{{{SCHEDULE}}}": still(0)}, 8
    ),
    "a schedule failed once": Case(set(), {f"schedule_last_run_success{{{SCHEDULE}}}": f"1x{SAMPLES - 2} 0x2"}),
    "the checkout is dirty": Case({"KerioArchiveCheckoutRefused"}, {'problem{problem="dirty"}': still(1)}),
    "a bad signature": Case(
        {"KerioArchiveCheckoutUnsigned"},
        {'problem{problem="signature"}': still(1), "checkout_signature_verified{}": still(0)},
    ),
    "signatures are not asked for": Case(
        set(), {"checkout_signature_required{}": still(0), "checkout_signature_verified{}": still(0)}
    ),
    "the repository is out of reach": Case(
        {"KerioArchiveCheckoutStale"},
        {'problem{problem="unreachable"}': still(1), "checkout_fetched_timestamp_seconds{}": STOPPED},
    ),
    "the repository was out of reach once": Case(set(), {'problem{problem="unreachable"}': still(1)}),
    "other libraries": Case({"KerioArchiveEnvironmentOutdated"}, {"checkout_environment_outdated{}": still(1)}),
    "a server fails": Case({"KerioArchiveServerNoSuccess"}, {f"server_last_success_timestamp_seconds{{{SERVER}}}": STOPPED}),
    "drift": Case({"KerioArchiveServerDrift"}, {f"server_drift_settings{{{SERVER}}}": still(2)}),
    "a violated relation": Case({"KerioArchiveServerDrift"}, {f"server_drift_relations{{{SERVER}}}": still(1)}),
    "unknown drift": Case({"KerioArchiveServerDriftUnknown"}, {f"server_drift_unknown{{{SERVER}}}": still(1)}),
    "drift is not looked at": Case(
        {"KerioArchiveServerDriftUnknown"}, {f"server_drift_checked_timestamp_seconds{{{SERVER}}}": STOPPED}
    ),
    "a certificate": Case({"KerioArchiveCertificateUnverified"}, {f"certificate_unverified{{{HOST},{SERVER}}}": still(1)}),
    "an archive host fails": Case({"KerioArchiveHostNotArchived"}, {f"host_last_success_timestamp_seconds{{{HOST}}}": STOPPED}),
    "no run comes to its end": Case(
        {"KerioArchiveHostNotArchived"}, {f"host_last_archived_timestamp_seconds{{{HOST}}}": STOPPED}
    ),
    "the disk is full in three weeks": Case(
        {"KerioArchiveDiskFullSoon"}, {f"host_forecast_seconds{{{HOST}}}": still(21 * 86_400)}
    ),
    "the disk is full in five days": Case(
        {"KerioArchiveDiskFullSoon", "KerioArchiveDiskFull"}, {f"host_forecast_seconds{{{HOST}}}": still(5 * 86_400)}
    ),
    "nothing grows on a full disk": Case(
        {"KerioArchiveDiskFull"},
        {f"host_forecast_seconds{{{HOST}}}": GONE, f"host_free_bytes{{{HOST}}}": still(1e9)},
    ),
    "no inodes": Case({"KerioArchiveDiskFull"}, {f"host_free_inodes{{{HOST}}}": still(5000)}),
    "damage": Case({"KerioArchiveDamagedObjects"}, {f"host_damaged_objects{{{HOST}}}": still(1)}),
    "a profile is not done": Case(
        {"KerioArchiveProfileNoSuccess"}, {f"profile_last_success_timestamp_seconds{{{PROFILE}}}": STOPPED}
    ),
    "a mailbox cannot be read": Case(
        {"KerioArchiveMailboxNoSuccess"},
        {
            **mailbox("last_success_timestamp_seconds", STOPPED),
            **mailbox("server_uidnext", still(1000)),
            **mailbox("archived_messages_total", still(1000)),
        },
    ),
    "busy and nothing archived": Case({BUSY_ALONE}, mailbox("archived_messages_total", still(1000))),
    "busy and all of it is left": Case(
        {BUSY_ALONE, "KerioArchiveUnknownAddressesGrow"},
        {**mailbox("archived_messages_total", still(1000), JOURNAL), **mailbox("left_messages", grows(10), JOURNAL)},
    ),
    "busy and all of it is excluded by a rule": Case(
        {"KerioArchiveBusyMailboxAllExcluded"},
        {**mailbox("archived_messages_total", still(1000)), **mailbox("excluded_messages", grows(1))},
    ),
    "busy and some of it is excluded by a rule": Case(set(), mailbox("excluded_messages", grows(0.9))),
    "no folder is selected": Case(
        {"KerioArchiveMailboxNothingSelected"},
        {**mailbox("server_uidnext", still(0)), **mailbox("archived_messages_total", still(0))},
    ),
    "a clock was ahead": Case(
        {"KerioArchiveClockAhead"}, {f"schedule_last_success_timestamp_seconds{{{SCHEDULE}}}": still(30 * 86_400)}
    ),
    "a clock of an archive host was ahead": Case(
        {"KerioArchiveClockAhead"}, {f"profile_last_success_timestamp_seconds{{{PROFILE}}}": still(30 * 86_400)}
    ),
    "busy and another profile has it": Case(
        set(),
        {
            **{f"mailbox_{name}{{{SECOND}}}": value for name, value in BUSY.items()},
            **mailbox("archived_messages_total", still(0), SECOND),
        },
    ),
    "not busy": Case(set(), {**mailbox("archived_messages_total", still(1000)), **mailbox("server_uidnext", still(1000))}),
    "a mailbox that is new": Case(
        set(),
        {
            **mailbox("server_uidnext", f"_x{SAMPLES - 20} 5000x20"),
            **mailbox("archived_messages_total", f"_x{SAMPLES - 20} 5000x20"),
        },
    ),
    "no copies come": Case(
        {"KerioArchiveMailboxSilent"},
        {**mailbox("server_uidnext", still(1000), JOURNAL), **mailbox("archived_messages_total", still(1000), JOURNAL)},
    ),
    "nobody gets mail": Case(
        set(),
        {
            key: still(1000)
            for labels in (ALICE, JOURNAL)
            for name in ("server_uidnext", "archived_messages_total")
            for key in mailbox(name, "", labels)
        },
    ),
    "a message fails every time": Case({"KerioArchiveMessagesFail"}, mailbox("failed_messages", still(1))),
    "a message failed for an hour": Case(set(), mailbox("failed_messages", f"0x{SAMPLES - 10} 1x2 0x10")),
    "quarantine": Case({"KerioArchiveNewQuarantine"}, mailbox("quarantined_messages", f"1x{SAMPLES - 20} 2x20")),
    "unknown addresses": Case({"KerioArchiveUnknownAddressesGrow"}, mailbox("unknown_addresses", grows(0.5, 4), JOURNAL)),
    "an archive mailbox is full": Case({"KerioArchiveMailboxNearFull"}, mailbox("server_bytes", still(3e10), JOURNAL)),
    "an archive mailbox will be full": Case({"KerioArchiveMailboxNearFull"}, mailbox("server_bytes", grows(5e7, 1e9), JOURNAL)),
    "an archive mailbox grows slowly": Case(set(), mailbox("server_bytes", grows(1e5, 1e9), JOURNAL)),
}


def file_of(case: Case) -> dict[str, t.Any]:
    """What promtool is to do for a case: nothing else may fire."""
    series = {name: values for name, values in {**WELL, **case.changed}.items() if values != GONE}
    labelled = {name.replace("}", ',instance="control1"}').replace("{,", "{"): values for name, values in series.items()}
    return {
        "interval": f"{STEP}s",
        "input_series": [{"series": f"kerio_archive_{name}", "values": values} for name, values in labelled.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{case.at}h",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(case.fires)],
            }
        ],
    }


def promtool(*words: str) -> tuple[int, str]:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    status, said = promtool("check", "rules", str(RULES))
    assert status == 0, said


@pytest.mark.parametrize("name", CASES)
def test_what_fires(name: str, tmp_path: Path) -> None:
    file = tmp_path / "case.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": f"{STEP}s", "tests": [file_of(CASES[name])]}),
        encoding="utf-8",
    )
    status, said = promtool("test", "rules", str(file))
    assert status == 0, said


def test_every_alarm_has_a_case_and_is_explained() -> None:
    assert {name for case in CASES.values() for name in case.fires} == set(ALERTS)
    explained = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert [name for name in ALERTS if f"`{name}`" not in explained] == []


def test_rules_speak_of_metrics_that_there_are_and_these_are_explained() -> None:
    named = {name for expr in ALERTS.values() for name in re.findall(r"\bkerio_archive_(\w+)", expr)}
    assert named <= set(metrics._TABLE)
    assert {name.partition("{")[0] for name in WELL} <= set(metrics._TABLE)
    explained = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert [name for name in metrics._TABLE if f"`{name}`" not in explained] == []
