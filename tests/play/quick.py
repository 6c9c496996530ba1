# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that start quickly: what each of their processes would make anew is made once in a session of tests.

Without it, most of the time of a short playbook goes into packing modules, compiling what was packed, and loading plugins.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.lab.playbooks import ROOT

KEPT = "TESTS_KEPT"  # the environment variable that names the folder
START = Path(__file__).with_name("quick_start")


def environment() -> dict[str, str]:
    """Return what makes a playbook, its modules and their jobs use the folder that ``KEPT`` names."""
    recorder = ROOT / "tests" / "lab" / "callback_plugins"
    return {
        "PYTHONPATH": os.pathsep.join([str(START), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep),
        "ANSIBLE_CALLBACK_PLUGINS": os.pathsep.join([str(recorder), str(START / "callback_plugins")]),
        "ANSIBLE_CALLBACKS_ENABLED": "record_results,keep_modules",
    }
