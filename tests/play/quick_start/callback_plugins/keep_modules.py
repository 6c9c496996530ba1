# SPDX-License-Identifier: GPL-3.0-or-later
"""Has ansible-playbook take packed modules from, and leave them in, the folder of tests/play/quick.py."""

from __future__ import annotations

import os
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader, test_loader
from ansible.release import __version__

DOCUMENTATION = """
name: keep_modules
type: aggregate
short_description: Pack each module once in many runs
description:
  - Links the folder in which this run keeps its packed modules to one below the folder that the environment variable
    TESTS_KEPT names, and loads what every task would load in a process of its own.
"""


class CallbackModule(CallbackBase):
    """Does its work before the first task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "keep_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        # A packed module has the module_utils of its ansible-core in it.
        kept = Path(os.environ["TESTS_KEPT"], f"ansible-{__version__}")
        kept.mkdir(exist_ok=True)
        Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(kept)
        for loader in (filter_loader, test_loader):
            list(loader.all())
