# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters of playbooks and roles: what is worked out from the variables and results of hosts, by ``module_utils/site``.

Each is documented in the YAML file of its name.
"""

from __future__ import annotations

import typing as t

import jinja2

from ansible_collections.mailops.kerio.plugins.module_utils.site import (
    adopt,
    assigned,
    drift,
    failures,
    logins,
    preflight,
    prepare,
    reached,
    reading,
    relations,
    schedules,
    summary,
    summary_text,
    users,
)

Filter = t.Callable[..., t.Any]
# Their input is hostvars.
OF_HOSTS: dict[str, Filter] = {
    "archive_scope": assigned.scope,
    "archive_servers": reached.servers,
    "archive_mailboxes": reached.mailboxes,
    "archive_side": relations.archive_side,
    "drift_servers": drift.servers,
    "login_servers": reached.for_logins,
    "archive_users": users.sources,
    "preflight_servers": preflight.servers,
    "prepared": prepare.look,
    "summary_facts": summary.facts,
    "summary_hosts": summary.hosts,
}
OTHERS: dict[str, Filter] = {
    "adopted_settings": adopt.settings,
    "archive_acknowledged": assigned.acknowledged,
    "archive_profiles": assigned.profiles,
    "archive_only": assigned.only,
    "drift_verdict": drift.verdict,
    "failure_cause": failures.cause,
    "failure_with_remedy": failures.with_remedy,
    "login_dangers": logins.dangers,
    "login_refusals": logins.refusals,
    "open_secrets": schedules.open_files,
    "preflight_findings": preflight.findings,
    "preflight_verdict": preflight.verdict,
    "schedule_settings": schedules.settings,
    "summary_text": summary_text.text,
}


def of_hosts(function: Filter) -> Filter:
    """Give a function a reader of hostvars. What Ansible raises, or returns, for a variable that cannot be read is Jinja's."""

    def read(hostvars: t.Any, *values: t.Any, **options: t.Any) -> t.Any:
        return function(reading.Reader(hostvars, jinja2.UndefinedError, jinja2.Undefined), *values, **options)

    return read


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Filter]:
        return {**OTHERS, **{name: of_hosts(function) for name, function in OF_HOSTS.items()}}
