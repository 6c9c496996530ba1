# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports become figures, figures become metrics, in a form that Prometheus takes."""

from __future__ import annotations

import math
import subprocess
import typing as t
from pathlib import Path

import pytest

from standalone.kerio_enforce import exposition, reports
from standalone.kerio_enforce.config import Config, parse
from standalone.kerio_enforce.exposition import Family
from standalone.kerio_enforce.metrics import Metrics

CONFIG = {
    "checkout": "/checkout",
    "repository": "/remote",
    "version": "main",
    "state": "/state",
    "inventory": "inventory/mine",
    "ansible_playbook": "ansible-playbook",
    "schedules": [{"name": "hourly-site", "playbook": "site", "time_limit": "3h", "max_age": "4h"}],
}
ALICE = {
    "profile": "all",
    "server": "mail1",
    "mailbox": "alice@example.com",
    "method": "multiple_mailboxes",
    "tried": 900,
    "succeeded": 800,
    "archived": 12,
    "bytes": 3400,
    "on_server": 14,
    "uidnext": 17,
    "excluded": 1,
    "left": 0,
    "failed": 1,
    "quarantined": 0,
}
JOURNAL = {
    **ALICE,
    "profile": "journal",
    "mailbox": "archive@example.com",
    "method": "multidrop",
    "left": 5,
    "unknown_addresses": 2,
    "on_server_bytes": 9000,
}
NEVER = {**{key: ALICE[key] for key in ("profile", "server", "method", "tried")}, "mailbox": "new@example.com"}
NEVER |= {"succeeded": None, "archived": 0, "bytes": 0}
FIGURES = {
    "totals": {"objects": 12, "bytes": 3400, "stored_bytes": 1200, "placements": 13, "users": 2},
    "mailboxes": [ALICE, NEVER, JOURNAL],
    "left_out": {"all": 3},
    "forecast": {"days": 40, "room_bytes": 10**9, "room_inodes": None},
}


def site(**hosts: t.Any) -> dict[str, t.Any]:
    run = {"figures": FIGURES, "unverified": ["mail2"], "damaged_objects": ["aa"]}
    return {
        "check": False,
        "servers": {"mail1": {"failures": []}, "mail2": {"failures": ["it is down"]}},
        "archive_hosts": {"archive1": {"failures": ["it is down"], "run": run}},
        **hosts,
    }


def drift(**changed: t.Any) -> dict[str, t.Any]:
    wrong = {"differences": [{}, {}], "relations": [{"severity": "refuse"}, {"severity": "warn"}], "unknown": ["cfg: no\nanswer"]}
    servers = [{"server": "mail1", "in_step": True}, {"server": "mail2", "in_step": False, **wrong, **changed}]
    return {"in_step": False, "servers": servers}


def series(figures: dict[str, t.Any], config: Config | None = None, **results: t.Any) -> dict[str, float]:
    families = Metrics(config or parse(CONFIG)).families(results, figures, 1000)
    lines = exposition.text(families).splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def test_failures_are_told_by_host_once_and_in_one_line() -> None:
    assert reports.failures_of(site(), drift()) == [
        "mail2: it is down",
        "archive1: it is down",
        "mail2: 2 settings differ, 1 relations are violated, 1 things are unknown; cfg: no answer",
    ]
    both = {"servers": {"one": {"failures": ["x"]}}, "archive_hosts": {"one": {"failures": ["x"]}}}
    assert reports.failures_of(both, {}) == ["one: x"]
    assert reports.failures_of({}, {}) == []
    assert reports.failures_of({"servers": {"one": {"failures": ["one: x", "oneself"]}}}, {}) == ["one: x", "one: oneself"]


def test_figures_become_series() -> None:
    figures = reports.merged({}, site(), drift(), 950, whole=True)
    found = series(figures)
    expected = {
        'server_last_success_timestamp_seconds{server="mail1"}': 950,
        'server_last_success_timestamp_seconds{server="mail2"}': 0,
        'server_failures{server="mail2"}': 1,
        'server_drift_settings{server="mail1"}': 0,
        'server_drift_settings{server="mail2"}': 2,
        'server_drift_relations{server="mail2"}': 1,
        'server_drift_unknown{server="mail2"}': 1,
        'server_drift_checked_timestamp_seconds{server="mail1"}': 950,
        'host_failures{archive_host="archive1"}': 1,
        'host_last_success_timestamp_seconds{archive_host="archive1"}': 0,
        'host_last_archived_timestamp_seconds{archive_host="archive1"}': 950,
        'host_damaged_objects{archive_host="archive1"}': 1,
        'host_free_bytes{archive_host="archive1"}': 10**9,
        'host_forecast_seconds{archive_host="archive1"}': 40 * 86_400,
        'objects_total{archive_host="archive1"}': 12,
        'certificate_unverified{archive_host="archive1",server="mail2"}': 1,
        'profile_left_out_users{archive_host="archive1",profile="all"}': 3,
        'profile_last_success_timestamp_seconds{archive_host="archive1",profile="all"}': 0,
        'profile_last_success_timestamp_seconds{archive_host="archive1",profile="journal"}': 800,
        'profile_last_run_timestamp_seconds{archive_host="archive1",profile="all"}': 900,
    }
    assert {name: found[f"kerio_archive_{name}"] for name in expected} == expected
    assert not any("inodes" in name for name in found)
    labels = '{archive_host="archive1",profile="%s",server="mail1",mailbox="%s"}'
    mailbox = {
        name.removeprefix("kerio_archive_mailbox_").partition("{")[0]: value
        for name, value in found.items()
        if name.endswith(labels % ("journal", "archive@example.com"))
    }
    assert mailbox == {
        "last_run_timestamp_seconds": 900,
        "last_success_timestamp_seconds": 800,
        "archived_messages_total": 12,
        "fetched_bytes_total": 3400,
        "server_messages": 14,
        "server_uidnext": 17,
        "server_bytes": 9000,
        "excluded_messages": 1,
        "left_messages": 5,
        "failed_messages": 1,
        "quarantined_messages": 0,
        "unknown_addresses": 2,
    }
    assert found["kerio_archive_mailbox_last_success_timestamp_seconds" + labels % ("all", "new@example.com")] == 0


