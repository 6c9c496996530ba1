# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a playbook must not lie: beside it, Ansible takes a folder module_utils for a part of its own."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import ansible.module_utils

from tests.unit.playbooks.templating import ROOT

# What the pages speak of.
ALIKE = {"errors"}
SEEN = "cannot import name 'AliasError' from 'ansible.module_utils.errors'"
PLAY = {
    "name": "Ensure a module runs",
    "hosts": "all",
    "gather_facts": False,
    "tasks": [{"name": "Ask", "ansible.builtin.ping": {}}],
}


def test_no_other_file_can_be_taken_for_one_of_ansible() -> None:
    ours = {module.name for module in pkgutil.iter_modules([str(ROOT / "module_utils")])}
    theirs = {module.name for module in pkgutil.iter_modules(ansible.module_utils.__path__)}
    assert ours & theirs == ALIKE


def test_the_message_is_the_one_that_the_pages_have(tmp_path: Path) -> None:
    (tmp_path / "module_utils").symlink_to(ROOT / "module_utils")
    (tmp_path / "play.json").write_text(json.dumps([PLAY]), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    options = ["-i", "host1,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    command = [Path(sys.executable).with_name("ansible-playbook"), *options, tmp_path / "play.json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert SEEN in done.stdout
    assert "Module result deserialization failed" in done.stdout
    for page in ("docs/troubleshooting.md", "CONTRIBUTING.md"):
        assert SEEN in " ".join((ROOT / page).read_text(encoding="utf-8").split()), page
