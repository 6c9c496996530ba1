# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of an archive after every run that ended, whatever its servers did. Read without the project's code."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from ansible_collections.mailops.kerio.plugins.module_utils.archive.run_report import RunReport
from tests.proof.independent_archive import ARCHIVED, Archive


def consistent(root: Path) -> Archive:
    """Assert that rows, links and objects say the same, digests are right, nothing is twice, and no marker is left."""
    archive = Archive(root)
    assert archive.problems == []
    assert not (root / "dirty").exists()
    assert not list((root / "staging").iterdir())
    files = [path for path in (root / "mail").rglob("*") if path.is_file()]
    assert len(files) == len(archive.placements)
    twice = Counter((placement.directory, placement.digest) for placement in archive.placements)
    assert all(count == 1 for count in twice.values())
    placed = {placement.digest for placement in archive.placements}
    assert {source[5] for source in archive.sources if source[6] == ARCHIVED} <= placed
    return archive


def told(report: RunReport) -> str:
    """Everything that a report says."""
    return report.sentence() + json.dumps(report.as_data(), ensure_ascii=False)


def without_secrets(root: Path, report: RunReport, *secrets: str) -> None:
    """Assert that no secret is in the report nor in any file of the archive, the catalog included."""
    texts = [told(report).encode()]
    texts += [path.read_bytes() for path in root.iterdir() if path.is_file()]
    assert not [secret for secret in secrets for text in texts if secret.encode() in text]
