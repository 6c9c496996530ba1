# SPDX-License-Identifier: GPL-3.0-or-later
"""What a controller is told of its schedules, and which of its secrets lie open."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.mailops.kerio.plugins.module_utils.site import schedules


def test_a_schedule_that_says_nothing_gets_what_is_said_for_all() -> None:
    declared = {"name": "drift", "playbook": "drift", "on_calendar": "hourly", "randomized_delay": "5min"}
    plain = {"name": "drift", "playbook": "drift", "time_limit": "4h", "max_age": "26h"}
    (found,) = schedules.settings([declared], "4h", "26h")
    assert found == {**plain, "limit": "", "check": False, "extra_vars": {}}


def test_what_a_schedule_says_itself_counts() -> None:
    own = {"time_limit": "1h", "max_age": "2h", "limit": "mail1", "check": True, "extra_vars": {"one": 1}}
    declared = {"name": "a", "playbook": "site", **own}
    assert schedules.settings([{**declared, "on_calendar": "daily"}, {**declared, "name": "b"}], "4h", "26h") == [
        declared,
        {**declared, "name": "b"},
    ]


@pytest.mark.parametrize(("given", "check"), [("yes", True), ("no", False), ("false", False), (True, True)])
def test_a_text_that_says_yes_or_no_is_understood(given: t.Any, check: bool) -> None:
    (found,) = schedules.settings([{"name": "a", "playbook": "site", "check": given}], "", "")
    assert found["check"] is check


@pytest.mark.parametrize(
    ("stat", "told"),
    [
        ({"exists": True, "mode": "0400", "uid": 0, "pw_name": "root"}, []),
        ({"exists": False}, ["/x is not there"]),
        ({"exists": True, "mode": "0440", "uid": 0, "pw_name": "root"}, ["/x has mode 0440 and owner root"]),
        ({"exists": True, "mode": "0400", "uid": 1000, "pw_name": "ops"}, ["/x has mode 0400 and owner ops"]),
        ({"exists": True, "mode": "0400", "uid": 1000}, ["/x has mode 0400 and owner 1000"]),
    ],
)
def test_a_secret_that_others_may_read_is_told(stat: dict[str, t.Any], told: list[str]) -> None:
    assert schedules.open_files([{"item": "/x", "stat": stat}]) == told
