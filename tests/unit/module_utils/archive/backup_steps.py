# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the documentation, run as an operator would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.docs import blocks

DOCS = Path(__file__).parents[4] / "docs"


def commands(document: str, heading: str) -> list[str]:
    """The shell commands below a heading of a document, block by block, without those that play a playbook."""
    return blocks.steps(f"docs/{document}", heading)


def run(block: str, **variables: str | Path) -> str:
    """Run one block; what it printed."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settle(new: Path, owner: str) -> None:
    """The rest of a restore, after the files are back."""
    (block,) = commands("backup.md", "Restore")
    run(block, NEW=new, OWNER=owner)


def links(root: Path) -> dict[str, set[str]]:
    """Object -> everything below the root that is the same file: paths relative to it."""
    inodes: dict[int, set[str]] = {}
    for path in _files(root):
        inodes.setdefault(path.stat().st_ino, set()).add(str(path.relative_to(root)))
    return {min(names, key=lambda name: not name.startswith("objects")): names for names in inodes.values()}


def _files(root: Path) -> Iterator[Path]:
    for part in ("objects", "mail"):
        yield from (path for path in (root / part).rglob("*") if path.is_file())
