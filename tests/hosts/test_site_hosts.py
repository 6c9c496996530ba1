# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/site.yml over SSH, as somebody who is not root, on hosts from bare to archived; then again, and from outside."""

from __future__ import annotations

from tests.hosts import watch
from tests.hosts.converged import FirstRuns
from tests.hosts.fleet import Fleet


def test_check_of_bare_hosts_writes_nothing(first_runs: FirstRuns) -> None:
    assert first_runs.writes_of_check == []
    assert watch.differences(first_runs.before_check, first_runs.after_check) == {}


def test_second_run(fleet: Fleet) -> None:
    before = watch.trees(fleet)
    again = fleet.play("site")
    assert again.rc == 0, again.output
    assert again.changed() == []
    before = watch.trees(fleet)
    again = fleet.play("site", check=True)
    assert again.rc == 0, again.output
    assert watch.differences(before, watch.trees(fleet)) == {}
