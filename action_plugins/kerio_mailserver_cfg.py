# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows the job of ``kerio_mailserver_cfg`` and shows its progress."""

from __future__ import annotations

import copy
import typing as t

from ansible.errors import AnsibleActionFail

from ansible_collections.mailops.kerio.plugins.action._job import JobAction
from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError
from ansible_collections.mailops.kerio.plugins.module_utils.kerio import cfg_module
from ansible_collections.mailops.kerio.plugins.modules.kerio_mailserver_cfg import ARGUMENTS, ONE_OF


class ActionModule(JobAction):
    """On Windows the module, which is Python, would not even begin, so the steps to do by hand are told from here."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        # PowerShell over WinRM, PSRP or SSH, and cmd over SSH.
        if getattr(self._connection._shell, "_IS_WINDOWS", False):
            # The validation fills in the default dictionaries themselves.
            _result, args = self.validate_argument_spec(argument_spec=copy.deepcopy(ARGUMENTS), required_one_of=ONE_OF)
            try:
                cfg_module.declare(args, self._task.check_mode, "Windows")
            except InputError as error:
                raise AnsibleActionFail(str(error), result={"error": error.as_result()}) from error
        return super().run(tmp, task_vars)