def test_addresses_of_people_can_be_left_out_and_their_profile_stays() -> None:
    figures = reports.merged({}, site(), {}, 950, whole=True)
    found = series(figures, parse({**CONFIG, "mailbox_metrics": False}))
    assert {name.partition('mailbox="')[2] for name in found if "_mailbox_" in name} == {'archive@example.com"}'}
    assert 'kerio_archive_profile_last_success_timestamp_seconds{archive_host="archive1",profile="all"}' in found


def test_what_a_later_run_does_not_know_stays_and_hosts_that_are_gone_go() -> None:
    first = reports.merged({"checkout": {"commit": "a"}}, site(), drift(), 950, whole=True)
    failed = site(servers={"mail1": {"failures": ["x"]}}, archive_hosts={"archive1": {"failures": ["y"], "run": {}}})
    limited = reports.merged(first, failed, {}, 2000, whole=False)
    assert set(limited["servers"]) == {"mail1", "mail2"}
    assert limited["servers"]["mail1"] == {
        "seen": 2000,
        "failures": 1,
        "last_success": 950,
        "drift": first["servers"]["mail1"]["drift"],
    }
    host = limited["archive_hosts"]["archive1"]
    assert (host["figures"], host["archived"], host["seen"]) == (FIGURES, 950, 2000)
    assert set(reports.merged(first, failed, {}, 2000, whole=True)["servers"]) == {"mail1"}
    assert limited["checkout"] == {"commit": "a"}


def test_a_run_in_check_mode_proves_no_success() -> None:
    assert reports.merged({}, site(check=True), {}, 950, whole=True) == {"servers": {}, "archive_hosts": {}}


def test_a_schedule_that_never_ran_has_no_success_and_a_skipped_start_is_no_run() -> None:
    skipped = {"outcome": "skipped", "started": 990, "finished": 990, "failure_count": 0}
    ran = {"outcome": "failed", "started": 100, "finished": 160, "failure_count": 2}
    labels = '{schedule="hourly-site",playbook="site"}'
    assert series({})[f"kerio_archive_schedule_last_success_timestamp_seconds{labels}"] == 0
    found = series({}, None, **{"hourly-site": {"last_success": 50, "runs": [skipped, ran]}})
    told = {name: found[f"kerio_archive_schedule_{name}{labels}"] for name in ("last_run_timestamp_seconds", "failures")}
    assert told == {"last_run_timestamp_seconds": 160, "failures": 2}
    assert found[f"kerio_archive_schedule_max_age_seconds{labels}"] == 4 * 3600


def test_labels_and_numbers_are_written_as_the_format_demands() -> None:
    family = Family("x", "gauge", "a\\b\nc")
    family.add(1.5, name='a"b\\c\nd')
    family.add(math.inf, name="\ud800ü")
    family.add(True)
    family.add(None, name="nothing")
    assert exposition.text([family, Family("empty", "gauge", "Nothing")]).splitlines() == [
        "# HELP x a\\\\b\\nc",
        "# TYPE x gauge",
        "x 1",
        'x{name="a\\"b\\\\c\\nd"} 1.5',
        'x{name="\\\\ud800ü"} +Inf',
    ]


@pytest.mark.parametrize("name", ["a\nb", 'say "x"', "back\\slash"])
def test_prometheus_takes_the_whole_of_it(tmp_path: Path, name: str) -> None:
    mailbox = {**JOURNAL, "profile": name}
    figures = reports.merged({}, site(), drift(), 950, whole=True)
    figures["archive_hosts"]["archive1"]["figures"] = {**FIGURES, "mailboxes": [ALICE, mailbox]}
    text = exposition.text(Metrics(parse(CONFIG)).families({}, figures, 1000))
    (tmp_path / "kerio_archive.prom").write_text(text, encoding="utf-8")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_two_series_never_have_the_same_labels() -> None:
    family = Family("x", "gauge", "a")
    for value, name in ((1, "a"), (2, "a"), (3, "\ud800"), (4, "\ud801")):
        family.add(value, name=name)
    series = [line.rpartition(" ")[0] for line in family.lines()[2:]]
    assert len(series) == len(set(series)) == 3
