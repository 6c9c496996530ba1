# SPDX-License-Identifier: GPL-3.0-or-later
"""What a controller is told of its schedules, and whether its secrets are safe. docs/schedule.md"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.mailops.kerio.plugins.module_utils.site.reading import Json
from ansible_collections.mailops.kerio.plugins.module_utils.site.summary import is_yes


def settings(schedules: t.Iterable[Mapping[str, Json]], time_limit: Json, max_age: Json) -> list[dict[str, Json]]:
    """Return the schedules as the program that runs them takes them; it knows no defaults."""
    return [
        {
            "name": one["name"],
            "playbook": one["playbook"],
            "time_limit": one.get("time_limit", time_limit),
            "max_age": one.get("max_age", max_age),
            "limit": one.get("limit", ""),
            "check": is_yes(one.get("check", False)),
            "extra_vars": one.get("extra_vars", {}),
        }
        for one in schedules
    ]


def open_files(results: t.Iterable[Mapping[str, Json]]) -> list[str]:
    """Return which files others than root may read, out of the results of a loop of ``ansible.builtin.stat``."""
    found = []
    for one in results:
        path, stat = one["item"], one["stat"]
        if not stat["exists"]:
            found.append(f"{path} is not there")
        elif stat["mode"] != "0400" or stat["uid"] != 0:
            found.append(f"{path} has mode {stat['mode']} and owner {stat.get('pw_name', stat['uid'])}")
    return found
