# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows the job of ``kerio_mailserver_cfg`` and shows its progress."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail

from ansible_collections.mailops.kerio.plugins.action._job import JobAction
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_manual


class ActionModule(JobAction):
    """On Windows the module, which is Python, would not even begin, so the steps to do by hand are told from here."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        if getattr(self._connection._shell, "SHELL_FAMILY", "") == "powershell":
            try:
                cfg_manual.refuse("Windows", _wanted(self._task.args))
            except InputError as error:
                raise AnsibleActionFail(str(error), result={"error": error.as_result()}) from error
        return super().run(tmp, task_vars)


def _wanted(args: dict[str, t.Any]) -> dict[str, str]:
    """Return what the task asks for, as far as it can be told without the module's argument checks."""
    wanted = {str(entry.get("path") or entry.get("name")): str(entry.get("value")) for entry in args.get("variables") or []}
    if "permanent_delete" in args:
        wanted["AutoExpungeOnDelete"] = "0 (permanent_delete: true) or 1 (false)"
    return wanted
