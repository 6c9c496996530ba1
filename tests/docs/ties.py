# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the docs that the scene does not run: other tests take them out of the page, or nothing can run them."""

from __future__ import annotations

from tests.docs.blocks import Block

ACCESS = "tests/play/test_archive_access.py"
# (page, a heading or a command) -> the test that runs all commands below that heading but playbooks, or that command.
TIED = {
    ("docs/backup.md", "rsync"): "tests/unit/module_utils/archive/test_backup_tools.py",
    ("docs/backup.md", "restic"): "tests/unit/module_utils/archive/test_backup_tools.py",
    ("docs/backup.md", "Borg"): "tests/unit/module_utils/archive/test_backup_tools.py",
    ("docs/backup.md", "Restore"): "tests/unit/module_utils/archive/backup_steps.py",
    ("docs/evidence.md", "A key"): "tests/unit/module_utils/archive/test_evidence_docs.py",
    ("docs/evidence.md", "Prove a message"): "tests/unit/module_utils/archive/test_evidence_docs.py",
    ("docs/evidence.md", "Where checkpoints go"): "tests/unit/module_utils/archive/test_evidence_docs.py",
    ("docs/access.md", "ansible-playbook -i inventory/mine playbooks/access.yml --ask-vault-pass --check --diff"): ACCESS,
    ("docs/access.md", "ansible-playbook -i inventory/mine playbooks/access.yml --ask-vault-pass"): ACCESS,
    ("docs/access.md", "The log"): ACCESS,
    ("docs/growth.md", "Move an archive"): "tests/unit/module_utils/archive/test_archive_moved.py",
    ("docs/lab.md", "Start and stop"): "tests/docs/test_lab.py",
    (
        "standalone/README.md",
        'python3 check_proof.py message invoice.eml invoice.tlog-proof --key "$(cat archive1.vkey)" --checkpoint kept-in-git',
    ): "tests/unit/module_utils/archive/test_evidence_docs.py",
}
# (page, command) -> why nothing can run it, and what is checked instead.
EXCEPTED = {
    ("CONTRIBUTING.md", "python -m pytest tests/meta"): "it is a part of what runs",
    ("CONTRIBUTING.md", "python -m pytest tests/unit/module_utils/kerio/test_kinds.py"): "it is a part of what runs",
}


def elsewhere(block: Block, command: str) -> str:
    """The test that runs a command, or why there is none; "" when the scene is to run it."""
    below = TIED.get((block.page, block.heading), "") if not command.startswith("ansible-playbook ") else ""
    return below or TIED.get((block.page, command), "") or EXCEPTED.get((block.page, command), "")
