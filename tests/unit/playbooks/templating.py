# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluates the variables of a playbook as Ansible does, without a playbook run; and reads host variables as Ansible does."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = Path(__file__).parents[3]
PLAYBOOKS = ROOT / "playbooks"


def evaluate(variables_file: str, name: str, **values: t.Any) -> t.Any:
    """Return a variable of playbooks/vars; ``values`` are other variables, as a module returns them: not templates."""
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(PLAYBOOKS / "vars" / variables_file), trusted_as_template=True),
        "playbook_dir": str(PLAYBOOKS),
        **values,
    }
    return Templar(loader=loader, variables=variables).template(variables[name])


def host_variables(text: str, folder: Path, **values: t.Any) -> t.Any:
    """Return what Ansible makes of a file with host variables."""
    path = folder / "host.yml"
    path.write_text(text, encoding="utf-8")
    loader = DataLoader()
    variables = loader.load_from_file(str(path), trusted_as_template=True)
    return Templar(loader=loader, variables={**variables, **values}).template(variables)
