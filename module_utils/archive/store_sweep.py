# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair after an unclean end."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.mailops.kerio.plugins.module_utils.archive.catalog import Catalog
from ansible_collections.mailops.kerio.plugins.module_utils.archive.store import Store


@dataclass(frozen=True)
class SweepReport:
    """What ``recover`` removed: objects and links that no commit speaks of. ``everything``: the whole tree had to be walked."""

    objects: int = 0
    links: int = 0
    staged: int = 0
    everything: bool = False


def recover(store: Store, catalog: Catalog) -> SweepReport | None:
    """Sweep when the last run left its dirty marker (None when it ended cleanly). The store must hold the lock."""
    raise NotImplementedError
