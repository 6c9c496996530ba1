# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module ends: the only place that calls ``exit_json`` and ``fail_json``."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailops.kerio.plugins.module_utils.errors import ArchiveToolError, SecretInResultError
from ansible_collections.mailops.kerio.plugins.module_utils.plan import Plan

# Below this a secret is likely to be part of something else.
SHORT_SECRET = 6


class DiscreetModule(AnsibleModule):  # type: ignore[misc]  # Ansible's class has no types
    """For modules with secrets in lists or dictionaries: keeps those with a backslash or quotes out of the system log as well.

    Every module writes its options there. Lists are written as Python writes them, with escapes, and Ansible looks in that for
    the secret without them.
    """

    def _log_invocation(self) -> None:
        self.no_log_values |= {repr(secret)[1:-1] for secret in self.no_log_values}
        super()._log_invocation()


@dataclass
class Outcome:
    """What a module has to say.

    ``diff`` is one Ansible diff (``before``, ``after``, headers) or a list of them, of touched objects only. ``data`` holds the
    module's own return values. ``failed`` ends the module as failed with all of this: a part of the work could not be done.
    """

    changed: bool
    msg: str
    diff: dict[str, t.Any] | list[dict[str, t.Any]] | None = None
    warnings: list[str] = field(default_factory=list)
    data: dict[str, t.Any] = field(default_factory=dict)
    failed: bool = False


def outcome_of(plan: Plan, noun: str, check_mode: bool, calls: list[str], warnings: list[str]) -> Outcome:
    """Return the outcome of a plan that was applied, or would be.

    ``calls`` and ``warnings`` may still grow until the module ends: the logout comes last.
    """
    data = {"calls": calls, "plan": plan.counts()}
    return Outcome(plan.changed, plan.sentence(noun, check_mode), plan.diff(), warnings, data)


def run(module: AnsibleModule, work: t.Callable[[], Outcome], secrets: t.Iterable[str | None] = ()) -> None:
    """Do ``work`` and end the module with its outcome; an ``ArchiveToolError`` becomes the failed result.

    ``secrets`` are the values of the module's ``no_log`` options. Ansible masks them by substring, so that a password ``kerio``
    would turn ``alice@kerio.example`` into stars and the next module would believe it: such a result is refused. The work is done
    by then, so that the failure still tells whether it changed anything.
    """
    given = [secret for secret in secrets if secret]
    changed = False
    try:
        outcome = work()
        changed = outcome.changed
        refuse_secrets(outcome.data, given)
    except ArchiveToolError as error:
        # What the operator must know every time, such as a certificate that is not verified, is not less true of a failure.
        for warning in error.details.pop("warnings", ()):
            module.warn(warning)
        # A list of many things may fail in its middle: what was done before is done.
        module.fail_json(msg=str(error), error=error.as_result(), changed=changed or bool(error.details.get("done")))
    if any(len(secret) < SHORT_SECRET for secret in given):
        module.warn(
            f"A password of fewer than {SHORT_SECRET} characters was given: Ansible masks it also where it is part of a word or "
            "a number of the result. Choose a longer one"
        )
    for warning in outcome.warnings:
        module.warn(warning)
    result: dict[str, t.Any] = dict(outcome.data, changed=outcome.changed, msg=outcome.msg)
    if module._diff and outcome.diff is not None:
        result["diff"] = outcome.diff
    if outcome.failed:
        module.fail_json(**result)
    module.exit_json(**result)


def refuse_secrets(data: t.Any, secrets: t.Sequence[str], path: str = "result") -> None:
    """Raise ``SecretInResultError`` when a string in ``data`` contains one of ``secrets``; ``path`` names where it stands."""
    if isinstance(data, str):
        if any(secret in data for secret in secrets):
            raise SecretInResultError(
                path,
                "the value contains one of the passwords that this module was given, so Ansible would mask it",
                "Choose a password that is not part of a name, an address or a setting",
            )
    elif isinstance(data, dict):
        for key, value in data.items():
            refuse_secrets(key, secrets, f"a key of {path}")
            refuse_secrets(value, secrets, f"{path}.{key}")
    elif isinstance(data, (list, tuple)):
        for index, value in enumerate(data):
            refuse_secrets(value, secrets, f"{path}[{index}]")
