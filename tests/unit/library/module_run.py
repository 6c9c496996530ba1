# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module in this process; returns what it says."""

from __future__ import annotations

import contextlib
import copy
import importlib
import typing as t
from unittest import mock

from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.mailops.kerio.plugins"


class EndedError(Exception):
    """The module called exit_json or fail_json."""


class BegunError(Exception):
    """The module has told Ansible its options."""


class Begun(t.NamedTuple):
    """What a module hands to Ansible: the class, and its arguments."""

    kind: type[basic.AnsibleModule]
    arguments: dict[str, t.Any]

    @property
    def spec(self) -> dict[str, dict[str, t.Any]]:
        """The options."""
        return t.cast("dict[str, dict[str, t.Any]]", self.arguments["argument_spec"])


def begun(name: str) -> Begun:
    """Run a module, by its last name, until it has told Ansible its options."""
    told: list[Begun] = []

    def begin(module: basic.AnsibleModule, **arguments: t.Any) -> None:
        told.append(Begun(type(module), arguments))
        raise BegunError

    main = importlib.import_module(f"{PACKAGE}.modules.{name}").main
    with mock.patch.object(basic.AnsibleModule, "__init__", begin), contextlib.suppress(BegunError):
        main()
    return told[0]


def run_module(main: t.Callable[[], None], *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    """Run a module's ``main``; return its result with ``failed`` and ``warnings``."""
    warnings: list[str] = []
    result: dict[str, t.Any] = {"warnings": warnings}

    def end(*, failed: bool) -> t.Callable[..., None]:
        def ended(_module: basic.AnsibleModule, **values: t.Any) -> None:
            result.update(values, failed=failed)
            raise EndedError

        return ended

    ends = {"exit_json": end(failed=False), "fail_json": end(failed=True), "warn": lambda _module, text: warnings.append(text)}
    arguments = {**copy.deepcopy(options), "_ansible_check_mode": check, "_ansible_diff": True}
    with mock.patch.multiple(basic.AnsibleModule, **ends), patch_module_args(arguments):
        try:
            main()
        except EndedError:
            return result
    raise AssertionError("the module ended without a result")
