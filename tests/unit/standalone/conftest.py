# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that checks proofs, and a folder for its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.standalone.ledgers import Program


@pytest.fixture
def program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(tmp_path, capsys)
