# SPDX-License-Identifier: GPL-3.0-or-later
"""The same code on the newest ansible-core, which needs a newer Python than Debian 12 has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.dist import pythons
from tests.lab.fixtures import Factory
from tests.lab.playbooks import ROOT, run_playbook
from tests.play import quick

SITE = ROOT / "playbooks" / "site.yml"
INVENTORY = ROOT / "inventory" / "lab"


@pytest.fixture(scope="module")
def newest() -> Path:
    """Return the Python of an environment with the newest ansible-core, made once from the pinned requirements."""
    python = pythons.find(pythons.NEWEST)
    if python is None:
        pytest.skip("no Python 3.13 on this machine")
    return pythons.environment(python, "python3.13", ROOT / "requirements.txt")


def test_site_yml_runs_on_the_newest_ansible_core(newest: Path, lab_factory: Factory, tmp_path: Path) -> None:
    lab = lab_factory(servers=2, users=2)
    lab.fill(60)
    extra = {"KERIO_LAB_JSON": str(lab.file), "KERIO_LAB_WORK_DIR": str(tmp_path), **quick.environment()}
    version = subprocess.run(
        [str(newest), "-m", "ansible", "playbook", "--version"], check=True, capture_output=True, text=True
    ).stdout
    assert "core 2.19" not in version

    first = run_playbook(SITE, inventory=INVENTORY, python=newest, **extra)
    assert first.rc == 0, first.output
    (run,) = first.of("archive_run")
    counts = run.result["run"]
    assert counts["new"] > 0
    assert counts["new"] + counts["copies"] == counts["seen"]
    assert "deprecat" not in first.output.lower()

    second = run_playbook(SITE, inventory=INVENTORY, python=newest, **extra)
    assert second.rc == 0, second.output
    assert second.changed() == []
