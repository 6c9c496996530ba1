# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that has imported ansible-playbook, and forks for each playbook of this session."""

from __future__ import annotations

import atexit
import importlib
import os
import runpy
import sys
import tempfile
import typing as t
from pathlib import Path

import keep_code

keep_code.keep_routes()
keep_code.keep_templates()

from ansible import constants  # noqa: E402  after what it is to keep
from ansible.utils.path import cleanup_tmp_file  # noqa: E402  the same

from tests.play.ready import Kind, run  # noqa: E402  the same

# What most playbooks load when they run.
PLUGINS = (
    "action.copy",
    "action.debug",
    "action.include_vars",
    "action.normal",
    "action.set_fact",
    "action.template",
    "action.validate_argument_spec",
    "become.sudo",
    "callback.default",
    "connection.local",
    "filter.core",
    "filter.encryption",
    "filter.mathstuff",
    "filter.urls",
    "filter.urlsplit",
    "inventory.advanced_host_list",
    "inventory.auto",
    "inventory.generator",
    "inventory.host_list",
    "inventory.ini",
    "inventory.script",
    "inventory.yaml",
    "lookup.env",
    "lookup.file",
    "lookup.template",
    "shell.sh",
    "strategy.free",
    "strategy.linear",
    "test.core",
    "test.files",
    "test.mathstuff",
    "test.uri",
    "vars.host_group_vars",
)


class Playbooks(Kind):
    """``python -m ansible playbook``."""

    def __init__(self) -> None:
        importlib.import_module("ansible.cli.playbook")
        for name in PLUGINS:
            importlib.import_module(f"ansible.plugins.{name}")
        atexit.unregister(cleanup_tmp_file)
        own = Path(constants.DEFAULT_LOCAL_TMP)
        own.rmdir()
        self._temporary = own.parent

    def become(self, argv: t.Sequence[str]) -> t.NoReturn:
        # Each playbook has its own.
        constants.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(prefix=f"ansible-local-{os.getpid()}", dir=self._temporary)
        atexit.register(cleanup_tmp_file, constants.DEFAULT_LOCAL_TMP, warn=True)
        sys.argv[:] = ["ansible", *argv[3:]]
        run(lambda _main: _play())


def _play() -> None:
    # Not the folder that Python puts first for a script by its standard input.
    sys.path[0] = os.getcwd()  # noqa: PTH109  as Python does
    runpy.run_module("ansible", run_name="__main__", alter_sys=True)
