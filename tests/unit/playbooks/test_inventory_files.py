# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible.cfg: what lies beside the inventory and is none is not read as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.lab.playbooks import ROOT

# As docs/evidence.md has it: an INI file of hosts to Ansible, until a signature is in it.
CHECKPOINT = f"archive1.example.com/srv/archive/kerio\n54\n{'A' * 43}=\n\n"
BESIDE = {
    "checkpoints/archive1.example.com.checkpoints": f"{CHECKPOINT}\n",
    "files/kerio-ca.pem": "-----BEGIN CERTIFICATE-----\n",
}


def test_certificates_and_checkpoints_are_no_hosts(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("archive_hosts: {hosts: {archive1.example.com: }}\n", encoding="utf-8")
    for name, text in BESIDE.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "inventory", "-i", tmp_path, "--list"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["_meta"]["hostvars"] == {}
    assert json.loads(done.stdout)["archive_hosts"] == {"hosts": ["archive1.example.com"]}
    assert "ungrouped" not in json.loads(done.stdout)
