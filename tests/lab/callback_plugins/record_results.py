# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes every task result of a playbook run as one JSON line, so that the demo and the tests can read what happened."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record_results
type: aggregate
short_description: Record task results as JSON lines
description:
  - Appends one line per task and host to the file that the environment variable RECORD_RESULTS names.
"""


class CallbackModule(CallbackBase):
    """One line per finished task and host: status, host, task, action, result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record_results"
    CALLBACK_NEEDS_ENABLED = True

    def _record(self, status: str, result: t.Any) -> None:
        said = json.loads(self._dump_results(result._result, indent=0))
        # Ansible takes warnings out of what it dumps.
        warnings = [str(warning.event.msg) for warning in result.warnings]
        line = {
            "status": status,
            "host": result._host.get_name(),
            "task": result._task.get_name(),
            "action": result._task.action,
            "result": {**said, "warnings": warnings} if warnings else said,
        }
        with Path(os.environ["RECORD_RESULTS"]).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._record("changed" if result._result.get("changed") else "ok", result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._record("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._record("skipped", result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._record("unreachable", result)
