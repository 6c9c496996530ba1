# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixture `rig`: the front ends inside the test's process, everything fresh for each test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.facts.imap_rig import Rig


@pytest.fixture(scope="session")
def lab_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(["openssl", *words.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def rig(tmp_path: Path, lab_certificate: tuple[Path, Path]) -> Iterator[Rig]:
    made = Rig(tmp_path, lab_certificate)
    try:
        yield made
    finally:
        made.close()
