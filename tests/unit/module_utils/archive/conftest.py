# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from tests.unit.module_utils.archive.format_fixtures import filled
from tests.unit.module_utils.archive.store_fixtures import archive, root, store

__all__ = ["archive", "filled", "root", "store"]
