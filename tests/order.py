# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: long files begin first, because the workers of xdist take whole files in this order and the last one decides.

It goes with --no-loadscope-reorder, without which xdist puts files with few tests last, and the longest of all have a single one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# More than half a minute each, the longest first.
LONG = (
    "hosts/test_site_hosts.py",
    "hosts/test_archive_hosts.py",
    "hosts/test_archive_hosts_mail.py",
    "hosts/test_archive_hosts_limits.py",
    "hosts/test_kerio_hosts.py",
    "hosts/test_kerio_hosts_site.py",
    "faults/test_power_loss.py",
    "faults/test_crash_points.py",
    "faults/test_disk_errors.py",
    "faults/test_cfg_kills.py",
    "docs/test_commands.py",
    "play/test_rotation.py",
    "play/test_role_everywhere.py",
    "play/test_access_site.py",
    "play/test_kerio_paging.py",
    "play/test_drift.py",
    "play/test_archive_modes_site.py",
    "play/test_site.py",
    "faults/test_hostile_hangs.py",
    "play/test_role_configure.py",
    "play/test_kerio_mailserver_cfg.py",
    "play/test_archive_host.py",
    "play/test_versions.py",
    "faults/test_cfg_failures.py",
    "play/test_kerio_connection.py",
    "play/test_archive_access.py",
    "play/test_archive_run_held.py",
    "unit/module_utils/archive/test_run_death.py",
    "play/test_archive_run_failures.py",
    "play/test_archive_run.py",
    "play/test_adopt.py",
    "proof/test_corpus.py",
)
# What is left, as its files go from long to short.
FOLDERS = ("hosts", "docs", "play", "dist", "faults", "proof", "lab", "bench", "unit", "meta")


def rank(path: Path) -> tuple[int, int]:
    """Return the place of a test file; files of the same place stay as they are."""
    file = path.relative_to(TESTS)
    if file.as_posix() in LONG:
        return 0, LONG.index(file.as_posix())
    return 1, FOLDERS.index(file.parts[0]) if file.parts[0] in FOLDERS else len(FOLDERS)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.path))
