# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin of the whole session: names it for its workers, and takes away what all of its fleets have left in the end."""

from __future__ import annotations

import os

import pytest

from tests.hosts import remains


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if not is_worker(config):
        os.environ[remains.SESSION] = str(os.getpid())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not is_worker(session.config) and os.geteuid() == 0:
        remains.clear_session()
