# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.module_utils.archive.engine_fake import FakeServers
from tests.unit.module_utils.archive.format_fixtures import filled
from tests.unit.module_utils.archive.store_fixtures import archive, root, store

__all__ = ["archive", "filled", "root", "servers", "store"]


@pytest.fixture
def servers(tmp_path: Path) -> FakeServers:
    """Servers without a mailbox."""
    return FakeServers(tmp_path / "imap.log")
