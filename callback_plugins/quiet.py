# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ansible-playbook prints: Ansible's own output without what says that nothing happened."""

from __future__ import annotations

DOCUMENTATION = """
name: quiet
type: stdout
short_description: Ansible's output without the tasks that had nothing to do
version_added: 0.1.0
description:
  - Prints what changed, what failed, warnings, and what a task is there to tell. A run that has nothing to do is a few lines
    long, however many servers there are.
  - A failure that a module or an assertion words for people is printed as its sentence, once for each host; so is why a host
    is not reached.
  - With C(-v) it prints what P(ansible.builtin.default#callback) prints.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
author:
  - The kerio-archive authors (@mailops)
"""

import typing as t

from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.display import Display

# Their failures are sentences that a playbook has written.
WORDED = ("ansible.builtin.assert", "ansible.builtin.fail", "assert", "fail")
TOLD = "as told above"
# What Ansible writes before the cause.
WRAPPING = "Task failed: "


class CallbackModule(Default):
    """The default output; what is left out of it is decided here and nowhere else."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "mailops.kerio.quiet"

    def __init__(self) -> None:
        super().__init__()
        self._display: Display
        self._waiting: t.Any = None
        self._told: dict[str, set[str]] = {}

    def set_options(self, task_keys: t.Any = None, var_options: t.Any = None, direct: t.Any = None) -> None:
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        if self._quiet():
            self.set_option("display_skipped_hosts", False)

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        # Whether the play has hosts is known a moment later.
        self._play = play
        self._waiting = play
        if not self._quiet():
            self._announce()

    def v2_playbook_on_no_hosts_matched(self) -> None:
        # A play that is imported once more by site.yml chooses nobody on purpose.
        if not self._quiet() or "!all" not in str(self._play.hosts):
            self._announce()
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        self._announce()
        super().v2_playbook_on_task_start(task, is_conditional)

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        if not self._quiet():
            super().v2_playbook_on_include(included_file)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        if self._says_something(result):
            super().v2_runner_on_ok(result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        if self._says_something(result):
            super().v2_runner_item_on_ok(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        text = self._worded(result)
        if not text or not self._quiet():
            super().v2_runner_on_failed(result, ignore_errors)
            return
        self._tell(result, "fatal: [{}]: FAILED! =>", text)
        for warning in result.result.get("warnings") or []:
            self._display.warning(str(warning))
        if ignore_errors:
            self._display.display("...ignoring", color="cyan")

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        text = str(result.result.get("msg") or "").removeprefix(WRAPPING)
        if not text or not self._quiet() or "results" in result.result:
            super().v2_runner_on_unreachable(result)
        elif result.task.ignore_unreachable:
            # The play goes on, mostly without this host, and says at its end what could not be done.
            self._tell(result, "unreachable: [{}] =>", text)
        else:
            self._tell(result, "fatal: [{}]: UNREACHABLE! =>", text)

    def _tell(self, result: t.Any, verdict: str, text: str) -> None:
        """Print a sentence; one that was told of the host before is not repeated."""
        if self._last_task_banner != result.task._uuid:
            self._print_task_banner(result.task)
        told = self._told.setdefault(result.host.get_name(), set())
        known = told.issuperset(text.splitlines())
        told.update(text.splitlines())
        words = f"{verdict.format(self.host_label(result))} {TOLD if known else text}"
        self._display.display(words, color="red", stderr=self.get_option("display_failed_stderr"))

    def _quiet(self) -> bool:
        return not self._display.verbosity

    def _announce(self) -> None:
        if self._waiting is not None:
            play, self._waiting = self._waiting, None
            # A batch of servers that comes next has the same tasks.
            self._last_task_banner = None
            super().v2_playbook_on_play_start(play)

    def _says_something(self, result: t.Any) -> bool:
        told = ("changed", "warnings", "deprecations")
        return not self._quiet() or self._run_is_verbose(result) or any(result.result.get(key) for key in told)

    @staticmethod
    def _worded(result: t.Any) -> str:
        """The sentence of a failure that needs nothing beside it; empty for all others."""
        failed = result.result
        own = isinstance(failed.get("error"), dict) and {"subject", "cause", "remedy"} <= failed["error"].keys()
        looped = result.task.loop and "results" in failed
        return str(failed.get("msg") or "") if not looped and (own or result.task.action in WORDED) else ""
